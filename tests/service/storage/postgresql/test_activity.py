"""Activity on PostgreSQL: many processes of many replicas store at the same time, and wait for little."""

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from activities import PostgreSQLActivityUnderTest
from pgbouncer import PgBouncer
from postgres import VERSIONS, Postgres, database_name
from private_integrations_service.instants import to_milliseconds
from private_integrations_service.operations.activity import watermark
from private_integrations_service.storage.activity import HOURS_KEPT, USES_KEPT, Batch, hour_of
from private_integrations_service.storage.engine import StorageUnavailable
from private_integrations_service.storage.postgresql.activity import SILENT
from private_integrations_service.storage.postgresql.connections import PATIENCE
from private_integrations_service.storage.postgresql.schema import prepare_schema
from server_processes import wait_until

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT = to_milliseconds(NOON)
READ = "contacts.readonly"
WRITES = 0x70697772
"""The service's write lock."""


@pytest.fixture(scope="module", params=VERSIONS)
def server(request):
    """A server of each version, which logs every statement."""
    with Postgres(request.param, settings={"log_statement": "all"}) as started:
        yield started


@pytest.fixture(scope="module")
def prepared(server):
    """The name of a database with the schema."""
    address = server.new_database()
    prepare_schema(address)
    return database_name(address)


@pytest.fixture
def stored(server, prepared):
    """Empty tables."""
    address = server.new_database(template=prepared)
    with closing(PostgreSQLActivityUnderTest(address)) as made:
        yield made
    server.drop(address)


def used(*tokens, address="192.0.2.1", at=AT, **parts):
    """A batch with one request of each token, all of one integration."""
    return Batch(
        tokens={token: ("int", token) for token in tokens},
        requests={(token, hour_of(at), READ, ""): 1 for token in tokens},
        uses={(token, READ, ""): at for token in tokens},
        callers={(token, address, "curl"): (1, at, at) for token in tokens},
        **parts,
    )


def counts(activity):
    """The number of requests by token, which has the number of its generation."""
    with activity.read() as recorded:
        return {row.generation: row.requests for row in recorded.counted("int", NOON, timedelta(days=1))}


def test_replicas_that_use_the_same_tokens_neither_deadlock_nor_lose_a_request(stored):
    """Each process has the tokens in another order, with callers of its own, and now and then a gap."""
    tokens, replicas, flushes = list(range(1, 41)), 6, 12

    def flush(number):
        activity, order = stored.open(f"replica {number}"), random.Random(number)
        for turn in range(flushes):
            shuffled = order.sample(tokens, len(tokens))
            batch = used(*shuffled, address=f"192.0.2.{number}", at=AT + turn, is_gapless=turn % 4 != number % 4)
            activity.store(batch, NOON)

    with ThreadPoolExecutor(replicas) as pool:
        for done in [pool.submit(flush, number) for number in range(replicas)]:
            done.result()
    activity = stored.open("reader")
    assert counts(activity) == dict.fromkeys(tokens, replicas * flushes)
    with activity.read() as recorded:
        callers = recorded.callers_of("int", NOON)
        assert recorded.last_uses(tokens) == dict.fromkeys(tokens, NOON + timedelta(milliseconds=flushes - 1))
    assert len(callers) == len(tokens) * replicas
    assert {caller.requests for _, caller in callers} == {flushes}
    with stored.connected() as connection:
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.execute(deadlocks).fetchone() == (0,)


def test_flushes_wait_for_each_other_in_one_order(stored):
    """Two with the same tokens in opposite orders meet at a token that is held meanwhile, and both are stored."""
    first, second = stored.open("first"), stored.open("second")
    first.store(used(1, 2, 3), NOON)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with ThreadPoolExecutor(2) as pool, stored.connected() as watching:
        with stored.connected() as connection, connection.transaction():
            connection.execute("SELECT FROM activity_tokens WHERE token_id = 2 FOR UPDATE")
            flushes = [pool.submit(first.store, used(1, 2, 3), NOON), pool.submit(second.store, used(3, 2, 1), NOON)]
            wait_until(lambda: watching.execute(waiting).fetchone() == (2,), "both wait")
        for flush in flushes:
            flush.result()
    assert counts(first) == {1: 3, 2: 3, 3: 3}


def test_callers_of_replicas_are_kept_together(stored):
    """Of all replicas' callers the latest twenty stay, and an earlier use that is stored later changes no instant."""
    first, second = stored.open("first"), stored.open("second")
    for number in range(15):
        first.store(used(1, address=f"192.0.2.{number}", at=AT + number), NOON)
        second.store(used(1, address=f"198.51.100.{number}", at=AT + number), NOON)
    second.store(used(1, address="192.0.2.14", at=AT - 1000), NOON)
    second.store(used(1, address="203.0.113.1", at=AT - 1000), NOON)
    with first.read() as recorded:
        callers = {caller.address: caller for _, caller in recorded.callers_of("int", NOON - timedelta(hours=1))}
        assert recorded.last_uses([1]) == {1: NOON + timedelta(milliseconds=14)}
    assert set(callers) == {f"{network}.{number}" for network in ("192.0.2", "198.51.100") for number in range(5, 15)}
    latest = callers["192.0.2.14"]
    assert (latest.requests, to_milliseconds(latest.first_at), to_milliseconds(latest.last_at)) == (
        2,
        AT - 1000,
        AT + 14,
    )


def test_an_id_that_comes_again_forgets_the_former_token(stored):
    """The same rows are deleted and added by one statement; other tokens keep theirs."""
    activity = stored.open("run")
    activity.store(used(1, 2), NOON)
    again = used(1)
    activity.store(Batch({1: ("other", 7)}, again.requests, again.uses, again.callers), NOON)
    assert counts(activity) == {2: 1}
    with activity.read() as recorded:
        (row,) = recorded.counted("other", NOON, timedelta(days=1))
        ((generation, caller),) = recorded.callers_of("other", NOON)
    assert (row.generation, row.requests, generation, caller.requests) == (7, 1, 7, 1)


def test_a_flush_is_one_statement(server, stored):
    """Neither BEGIN nor COMMIT nor a setting is sent beside it, so it is one round trip."""
    activity = stored.open("run")
    activity.store(used(1), NOON)
    before = len(server.log)
    activity.store(used(1, 2), NOON)
    sent = [line for line in server.log[before:].splitlines() if "LOG:" in line]
    assert len(sent) == 1
    assert "execute <unnamed>: " in sent[0]
    assert counts(activity) == {1: 2, 2: 1}


def test_a_flush_waits_for_no_standby_and_no_change(server, stored):
    """It is stored while a synchronous standby is away, and while another process has the service's write lock."""
    activity = stored.open("run")
    activity.store(used(1), NOON)
    server.configure(synchronous_standby_names="away")
    try:
        with stored.connected() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (WRITES,))
            begun = time.monotonic()
            activity.store(used(1), NOON)
            activity.leave()
            assert time.monotonic() - begun < PATIENCE
    finally:
        server.configure(synchronous_standby_names="")
    assert counts(activity) == {1: 2}


def test_recording_works_behind_pgbouncer(server, stored):
    """One connection to the server serves two replicas statement by statement."""
    with PgBouncer(server, pool_size=1) as bouncer:
        address = bouncer.dsn(database_name(stored.address))
        first, second = stored.open("first", address), stored.open("second", address)
        for hour in range(7):
            for activity in (first, second):
                activity.store(used(1), NOON + timedelta(hours=hour))
        assert counts(first) == counts(second) == {1: 14}
        assert len(first.flushes()) == 2
        first.leave()
        assert second.flushes() == [NOON + timedelta(hours=6)]
        with stored.connected() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_the_watermark_waits_for_live_processes_of_all_replicas(stored):
    """Another replica's process counts until it is silent, one of this replica for as long as it lives."""
    activity = stored.open("this")
    activity.store(Batch(), NOON)
    second = timedelta(seconds=1)
    stored.add_worker("another", 1, NOON - 10 * second, silent=SILENT - 60 * second)
    stored.add_worker("ended", 1, NOON - 20 * second, silent=SILENT + second)
    assert watermark(activity, NOON) == NOON - 10 * second
    stored.add_worker("this", os.getppid(), NOON - 30 * second, silent=timedelta(hours=3))
    assert watermark(activity, NOON) == NOON - 30 * second


def test_a_process_that_cannot_store_its_uses_is_not_dead(stored):
    """The others' watermark waits for it however long that lasts, as it is not silent."""
    failing, other = stored.open("failing"), stored.open("other")
    failing.store(Batch(), NOON)
    later = NOON + timedelta(hours=1)
    other.store(Batch(), later)
    with stored.failing():
        with stored.connected() as connection:
            connection.execute("UPDATE activity_workers SET seen_at = seen_at - %s", (2 * SILENT,))
        assert watermark(other, later) == later
        with pytest.raises(StorageUnavailable):
            failing.store(used(1), later)
        assert watermark(other, later) == NOON


def test_one_replica_purges_and_waits_for_no_other(stored):
    """Rows that another transaction holds stay until the next hour; a second replica does not purge in the same one."""
    first, second = stored.open("first"), stored.open("second")
    first.store(used(1, 2, 3), NOON)
    late = NOON + USES_KEPT + timedelta(hours=1)
    with stored.connected() as connection, connection.transaction():
        connection.execute("SELECT FROM activity_uses WHERE token_id = 1 FOR UPDATE")
        connection.execute("SELECT FROM activity_tokens WHERE token_id = 2 FOR UPDATE")
        first.store(Batch(), late)
        assert [stored.count(table) for table in ("requests", "uses", "callers", "tokens")] == [0, 1, 0, 2]
    second.store(Batch(), late)
    assert stored.count("uses") == 1
    second.store(Batch(), late + timedelta(hours=1))
    assert [stored.count(table) for table in ("uses", "tokens")] == [0, 0]


def test_a_purge_goes_on_until_nothing_old_is_left(stored):
    """Each step deletes a limited number, so that no flush waits long."""
    activity = stored.open("run")
    with stored.connected() as connection:
        connection.execute(
            "INSERT INTO activity_requests SELECT token, %s, '', '', 1 FROM generate_series(1, 10500) AS token",
            (hour_of(AT),),
        )
    later = NOON + HOURS_KEPT + timedelta(hours=1)
    activity.store(used(20_000, at=to_milliseconds(later)), later)
    assert stored.count("requests") == 1
