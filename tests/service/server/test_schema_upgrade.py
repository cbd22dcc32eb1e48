"""`migrate`, and the databases that `serve` makes itself or refuses."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.script import ScriptDirectory

from next_release import VERSION, write_migration
from operator_cli import refusal, run_cli, started, starting
from postgres import Postgres, database_name, url
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.errors import ConfigurationError
from private_integrations_service import migrations
from private_integrations_service.migrations import known_versions
from private_integrations_service.server.schema_upgrade import upgrade_schema
from private_integrations_service.storage.postgresql.connections import checked_address
from private_integrations_service.storage.postgresql.installation import open_postgresql_installation
from private_integrations_service.storage.postgresql.lease import LeaseTimes
from private_integrations_service.storage.postgresql.schema import prepare_schema, require_schema
from server_processes import HOST, free_port, wait_until

PASSWORD = "not-to-be-shown"
NEWEST = known_versions("postgresql")[-1]


def change(address, *statements):
    """Run statements on a database."""
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def next_release(tmp_path, monkeypatch):
    """Give this process a release with one more migration, after which no code of this one may use the database."""
    write_migration(tmp_path, usable_from=VERSION)
    folders = (*migrations._FOLDERS["postgresql"], tmp_path)
    monkeypatch.setitem(migrations._FOLDERS, "postgresql", folders)
    known_versions.cache_clear()
    yield
    monkeypatch.undo()
    known_versions.cache_clear()


def test_an_empty_database_gets_the_schema(postgres_database):
    """`migrate` says what it did, and that there is nothing more to do; the address may be in the environment."""
    made = run_cli("migrate", "--database", postgres_database)
    name = database_name(postgres_database)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith(f"made schema {NEWEST} in database {name} at ")
    again = run_cli("migrate", PRIVATE_INTEGRATIONS_DATABASE=postgres_database)
    assert again.returncode == 0
    assert again.stdout.startswith(f"database {name} at ")
    assert again.stdout.endswith(f" has schema {NEWEST} already\n")


def test_each_migration_names_the_oldest_code_that_may_use_its_tables():
    """One that names none would let an old replica start on tables that it can't use, or stop one that could."""
    scripts = [*ScriptDirectory.from_config(migrations._config("postgresql")).walk_revisions()]
    known = [script.revision for script in reversed(scripts)]
    assert all(script.module.usable_from in known[: known.index(script.revision) + 1] for script in scripts)


def test_an_older_schema_is_upgraded_by_migrate_alone(postgres_database, next_release):
    """A replica of the next release refuses the database until it was migrated; then this release refuses it."""
    run_cli("migrate", "--database", postgres_database)
    needed = f"the database has schema {NEWEST} and this release needs next: run private-integrations migrate"
    for refuse in (prepare_schema, require_schema):
        with pytest.raises(ConfigurationError, match=needed):
            refuse(postgres_database)
    assert upgrade_schema(postgres_database).endswith(f" from schema {NEWEST} to next")
    prepare_schema(postgres_database)
    require_schema(postgres_database)
    change(postgres_database, "SELECT later FROM accounts")
    unknown = (
        f"the database has schema next, which this release doesn't know (it knows up to {NEWEST}): use the release "
        "that made it, or a newer one"
    )
    for command in ("migrate", "serve"):
        assert refusal(command, "--database", postgres_database) == unknown


def test_this_release_serves_a_newer_schema_that_allows_it(postgres_database):
    """An expanding migration allows the release before; `migrate` and `copy` of that release leave it alone."""
    prepare_schema(postgres_database)
    change(postgres_database, "UPDATE alembic_version SET version_num = 'next'")
    prepare_schema(postgres_database)
    unknown = f"the database has schema next, which this release doesn't know (it knows up to {NEWEST}): use the "
    with pytest.raises(ConfigurationError, match=re.escape(unknown)):
        upgrade_schema(postgres_database)
    with (
        pytest.raises(ConfigurationError, match=re.escape(unknown)),
        open_postgresql_installation(postgres_database, LeaseTimes(), new=True),
    ):
        """Not reached."""
    change(postgres_database, "UPDATE authority SET usable_from = 'next'")
    with pytest.raises(ConfigurationError, match=re.escape(unknown)):
        prepare_schema(postgres_database)


def test_a_locked_table_is_waited_for_a_moment_only(postgres_database, next_release):
    """A migration gives up when a transaction holds its table, and changes nothing."""
    run_cli("migrate", "--database", postgres_database)
    with psycopg.connect(postgres_database) as holder:
        holder.execute("LOCK TABLE accounts IN ACCESS SHARE MODE")
        with pytest.raises(ConfigurationError, match="canceling statement due to lock timeout"):
            upgrade_schema(postgres_database)
        assert holder.execute("SELECT version_num FROM alembic_version").fetchone() == (NEWEST,)


def test_a_migration_yields_to_a_request(postgres_database, next_release):
    """A request reads two tables in another order than the migration locks them: it gets its answer, and both go on."""
    run_cli("migrate", "--database", postgres_database)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'relation'"
    with (
        psycopg.connect(postgres_database, autocommit=True) as watching,
        psycopg.connect(postgres_database) as request,
        ThreadPoolExecutor(1) as other,
    ):
        request.execute("SELECT FROM tokens")
        upgraded = other.submit(upgrade_schema, postgres_database)
        wait_until(lambda: watching.execute(waiting).fetchone() is not None, "the migration waits for the request")
        # The server looks for a deadlock once, after a second: for the migration it has, so the request would fail.
        time.sleep(1.2)
        request.execute("SELECT FROM accounts")
        request.commit()
        assert upgraded.result().endswith(f" to {VERSION}")


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_database_with_other_tables_is_refused(postgres_database, command, tmp_path):
    """Nothing is added to what belongs to another program."""
    change(postgres_database, "CREATE TABLE invoices (id integer)")
    places = ["--data-dir", tmp_path / "data"] if command == "serve" else []
    assert refusal(command, "--database", postgres_database, *places) == (
        "the database has other tables, such as invoices, and no schema of this service: give an empty database"
    )
    with psycopg.connect(postgres_database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_server_that_does_not_answer_is_named(command, tmp_path):
    """The error has the server's place, and no password."""
    address = url(user="service", password=PASSWORD, host=HOST, port=free_port(), dbname="tokens")
    places = ["--data-dir", tmp_path / "data"] if command == "serve" else []
    said = refusal(command, "--database", address, *places)
    assert said.startswith("the database can't be used: connection failed: ")
    assert said.endswith("Connection refused")
    assert PASSWORD not in said


def test_a_wrong_password_is_refused(tmp_path):
    """The error has the role, and no password."""
    with Postgres(password="right") as server:
        address = url(user="service", password=PASSWORD, host=HOST, port=server.port, dbname="postgres")
        for command in (["migrate"], ["serve", "--data-dir", tmp_path]):
            said = refusal(*command, "--database", address)
            assert said.endswith('password authentication failed for user "service"')
            assert PASSWORD not in said


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://service:{PASSWORD}/x@host/tokens",
        f"postgresql://service:12/{PASSWORD}@host/tokens",
        f"postgresql://service:{PASSWORD}?x@host/tokens",
        f"postgresql://service:{PASSWORD}@x@host/tokens",
        f"host=localhost port={PASSWORD}",
        f"postgresql://service:{PASSWORD}@[::1/tokens",
        f"postgresql://service@host/tokens?secret={PASSWORD}",
        f"mysql://service:{PASSWORD}@host/tokens",
        "tokens.db",
    ],
)
def test_an_address_that_reads_in_another_way_is_refused(address):
    """No part of a password is taken for a host, a port or a database, and shown."""
    said = refusal("migrate", "--database", address)
    assert said.startswith("--database ")
    assert PASSWORD not in said


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://service:p%40ss%2Fword@host:5432,other:5433/tokens?sslmode=verify-full",
        "postgresql:///tokens?host=/run/postgresql",
        "service=tokens",
        "host=localhost dbname=tokens password='a@b/c'",
        "host=localhost dbname=tokens password='a://b@c@d'",
    ],
)
def test_usual_addresses_are_read(address):
    """Escaped passwords, several hosts, sockets, services and libpq's other form."""
    assert checked_address(address) == address


def test_three_replicas_start_on_an_empty_database(postgres_database, tmp_path):
    """One of them installs and writes the one admin.key, which all of them know."""
    folders = [tmp_path / name for name in "abc"]
    with (
        starting(folders[0], postgres_database) as first,
        starting(folders[1], postgres_database) as second,
        starting(folders[2], postgres_database) as third,
    ):
        urls, said = zip(*map(started, (first, second, third)), strict=True)
        files = [folder / "admin.key" for folder in folders]
        [written] = [file for file in files if file.exists()]
        named = [
            any(line == f"management key in {file}" for line in lines) for file, lines in zip(files, said, strict=True)
        ]
        assert named == [file == written for file in files]
        key = written.read_text().strip()
        accounts = [Client(ServiceConnection(one, key)).accounts() for one in urls]
        assert accounts[0] == accounts[1] == accounts[2]
        assert [account.name for account in accounts[0]] == ["Agency", "Demo account"]
        assert len(Client(ServiceConnection(urls[0], key)).keys().keys) == 1
