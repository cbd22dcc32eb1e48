"""How a replica acknowledges a change that it is notified of."""

import time
from contextlib import ExitStack, closing
from dataclasses import replace

import psycopg
import pytest

from postgres import Postgres, wait_until
from private_integrations_service.storage.postgresql.connections import connect
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.postgresql.lease import LeaseTimes
from private_integrations_service.storage.postgresql.replicas import acknowledge
from private_integrations_service.storage.postgresql.revision import Revision

SELDOM = LeaseTimes(heartbeat=10)


@pytest.fixture
def database():
    """Run a server of its own, whose settings a test may change; return it and the address of a new database."""
    with Postgres() as server:
        yield server, server.new_database()


def beats(address: str) -> list[int]:
    """Return the number of heartbeats of each replica."""
    with psycopg.connect(address) as connection:
        return [beat for (beat,) in connection.execute("SELECT beat FROM replicas ORDER BY incarnation")]


def test_changes_are_acknowledged_between_heartbeats(database, tmp_path):
    """So they are answered long before the next heartbeat, and a change extends no lease."""
    _, address = database
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(closing(open_postgresql(address, tmp_path / name, SELDOM))) for name in "ab"
        )
        first.begin()
        second.begin()
        wait_until(lambda: second._keeper._listening is not None, "the second replica listens")
        sent, leases = beats(address), [first._state.lease_end, second._state.lease_end]
        began = time.monotonic()
        for _ in range(3):
            with first.write() as write:
                write.move_epoch(None)
        assert time.monotonic() - began < 5
        assert first._state.replica.applied == second._state.replica.applied
        assert beats(address) == sent
        assert [first._state.lease_end, second._state.lease_end] == leases


def test_an_acknowledgement_waits_for_no_standby(database, tmp_path):
    """While the standby is missing, a replica still says what it has applied."""
    server, address = database
    with closing(open_postgresql(address, tmp_path, SELDOM)) as engine:
        engine.begin()
        server.configure(synchronous_standby_names="missing")
        try:
            with closing(connect(address)) as connection:
                show = "SHOW synchronous_standby_names"
                wait_until(lambda: connection.execute(show).fetchone() == ("missing",), "the standby counts")
                # A wait for the standby would end with a warning.
                with engine._watchdog.limit(connection, 5):
                    acknowledge(connection, replace(engine._state.replica, applied=Revision(9, "mark")))
                assert not connection.is_warned
                found = connection.execute("SELECT acknowledged_number, acknowledged_mark FROM replicas").fetchone()
                assert found == (9, "mark")
        finally:
            server.configure(synchronous_standby_names="")
