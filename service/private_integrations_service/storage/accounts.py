"""Accounts as stored."""

from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from private_integrations.contract import Account

from .tables import accounts


def all_accounts(connection: Connection) -> list[Account]:
    """Every account, agencies first, then by name."""
    columns = accounts.c
    rows = connection.execute(select(accounts).order_by(columns.kind, columns.name, columns.id))
    return [Account(id=row.id, name=row.name, kind=row.kind, agency_id=row.agency_id) for row in rows]


def has_account(connection: Connection, account_id: str) -> bool:
    """Whether there is such an account."""
    found = connection.execute(select(func.count()).where(accounts.c.id == account_id))
    return found.scalar_one() > 0


def agency_of(connection: Connection, account_id: str) -> str | None:
    """The agency that a sub-account belongs to; None for an agency or an unknown account."""
    return connection.execute(select(accounts.c.agency_id).where(accounts.c.id == account_id)).scalar_one_or_none()


def add_account(connection: Connection, account: Account, now: datetime) -> None:
    """Store a new account."""
    connection.execute(insert(accounts).values(**account.model_dump(), created_at=now))
