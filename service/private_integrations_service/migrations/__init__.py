"""Migrations: each changes the schema, or what is stored, from one version to the next.

`upgrade(connection)` brings a database to the newest version, or to one that you name. The chain is linear. SQLite's
begins with the first release, and the sandbox's part of it lies with the sandbox; PostgreSQL's begins with the tables
that SQLite had at version 0017. Each of PostgreSQL's names in `usable_from` the oldest version whose code may use the
tables after it, because replicas of the release before go on meanwhile.
"""

import os
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_HERE = Path(__file__).parent
_SERVICE = _HERE.parent
_FOLDERS = {
    "sqlite": (_HERE / "versions", _SERVICE / "sandbox" / "storage" / "migrations"),
    "postgresql": (_SERVICE / "storage" / "postgresql" / "migrations",),
}


def upgrade(connection: Connection, version: str = "head") -> None:
    """Run the migrations that this database lacks, up to `version`, in the connection's transaction."""
    dialect = connection.dialect.name
    newest = known_versions(dialect)[-1]
    if version == "head" and MigrationContext.configure(connection).get_current_revision() == newest:
        return
    config = _config(dialect)
    config.attributes["connection"] = connection
    command.upgrade(config, version)


@cache
def known_versions(dialect: str) -> tuple[str, ...]:
    """Return the versions of a kind of database, the oldest first.

    They are read once in a process: that takes longer than the rest of opening a database.
    """
    scripts = ScriptDirectory.from_config(_config(dialect)).walk_revisions()
    return tuple(reversed([script.revision for script in scripts]))


def usable_from() -> str:
    """Return the oldest version whose code may use PostgreSQL's newest schema, as its migration says."""
    newest = ScriptDirectory.from_config(_config("postgresql")).get_revision("head")
    return str(newest.module.usable_from)


def _config(dialect: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(str(folder) for folder in _FOLDERS[dialect]))
    return config
