"""Store accounts."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from private_integrations.contract import Account, AccountClass

from .tables import accounts


def list_accounts(connection: Connection, among: Collection[str] | None = None) -> list[Account]:
    """Return the accounts, agencies first, then by name; only those `among` them if given."""
    query = select(accounts).order_by(accounts.c.kind, accounts.c.name, accounts.c.id)
    rows = connection.execute(query if among is None else query.where(accounts.c.id.in_(among)))
    return [_account(row) for row in rows]


def accounts_within(connection: Connection, ids: Collection[str]) -> list[Account]:
    """Return these accounts, and the sub-accounts of the agencies among them; agencies first, then by name."""
    query = select(accounts).where(accounts.c.id.in_(ids) | accounts.c.agency_id.in_(ids))
    rows = connection.execute(query.order_by(accounts.c.kind, accounts.c.name, accounts.c.id))
    return [_account(row) for row in rows]


def account_by_id(connection: Connection, account_id: str) -> Account | None:
    """Return the account with this id."""
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).one_or_none()
    return None if row is None else _account(row)


def agencies_of(connection: Connection, account_ids: Collection[str]) -> dict[str, str | None]:
    """Return the agencies of those of these accounts that are known, by account; an agency has none."""
    rows = connection.execute(select(accounts.c.id, accounts.c.agency_id).where(accounts.c.id.in_(account_ids)))
    return {row.id: row.agency_id for row in rows}


def add_account(connection: Connection, account: Account, now: datetime) -> None:
    """Store a new account."""
    connection.execute(insert(accounts).values(**account.model_dump(), created_at=now))


def rename_account(connection: Connection, account_id: str, name: str) -> None:
    """Give an account another name."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(name=name))


def inactive_after(connection: Connection, account_ids: Collection[str]) -> dict[str, int | None]:
    """Return each account's own inactivity period in seconds; 0: never, None: the service's rule."""
    rows = connection.execute(select(accounts.c.id, accounts.c.inactive_after).where(accounts.c.id.in_(account_ids)))
    return {row.id: row.inactive_after for row in rows}


def save_inactive_after(connection: Connection, account_id: str, seconds: int | None) -> None:
    """Store an account's own rule for inactive tokens."""
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(inactive_after=seconds))


def _account(row: Row[Any]) -> Account:
    return Account(id=row.id, name=row.name, kind=AccountClass(row.kind), agency_id=row.agency_id)
