"""Accounts as stored."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from private_integrations.contract import Account

from .tables import accounts


def all_accounts(connection: Connection) -> list[Account]:
    """Every account, agencies first, then by name."""
    columns = accounts.c
    rows = connection.execute(select(accounts).order_by(columns.kind, columns.name, columns.id))
    return [_account(row) for row in rows]


def account_by_id(connection: Connection, account_id: str) -> Account | None:
    """The account with this id."""
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).one_or_none()
    return None if row is None else _account(row)


def add_account(connection: Connection, account: Account, now: datetime) -> None:
    """Store a new account."""
    connection.execute(insert(accounts).values(**account.model_dump(), created_at=now))


def _account(row: Row[Any]) -> Account:
    return Account(id=row.id, name=row.name, kind=row.kind, agency_id=row.agency_id)
