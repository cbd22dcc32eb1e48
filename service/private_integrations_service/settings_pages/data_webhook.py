"""Manage the data webhook of an integration; its deliveries are with the account's webhooks."""

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import DataWebhookRequest, Problem, Refused

from ..operations import data_webhooks, webhooks
from ..operations.data_events import DATA_EVENTS
from ..webhooks.endpoints import Endpoint
from .integration import ONE, shown
from .visits import Visit, signed_in
from .webhooks import chosen_events, fault_of

_PAGE = f"{ONE}/data-webhook"


def _show(visit: Visit) -> Response | Refused:
    return _page(visit)


def _page(visit: Visit, refused: Refused | None = None) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    settings = visit.rules.settings
    described = data_webhooks.described(visit.engine, found.integration.id, actor=visit.actor)
    if isinstance(described, Refused):
        return described
    endpoint = webhooks.find(visit.engine, described.webhook or "", visit.actor)
    state = webhooks.shown(visit.engine, endpoint, settings.sealer) if isinstance(endpoint, Endpoint) else None
    sealer = data_webhooks.sealer_of(settings)
    return visit.page(
        "data_webhook.html",
        status=200 if refused is None else refused.problem.status,
        shown=found,
        account=found.account,
        described=described,
        webhook=state,
        scopes=sorted({event.scope for event in DATA_EVENTS.values()}),
        impossible=sealer.detail if isinstance(sealer, Refused) else None,
        entered={
            "url": visit.field("url"),
            "description": visit.field("description"),
            "events": chosen_events(visit),
        },
        fault=refused and refused.detail,
    )


def _make(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    try:
        request = DataWebhookRequest(
            url=visit.field("url"), events=chosen_events(visit), description=visit.field("description")
        )
    except ValidationError as error:
        return _page(visit, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    put = data_webhooks.put_unseen(visit.engine, found.integration.id, request, visit.rules.settings, actor=visit.actor)
    if isinstance(put, Refused):
        return _page(visit, put)
    return visit.to(f"{found.address}/data-webhook", notice="data-webhook-made")


ROUTES = [
    Route(_PAGE, signed_in(_show), methods=["GET"]),
    Route(_PAGE, signed_in(_make), methods=["POST"]),
]
