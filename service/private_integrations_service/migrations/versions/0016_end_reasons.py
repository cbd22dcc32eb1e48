"""Store why a token ended as the name of a reason and its detail, in place of a sentence.

Frozen: a migration is history. Change a table with a new migration.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_REASONS = {
    "overlap ended": "overlap-ended",
    "gave way to a newer token": "gave-way",
    "replaced without overlap": "replaced-without-overlap",
    "replaced on request": "replaced-on-request",
    "answer lost, issued again": "issued-again",
    "rotation cancelled": "cancelled",
    "expired on request": "expired-on-request",
    "reported as leaked": "leaked",
    "integration deleted": "integration-deleted",
}
_INACTIVE = "not used for "


def upgrade() -> None:
    """Rename the column, add one for the detail, and name the reason of every sentence that the service has written."""
    op.execute("ALTER TABLE tokens RENAME COLUMN ended_because TO end_reason")
    op.add_column("tokens", sa.Column("end_detail", sa.String(), nullable=True))
    connection = op.get_bind()
    connection.execute(
        sa.text(
            "UPDATE tokens SET end_reason = 'inactive', end_detail = substr(end_reason, :begin)"
            " WHERE substr(end_reason, 1, :begin - 1) = :inactive"
        ),
        {"begin": len(_INACTIVE) + 1, "inactive": _INACTIVE},
    )
    for sentence, reason in _REASONS.items():
        connection.execute(
            sa.text("UPDATE tokens SET end_reason = :reason WHERE end_reason = :sentence"),
            {"sentence": sentence, "reason": reason},
        )
    # No release has written another sentence. If a row has one all the same, it must not break the pages.
    names = sa.bindparam("names", value=[*_REASONS.values(), "inactive"], expanding=True)
    connection.execute(
        sa.text(
            "UPDATE tokens SET end_detail = end_reason, end_reason = 'expired-on-request'"
            " WHERE end_reason NOT IN :names"
        ).bindparams(names)
    )
