"""Store the sandbox's businesses; the account is part of every condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select, update

from .tables import businesses


@dataclass(frozen=True)
class Business:
    """Hold a business: `fields` as they are shown."""

    id: str
    account_id: str
    fields: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


def list_businesses(connection: Connection, account_id: str, *, skip: int, limit: int) -> list[Business]:
    """Return at most `limit` businesses of the account, newest first, after the first `skip`."""
    query = select(businesses).where(businesses.c.account_id == account_id)
    newest_first = query.order_by(businesses.c.created_at.desc(), businesses.c.id.desc()).limit(limit).offset(skip)
    return [_business(row) for row in connection.execute(newest_first)]


def business_by_id(connection: Connection, account_id: str, business_id: str) -> Business | None:
    """Return the account's business with this id."""
    row = connection.execute(select(businesses).where(_is(account_id, business_id))).one_or_none()
    return None if row is None else _business(row)


def add_business(connection: Connection, business: Business) -> None:
    """Store a new business."""
    connection.execute(
        insert(businesses).values(
            id=business.id,
            account_id=business.account_id,
            fields=dict(business.fields),
            created_at=business.created_at,
            updated_at=business.updated_at,
        )
    )


def save_business(connection: Connection, business: Business) -> None:
    """Store a business as it is now."""
    is_it = _is(business.account_id, business.id)
    values = {"fields": dict(business.fields), "updated_at": business.updated_at}
    connection.execute(update(businesses).where(is_it).values(**values))


def remove_business(connection: Connection, account_id: str, business_id: str) -> bool:
    """Remove the account's business with this id, which no contact may belong to; False if there was none."""
    return connection.execute(delete(businesses).where(_is(account_id, business_id))).rowcount > 0


def _is(account_id: str, business_id: str) -> ColumnElement[bool]:
    return and_(businesses.c.account_id == account_id, businesses.c.id == business_id)


def _business(row: Row[Any]) -> Business:
    return Business(
        id=row.id,
        account_id=row.account_id,
        fields=row.fields,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
