"""`POST /leaked`: whoever holds a token can end it, and learns nothing that holding it doesn't tell."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import requests
from sqlalchemy import select

from lines import lines
from management import API, Management, problem
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import EndReason, LeakReceipt, LeakReport
from private_integrations.rotation import decisions
from private_integrations_service.access.actors import Actor
from private_integrations_service.management_api.leaked import BURST
from private_integrations_service.operations import leaks
from private_integrations_service.storage import tables
from private_integrations_service.tokens.lifecycle import StoredToken, TokenChanges, plan_leak
from private_integrations_service.tokens.policy_defaults import in_force
from services import new_service

T0 = datetime(2026, 1, 1, tzinfo=UTC)
UNKNOWN = "pit-" + "00000000-0000-4000-8000-000000000000"
REPORTER = Actor("leak report", address="192.0.2.7", agent="scanner/1")


@pytest.fixture
def report(database):
    """Report these tokens to the operation."""

    def reported(*tokens, where=""):
        return leaks.report(database, LeakReport(tokens=list(tokens), where=where), actor=REPORTER)

    return reported


def audited(database):
    """What the audit log says of reports."""
    with database.read() as connection:
        rows = connection.execute(select(tables.audit).where(tables.audit.c.actor == REPORTER.name))
        return [(row.action, row.integration_id, row.detail) for row in rows]


def reason(api, desk, token):
    """What the data API says to a token."""
    answer = api.ask("GET", f"/contacts/?locationId={desk.account}", token=token)
    return answer.body.get("reason", answer.status)


# What a report does.


def test_only_the_leaked_token_dies(api, desk, report):
    """The others of its integration work on, whichever it was."""
    for leaked in range(3):
        integration = desk.integration("contacts.readonly")
        tokens = []
        for _ in range(3):
            tokens.append(desk.token(integration))
            assert reason(api, desk, tokens[-1]) == 200
        assert report(tokens[leaked]) == LeakReceipt(received=1, ended=1)
        expected = [200, 200, 200]
        expected[leaked] = "token-leaked"
        assert [reason(api, desk, token) for token in tokens] == expected


def test_a_pending_token_that_leaked_leaves_the_old_one_in_use(api, desk, report):
    """Nobody is cut off from a rotation that had not arrived; the next one is a new token."""
    integration = desk.integration("contacts.readonly")
    old = desk.token(integration)
    assert reason(api, desk, old) == 200
    new = desk.token(integration)
    assert report(new).ended == 1
    assert (reason(api, desk, old), reason(api, desk, new)) == (200, "token-leaked")
    assert desk.secrets(integration)[1] == ("current", None)


def test_a_leak_is_told_of_after_the_deadline_too(api, desk, clock, report):
    """A superseded token that leaked stays a leaked one when its overlap would have ended."""
    integration = desk.integration("contacts.readonly")
    old, new = desk.token(integration), None
    assert reason(api, desk, old) == 200
    new = desk.token(integration)
    assert reason(api, desk, new) == 200
    report(old)
    clock.move(days=30)
    assert reason(api, desk, old) == "token-leaked"


def test_many_at_once_in_any_form(api, desk, database, report):
    """Tokens of several integrations, one of them twice, with more around them; and what is no token."""
    first, second = desk.token_with("contacts.readonly"), desk.token_with("contacts.readonly")
    received = [first, f"Bearer {first}", f" {second}\n", UNKNOWN, "pmk-" + "0" * 64, "", "\x00", "ü"]
    assert report(*received) == LeakReceipt(received=8, ended=2)
    assert [reason(api, desk, token) for token in (first, second)] == ["token-leaked"] * 2
    assert len(audited(database)) == 2


def test_owners_get_to_know(desk, database, report):
    """Integration, generation, fingerprint and place are in the audit log, with the reporter and without the token."""
    integration = desk.integration("contacts.readonly")
    token = desk.token(integration)
    report(token, where=f"https://pastes.example/7?{token}\n\x1b[31m\u202e<b>see</b>")
    ((action, about, detail),) = audited(database)
    assert (action, about) == ("report leaked", integration)
    with database.read() as connection:
        (fingerprint,) = [row.digest.hex()[:12] for row in connection.execute(select(tables.tokens))]
    assert detail == {
        "generation": 1,
        "fingerprint": fingerprint,
        "where": "https://pastes.example/7?pit-… [31m <b>see</b>",
    }


@pytest.mark.parametrize("how", ["unknown", "malformed", "leaked", "expired", "deleted", "overlap over"])
def test_what_is_dead_or_unknown_is_no_error_and_no_trace(api, desk, clock, database, report, how):
    """All the same answer; and nothing is written, so that nobody fills an audit log with tokens that are dead."""
    integration = desk.integration("contacts.readonly")
    token = desk.token(integration)
    assert reason(api, desk, token) == 200
    if how == "leaked":
        report(token)
    elif how == "expired":
        desk.expire(integration, 1)
    elif how == "deleted":
        desk.delete(integration)
    elif how == "overlap over":
        assert reason(api, desk, desk.token(integration)) == 200
        clock.move(days=8)
        report(token)
    reported = {"unknown": UNKNOWN, "malformed": "not a token"}.get(how, token)
    epoch, rows = database.epoch.value, audited(database)
    assert report(reported) == LeakReceipt(received=1, ended=0)
    assert (database.epoch.value, audited(database)) == (epoch, rows)


def test_what_was_answered_survives_a_clock_set_back(api, desk, clock, database, report):
    """A token whose time is over when it is reported stays dead, though the clock steps back behind its deadline."""
    integration = desk.integration("contacts.readonly")
    old = desk.token(integration)
    assert reason(api, desk, old) == 200
    assert reason(api, desk, desk.token(integration)) == 200
    clock.move(days=8)
    assert report(old).ended == 0
    clock.move(days=-8)
    assert reason(api, desk, old) == "token-expired"


def test_what_has_ended_stays_as_it_ended():
    """A report changes neither when nor why a token ended before, and nothing of a token that is not there."""
    ended = StoredToken(
        id=7,
        generation=1,
        role="current",
        issuer="us",
        run="r",
        attempt=1,
        fingerprint="0" * 12,
        overlap=timedelta(0),
        issued_at=T0,
        delivered_at=T0,
        ended_at=T0,
        end_reason=EndReason.EXPIRED_ON_REQUEST,
    )
    assert plan_leak([ended], 7, T0 + timedelta(days=1)) == TokenChanges()
    assert plan_leak([ended], 8, T0) == TokenChanges()


# Over HTTP.


@pytest.fixture(scope="module")
def two(under_test, tmp_path_factory):
    """A service with two workers."""
    with new_service(under_test, tmp_path_factory.mktemp("leaked") / "data", "--workers", "2") as started:
        yield started


def send(service, body):
    """Report over HTTP, without any key; a 429 is waited out as it says."""
    while (answer := requests.post(service.url + API + "/leaked", json=body, timeout=10)).status_code == 429:
        time.sleep(int(answer.headers["Retry-After"]))
    return answer


def test_no_worker_accepts_it_and_the_next_deployment_rotates(two):
    """After the 200 the token is dead wherever a request lands; its rotation says why."""
    management = Management(two.url, two.key, two.account)
    with lines(two.url, two.process.pid) as opened:
        integration = management.integration()["id"]
        for _ in range(5):
            generation = management.state(integration)["last_generation"] + 1
            token = management.issue(integration, generation, holding=generation - 1).json()["token"]
            assert {line.use(token, two.account) for line in opened} == {(200, None)}
            answer = send(two, {"tokens": [token, UNKNOWN], "where": "a build log"})
            assert (answer.status_code, answer.json()) == (200, {"received": 2, "ended": 1})
            assert {line.use(token, two.account) for line in opened} == {(401, "token-leaked")}
    (page,) = Client(ServiceConnection(two.url, two.key)).tokens_of([integration])
    (state,) = page.tokens
    assert state.of_generation(generation).end_reason == EndReason.LEAKED
    decision = decisions.decide(in_force(None), state, generation, page.now, issuer="us")
    assert isinstance(decision, decisions.Rotate)
    assert decision.generation == generation + 1
    assert decision.reason.endswith("Z: reported as leaked")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tokens": []},
        {"tokens": [UNKNOWN] * 101},
        {"tokens": ["x" * 201]},
        {"tokens": [UNKNOWN], "where": "x" * 1001},
        {"tokens": [UNKNOWN], "account": "a"},
    ],
)
def test_reports_are_bounded(two, body):
    """What is too much, missing or unknown is refused by name, and never repeated."""
    answer = send(two, body)
    assert problem(answer) == (422, "invalid-request")
    assert "pit-" not in answer.text
    assert "xxx" not in answer.text


def test_a_storm_of_reports_harms_nobody_else(two):
    """Beyond the budget reports are refused with when to come again; tokens and keys are served meanwhile."""
    management = Management(two.url, two.key, two.account)
    token = management.issue(management.integration()["id"], 1).json()["token"]
    with requests.Session() as session, lines(two.url, two.process.pid) as opened:
        for _ in range(3 * BURST):
            answer = session.post(two.url + API + "/leaked", json={"tokens": [UNKNOWN]}, timeout=10)
            if answer.status_code == 429:
                break
        assert problem(answer) == (429, "reports-too-many")
        assert int(answer.headers["Retry-After"]) == answer.json()["retry_after_seconds"] == 1
        assert {line.use(token, two.account) for line in opened} == {(200, None)}
        assert management.ask("GET", "/accounts").status_code == 200
    assert send(two, {"tokens": [UNKNOWN]}).json() == {"received": 1, "ended": 0}
