"""docs/webhooks.md is true: its programs verify what the service signs, and its tables are the code's."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from private_integrations.contract import Event, new_sealing_key, new_webhook_secret
from private_integrations_service.http.fetching import FetchLimits
from private_integrations_service.jobs.webhook_sender import OF_AN_ACCOUNT
from private_integrations_service.jobs.webhook_signatures import StandardSigner
from private_integrations_service.operations.deliveries import MOST_KEPT
from private_integrations_service.operations.webhook_secrets import seal
from private_integrations_service.operations.webhooks import MOST
from private_integrations_service.sealing import Sealer
from private_integrations_service.settings import Settings
from private_integrations_service.webhooks.endpoints import WebhookEndpoint
from private_integrations_service.webhooks.redelivery import PATIENCE, PAUSES

GUIDE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
WORDS = " ".join(GUIDE.split())


def program(name):
    """What the program under this name defines."""
    (text,) = re.findall(rf"<!-- {name} -->\n```python\n(.*?)```", GUIDE, re.DOTALL)
    defined = {"seen_before": lambda message_id: message_id == "msg_seen"}
    exec(compile(text, name, "exec"), defined)
    return defined


@pytest.fixture
def secret():
    """A signing secret."""
    return new_webhook_secret()


@pytest.fixture
def signed(secret):
    """Signs a message as the service does."""
    sealer = Sealer([new_sealing_key()])
    sealed = seal(secret, sealer, "whk_1", "account")
    endpoint = WebhookEndpoint(
        "whk_1", "account", "service", "https://x.test/", datetime.now(UTC), "key/x", sealed=sealed
    )

    def sign(body, message_id="msg_1", at=None):
        return dict(StandardSigner(sealer)(endpoint, message_id, at or datetime.now(UTC), body))

    return sign


BODY = b'{"type":"ping","timestamp":"2026-11-20T12:00:00.000Z","data":{}}'


def test_the_receiver_with_the_library(secret, signed, monkeypatch, capsys):
    """It accepts what is genuine, does nothing twice, and refuses everything else."""
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    receive = program("verify")["receive"]
    assert receive(BODY, signed(BODY)) == 200
    assert capsys.readouterr().out == "ping {}\n"
    assert receive(BODY, signed(BODY, "msg_seen")) == 200
    assert capsys.readouterr().out == ""
    assert receive(BODY + b" ", signed(BODY)) == 400
    assert receive(BODY, {}) == 400


def test_the_receiver_by_hand(secret, signed):
    """The same without a library: secret, id, time and body must be the very ones."""
    is_genuine = program("by hand")["is_genuine"]
    assert is_genuine(secret, BODY, signed(BODY))
    assert is_genuine(secret, BODY, signed(BODY) | {"webhook-signature": "v1,x " + signed(BODY)["webhook-signature"]})
    assert not is_genuine(new_webhook_secret(), BODY, signed(BODY))
    assert not is_genuine(secret, BODY + b" ", signed(BODY))
    assert not is_genuine(secret, BODY, signed(BODY) | {"webhook-id": "msg_2"})
    assert not is_genuine(secret, BODY, signed(BODY, at=datetime.now(UTC) - timedelta(minutes=6)))


def test_the_tables_and_numbers():
    """Every event, the schedule, and the limits."""
    rows = GUIDE.partition("## Events\n")[2].partition("\n\nAll have")[0].splitlines()
    named = [name for row in rows[3:] for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row.split(" | ")[0])]
    assert sorted(named) == sorted(Event)
    units = {"s": 1, "min": 60, "h": 3600}
    (listed,) = re.findall(r"at once, then after (.*?), each with", WORDS)
    spoken = [timedelta(seconds=int(n) * units[unit]) for n, unit in re.findall(r"(\d+) (s|min|h)\b", listed)]
    assert tuple(spoken) == PAUSES
    total = sum(PAUSES, timedelta()) / timedelta(hours=1)
    assert f"comes {total:.0f} to {total * 1.2:.0f} hours after the first" in WORDS
    assert timedelta(days=3) == PATIENCE
    limits = FetchLimits()
    said = f"{limits.connect} seconds to connect, {limits.total} in all, resolving the name included"
    assert f"{said}, and {limits.answer // 1024} KiB" in WORDS
    assert f"at most {MOST_KEPT:,} messages" in WORDS
    assert f"An account has {MOST} webhooks at most" in WORDS
    assert OF_AN_ACCOUNT == 4
    assert Settings().webhook_retention == timedelta(days=30)
