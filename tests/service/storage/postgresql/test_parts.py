"""The parts on which the tests of PostgreSQL stand: each does what its name says."""

import psycopg
import pytest

from postgres import VERSIONS, Postgres, database_name

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture(scope="module", params=VERSIONS)
def server(request):
    """A server of each version."""
    with Postgres(request.param) as started:
        yield started


def ask(dsn, statement):
    """The rows of a statement, in a transaction of its own."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()


def tell(dsn, *statements):
    """Run statements in one transaction."""
    with psycopg.connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_server_has_its_version_and_its_clients_are_no_superusers(server):
    """The role of the service owns its databases, and may not do more than the role of an operator's server."""
    found = "SELECT current_setting('server_version_num')::int / 10000, current_user, current_setting('is_superuser')"
    assert ask(server.new_database(), found) == [(server.version, "service", "off")]


def test_databases_are_new_and_empty(postgres, postgres_database):
    """A database has no tables, takes some, is copied with them, and is gone when dropped."""
    assert ask(postgres_database, TABLES) == []
    tell(postgres_database, "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('kept')")
    copy = postgres.new_database(template=database_name(postgres_database))
    assert ask(copy, "SELECT text FROM notes") == [("kept",)]
    with psycopg.connect(copy):
        postgres.drop(copy)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(copy)
    assert ask(postgres_database, "SELECT text FROM notes") == [("kept",)]


def test_a_server_stops_is_killed_and_halts(server):
    """What was committed is there again at the same address; a halted server answers when it goes on."""
    database = server.new_database()
    tell(database, "CREATE TABLE notes (number int)")
    for number, end in enumerate((server.stop, server.kill, lambda: server.stop("immediate"))):
        tell(database, f"INSERT INTO notes VALUES ({number})")
        end()
        assert not server.running
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(database)
        server.start()
    with psycopg.connect(database) as connection:
        server.pause()
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(database, connect_timeout=2)
        server.resume()
        assert connection.execute("SELECT number FROM notes ORDER BY number").fetchall() == [(0,), (1,), (2,)]


def test_a_synchronous_standby_has_what_was_committed(server):
    """After the primary is killed, its promoted standby has the row, in a later timeline."""
    database = server.new_database()
    with server.standby(synchronous=True) as standby:
        tell(database, "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('kept')")
        server.kill()
        standby.promote()
        promoted = standby.dsn(database_name(database))
        assert ask(promoted, "SELECT text FROM notes") == [("kept",)]
        tell(promoted, "INSERT INTO notes VALUES ('changed')")
        assert ask(promoted, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)") == [("00000002",)]
    server.start()
    server.configure(synchronous_standby_names="")
