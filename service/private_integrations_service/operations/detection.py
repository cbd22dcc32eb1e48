"""Detect rotations that became due or overdue, and overlaps that ended, and publish events.

A job publishes each occurrence once, in one transaction with the record that it was published. If a rotation becomes
due while no webhook is subscribed, the first webhook that subscribes receives the event.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import Connection

from private_integrations.contract import EndReason, Event, Integration, TokenState, rfc3339
from private_integrations.rotation.decisions import due_since, status

from ..access.actors import Actor
from ..storage import integrations, published_events, tokens, webhooks
from ..storage.accounts import list_accounts
from ..storage.engine import StorageEngine, Write
from ..tokens.policy_defaults import in_force
from .activity import RefusedScope
from .events import publish, publish_end
from .generations import token_states

_SERVICE = Actor("service")
_PAGE = 500
_RETIRED = Event.TOKEN_RETIRED
_REFUSED = Event.SCOPE_REFUSED_OFTEN

OFTEN = 20
"""Publish an event for so many refused requests in a day."""


def publish_due(engine: StorageEngine) -> None:
    """Publish an event for each rotation that has become due or overdue."""
    found = []
    with engine.read() as connection:
        now = engine.now()
        for page in _watched(connection):
            for integration, event, _ in _unpublished(connection, page, now):
                if webhooks.subscribed(connection, integration.account, "service", event):
                    found.append(integration.id)
    for start in range(0, len(found), _PAGE):
        with engine.write() as write:
            # Read again, because these may have been rotated meanwhile.
            chosen = integrations.list_integrations(write.connection, ids=found[start : start + _PAGE], limit=_PAGE)
            for integration, event, due in _unpublished(write.connection, chosen, write.now):
                _publish(write, integration, event, due)


def publish_ended_overlaps(engine: StorageEngine) -> None:
    """Publish an event for each token whose overlap has ended since the last time."""
    with engine.read() as connection:
        if not tokens.run_out(connection, published_events.published_until(connection, _RETIRED), engine.now()):
            return
    with engine.write() as write:
        since = published_events.published_until(write.connection, _RETIRED)
        for integration_id, token in tokens.run_out(write.connection, since, write.now):
            integration = integrations.integration_by_id(write.connection, integration_id)
            assert integration is not None, "it is not deleted"
            publish_end(write, integration, token, because=EndReason.OVERLAP_ENDED, actor=_SERVICE)
        published_events.note_until(write.connection, _RETIRED, write.now)


def publish_refused_often(engine: StorageEngine, refused: Iterable[RefusedScope]) -> None:
    """Publish an event for each scope for want of which many requests were refused, once a day in UTC."""
    today = engine.now().replace(hour=0, minute=0, second=0, microsecond=0)
    found = [(one.integration_id, one.scope, f"{_REFUSED} {one.scope}", one.requests) for one in refused]
    with engine.read() as connection:
        published = published_events.published_occurrences(connection, [integration_id for integration_id, *_ in found])
    fresh = [one for one in found if published.get((one[0], one[2])) != today]
    if not fresh:
        return
    with engine.write() as write:
        for integration_id, scope, name, count in fresh:
            integration = integrations.integration_by_id(write.connection, integration_id)
            # The integration may be deleted by now, or hold the scope.
            if integration is None or scope in integration.scopes:
                continue
            is_published = publish(
                write,
                _REFUSED,
                account=integration.account,
                integration=integration,
                actor=_SERVICE.name,
                scope=scope,
                requests=count,
            )
            if is_published:
                published_events.note_occurrence(write.connection, integration_id, name, today)


def _watched(connection: Connection) -> Iterator[list[Integration]]:
    """Yield the integrations of accounts with a subscribed webhook, by pages."""
    endpoints = webhooks.all_endpoints(connection, kind="service")
    own = {endpoint.account_id for endpoint in endpoints}
    agencies = {endpoint.account_id for endpoint in endpoints if endpoint.sub_accounts}
    below = {account.id for account in list_accounts(connection) if account.agency_id in agencies}
    after, among = "", own | below
    while page := integrations.list_integrations(connection, accounts=among, after=after, limit=_PAGE):
        yield page
        after = page[-1].id


def _unpublished(
    connection: Connection, found: list[Integration], now: datetime
) -> Iterator[tuple[Integration, Event, datetime]]:
    """Yield the integrations that are due or overdue and not published yet, with the due instant."""
    published = published_events.published_occurrences(connection, [integration.id for integration in found])
    for integration, state in zip(found, token_states.step(connection, found, now), strict=True):
        for event, due in _due_events(integration, state, now):
            if published.get((integration.id, event)) != due:
                yield integration, event, due


def _due_events(integration: Integration, state: TokenState, now: datetime) -> Iterator[tuple[Event, datetime]]:
    policy = in_force(integration.rotation)
    due = due_since(policy, state, now)
    if due is not None:
        yield Event.ROTATION_DUE, due
        if status(policy, state, now) == "overdue":
            yield Event.ROTATION_OVERDUE, due


def _publish(write: Write, integration: Integration, event: Event, due: datetime) -> None:
    rule = in_force(integration.rotation).rule
    published = publish(
        write,
        event,
        account=integration.account,
        integration=integration,
        actor=_SERVICE.name,
        due_at=rfc3339(due),
        rule=rule,
    )
    if published:
        published_events.note_occurrence(write.connection, integration.id, event, due)
