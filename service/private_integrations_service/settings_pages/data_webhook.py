"""The data webhook of an integration: where the events of what it may read are sent; its log is with the webhooks."""

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import DataWebhookRequest, Integration, Problem, Refused

from ..operations import data_webhooks, webhooks
from ..operations.data_events import DATA_EVENTS
from ..operations.data_webhooks import Put
from ..storage.sqlite.database import Write
from ..storage.webhooks import Endpoint
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
    with visit.database.read() as connection:
        described = data_webhooks.described(connection, found.integration)
        endpoint = webhooks.find(connection, described.webhook or "", visit.actor)
        state = webhooks.shown(connection, endpoint, settings.sealer) if isinstance(endpoint, Endpoint) else None
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
    with visit.database.write(visit.now, verdicts=False) as write:
        put = _put(write, visit, found.integration, request)
    if isinstance(put, Refused):
        return _page(visit, put)
    return visit.to(f"{found.address}/data-webhook", notice="data-webhook-made")


def _put(write: Write, visit: Visit, integration: Integration, request: DataWebhookRequest) -> Put | Refused:
    """Make it; where there is one by now, nothing is put in its place unseen, and a repetition changes nothing."""
    present = data_webhooks.described(write.connection, integration)
    if present.url is None:
        return data_webhooks.put(write, integration.id, request, visit.rules.settings, actor=visit.actor)
    if present.url == request.url:
        return Put(present, created=False)
    return Refused(Problem.VERSION_OLD, "somebody gave it a data webhook meanwhile, which is shown below")


ROUTES = [
    Route(_PAGE, signed_in(_show), methods=["GET"]),
    Route(_PAGE, signed_in(_make), methods=["POST"]),
]
