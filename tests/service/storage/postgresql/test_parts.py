"""The PostgreSQL servers of the tests, and PgBouncer: each does what its name says."""

import os
import subprocess
import sys
import tempfile
import threading

import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from faulty_tcp import FaultyTCP
from pgbouncer import PgBouncer
from postgres import VERSIONS, Postgres, database_name
from server_processes import wait_until

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture(scope="module", params=VERSIONS)
def server(request):
    """A server of each version."""
    with Postgres(request.param) as started:
        yield started


@pytest.fixture(scope="module")
def own_server():
    """A server that tests may break."""
    with Postgres() as started:
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


def has_caught_up(primary):
    """Whether the standby has applied all that the primary has written."""
    with primary.admin() as connection:
        return connection.execute("SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication").fetchall() == [
            (True,)
        ]


def cancel_when_waiting(primary, connection):
    """Give up the commit of a connection once it waits for the standby."""
    waiting = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
    with primary.admin() as other:
        pid = connection.info.backend_pid
        wait_until(lambda: other.execute(waiting, [pid]).fetchone() == ("SyncRep",), "the commit waits")
    connection.cancel()


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


def test_an_asynchronous_standby_may_lack_what_was_committed(own_server):
    """A commit is answered while the standby hears nothing of it; after a promotion it is lost."""
    database = own_server.new_database()
    with (
        FaultyTCP(own_server.host, own_server.port) as proxy,
        own_server.standby(through=(proxy.host, proxy.port)) as standby,
    ):
        tell(database, "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('kept')")
        copy = standby.dsn(database_name(database))
        wait_until(lambda: has_caught_up(own_server), "the standby has the row")
        proxy.drop(towards="client")
        tell(database, "INSERT INTO notes VALUES ('lost')")
        own_server.kill()
        standby.promote()
        assert ask(copy, "SELECT text FROM notes") == [("kept",)]
    own_server.start()


def test_a_commit_that_the_synchronous_standby_did_not_get_is_not_answered(own_server):
    """It waits; a client that gives up waiting is warned that the primary alone has it."""
    database = own_server.new_database()
    tell(database, "CREATE TABLE notes (text text)")
    with (
        FaultyTCP(own_server.host, own_server.port) as proxy,
        own_server.standby(synchronous=True, through=(proxy.host, proxy.port)),
    ):
        proxy.hold()
        with psycopg.connect(database) as connection:
            warnings = []
            connection.add_notice_handler(lambda notice: warnings.append(notice.message_primary))
            connection.execute("INSERT INTO notes VALUES ('alone')")
            giving_up = threading.Thread(target=cancel_when_waiting, args=(own_server, connection))
            giving_up.start()
            connection.commit()
            giving_up.join()
            assert warnings == ["canceling wait for synchronous replication due to user request"]
        proxy.recover()
        tell(database, "INSERT INTO notes VALUES ('both')")


def test_a_server_ends_with_its_process():
    """When the process that started it is killed, no process of the server stays."""
    program = """
import sys, time
from postgres import Postgres
with Postgres() as server:
    print(server.pid, flush=True)
    time.sleep(60)
"""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": folder}
        command = [sys.executable, "-c", program]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            server = psutil.Process(int(process.stdout.readline()))
            processes = [server, *server.children()]
            process.kill()
        _, alive = psutil.wait_procs(processes, timeout=20)
        for left in alive:
            left.kill()
    assert len(processes) > 3
    assert alive == []


def test_a_password_may_be_demanded():
    """Over TCP a server with a password lets nobody in without it."""
    with Postgres(password="s3cret/:@?") as server:
        database = server.new_database()
        assert ask(database, "SELECT 1") == [(1,)]
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(make_conninfo(database, password=""))
        with server.standby(synchronous=True):
            tell(database, "CREATE TABLE notes (text text)")


def test_tls_may_be_demanded(certificates):
    """A server with a certificate is verified by its name, and refuses connections without TLS."""
    with Postgres(15, certificate=certificates / "hooks.test.crt") as server:
        database = server.dsn("postgres")
        verified = make_conninfo(
            database,
            host="hooks.test",
            hostaddr=server.host,
            sslmode="verify-full",
            sslrootcert=certificates / "ca.crt",
        )
        assert ask(verified, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [(True,)]
        with pytest.raises(psycopg.OperationalError, match="certificate"):
            psycopg.connect(make_conninfo(verified, host="other.test"))
        with pytest.raises(psycopg.OperationalError, match="no encryption"):
            psycopg.connect(make_conninfo(database, sslmode="disable"))


@pytest.mark.parametrize("password", [None, "s3cret"])
def test_pgbouncer_passes_transactions(password):
    """Two clients take turns on one connection, which they share by transactions, not by sessions."""
    with Postgres(password=password) as server, PgBouncer(server, pool_size=1) as bouncer:
        database = bouncer.dsn(database_name(server.new_database()))
        tell(database, "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('kept')")
        same = "SELECT pg_backend_pid()"
        with psycopg.connect(database) as one, psycopg.connect(database) as other:
            pids = []
            for connection in (one, other, one):
                pids += connection.execute(same).fetchall()
                connection.commit()
            assert len(set(pids)) == 1
            assert other.execute("SELECT text FROM notes").fetchall() == [("kept",)]


def test_a_full_tablespace_refuses_rows_and_takes_them_again(disk):
    """The server reports a lack of room and goes on: what is committed can be read, and with room there are more."""
    with Postgres(inside=disk.namespace.inside) as server:
        server.add_tablespace("small", disk.folder)
        database = server.new_database(tablespace="small")
        insert = "INSERT INTO notes SELECT repeat('x', 1000) FROM generate_series(1, 1000)"
        tell(database, "CREATE TABLE notes (text text)", insert)
        disk.fill()
        with pytest.raises(psycopg.errors.DiskFull) as refused:
            tell(database, insert)
        assert refused.value.sqlstate == "53100"
        assert ask(database, "SELECT count(*) FROM notes") == [(1000,)]
        disk.clear()
        tell(database, insert)
        assert ask(database, "SELECT count(*) FROM notes") == [(2000,)]
