"""Manage the data webhook of an integration; its deliveries are with the account's webhooks."""

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import DataWebhookRequest, Problem, Refused

from ..operations import data_webhooks, webhooks
from ..operations.data_events import DATA_EVENTS
from ..webhooks.endpoints import WebhookEndpoint
from .integration import ONE, shown
from .page_requests import PageRequest, signed_in
from .webhooks import chosen_events, fault_of

_PAGE = f"{ONE}/data-webhook"


def _show(asking: PageRequest) -> Response | Refused:
    return _page(asking)


def _page(asking: PageRequest, refused: Refused | None = None) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    settings = asking.rules.settings
    described = data_webhooks.described(asking.engine, found.integration.id, actor=asking.actor)
    if isinstance(described, Refused):
        return described
    endpoint = webhooks.find(asking.engine, described.webhook or "", asking.actor)
    state = webhooks.shown(asking.engine, endpoint, settings.sealer) if isinstance(endpoint, WebhookEndpoint) else None
    sealer = data_webhooks.sealer_of(settings)
    return asking.page(
        "data_webhook.html",
        status=200 if refused is None else refused.problem.status,
        shown=found,
        account=found.account,
        described=described,
        webhook=state,
        scopes=sorted({event.scope for event in DATA_EVENTS.values()}),
        impossible=sealer.detail if isinstance(sealer, Refused) else None,
        entered={
            "url": asking.field("url"),
            "description": asking.field("description"),
            "events": chosen_events(asking),
        },
        fault=refused and refused.detail,
    )


def _make(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    try:
        request = DataWebhookRequest(
            url=asking.field("url"), events=chosen_events(asking), description=asking.field("description")
        )
    except ValidationError as error:
        return _page(asking, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    put = data_webhooks.put_unseen(
        asking.engine, found.integration.id, request, asking.rules.settings, actor=asking.actor
    )
    if isinstance(put, Refused):
        return _page(asking, put)
    return asking.to(f"{found.address}/data-webhook", notice="data-webhook-made")


ROUTES = [
    Route(_PAGE, signed_in(_show), methods=["GET"]),
    Route(_PAGE, signed_in(_make), methods=["POST"]),
]
