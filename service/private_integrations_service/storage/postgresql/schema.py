"""Bring the schema of a database to this release's version, or refuse one that this release can't use.

`authority.usable_from` is the oldest version whose code may use the tables. So a replica of the release before starts
on a schema that it doesn't know, while the replicas are upgraded one after the other.
"""

import time
from contextlib import suppress

from alembic.runtime.migration import MigrationContext
from psycopg.errors import UndefinedTable
from sqlalchemy import Connection, Engine, inspect, text

from private_integrations.errors import ConfigurationError

from ...migrations import known_versions, upgrade, usable_from
from ..engine import StorageBusy
from .connections import PATIENCE, WRITES, connect, connection_pool, place_of, storage_errors

_MIGRATIONS = 0x70696D67  # "pimg"

# A request that waits for a table which a migration has locked, while the migration waits for one that the request
# reads, is a deadlock, for which the server fails either after a second. So the migration gives up before, and tries
# again.
_LONGEST_BLOCK_MS = 300


def prepare_schema(address: str) -> None:
    """Make the schema in an empty database; raises ConfigurationError if this release can't use the one that is there.

    It can use its own, and a newer one that says so.
    """
    with storage_errors(), connect(address) as connection, suppress(UndefinedTable):
        found = connection.execute("SELECT version_num, usable_from FROM alembic_version, authority").fetchone()
        if found is not None and _is_usable(*found):
            return
    _migrate(address, only_empty=True)


def migrate(address: str) -> tuple[str | None, str]:
    """Upgrade the schema; return the version that it had, None for an empty database, and the one that it has."""
    return _migrate(address, only_empty=False), known_versions("postgresql")[-1]


def require_schema(address: str) -> None:
    """Raise ConfigurationError unless the database has this release's schema; nothing is changed."""
    pool = connection_pool(address, size=1)
    try:
        with storage_errors(), pool.connect() as connection:
            version = _known_version(connection)
            if version is None:
                raise ConfigurationError(f"{place_of(address)} is empty: there is no installation in it")
            _require_newest(version)
    finally:
        pool.dispose()


def _migrate(address: str, *, only_empty: bool) -> str | None:
    pool = connection_pool(address, size=1)
    until = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                return _migrate_once(pool, only_empty=only_empty)
            except StorageBusy:
                if time.monotonic() > until:
                    raise
    finally:
        pool.dispose()


def _migrate_once(pool: Engine, *, only_empty: bool) -> str | None:
    with storage_errors(), pool.connect() as connection, connection.begin():
        connection.exec_driver_sql(
            f"BEGIN; SET LOCAL lock_timeout = '{PATIENCE}s'; SELECT pg_advisory_xact_lock({_MIGRATIONS}); "
            f"SELECT pg_advisory_xact_lock({WRITES}); SET LOCAL lock_timeout = '{_LONGEST_BLOCK_MS}ms'"
        )
        version = _known_version(connection)
        if version is not None and only_empty:
            _require_newest(version)
        upgrade(connection)
        connection.execute(text("UPDATE authority SET usable_from = :oldest"), {"oldest": usable_from()})
        return version


def _is_usable(version: str, oldest: str) -> bool:
    known = known_versions("postgresql")
    return version == known[-1] or (version not in known and oldest in known)


def _known_version(connection: Connection) -> str | None:
    version = _version(connection)
    known = known_versions("postgresql")
    if version is not None and version not in known:
        raise ConfigurationError(
            f"the database has schema {version}, which this release doesn't know (it knows up to {known[-1]}): "
            "use the release that made it, or a newer one"
        )
    return version


def _require_newest(version: str) -> None:
    newest = known_versions("postgresql")[-1]
    if version != newest:
        raise ConfigurationError(
            f"the database has schema {version} and this release needs {newest}: run "
            "private-integrations migrate --database … first"
        )


def _version(connection: Connection) -> str | None:
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return MigrationContext.configure(connection).get_current_revision()
    if tables:
        raise ConfigurationError(
            f"the database has other tables, such as {tables[0]}, and no schema of this service: give an empty database"
        )
    return None
