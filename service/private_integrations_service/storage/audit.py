"""The audit log: one row for every committed change, in the same transaction."""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from private_integrations.contract import Integration

from ..actor import Actor
from .database import Write
from .tables import audit


def record(write: Write, integration: Integration, *, actor: Actor, action: str, **detail: object) -> None:
    """Write down who did what to which integration; `detail` never holds a token."""
    _add(write, actor, action, detail, account_id=integration.account, integration_id=integration.id)


def record_key(write: Write, *, actor: Actor, action: str, **detail: object) -> None:
    """Write down who did what to which management key; `detail` never holds a key."""
    _add(write, actor, action, detail)


def record_account(write: Write, account_id: str, *, actor: Actor, action: str, **detail: object) -> None:
    """Write down who did what to which account; `detail` never holds a credential or its digest."""
    _add(write, actor, action, detail, account_id=account_id)


def scopes_over_time(connection: Connection, integration_id: str) -> list[tuple[datetime, list[str]]]:
    """Which scopes an integration was given and when, the oldest first."""
    query = (
        select(audit.c.at, audit.c.detail)
        .where(audit.c.integration_id == integration_id, audit.c.action.in_(("create", "adopt", "edit")))
        .order_by(audit.c.id)
    )
    return [(row.at, row.detail["scopes"]) for row in connection.execute(query)]


def _add(write: Write, actor: Actor, action: str, detail: dict[str, object], **about: str) -> None:
    row = {"at": write.now, "actor": actor.name, "action": action, "detail": detail}
    write.connection.execute(insert(audit).values(**row, **about))
