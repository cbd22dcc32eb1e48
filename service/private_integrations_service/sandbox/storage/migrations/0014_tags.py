"""Tags in lower case, as the platform keeps them: those of contacts, and those of locations.

Frozen: a migration is history. Change a table with a new migration.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Write stored tags in lower case, each once; of a location's tags that become one, one stays."""
    connection = op.get_bind()
    for id_, text in connection.execute(sa.text("SELECT id, fields FROM contacts")).all():
        fields = json.loads(text)
        tags = list(dict.fromkeys(tag.lower() for tag in fields.get("tags", ())))
        if tags != fields.get("tags", []):
            changed = json.dumps({**fields, "tags": tags})
            connection.execute(
                sa.text("UPDATE contacts SET fields = :fields WHERE id = :id"), {"id": id_, "fields": changed}
            )
    kept: dict[tuple[str, str], str] = {}
    found = connection.execute(sa.text("SELECT id, account_id, name FROM location_tags ORDER BY name DESC, id")).all()
    # Lower case comes behind upper case: one that is written so already stays what it is.
    for id_, account_id, name in found:
        if kept.setdefault((account_id, name.lower()), id_) != id_:
            connection.execute(sa.text("DELETE FROM location_tags WHERE id = :id"), {"id": id_})
    for (_, name), id_ in kept.items():
        connection.execute(sa.text("UPDATE location_tags SET name = :name WHERE id = :id"), {"id": id_, "name": name})
