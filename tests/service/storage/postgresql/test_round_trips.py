"""How many round trips to the database an operation takes: each one is a wait for the network."""

from contextlib import ExitStack, closing

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import text

from postgres import wait_until
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.postgresql.lease import LeaseTimes
from round_trips import RoundTrips

SELDOM = LeaseTimes(duration=60, heartbeat=50)


@pytest.fixture
def proxied(postgres_database):
    """A proxy that counts, and the address of the database through it."""
    parts = conninfo_to_dict(postgres_database)
    with RoundTrips(parts["host"], int(parts["port"])) as proxy:
        yield proxy, make_conninfo(postgres_database, host=proxy.host, port=proxy.port)


def read(engine):
    """Run one query in a transaction."""
    with engine.read() as connection:
        connection.execute(text("SELECT 1"))


def change(engine, *subjects):
    """Run one statement in a transaction, which changes the subjects."""
    with engine.write() as write:
        write.connection.execute(text("UPDATE clock SET high_water = high_water"))
        for subject in subjects:
            write.move_epoch(subject)


def counted(proxy, step):
    """The round trips of a step, once it has its connections."""
    step()
    proxy.count = 0
    step()
    return proxy.count


def test_round_trips_of_a_transaction(proxied, tmp_path):
    """One begins it, one is for each statement, and one ends it, also if that stores a revision."""
    proxy, address = proxied
    with closing(open_postgresql(address, tmp_path / "data", SELDOM)) as engine:
        assert counted(proxy, lambda: read(engine)) == 3
        assert counted(proxy, lambda: change(engine)) == 3
        # The last one reads the list of replicas.
        assert counted(proxy, lambda: change(engine, "int_1")) == 4


def test_a_replica_acknowledges_in_one_round_trip(proxied, postgres_database, tmp_path):
    """The notification says which tokens ended; only a replica that missed one before asks the database."""
    proxy, address = proxied
    with ExitStack() as stack:
        replica, writer = (
            stack.enter_context(closing(open_postgresql(where, tmp_path / name, SELDOM)))
            for where, name in ((address, "replica"), (postgres_database, "writer"))
        )
        replica.begin()
        wait_until(lambda: replica._keeper._listening is not None, "the replica listens")
        assert counted(proxy, lambda: change(writer, "int_1")) == 1
