"""What every storage engine keeps to: the same tests for each engine of `engines.ENGINES`, over the protocol alone."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

import engines
from engines import sqlite_only
from forked import Popen
from private_integrations.contract import Account, AccountClass, Problem, Refused
from private_integrations_service.operations.operation import ends_access, writes
from private_integrations_service.storage.accounts import add_account, list_accounts
from private_integrations_service.storage.engine import (
    StorageBusy,
    StorageEngine,
    StorageError,
    StorageFull,
    StorageUnavailable,
    Write,
)
from private_integrations_service.storage.epoch import Remembered

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
CROWD = 100
"""More changes than any engine lets wait."""


@pytest.fixture
def engine(database) -> StorageEngine:
    """Return an engine over a database with some accounts."""
    return database


def add(write: Write, name: str) -> None:
    """Store an agency with this id."""
    add_account(write.connection, Account(id=name, name=name, kind=AccountClass.AGENCY), write.now)


def store(engine: StorageEngine, name: str) -> None:
    """Store an agency in a transaction of its own."""
    with engine.write() as write:
        add(write, name)


def stored(engine: StorageEngine, *among: str) -> set[str]:
    """Return which of these accounts are stored."""
    with engine.read() as connection:
        return {account.id for account in list_accounts(connection, among)}


@contextmanager
def writing_elsewhere(engine: StorageEngine) -> Iterator[None]:
    """Have another thread in a write transaction until the block ends."""
    writing, done = threading.Event(), threading.Event()

    def write() -> None:
        with engine.write():
            writing.set()
            assert done.wait(60)

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(write)
        assert writing.wait(20)
        try:
            yield
        finally:
            done.set()
            held.result()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that other threads make true."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.001)


# Transactions.


def test_a_read_is_one_consistent_view(engine):
    """A read transaction shows the state of its beginning, though others commit meanwhile; the next one shows more."""
    with engine.read() as connection:
        before = list_accounts(connection)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(store, engine, "new").result()
        assert list_accounts(connection) == before
    assert stored(engine, "new") == {"new"}


def test_a_read_writes_nothing(engine):
    """A statement that writes is a StorageError in a read transaction."""
    with pytest.raises(StorageError), engine.read() as connection:
        add_account(connection, Account(id="new", name="new", kind=AccountClass.AGENCY), NOON)
    assert stored(engine, "new") == set()


def test_a_write_commits_at_its_end(engine):
    """Others see all of it after the block, and nothing before."""
    with engine.write() as write:
        add(write, "one")
        add(write, "two")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(stored, engine, "one", "two").result() == set()
    assert stored(engine, "one", "two") == {"one", "two"}


def test_a_write_that_fails_leaves_nothing(engine):
    """An error in the block goes through as it is, and nothing is stored, at the usual wait and when access ends."""

    def fail(write: Write) -> None:
        add(write, "one")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), engine.write() as write:
        fail(write)
    with pytest.raises(ZeroDivisionError):
        engine.end_access(fail)
    assert stored(engine, "one") == set()
    store(engine, "one")


@pytest.mark.parametrize("made", [writes, ends_access])
def test_an_operation_that_refuses_stores_nothing(engine, made):
    """What an operation wrote before it refused is undone, and the refusal is its answer."""
    refusal = Refused(Problem.ACCOUNT_UNKNOWN, "no")

    @made
    def refuse(write: Write, name: str) -> Refused | None:
        add(write, name)
        return refusal

    assert refuse(engine, "one") is refusal
    assert stored(engine, "one") == set()


def test_errors_of_the_driver_are_storage_errors(engine):
    """A violated rule of the schema, and a statement that the database doesn't know, are StorageUnavailable."""
    store(engine, "one")
    with pytest.raises(StorageUnavailable), engine.write() as write:
        add(write, "one")
    with pytest.raises(StorageUnavailable):
        engine.end_access(lambda write: add(write, "one"))
    with pytest.raises(StorageUnavailable), engine.read() as connection:
        connection.exec_driver_sql("SELECT 1 FROM no_such_table")
    with pytest.raises(StorageUnavailable), engine.write() as write:
        write.connection.exec_driver_sql("SELECT 1 FROM no_such_table")
    # A statement that failed breaks no connection for those who come later.
    store(engine, "two")
    assert stored(engine, "one", "two") == {"one", "two"}


# The clock.


def test_now_follows_the_clock_and_never_runs_backwards(engine, clock):
    """A clock that is set back stands still until it is where it was."""
    assert engine.now() == NOON
    for hours, expected in ((1, 1), (-5, 1), (3, 1), (2, 1), (1, 2)):
        clock.move(hours=hours)
        assert engine.now() == NOON + timedelta(hours=expected)


def test_now_never_runs_backwards_between_threads(engine, clock):
    """No thread gets an instant before one that another thread got earlier, though the clock jumps."""
    given: list[datetime] = []
    one_after_the_other = threading.Lock()

    def ask(thread: int) -> list[datetime]:
        own = []
        for turn in range(200):
            clock.now = NOON + timedelta(seconds=(turn * 37 + thread * 11) % 101)
            own.append(engine.now())
            with one_after_the_other:
                given.append(engine.now())
        return own

    with ThreadPoolExecutor(4) as pool:
        for own in pool.map(ask, range(4)):
            assert own == sorted(own)
    assert given == sorted(given)
    assert given[-1] > NOON


def test_a_write_has_the_latest_instant(engine, clock):
    """The instant of a transaction is never before one that `now` gave, nor before that of an earlier transaction."""
    instants: list[datetime] = []
    for hours in (1, -3, 1, 5, -20):
        clock.move(hours=hours)
        instants.append(engine.now())
        with engine.write() as write:
            instants.append(write.now)
        instants.append(engine.end_access(lambda write: write.now))
    assert instants == sorted(instants)
    assert instants[-1] == NOON + timedelta(hours=4)


def test_the_clock_goes_on_after_a_restart(under_test, tmp_path):
    """A restart with a clock that was set back goes on at the instant of the last transaction."""
    with closing(under_test.open(tmp_path / "data", lambda: NOON)) as engine:
        store(engine, "one")
    with closing(under_test.open(tmp_path / "data", lambda: NOON - WEEK)) as engine:
        assert engine.now() == NOON
        with engine.write() as write:
            assert write.now == NOON
        assert stored(engine, "one") == {"one"}


def test_a_deadline_that_has_passed_stays_passed(under_test, tmp_path, clock):
    """`keep_ended` stores it before an answer; without it, a restart with a clock set back would go back behind it."""
    with closing(under_test.open(tmp_path / "data", clock)) as engine:
        store(engine, "one")
        clock.move(hours=1)
        passed, future = engine.now(), engine.now() + WEEK
        assert not engine.has_stored(passed)
        for not_passed in (None, future):
            engine.keep_ended(not_passed)
            assert not engine.has_stored(passed)
        engine.keep_ended(passed)
        assert engine.has_stored(passed)
        assert not engine.has_stored(future)
    clock.move(days=-7)
    with closing(under_test.open(tmp_path / "data", clock)) as engine:
        assert engine.has_stored(passed)
        assert engine.now() >= passed


# The epoch.


@pytest.mark.parametrize("ending", [False, True])
@pytest.mark.parametrize("subject", ["int_one", None])
def test_nothing_is_remembered_from_before_a_change_of_decisions(engine, ending, subject):
    """A process forgets values about the subject that it read before the change, or while that commits."""
    remembered: Remembered[str, int] = Remembered(engine.epoch, 10)

    def remember(key: str, of: str = "int_one") -> None:
        remembered.keep(key, 1, remembered.epoch, of)

    def step(write: Write) -> None:
        write.move_epoch(subject)
        event.listen(write.connection, "commit", lambda _: remember("during"))
        add(write, "one")
        assert remembered.get("before") == 1

    remember("before")
    remember("another", "int_two")
    since = remembered.epoch
    if ending:
        engine.end_access(step)
    else:
        with engine.write() as write:
            step(write)
    remembered.keep("late", 1, since, "int_one")
    assert [remembered.get(key) for key in ("before", "during", "late")] == [None] * 3
    assert remembered.get("another") == (None if subject is None else 1)
    remember("after")
    assert remembered.get("after") == 1


def test_the_epoch_stays_with_any_other_change(engine):
    """A change that does not ask for it leaves the epoch, and so does one that fails before its commit."""
    before = engine.epoch.value
    store(engine, "one")
    engine.end_access(lambda write: add(write, "two"))
    with pytest.raises(ZeroDivisionError), engine.write() as write:
        write.move_epoch(None)
        raise ZeroDivisionError
    assert engine.epoch.value == before


def test_a_decision_connection_sees_every_commit(engine):
    """A change is in the next answer, on a connection that was opened before it; rows and texts come as they are."""
    connection = engine.decision_connection()
    statement = "SELECT id, kind, agency_id FROM accounts WHERE id = ? AND kind = ?"
    assert asyncio.run(connection.row(statement, "one", "agency")) is None
    store(engine, "one")
    assert asyncio.run(connection.row(statement, "one", "agency")) == ("one", "agency", None)
    with pytest.raises(StorageError):
        asyncio.run(connection.row("DELETE FROM accounts WHERE id = ?", "one"))
    with pytest.raises(StorageUnavailable):
        asyncio.run(connection.row("SELECT 1 FROM no_such_table"))
    assert asyncio.run(connection.row(statement, "one", "agency")) == ("one", "agency", None)
    connection.close()
    with pytest.raises(StorageUnavailable):
        asyncio.run(connection.row(statement, "one", "agency"))


# Who waits, and for how long.


def test_a_change_that_ends_access_waits_longer_than_others(under_test, engine):
    """While another change takes too long, a usual one and one that yields are refused, and one that ends waits."""
    under_test.shorten_patience(engine)
    with ThreadPoolExecutor(1) as pool:
        with writing_elsewhere(engine):
            ending = pool.submit(engine.end_access, lambda write: add(write, "ended"))
            for yielding in (False, True):
                with pytest.raises(StorageBusy), engine.write(yielding=yielding):
                    pytest.fail("there is a write transaction already")
            assert not ending.done()
        ending.result(20)
    assert stored(engine, "ended") == {"ended"}


@pytest.mark.parametrize("yielding", [False, True])
def test_too_many_changes_that_wait_are_refused_at_once(engine, yielding):
    """The first of a crowd wait and are stored, the others are StorageBusy at once; one that ends access waits."""
    refused_after: list[float] = []

    def one_of_the_crowd(number: int) -> str | None:
        began = time.monotonic()
        try:
            with engine.write(yielding=yielding) as write:
                add(write, f"crowd {number}")
                return f"crowd {number}"
        except StorageBusy:
            refused_after.append(time.monotonic() - began)
            return None

    with ThreadPoolExecutor(CROWD + 1) as pool:
        with writing_elsewhere(engine):
            crowd = [pool.submit(one_of_the_crowd, number) for number in range(CROWD)]
            until(lambda: bool(refused_after))
            ending = pool.submit(engine.end_access, lambda write: add(write, "ended"))
        ending.result(20)
        names = {one.result(20) for one in crowd} - {None}
    # Less than any change waits: on a busy machine not each refusal comes in time, but the quickest does.
    assert min(refused_after) < 1
    assert len(names) == CROWD - len(refused_after) > 0
    assert stored(engine, "ended", *(f"crowd {number}" for number in range(CROWD))) == {"ended", *names}


def test_changes_that_yield_go_last(engine):
    """Changes that came later go first, and none of them waits for more than one that yields."""
    order: list[str] = []
    began = threading.Semaphore(0)

    def write(kind: str) -> None:
        began.release()
        with engine.write(yielding=kind == "yielding"):
            order.append(kind)

    with ThreadPoolExecutor(16) as pool:

        def submitted(kind: str) -> list["Future[None]"]:
            made = [pool.submit(write, kind) for _ in range(5)]
            for _ in made:
                assert began.acquire(timeout=20)
            # From the semaphore to the wait for the write lock.
            time.sleep(0.1)
            return made

        with writing_elsewhere(engine):
            waiting = submitted("yielding") + submitted("usual")
        for one in waiting:
            one.result(20)
    assert order == ["usual"] * 5 + ["yielding"] * 5


def test_many_threads_write_one_after_the_other(engine):
    """Every transaction sees those before it."""

    def count(number: int) -> int:
        with engine.write() as write:
            held = len(list_accounts(write.connection))
            add(write, f"thread {number}")
            return held

    before = len(stored(engine, *_ids(engine)))
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(count, range(24))) == list(range(before, before + 24))


def _ids(engine: StorageEngine) -> list[str]:
    with engine.read() as connection:
        return [account.id for account in list_accounts(connection)]


@sqlite_only
def test_without_room_a_change_that_ends_access_is_tried_again(engine):
    """A step that found no room runs once more, from the state before it; a usual change does not."""
    tries: list[set[str]] = []

    def step(write: Write) -> str:
        tries.append({account.id for account in list_accounts(write.connection, ["one"])})
        add(write, "one")
        if len(tries) < 2:
            raise StorageFull
        return "stored"

    assert engine.end_access(step) == "stored"
    assert tries == [set(), set()]
    assert stored(engine, "one") == {"one"}
    with pytest.raises(StorageFull), engine.write():
        raise StorageFull


@sqlite_only
def test_without_room_twice_nothing_is_stored(engine):
    """The second lack of room is the answer."""

    def step(write: Write) -> None:
        add(write, "one")
        raise StorageFull

    with pytest.raises(StorageFull):
        engine.end_access(step)
    assert stored(engine, "one") == set()
    store(engine, "one")


# One service in several processes.


def test_one_leads_at_a_time(engine):
    """A second taker has to wait until the first gives the lead up; another work has a lead of its own."""
    first, second = engine.leadership("work"), engine.leadership("work")
    other = engine.leadership("other work")
    assert first.take()
    assert not second.take()
    assert other.take()
    first.release()
    assert second.take()
    assert not first.take()
    for one in (first, second, other):
        one.release()


@pytest.fixture(scope="module")
def seen(under_test, postgres, tmp_path_factory) -> list[dict]:
    """Return what the processes of tests/service/programs/engine_processes.py print."""
    program = Path(engines.__file__).with_name("engine_processes.py")
    command = [sys.executable, program, under_test.name, tmp_path_factory.mktemp("processes") / "data", postgres.server]
    with Popen(command, stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


def test_processes_share_clock_and_epoch(seen):
    """The instants of transactions follow their order, and none is before one that its process got earlier."""
    *workers, parent, _ = seen
    assert sorted(worker["order"] for worker in workers) == list(range(30))
    in_order = [worker["instants"][1] for worker in sorted(workers, key=lambda worker: worker["order"])]
    assert [parent["started"], *in_order, parent["ended"]] == sorted([parent["started"], *in_order, parent["ended"]])
    for worker in workers:
        assert worker["instants"] == sorted(worker["instants"])
    assert {worker["run"] for worker in workers} == {parent["run"]}
    assert all(before < after for before, after in (worker["epochs"] for worker in workers))


def test_the_lead_of_a_dead_process_is_free(seen):
    """While the leader lives no other process gets the lead, and when it is killed another one does."""
    assert seen[-1] == {"lead": [True, False, True]}
