"""Migrations: each changes the schema, or what is stored, from one version to the next.

`upgrade(connection)` brings a database to the newest version, or to one that you name. The chain is linear; the
sandbox's migrations lie with the sandbox, everything else in `versions/`.
"""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_HERE = Path(__file__).parent
_FOLDERS = (_HERE / "versions", _HERE.parent / "sandbox" / "storage" / "migrations")


def upgrade(connection: Connection, version: str = "head") -> None:
    """Run the migrations that this database lacks, up to `version`, in the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", os.pathsep.join(str(folder) for folder in _FOLDERS))
    config.attributes["connection"] = connection
    command.upgrade(config, version)
