"""Manage the data webhook of an integration, which receives the events of the data that it may read."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from private_integrations.contract import AuditAction, DataWebhook, DataWebhookRequest, Integration, Problem, Refused

from ..access.actors import Actor
from ..sealing import Sealer
from ..settings import Settings
from ..storage import audit
from ..storage import webhooks as stored
from ..storage.accounts import account_by_id
from ..storage.engine import Write
from ..storage.signing_key import read_key
from ..tokens.format import new_id
from ..webhooks.destinations import Destination, Destinations, destination
from ..webhooks.endpoints import WebhookEndpoint
from . import integrations, signing
from .data_events import DATA_EVENTS, app_id, events_for, version_id
from .operation import reads, writes
from .webhooks import MOST, NO_SEALING_KEYS

_OF_THE_PLATFORM = Refused(
    Problem.DATA_WEBHOOKS_OF_PLATFORM, "this service is a gateway: the data is the platform's, which tells of it itself"
)


@dataclass(frozen=True)
class MadeDataWebhook:
    """Hold the data webhook of a request, and whether it is new."""

    webhook: DataWebhook
    created: bool


@writes
def put(
    write: Write, integration_id: str, request: DataWebhookRequest, settings: Settings, *, actor: Actor
) -> MadeDataWebhook | Refused:
    """Create or change an integration's data webhook; the service's first one creates the signing key of all.

    A new URL starts without the failures of the former one.
    """
    integration = integrations.find.step(write.connection, integration_id, actor)
    if isinstance(integration, Refused):
        return integration
    sealer = sealer_of(settings)
    if isinstance(sealer, Refused):
        return sealer
    goal = _goal(request, settings.destinations)
    if isinstance(goal, Refused):
        return goal
    present = _endpoint_of(write.connection, integration)
    if present is None and len(stored.all_endpoints(write.connection, [integration.account])) >= MOST:
        return Refused(
            Problem.WEBHOOK_LIMIT, f"account {integration.account} has {MOST} webhooks already; delete one first"
        )
    signing.ensure_key(write, sealer)
    wanted = _wanted(write, present, integration, request, actor)
    if present is None:
        stored.add_endpoint(write.connection, wanted)
    elif wanted != present:
        stored.save_endpoint(write.connection, wanted)
    if wanted != present:
        audit.record(
            write,
            integration,
            actor=actor,
            action=AuditAction.SET_DATA_WEBHOOK,
            webhook=wanted.id,
            host=goal.host,
            events=request.events,
        )
    return MadeDataWebhook(describe(write.connection, integration), created=present is None)


@writes
def put_unseen(
    write: Write, integration_id: str, request: DataWebhookRequest, settings: Settings, *, actor: Actor
) -> MadeDataWebhook | Refused:
    """Make an integration's data webhook; refuse to replace another one that was made meanwhile.

    A repetition changes nothing.
    """
    present = described.step(write.connection, integration_id, actor=actor)
    if isinstance(present, Refused):
        return present
    if present.url is None:
        return put.step(write, integration_id, request, settings, actor=actor)
    if present.url == request.url:
        return MadeDataWebhook(present, created=False)
    return Refused(Problem.VERSION_OLD, "somebody gave it a data webhook meanwhile, which is shown below")


def sealer_of(settings: Settings) -> Sealer | Refused:
    """Return the sealer for data webhooks, or a refusal if the service's settings allow no data webhook."""
    if settings.upstream is not None:
        return _OF_THE_PLATFORM
    return settings.sealer or NO_SEALING_KEYS


@reads
def described(connection: Connection, integration_id: str, *, actor: Actor) -> DataWebhook | Refused:
    """Return an integration's data webhook, also before it has one."""
    integration = integrations.find.step(connection, integration_id, actor)
    return integration if isinstance(integration, Refused) else describe(connection, integration)


def describe(connection: Connection, integration: Integration) -> DataWebhook:
    """Describe an integration's data webhook, also before it has one."""
    account, key = account_by_id(connection, integration.account), read_key(connection)
    assert account is not None, "the schema has seen to that"
    endpoint = _endpoint_of(connection, integration)
    possible = events_for(integration, account.kind)
    return DataWebhook(
        integration=integration.id,
        webhook=None if endpoint is None else endpoint.id,
        url=None if endpoint is None else endpoint.url,
        events=[event for event in possible if endpoint is None or endpoint.wants(event)],
        app_id=app_id(integration.id),
        version_id=version_id(integration.id),
        public_key=None if key is None else key.public,
    )


def _goal(request: DataWebhookRequest, allowed: Destinations) -> Destination | Refused:
    unknown = sorted(set(request.events or ()) - DATA_EVENTS.keys())
    if unknown:
        return Refused(
            Problem.WEBHOOK_EVENT_UNKNOWN, f"there is no event {unknown[0]}; there are {', '.join(DATA_EVENTS)}"
        )
    goal = destination(request.url, allowed)
    return goal if isinstance(goal, Destination) else Refused(Problem.WEBHOOK_URL_NOT_ALLOWED, goal)


def _endpoint_of(connection: Connection, integration: Integration) -> WebhookEndpoint | None:
    found = stored.all_endpoints(connection, [integration.account], kind="data")
    return next((endpoint for endpoint in found if endpoint.integration_id == integration.id), None)


def _wanted(
    write: Write, present: WebhookEndpoint | None, integration: Integration, request: DataWebhookRequest, actor: Actor
) -> WebhookEndpoint:
    """Return the wanted webhook."""
    base = present or WebhookEndpoint(
        id=new_id("whk_"),
        account_id=integration.account,
        kind="data",
        url=request.url,
        created_at=write.now,
        created_by=actor.name,
        integration_id=integration.id,
    )
    events = None if request.events is None else tuple(request.events)
    wanted = replace(base, url=request.url, events=events, description=request.description)
    return wanted if wanted.url == base.url else replace(wanted, failing_since=None)
