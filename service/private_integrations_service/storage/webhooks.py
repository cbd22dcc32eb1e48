"""Store webhooks, with their secrets sealed."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, insert, or_, select, update

from ..webhooks.endpoints import Kind, WebhookEndpoint
from .tables import accounts, webhook_deliveries, webhook_endpoints


def add_endpoint(connection: Connection, endpoint: WebhookEndpoint) -> None:
    """Store a new webhook."""
    connection.execute(insert(webhook_endpoints).values(**asdict(endpoint)))


def save_endpoint(connection: Connection, endpoint: WebhookEndpoint) -> None:
    """Store a webhook as it is now."""
    connection.execute(
        update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint.id).values(**asdict(endpoint))
    )


def remove_endpoint(connection: Connection, endpoint_id: str) -> None:
    """Delete a webhook with all its deliveries."""
    connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id))


def endpoint_by_id(
    connection: Connection, endpoint_id: str, accounts: Collection[str] | None = None
) -> WebhookEndpoint | None:
    """Return the webhook with this id, within these accounts if any are given."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)
    if accounts is not None:
        query = query.where(webhook_endpoints.c.account_id.in_(accounts))
    row = connection.execute(query).one_or_none()
    return None if row is None else _endpoint(row)


def all_endpoints(
    connection: Connection, accounts: Collection[str] | None = None, *, kind: Kind | None = None
) -> list[WebhookEndpoint]:
    """Return every webhook, the oldest first; only those in these accounts, and of this kind, if given."""
    query = select(webhook_endpoints)
    if accounts is not None:
        query = query.where(webhook_endpoints.c.account_id.in_(accounts))
    if kind is not None:
        query = query.where(webhook_endpoints.c.kind == kind)
    rows = connection.execute(query.order_by(webhook_endpoints.c.created_at, webhook_endpoints.c.id))
    return [_endpoint(row) for row in rows]


# Built once, as every change runs it: building it takes several times as long as running it.
_SUBSCRIBED = (
    select(webhook_endpoints)
    .where(
        webhook_endpoints.c.kind == bindparam("of_kind"),
        or_(
            webhook_endpoints.c.account_id == bindparam("account"),
            and_(
                webhook_endpoints.c.account_id
                == select(accounts.c.agency_id).where(accounts.c.id == bindparam("account")).scalar_subquery(),
                webhook_endpoints.c.sub_accounts,
            ),
        ),
    )
    .order_by(webhook_endpoints.c.id)
)


def subscribed(connection: Connection, account_id: str, kind: Kind, event: str) -> list[WebhookEndpoint]:
    """Return the webhooks of this kind that receive an event of this account, its agency's and disabled ones too."""
    found = [_endpoint(row) for row in connection.execute(_SUBSCRIBED, {"account": account_id, "of_kind": kind})]
    return [endpoint for endpoint in found if endpoint.wants(event)]


def endpoints_with_due(connection: Connection, now: datetime) -> list[WebhookEndpoint]:
    """Return the enabled webhooks with a due delivery, those that have waited longest first."""
    due = (
        select(webhook_deliveries.c.endpoint_id, func.min(webhook_deliveries.c.next_attempt_at).label("since"))
        .where(webhook_deliveries.c.state == "waiting", webhook_deliveries.c.next_attempt_at <= now)
        .group_by(webhook_deliveries.c.endpoint_id)
        .subquery()
    )
    query = select(webhook_endpoints).join(due).where(webhook_endpoints.c.disabled_at.is_(None))
    return [_endpoint(row) for row in connection.execute(query.order_by(due.c.since, webhook_endpoints.c.id))]


def _endpoint(row: Row[Any]) -> WebhookEndpoint:
    columns = dict(row._mapping)
    events = columns.pop("events")
    return WebhookEndpoint(**columns, events=None if events is None else tuple(events))
