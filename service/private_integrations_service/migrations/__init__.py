"""Migrations: each changes the schema, or what is stored, from one version to the next.

`upgrade(connection)` brings a database to the newest version, or to one that you name. The chain is linear; the
sandbox's migrations lie with the sandbox, everything else in `versions/`.
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
_FOLDERS = (_HERE / "versions", _HERE.parent / "sandbox" / "storage" / "migrations")


def upgrade(connection: Connection, version: str = "head") -> None:
    """Run the migrations that this database lacks, up to `version`, in the connection's transaction."""
    if version == "head" and MigrationContext.configure(connection).get_current_revision() == _newest():
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(str(folder) for folder in _FOLDERS))
    return config


@cache
def _newest() -> str | None:
    """Read all migrations, once in a process: that takes longer than the rest of opening a database."""
    return ScriptDirectory.from_config(_config()).get_current_head()
