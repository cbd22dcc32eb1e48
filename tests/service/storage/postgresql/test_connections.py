"""Connections that the server ends, and changes of machines that are halted in the middle of one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from sqlalchemy import text

from postgres import Postgres
from private_integrations_service.storage.engine import StorageError
from private_integrations_service.storage.postgresql.connections import PATIENCE
from private_integrations_service.storage.postgresql.engine import READERS, open_postgresql


def read(engine, together=None):
    """Read something, in a transaction that all wait in."""
    with engine.read() as connection:
        if together is not None:
            together.wait(20)
        return connection.execute(text("SELECT 1")).scalar()


def test_no_request_fails_after_a_restart_of_the_database(tmp_path):
    """The pool finds each connection that the server has closed meanwhile, and opens another one."""
    with Postgres() as server, closing(open_postgresql(server.new_database(), tmp_path / "data")) as engine:
        together = threading.Barrier(READERS)
        with ThreadPoolExecutor(READERS) as pool:
            assert list(pool.map(lambda _: read(engine, together), range(READERS))) == [1] * READERS
        with engine.write():
            """Open the connection for changes."""
        server.stop("fast")
        server.start()
        with engine.write():
            """Use it again."""
        assert [read(engine) for _ in range(READERS)] == [1] * READERS


def test_a_change_that_stops_in_the_middle_lets_the_changes_of_others_through(postgres_database, tmp_path):
    """A machine that was halted or cut off keeps the lock of all changes for less time than others wait for it."""
    halted, other = (closing(open_postgresql(postgres_database, tmp_path / name)) for name in ("halted", "other"))
    with halted as engine, other as others:
        began, ended = threading.Event(), threading.Event()

        def stop_in_the_middle():
            with pytest.raises(StorageError), engine.write():
                began.set()
                ended.wait(20)

        thread = threading.Thread(target=stop_in_the_middle)
        thread.start()
        began.wait(20)
        since = time.monotonic()
        with others.write():
            """It has the lock."""
        assert time.monotonic() - since < PATIENCE - 1
        ended.set()
        thread.join()
