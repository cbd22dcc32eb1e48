"""Create, edit, delete, test, list and replay webhooks, and change their secrets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from urllib.parse import urlsplit

from sqlalchemy import Connection

from private_integrations.contract import (
    PING,
    Account,
    AuditAction,
    Event,
    Problem,
    Refused,
    ReplayRequest,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEdit,
    WebhookRequest,
    WebhookSecretRequest,
    rfc3339,
)

from ..access.actors import Actor
from ..sealing import Sealer
from ..storage import accounts, audit, outbox
from ..storage import webhooks as stored
from ..storage.engine import Write
from ..storage.outbox import Delivery, State
from ..tokens.format import new_id
from ..webhooks.destinations import Destination, Destinations, destination
from ..webhooks.endpoints import Kind, WebhookEndpoint
from .data_events import DATA_EVENTS
from .deliveries import disable
from .operation import reads, writes
from .webhook_secrets import has_secret, is_readable, seal

MOST = 20
"""Limit an account to so many webhooks."""

EVENTS: Mapping[Kind, Sequence[str]] = MappingProxyType({"service": tuple(Event), "data": tuple(DATA_EVENTS)})
"""List the events for each kind of webhook."""

_EDITABLE = ("url", "description", "sub_accounts", "events", "disabled_at")

NO_SEALING_KEYS = Refused(
    Problem.SEALING_KEYS_MISSING, "the service runs without sealing keys; start it with --sealing-keys FILE"
)


@dataclass(frozen=True)
class MadeWebhook:
    """Hold the webhook of a request, and whether it is new."""

    endpoint: WebhookEndpoint
    created: bool


@writes
def make(
    write: Write, request: WebhookRequest, sealer: Sealer | None, allowed: Destinations, *, actor: Actor
) -> MadeWebhook | Refused:
    """Create a webhook, or answer a repeated request, which is recognized by its secret."""
    if sealer is None:
        return NO_SEALING_KEYS
    account = accounts.account_by_id(write.connection, request.account)
    if account is None or not actor.reaches(account.id):
        return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {request.account}")
    goal = _goal(request.url, allowed)
    if isinstance(goal, Refused):
        return goal
    refused = _refuse_events("service", request.events)
    if refused is None and request.sub_accounts:
        refused = _refuse_sub_accounts(write.connection, account, actor)
    if refused is not None:
        return refused
    present = stored.all_endpoints(write.connection, [account.id])
    repeated = next((found for found in present if has_secret(found, request.secret, sealer)), None)
    if repeated is not None:
        same = (repeated.url, repeated.sub_accounts) == (request.url, request.sub_accounts)
        return MadeWebhook(repeated, created=False) if same else _secret_used()
    if len(present) >= MOST:
        return Refused(Problem.WEBHOOK_LIMIT, f"account {account.id} has {MOST} webhooks already; delete one first")
    endpoint_id = new_id("whk_")
    endpoint = WebhookEndpoint(
        id=endpoint_id,
        account_id=account.id,
        kind="service",
        url=request.url,
        created_at=write.now,
        created_by=actor.name,
        events=None if request.events is None else tuple(request.events),
        description=request.description,
        sub_accounts=request.sub_accounts,
        sealed=seal(request.secret, sealer, endpoint_id, account.id),
    )
    stored.add_endpoint(write.connection, endpoint)
    _record(write, endpoint, actor, AuditAction.CREATE_WEBHOOK, host=goal.host, events=request.events)
    return MadeWebhook(endpoint, created=True)


@writes
def edit(
    write: Write, endpoint_id: str, change: WebhookEdit, allowed: Destinations, *, actor: Actor
) -> WebhookEndpoint | Refused:
    """Change the given values; enabling a webhook, or another URL, also clears its failures."""
    old = find.step(write.connection, endpoint_id, actor)
    if isinstance(old, Refused):
        return old
    new = _edited(old, change)
    refused = _refuse_edit(write.connection, old, new, allowed, actor)
    if refused is not None:
        return refused
    if new != old:
        stored.save_endpoint(write.connection, new)
        changed = sorted(name for name in _EDITABLE if getattr(new, name) != getattr(old, name))
        _record(
            write,
            new,
            actor,
            AuditAction.EDIT_WEBHOOK,
            changed=changed,
            host=urlsplit(new.url).hostname,
            events=new.events,
        )
    if change.enabled is False and old.disabled_at is None:
        return disable(write, new, "disabled on request", actor=actor)
    return new


@writes
def delete(write: Write, endpoint_id: str, *, actor: Actor) -> bool | Refused:
    """Delete a webhook with its waiting messages."""
    endpoint = find.step(write.connection, endpoint_id, actor)
    if isinstance(endpoint, Refused):
        return endpoint
    stored.remove_endpoint(write.connection, endpoint_id)
    _record(write, endpoint, actor, AuditAction.DELETE_WEBHOOK)
    return True


@writes
def rotate_secret(
    write: Write, endpoint_id: str, request: WebhookSecretRequest, sealer: Sealer | None, *, actor: Actor
) -> WebhookEndpoint | Refused:
    """Sign with another secret, and for the overlap with the present one beside it; a former one before that ends."""
    old = _find_service(write.connection, endpoint_id, actor)
    if isinstance(old, Refused):
        return old
    if sealer is None:
        return NO_SEALING_KEYS
    if has_secret(old, request.secret, sealer):
        return old
    refused = _refuse_hearing(write.connection, old, actor)
    if refused is not None:
        return refused
    overlap = timedelta(seconds=request.overlap_seconds)
    new = replace(
        old,
        sealed=seal(request.secret, sealer, old.id, old.account_id),
        former_sealed=old.sealed if overlap else None,
        former_until=write.now + overlap if overlap else None,
    )
    stored.save_endpoint(write.connection, new)
    _record(write, new, actor, AuditAction.ROTATE_WEBHOOK_SECRET, overlap_seconds=request.overlap_seconds)
    return new


@writes
def ping(write: Write, endpoint_id: str, *, actor: Actor) -> str | Refused:
    """Send an event that only tests the webhook; return the message's id."""
    endpoint = _find_service(write.connection, endpoint_id, actor)
    if isinstance(endpoint, Refused):
        return endpoint
    if endpoint.disabled_at is not None:
        return _disabled(endpoint)
    data = {"account": endpoint.account_id, "webhook_id": endpoint.id, "actor": actor.name}
    payload = {"type": PING, "timestamp": rfc3339(write.now), "data": data}
    message_id = new_id("msg_")
    outbox.add_delivery(write, endpoint, message_id, PING, json.dumps(payload, separators=(",", ":")).encode())
    return message_id


@writes
def replay(write: Write, endpoint_id: str, request: ReplayRequest, *, actor: Actor) -> int | Refused:
    """Send messages again, under the ids that they have; return how many."""
    endpoint = find.step(write.connection, endpoint_id, actor)
    if isinstance(endpoint, Refused):
        return endpoint
    if endpoint.disabled_at is not None:
        return _disabled(endpoint)
    count = outbox.replay(
        write.connection, endpoint_id, write.now, messages=request.messages, failed_since=request.failed_since
    )
    _record(write, endpoint, actor, AuditAction.REPLAY_WEBHOOK, messages=count)
    return count


@reads
def find(connection: Connection, endpoint_id: str, actor: Actor) -> WebhookEndpoint | Refused:
    """Return the webhook with this id; the actor can't find one in an account that it doesn't reach."""
    found = stored.endpoint_by_id(connection, endpoint_id, actor.accounts)
    return found or Refused(Problem.WEBHOOK_UNKNOWN, f"there is no webhook {endpoint_id}")


@reads
def listed(connection: Connection, sealer: Sealer | None, *, account: str | None = None, actor: Actor) -> list[Webhook]:
    """Return the webhooks of the accounts that the actor reaches, or of one of them."""
    reached = actor.accounts if account is None else [account] if actor.reaches(account) else []
    found = stored.all_endpoints(connection, reached)
    waiting = outbox.count_waiting(connection, [endpoint.id for endpoint in found])
    return [_shown(endpoint, sealer, waiting[endpoint.id]) for endpoint in found]


@reads
def shown(connection: Connection, endpoint: WebhookEndpoint, sealer: Sealer | None) -> Webhook:
    """Return a webhook for the API; never its secret."""
    return _shown(endpoint, sealer, outbox.count_waiting(connection, [endpoint.id])[endpoint.id])


@reads
def deliveries(
    connection: Connection,
    endpoint_id: str,
    *,
    state: State | None = None,
    before: int | None = None,
    limit: int,
    actor: Actor,
) -> tuple[list[WebhookDelivery], int | None] | Refused:
    """Return messages for a webhook, the newest first, and the number behind which the next page begins, if any."""
    endpoint = find.step(connection, endpoint_id, actor)
    if isinstance(endpoint, Refused):
        return endpoint
    found = outbox.deliveries_of(connection, endpoint.id, state=state, before=before, limit=limit + 1)
    page = found[:limit]
    attempts = outbox.attempts_of(connection, [delivery.id for delivery in page])
    answered = [
        _delivery(delivery, [WebhookAttempt(**vars(attempt)) for attempt in attempts[delivery.id]]) for delivery in page
    ]
    return answered, page[-1].id if len(found) > limit else None


def _find_service(connection: Connection, endpoint_id: str, actor: Actor) -> WebhookEndpoint | Refused:
    found = find.step(connection, endpoint_id, actor)
    if isinstance(found, WebhookEndpoint) and found.kind != "service":
        return Refused(
            Problem.WEBHOOK_NOT_SERVICE, f"{endpoint_id} is a webhook of data, which has no secret of its own"
        )
    return found


def _goal(url: str, allowed: Destinations) -> Destination | Refused:
    goal = destination(url, allowed)
    return goal if isinstance(goal, Destination) else Refused(Problem.WEBHOOK_URL_NOT_ALLOWED, goal)


def _refuse_events(kind: Kind, events: Sequence[str] | None) -> Refused | None:
    unknown = sorted(set(events or ()) - set(EVENTS[kind]))
    if not unknown:
        return None
    return Refused(
        Problem.WEBHOOK_EVENT_UNKNOWN, f"there is no event {unknown[0]}; there are {', '.join(EVENTS[kind])}"
    )


def _refuse_sub_accounts(connection: Connection, account: Account, actor: Actor) -> Refused | None:
    if not account.kind.has_sub_accounts:
        return Refused(Problem.WEBHOOK_NOT_AGENCY, f"{account.id} is no agency and has no sub-accounts")
    below = [found.id for found in accounts.list_accounts(connection) if found.agency_id == account.id]
    if all(actor.reaches(found) for found in below):
        return None
    return Refused(Problem.WEBHOOK_SUB_ACCOUNTS, f"not all sub-accounts of {account.id} are yours to hear of")


def _refuse_edit(
    connection: Connection, old: WebhookEndpoint, new: WebhookEndpoint, allowed: Destinations, actor: Actor
) -> Refused | None:
    if new.url != old.url:
        goal = _goal(new.url, allowed)
        if isinstance(goal, Refused):
            return goal
    # Also for one with sub-accounts already: a new URL receives their events.
    if any(getattr(new, name) != getattr(old, name) for name in ("url", "sub_accounts", "events", "disabled_at")):
        refused = _refuse_hearing(connection, new, actor)
        if refused is not None:
            return refused
    return None if new.events == old.events else _refuse_events(new.kind, new.events)


def _refuse_hearing(connection: Connection, endpoint: WebhookEndpoint, actor: Actor) -> Refused | None:
    """Refuse an actor that doesn't reach all accounts whose events this webhook receives."""
    if not endpoint.sub_accounts:
        return None
    account = accounts.account_by_id(connection, endpoint.account_id)
    assert account is not None, "the schema has seen to that"
    return _refuse_sub_accounts(connection, account, actor)


def _edited(old: WebhookEndpoint, change: WebhookEdit) -> WebhookEndpoint:
    new = replace(
        old,
        url=old.url if change.url is None else change.url,
        description=old.description if change.description is None else change.description,
        sub_accounts=old.sub_accounts if change.sub_accounts is None else change.sub_accounts,
    )
    if "events" in change.model_fields_set:
        new = replace(new, events=None if change.events is None else tuple(change.events))
    if new.url != old.url:
        new = replace(new, failing_since=None)
    if change.enabled:
        new = replace(new, disabled_at=None, disabled_because=None, failing_since=None)
    return new


def _disabled(endpoint: WebhookEndpoint) -> Refused:
    return Refused(Problem.WEBHOOK_DISABLED, f"{endpoint.id} is disabled: {endpoint.disabled_because}; enable it first")


def _secret_used() -> Refused:
    return Refused(Problem.WEBHOOK_SECRET_USED, "this secret is or was a webhook's of this account; make a new one")


def _shown(endpoint: WebhookEndpoint, sealer: Sealer | None, waiting: int) -> Webhook:
    return Webhook(
        id=endpoint.id,
        account=endpoint.account_id,
        kind=endpoint.kind,
        integration_id=endpoint.integration_id,
        url=endpoint.url,
        events=None if endpoint.events is None else list(endpoint.events),
        description=endpoint.description,
        sub_accounts=endpoint.sub_accounts,
        created_at=endpoint.created_at,
        created_by=endpoint.created_by,
        disabled_at=endpoint.disabled_at,
        disabled_because=endpoint.disabled_because,
        failing_since=endpoint.failing_since,
        former_secret_until=endpoint.former_until,
        secret_readable=is_readable(endpoint, sealer),
        waiting=waiting,
    )


def _delivery(delivery: Delivery, attempts: list[WebhookAttempt]) -> WebhookDelivery:
    return WebhookDelivery(
        message_id=delivery.message_id,
        event=delivery.event,
        created_at=delivery.created_at,
        state=delivery.state,
        next_attempt_at=delivery.next_attempt_at,
        settled_at=delivery.settled_at,
        attempts=attempts,
    )


def _record(write: Write, endpoint: WebhookEndpoint, actor: Actor, action: AuditAction, **detail: object) -> None:
    audit.record_account(write, endpoint.account_id, actor=actor, action=action, webhook=endpoint.id, **detail)
