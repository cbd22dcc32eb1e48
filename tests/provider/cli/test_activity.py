"""The command `activity`, and last uses in `list` and `show`."""

import re
import secrets
import time

import pytest
import requests

from private_integrations.cli.activity import _picture
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationRequest


@pytest.fixture(scope="module")
def used(service):
    """An integration whose token was used once, and that is known."""
    client = Client(ServiceConnection(service.url, service.key))
    scopes = ["contacts.readonly", "locations.readonly"]
    request = IntegrationRequest(
        account=service.account, name="In use", scopes=scopes, owner_nonce=secrets.token_hex(8)
    )
    made = client.declare(f"cli/{secrets.token_hex(8)}", request).id
    issued = client.issue(made, 1, issuer="test", holding=None, overlap_seconds=0, reason="test")
    headers = {"Authorization": issued.token, "Version": "v3"}
    path = f"{service.url}/contacts/?locationId={service.account}"
    assert requests.get(path, headers=headers, timeout=10).ok
    deadline = time.monotonic() + 20
    while not sum(client.activity(made, "day").requests):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return made


def test_activity_is_a_page_of_tables(cli, used):
    """Numbers with their pictures, scopes, generations and callers; what is empty is left out."""
    shown = cli("activity", used, "--period", "day")
    assert (shown.code, shown.err) == (0, "")
    assert shown.facts["integration"] == [used]
    assert re.fullmatch(r"the last 24 hours, since .+:00Z", shown.facts["period"][0])
    # The next hour may have begun meanwhile.
    assert re.fullmatch("1  ▁{22,23}█▁?", shown.facts["let through"][0])
    assert shown.facts["refused"][0] == "0"
    tables = [re.split(r"  +", block.splitlines()[0])[0] for block in shown.out.split("\n\n")[1:]]
    assert tables == ["SCOPE", "GENERATION", "CALLER"]
    assert "python-requests/" in shown.out


def test_list_and_show_know_the_last_use(cli, used):
    """As an instant, for people and for programs."""
    last = cli("show", used, "--json").json["last_used_at"]
    found = next(each for each in cli("list", "--json").json["integrations"] if each["id"] == used)
    assert found["last_used_at"] == last == found["tokens"][0]["last_used_at"]
    assert cli("show", used).facts["last used"] == [re.sub(r"(:00)?\.\d+Z", "Z", last)]


def test_activity_of_nothing(cli):
    """An id that isn't there is told as everywhere."""
    missing = cli("activity", "int_nothing")
    assert (missing.code, missing.out) == (4, "")
    assert missing.err == "private-integrations: there is no integration int_nothing\n"


@pytest.mark.parametrize(
    ("numbers", "picture"),
    [
        ([0, 1, 2, 4], "▁▃▅█"),
        ([1, 1000], "▂█"),
        ([1] * 31, "█" * 15 + "▅"),
    ],
)
def test_pictures(numbers, picture):
    """Nothing is the lowest bar, anything is higher; more than 30 parts are drawn together."""
    assert _picture(numbers) == picture
