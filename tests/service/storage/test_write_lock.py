"""The write lock: which changes wait for it, which are refused, and that reads never wait."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest

from engines import sqlite_only
from private_integrations_service.access.actors import Actor
from private_integrations_service.storage import audit
from private_integrations_service.storage.sqlite.engine import WRITE_LOCK_NAME
from private_integrations_service.storage.sqlite.reserved_space import FILE_NAME as RESERVED
from private_integrations_service.storage.sqlite.reserved_space import SIZE
from private_integrations_service.storage.write_lock import WAITING, WAITING_YIELDING, StorageBusy, WriteLock

HOLDER = (
    "import fcntl, sys\n"
    "with open(sys.argv[1], 'r+') as file:\n"
    "    fcntl.lockf(file, fcntl.LOCK_EX)\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


@contextmanager
def held_elsewhere(file: Path) -> Iterator["subprocess.Popen[str]"]:
    """Have another process hold the write lock until the block ends, or the process is killed."""
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


@pytest.fixture
def impatient(database) -> None:
    """Have changes wait for the write lock for some milliseconds only, except those that end access."""
    database._write_lock.close()
    database._write_lock = WriteLock(database.folder / WRITE_LOCK_NAME, patience=0.01)


def test_one_holds_the_write_lock_at_a_time(database):
    """Many threads that write at once do so one after the other, and none is refused."""

    def store(_: int) -> int:
        with database.write() as write:
            held = write.connection.exec_driver_sql("SELECT count(*) FROM audit").scalar_one()
            audit.record_service(write, actor=Actor("test"), action="")
            return held

    with ThreadPoolExecutor(WAITING) as pool:
        assert sorted(pool.map(store, range(3 * WAITING))) == list(range(3 * WAITING))


def test_a_change_that_does_not_get_the_write_lock(impatient, database, desk, api, accounts):
    """While another worker writes for too long, changes are refused in either API's shape, and reads go on."""
    token, pending = (desk.token_with("contacts.readonly", "contacts.write") for _ in range(2))
    target = f"/contacts/?locationId={accounts.location}"
    assert api.ask("GET", target, token=token).status == 200
    with held_elsewhere(database.folder / WRITE_LOCK_NAME):
        refused = [
            api.ask("POST", "/contacts/", {"locationId": accounts.location}, token=token),
            api.ask("GET", target, token=pending),
        ]
        assert api.ask("GET", target, token=token).status == 200
    for answer in refused:
        assert answer.status == 503
        assert answer.body == {"statusCode": 503, "message": "Service Unavailable", "reason": "storage-busy"}
    assert api.ask("GET", target, token=pending).status == 200


def test_a_dead_process_holds_no_write_lock(impatient, database, desk):
    """The write lock of a process that was killed is free at once."""
    with held_elsewhere(database.folder / WRITE_LOCK_NAME) as process:
        process.kill()
        process.wait()
        desk.integration("contacts.readonly")


@sqlite_only
def test_another_program_that_writes(database):
    """A transaction of a program that does not take the write lock, for longer than SQLite waits, is a refusal too."""
    with closing(database._writer.raw_connection()) as writer:
        writer.driver_connection.execute("PRAGMA busy_timeout=1")
    with closing(sqlite.connect(str(database.file), isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy, match="another program writes"), database.write():
            pytest.fail("there is a write transaction already")
        foreign.execute("ROLLBACK")
        with database.write():
            """Now there is none."""


def test_a_burst_of_changes_leaves_threads_to_readers(database, desk, clock):
    """When as many changes wait as may, another one is refused at once, and one that ends access still waits."""
    integration = desk.integration("contacts.readonly")
    desk.token(integration)
    with ThreadPoolExecutor(WAITING + 1) as pool:
        with database._write_lock.held():
            waiting = [pool.submit(desk.edit, integration, "contacts.readonly") for _ in range(WAITING - 1)]
            deadline = time.monotonic() + 20
            while database._write_lock._waiting._value:
                assert time.monotonic() < deadline, "not all of them came to wait"
                time.sleep(0.001)
            with pytest.raises(StorageBusy, match=f"{WAITING} changes are waiting already"):
                desk.edit(integration, "contacts.write")
            ended = pool.submit(database.end_access, lambda write: write.now)
            assert not ended.done()
        assert ended.result() == clock()
        assert [waited.result() for waited in waiting] == [None] * (WAITING - 1)


def test_changes_that_yield_go_last_and_are_counted_apart(database):
    """Changes that came later go first, none waits for more than one that yields, and as many may wait as without."""
    order: list[str] = []

    def store(name: str, *, yielding: bool = False) -> None:
        with database.write(yielding=yielding):
            order.append(name)

    with ThreadPoolExecutor(2 * WAITING) as pool:
        with database._write_lock.held():
            yielding = [pool.submit(store, "yielding", yielding=True) for _ in range(WAITING_YIELDING)]
            until(lambda: not database._write_lock._waiting_yielding._value)
            with pytest.raises(StorageBusy, match=f"{WAITING_YIELDING} changes are waiting already"):
                store("yielding", yielding=True)
            others = [pool.submit(store, "other") for _ in range(WAITING - 1)]
            until(lambda: not database._write_lock._waiting._value)
        for one in (*yielding, *others):
            one.result(20)
    assert order == ["other"] * (WAITING - 1) + ["yielding"] * WAITING_YIELDING


def test_a_change_that_yields_does_not_wait_for_ever(impatient, database):
    """While others hold the write lock for too long it is refused, and nothing of it is stored."""
    with (
        database._write_lock.held(),
        pytest.raises(StorageBusy),
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(lambda: database.write(yielding=True).__enter__()).result(10)


def until(true: Callable[[], bool]) -> None:
    """Wait for something that other threads make true."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.001)


@sqlite_only
def test_reserved_space_that_another_worker_released(database, desk):
    """The next write makes it anew, also in a worker that did not release it."""
    reserved_space = database.folder / RESERVED
    reserved_space.unlink()
    desk.integration("contacts.readonly")
    assert reserved_space.stat().st_size == SIZE
