"""The audit log: one row for every committed change, in the same transaction."""

from sqlalchemy import insert

from private_integrations.contract import Integration

from .database import Write
from .tables import audit


def record(write: Write, integration: Integration, *, actor: str, action: str, **detail: object) -> None:
    """Write down who did what to which integration; `detail` never holds a token."""
    write.connection.execute(
        insert(audit).values(
            at=write.now,
            actor=actor,
            action=action,
            account_id=integration.account,
            integration_id=integration.id,
            detail=detail,
        )
    )
