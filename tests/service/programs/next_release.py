"""The command line of a made-up next release: this one with one more migration, in the folder of the first argument."""

import runpy
import sys
from pathlib import Path

from private_integrations_service import migrations
from private_integrations_service.migrations import known_versions

VERSION = "next"

_MIGRATION = """
from alembic import op

revision = "{version}"
down_revision = "{before}"
branch_labels = None
depends_on = None
usable_from = "{usable_from}"


def upgrade():
    op.execute("ALTER TABLE accounts ADD COLUMN later TEXT")
    op.execute("ALTER TABLE tokens ADD COLUMN later TEXT")
    op.execute("CREATE TABLE later (token_id BIGINT REFERENCES tokens (id))")
"""


def write_migration(folder: Path, *, usable_from: str) -> None:
    """Write the migration from this release's schema to the next one."""
    before = known_versions("postgresql")[-1]
    text = _MIGRATION.format(version=VERSION, before=before, usable_from=usable_from)
    (folder / "later.py").write_text(text)


if __name__ == "__main__":
    migrations._FOLDERS["postgresql"] = (*migrations._FOLDERS["postgresql"], Path(sys.argv.pop(1)))
    runpy.run_module("private_integrations.cli", run_name="__main__", alter_sys=True)
