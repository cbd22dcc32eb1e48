"""What tokens are used for is recorded: by hour, scope, outcome and caller, never at a request's expense."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pysqlite3.dbapi2 as sqlite
import pytest

from activities import ActivityUnderTest, PostgreSQLActivityUnderTest, SQLiteActivityUnderTest
from engines import SQLiteUnderTest, sqlite_only
from private_integrations.contract import GenerationRequest
from private_integrations_service.access.actors import Actor
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.forward_auth import ForwardAuth
from private_integrations_service.instants import to_milliseconds
from private_integrations_service.operations import activity as operations
from private_integrations_service.operations import generations, recording
from private_integrations_service.operations.recording import Flusher, Recorder
from private_integrations_service.sandbox import Sandbox
from private_integrations_service.storage.activity import ActivityStore, Batch, hour_of
from private_integrations_service.storage.engine import StorageUnavailable
from private_integrations_service.storage.integrations import integration_by_id
from private_integrations_service.storage.sqlite.activity import FILE_NAME

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
READ = "contacts.readonly"
WRITE = "contacts.write"
CURL = (("user-agent", "curl/8.5"),)
UNKNOWN = "pit-" + "01234567-89ab-cdef-0123-456789abcdef"


@dataclass
class Recorded:
    """The data API of one worker, and what is recorded of it."""

    api: Any
    desk: Any
    authorizer: Authorizer
    flusher: Flusher
    activity: ActivityStore

    def report(self, integration, period="day"):
        """The activity of an integration after a flush."""
        self.flusher.flush()
        with self.desk.database.read() as connection:
            found = integration_by_id(connection, integration)
            return operations.usage_of(self.activity, connection, found, period, self.desk.clock())

    def contacts(self, token, **parts):
        """Read the contacts."""
        return self.api.ask("GET", f"/contacts/?locationId={self.desk.account}", token=token, **parts)


@pytest.fixture
def stored(under_test, database) -> Iterator[ActivityUnderTest]:
    """The empty activity of the database."""
    made: ActivityUnderTest
    if isinstance(under_test, SQLiteUnderTest):
        made = SQLiteActivityUnderTest(database.folder)
    else:
        made = PostgreSQLActivityUnderTest(database.address)
    with closing(made):
        yield made


@pytest.fixture
def activity(stored, database):
    """The store, opened by a process of the service."""
    with closing(database.activity()) as opened:
        yield opened


@pytest.fixture
def recorded(api, database, catalogue, clock, limits, activity, desk):
    """The data API with a recorder; the test says when it is flushed."""
    recorder = Recorder()
    authorizer = Authorizer(database, catalogue, 1000, recorder)
    api.app = AuthorizerMiddleware(Sandbox(database, limits), authorizer)
    yield Recorded(api, desk, authorizer, Flusher(recorder, activity, clock), activity)
    authorizer.close()


def test_requests_are_counted_by_hour_scope_and_outcome(recorded, desk, clock):
    """What was let through and each reason of a refusal, with the scope that was needed; strangers are nobody's."""
    integration = desk.integration(READ)
    token = desk.token(integration)
    for hour in (0, 1, 1):
        clock.now = NOON + timedelta(hours=hour)
        assert recorded.contacts(token).status == 200
        recorded.flusher.flush()
    used = clock()
    clock.move(minutes=1)
    assert recorded.api.ask("POST", "/contacts/", {}, token=token).body["reason"] == "scope-missing"
    assert recorded.contacts(token, version="v9999").body["reason"] == "version-unknown"
    assert recorded.api.ask("GET", "/nothing", token=token).body["reason"] == "not-found"
    elsewhere = recorded.api.ask("GET", "/contacts/?locationId=elsewhere", token=token)
    assert elsewhere.body["reason"] == "location-not-allowed"
    assert recorded.contacts(UNKNOWN).body["reason"] == "token-unknown"
    report = recorded.report(integration)
    assert (report.requests[-2:], sum(report.requests)) == ([1, 2], 3)
    assert (report.refused[-2:], sum(report.refused)) == ([0, 4], 4)
    assert [(row.reason, row.scope, row.requests) for row in report.refusals] == [
        ("location-not-allowed", READ, 1),
        ("not-found", "", 1),
        ("scope-missing", WRITE, 1),
        ("version-unknown", "", 1),
    ]
    assert all(row.remedy and row.last_at == clock() for row in report.refusals)
    scopes = [(row.scope, row.granted, sum(row.requests), row.refused, row.last_used_at) for row in report.scopes]
    assert scopes == [(READ, True, 3, 1, used), (WRITE, False, 0, 1, None)]


def test_periods_are_whole_hours_and_days(recorded, desk, clock):
    """A request is in the last part of each period until it is older than the period."""
    integration = desk.integration(READ)
    assert recorded.contacts(desk.token(integration)).status == 200
    for period, parts, since in (
        ("day", 24, NOON - timedelta(hours=23)),
        ("week", 168, NOON - timedelta(hours=167)),
        ("month", 30, NOON.replace(hour=0) - timedelta(days=29)),
    ):
        report = recorded.report(integration, period)
        assert (report.since, len(report.requests), report.requests[-1]) == (since, parts, 1)
    clock.move(hours=23, minutes=59)
    assert recorded.report(integration).requests == [1] + [0] * 23
    clock.move(minutes=1)
    assert (sum(recorded.report(integration).requests), recorded.report(integration).callers) == (0, [])
    assert recorded.report(integration, "week").requests[-25] == len(recorded.report(integration, "week").callers) == 1
    assert recorded.report(integration, "month").requests[-2:] == [1, 0]


def test_a_use_is_whatever_a_live_token_asks(recorded, desk, clock):
    """Also what is refused for a scope; not what is refused because the token is dead."""
    integration = desk.integration(READ)
    token = desk.token(integration)
    recorded.contacts(token)
    clock.move(minutes=5)
    recorded.api.ask("POST", "/contacts/", {}, token=token)
    used = clock()
    clock.move(minutes=5)
    desk.expire(integration, 1)
    assert recorded.contacts(token).body["reason"] == "token-revoked"
    report = recorded.report(integration)
    assert report.generations[0].last_used_at == used
    assert report.scopes[0].last_used_at == NOON
    assert operations.last_used(recorded.activity, [1, 999]) == {1: used}


def test_callers_are_told_by_address_and_agent(recorded, desk, clock):
    """Counted on while they come again; what looks like a token in an agent, or would break a line, is not kept."""
    integration = desk.integration(READ)
    token = desk.token(integration)
    recorded.contacts(token, headers=CURL)
    recorded.flusher.flush()
    clock.move(minutes=1)
    recorded.contacts(token, headers=CURL)
    clock.move(minutes=1)
    recorded.api.address = "192.0.2.9"
    recorded.contacts(token, headers=(("user-agent", f"robot {token}\x00\x1b[2J"),))
    first, second = recorded.report(integration).callers
    assert (first.address, first.agent, first.requests) == ("192.0.2.9", "robot pit-…\ufffd\ufffd[2J", 1)
    assert (second.address, second.agent, second.requests) == ("203.0.113.7", "curl/8.5", 2)
    assert (second.first_at, second.last_at) == (NOON, NOON + timedelta(minutes=1))


@pytest.mark.parametrize("at_once", [True, False])
def test_of_a_token_the_latest_twenty_callers_are_kept(recorded, stored, desk, clock, at_once):
    """However many names a caller makes up, in one second or in many."""
    integration = desk.integration(READ)
    token = desk.token(integration)
    for number in range(60):
        clock.move(seconds=1)
        recorded.api.address = f"192.0.2.{number}"
        recorded.contacts(token)
        if not at_once:
            recorded.flusher.flush()
    kept = recorded.report(integration).callers
    assert [caller.address for caller in kept] == [f"192.0.2.{number}" for number in reversed(range(40, 60))]
    assert sum(recorded.report(integration).requests) == 60
    assert stored.count("callers") == 20
    if at_once:
        # Most were never stored: somebody who makes up names must not keep the disk busy.
        assert stored.callers_ever() < 40


def test_a_proxy_that_is_trusted_names_the_caller(recorded, desk):
    """Anybody else's X-Forwarded-For is not believed."""
    integration = desk.integration(READ)
    token = desk.token(integration)
    forwarded = (("x-forwarded-for", "198.51.100.7"),)
    for trusted in ([], [ip_network("203.0.113.7/32")]):
        recorded.api.app = AuthorizerMiddleware(recorded.api.app._app, recorded.authorizer, trusted)
        recorded.contacts(token, headers=forwarded)
    assert {caller.address for caller in recorded.report(integration).callers} == {"203.0.113.7", "198.51.100.7"}


def test_a_gateways_checks_count_like_requests(recorded, desk):
    """What a gateway asks about is recorded, for the client that it names, and the refusal of a foreign account."""
    integration = desk.integration(READ)
    token = desk.token(integration)
    app = ForwardAuth(recorded.authorizer, [ip_network("192.0.2.1/32")])
    for query in (b"", b"account=another"):
        asyncio.run(check(app, token, f"/contacts/?locationId={desk.account}", query))
    report = recorded.report(integration)
    assert sum(report.requests) == 1
    assert [(row.reason, row.scope) for row in report.refusals] == [("account-not-served", READ)]
    assert [(caller.address, caller.agent) for caller in report.callers] == [("198.51.100.7", "curl/8.5")]


async def check(app, token, target, query):
    """Ask as nginx does."""
    headers = {"authorization": token, "version": "v3", "user-agent": "curl/8.5"}
    headers |= {"x-original-method": "GET", "x-original-uri": target, "x-forwarded-for": "10.0.0.1, 198.51.100.7"}
    scope = {
        "method": "GET",
        "raw_path": b"/private-integrations/v1/authorize/nginx",
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 50_000),
    }

    async def ignore(*_):
        """Its answer is tested elsewhere."""

    await app(scope, ignore, ignore)


@sqlite_only
def test_a_file_that_cannot_be_written_fails_no_request(recorded, desk, database, caplog, clock):
    """Requests pass, nothing is raised, an alarm is given once it lasts, and later everything is there."""
    recorded.activity.close()
    file = database.folder / FILE_NAME
    kept = file.rename(file.with_suffix(".kept"))
    file.write_bytes(b"this is no database" * 1000)
    integration = desk.integration(READ)
    token = desk.token(integration)
    for alarms in (0, 0, 1, 1):
        assert recorded.contacts(token).status == 200
        recorded.flusher.flush()
        assert len(caplog.records) == alarms
        clock.move(seconds=31)
    (alarm,) = [record.getMessage() for record in caplog.records]
    assert alarm == f"activity is not recorded: {file} can't be written: file is not a database"
    with pytest.raises(StorageUnavailable):
        operations.watermark(recorded.activity, clock())
    assert operations.last_used_if_readable(recorded.activity, [1]) == {}
    kept.rename(file)
    assert sum(recorded.report(integration).requests) == 4


def test_a_batch_is_stored_whole_or_not_at_all(recorded, stored, desk):
    """What failed in the middle is undone, and stored once by the next flush."""
    integration = desk.integration(READ)
    recorded.contacts(desk.token(integration))
    with stored.failing():
        recorded.flusher.flush()
        assert stored.count("requests") == 0
    assert sum(recorded.report(integration).requests) == 1


@sqlite_only
def test_a_file_of_a_newer_release_is_left_alone(recorded, stored, desk, database):
    """It isn't written, so that the newer release finds it as it was."""
    recorded.activity.close()
    with closing(sqlite.connect(str(database.folder / FILE_NAME))) as connection:
        connection.execute("PRAGMA user_version = 2")
    integration = desk.integration(READ)
    assert recorded.contacts(desk.token(integration)).status == 200
    recorded.flusher.flush()
    assert stored.count("requests") == 0


def test_memory_is_bounded_and_a_gap_begins_the_observation_anew(recorded, desk, clock, monkeypatch):
    """First callers are not told apart, then uses are dropped: from then on what isn't there proves nothing."""
    monkeypatch.setattr(recording, "_MOST_USES", 2)
    integration = desk.integration(READ)
    token = desk.token(integration)
    for number in range(5):
        recorded.api.address = f"192.0.2.{number}"
        recorded.contacts(token)
    report = recorded.report(integration)
    assert {caller.address: caller.requests for caller in report.callers} == {"192.0.2.0": 1, "192.0.2.1": 1, "": 3}
    assert (sum(report.requests), report.observed_since) == (5, NOON)
    clock.move(hours=1)
    for path in ("/contacts/", "/contacts/1", "/locations/1", "/users/"):
        recorded.api.ask("GET", path, token=token)
        recorded.api.ask("POST", path, token=desk.token_with(READ))
    assert recorded.report(integration).observed_since == clock()


def test_what_waits_to_be_stored_is_bounded(recorded, stored, desk, clock, monkeypatch):
    """While nothing can be stored, only so many kinds of uses are kept; those go on being counted."""
    first, second = desk.integration(READ), desk.integration(READ)
    tokens = desk.token(first), desk.token(second)
    recorded.flusher.flush()
    monkeypatch.setattr(recording, "_MOST_WAITING", 1)
    with stored.full():
        for number, token in enumerate((tokens[0], tokens[1], tokens[0])):
            recorded.api.address = f"192.0.2.{number}"
            recorded.contacts(token)
            recorded.flusher.flush()
    monkeypatch.undo()
    clock.move(minutes=1)
    report = recorded.report(first)
    assert (sum(report.requests), report.observed_since) == (2, clock())
    assert [caller.address for caller in report.callers] == ["192.0.2.0"]
    assert sum(recorded.report(second).requests) == 0


def test_the_watermark_is_the_oldest_of_the_live_workers(recorded, stored, clock, database):
    """Workers that ended, and what an earlier run has left, don't hold it back; nothing is in the future."""
    activity = recorded.activity
    assert operations.watermark(activity, clock()) is None
    assert operations.is_behind(activity, clock())
    recorded.flusher.flush()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    sister = os.getppid()
    rows = [(sister, database.run), (dead.pid, database.run), (1, "an earlier run")]
    for number, (pid, run) in enumerate(rows, start=1):
        stored.add_worker(run, pid, NOON - number * timedelta(seconds=10), silent=timedelta(days=number - 1))
    assert operations.watermark(activity, clock()) == NOON - timedelta(seconds=10)
    assert not operations.is_behind(activity, NOON + timedelta(seconds=50))
    assert operations.is_behind(activity, NOON + timedelta(seconds=51))
    assert operations.watermark(activity, NOON - timedelta(hours=1)) == NOON - timedelta(hours=1)


def test_a_view_is_of_one_instant(activity, desk):
    """All that is read in one block is as it was at its begin, whatever is stored meanwhile."""
    integration, at = desk.integration(READ), to_milliseconds(NOON)
    batch = Batch({1: (integration, 1)}, {(1, hour_of(at), READ, ""): 1}, {(1, READ, ""): at})
    activity.store(batch, NOON)
    with activity.read() as recorded:
        assert recorded.last_uses([1]) == {1: NOON}
        activity.store(batch, NOON)
        (row,) = recorded.counted(integration, NOON, timedelta(days=1))
    with activity.read() as recorded:
        (later,) = recorded.counted(integration, NOON, timedelta(days=1))
    assert (row.requests, later.requests) == (1, 2)


def test_while_nothing_happens_little_is_written(recorded, clock):
    """The watermark moves on every 15 seconds then, and at once when something happens."""
    for seconds, expected in ((0, 0), (14, 0), (15, 15), (29, 15), (30, 30)):
        clock.now = NOON + timedelta(seconds=seconds)
        recorded.flusher.flush()
        assert operations.watermark(recorded.activity, clock()) == NOON + timedelta(seconds=expected)


def test_history_ends(activity, stored, desk):
    """Hours are kept for 35 days and last uses for 400, whatever is stored later."""
    integration = desk.integration(READ)

    def store(at):
        instant = to_milliseconds(at)
        requests = {(1, hour_of(instant), READ, ""): 1}
        callers = {(1, "192.0.2.1", ""): (1, instant, instant)}
        activity.store(Batch({1: (integration, 1)}, requests, {(1, READ, ""): instant}, callers), at)

    def rows():
        return [stored.count(table) for table in ("requests", "uses", "callers", "tokens")]

    store(NOON)
    activity.store(Batch(), NOON + timedelta(days=35))
    assert rows() == [1, 1, 1, 1]
    activity.store(Batch(), NOON + timedelta(days=35, hours=1))
    assert rows() == [0, 1, 1, 1]
    activity.store(Batch(), NOON + timedelta(days=400))
    assert rows() == [0, 1, 1, 1]
    activity.store(Batch(), NOON + timedelta(days=400, hours=1))
    assert rows() == [0, 0, 0, 0]


def test_what_is_known_of_a_token_is_not_shown_to_who_has_its_id_now(recorded, desk, database):
    """Beside a database that was restored from an older copy, an id may come again: in another integration."""
    former, integration = "int_of_somebody_else", desk.integration(READ)
    at = to_milliseconds(NOON)
    callers = {(1, "198.51.100.9", "secret-project/1"): (1, at, at)}
    theirs = Batch({1: (former, 1)}, {(1, hour_of(at), READ, ""): 5}, {(1, READ, ""): at}, callers)
    recorded.activity.store(theirs, NOON)
    recorded.contacts(desk.token(integration))
    recorded.contacts(desk.token(integration))
    report = recorded.report(integration)
    assert (sum(report.requests), [caller.address for caller in report.callers]) == (2, ["203.0.113.7"] * 2)


def test_scopes_that_nobody_uses_are_named_with_what_drops_them(recorded, desk, clock):
    """For 90 days nothing is said; then the unused ones, with the program's line before and after."""
    integration = desk.integration(READ, WRITE)
    token = desk.token(integration)
    recorded.contacts(token)
    recorded.flusher.flush()
    clock.move(days=60)
    desk.edit(integration, READ, WRITE, "locations.readonly")
    recorded.contacts(token)
    clock.move(days=29, hours=23)
    assert recorded.report(integration).unused == []
    clock.move(hours=1)
    report = recorded.report(integration)
    assert [(found.scope, found.last_used_at, found.observed_since) for found in report.unused] == [(WRITE, None, NOON)]
    (hint,) = report.hints
    assert (hint.kind, hint.text) == ("scopes-unused", f"granted and not used in 90 days: {WRITE}; drop it")
    assert hint.change == [
        '- scopes=["contacts.readonly", "contacts.write", "locations.readonly"],',
        '+ scopes=["contacts.readonly", "locations.readonly"],',
    ]
    behind = clock() + timedelta(days=90)
    with desk.database.read() as connection:
        found = integration_by_id(connection, integration)
        assert operations.usage_of(recorded.activity, connection, found, "day", behind).unused == []
    clock.now = behind
    (hint,) = recorded.report(integration).hints
    assert hint.text.startswith("no scope was used in 90 days (contacts.readonly, contacts.write, locations.readonly)")
    assert hint.change == []


def test_a_missing_scope_is_named_until_it_is_granted(recorded, desk):
    """With what to add; and by number for whoever wants to tell others of it."""
    integration = desk.integration(READ)
    token = desk.token(integration)
    for _ in range(2):
        recorded.api.ask("POST", "/contacts/", {}, token=token)
    (hint,) = recorded.report(integration).hints
    assert (hint.kind, hint.text) == (
        "scope-missing",
        f"2 requests were refused for the missing scope {WRITE}: add it if they are meant",
    )
    assert hint.change == ['- scopes=["contacts.readonly"],', '+ scopes=["contacts.readonly", "contacts.write"],']
    often = operations.RefusedScope(integration, WRITE, 2)
    assert operations.refused_scopes(recorded.activity, NOON, 2) == [often]
    assert operations.refused_scopes(recorded.activity, NOON, 3) == []
    desk.edit(integration, READ, WRITE)
    assert recorded.report(integration).hints == []


def test_old_tokens_in_use_are_named_with_their_users(recorded, desk, clock):
    """A superseded one as long as somebody used it after its successor; a dead one that is still sent."""
    integration = desk.integration(READ)
    old = desk.token(integration)
    recorded.contacts(old, headers=CURL)
    new = desk.token(integration)
    clock.move(minutes=1)
    recorded.contacts(new, headers=CURL)
    assert recorded.report(integration).hints == []
    clock.move(minutes=1)
    recorded.api.address = "192.0.2.9"
    recorded.contacts(old)
    (hint,) = recorded.report(integration).hints
    assert (hint.kind, hint.change) == ("previous-in-use", [])
    assert hint.text == (
        "the token of generation 1 is superseded and still in use by 192.0.2.9; it works until 2026-11-27T12:01Z: "
        "give them the token of generation 2 before"
    )
    desk.expire(integration, 1)
    clock.move(minutes=1)
    assert recorded.report(integration).hints == []
    assert recorded.contacts(old, headers=CURL).status == 401
    (hint,) = recorded.report(integration).hints
    assert (hint.kind, hint.text) == (
        "ended-in-use",
        "the token of generation 1 is dead and still sent by 192.0.2.9 (curl/8.5): give them that of generation 2",
    )


def test_a_try_whose_answer_was_lost_has_no_users(recorded, desk, database):
    """Its token is dead, but whoever uses its generation has the other one."""
    integration = desk.integration(READ)
    for attempt in (1, 2):
        request = GenerationRequest(issuer="test", run="run", attempt=attempt, overlap_seconds=60)
        issued = generations.issue(database, integration, 1, request, 3, actor=Actor("test"))
    desk.clock.move(minutes=1)
    assert recorded.contacts(issued.token).status == 200
    assert recorded.report(integration).hints == []


def test_recording_goes_on_by_itself_and_ends_with_a_flush(recorded, desk):
    """Once started, nobody has to flush; after the stop all is stored and this worker is none any more."""
    integration = desk.integration(READ)
    recorded.flusher.start()
    recorded.contacts(desk.token(integration))
    recorded.flusher.stop()
    assert recorded.activity.flushes() == []
    assert operations.last_used(recorded.activity, [1]) == {1: NOON}
