"""Manage the webhooks of an account, show their deliveries, and replay messages."""

import re
from collections.abc import Callable
from datetime import timedelta

from pydantic import ValidationError
from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import (
    Account,
    Problem,
    Refused,
    ReplayRequest,
    WebhookEdit,
    WebhookRequest,
    WebhookSecretRequest,
    fault_reason,
    new_webhook_secret,
)

from ..operations import accounts, webhooks
from ..webhooks.endpoints import Endpoint
from .visits import Visit, signed_in

_PAGE = "/settings/accounts/{account_id}/webhooks"
_ONE = _PAGE + "/{webhook_id}"
_DELIVERIES = 50
_SECONDS = {"0": 0, "1d": 86_400, "7d": 7 * 86_400}


def _list(visit: Visit) -> Response | Refused:
    return _list_page(visit)


def _create(visit: Visit) -> Response | Refused:
    settings = visit.rules.settings
    try:
        request = WebhookRequest(
            account=visit.path["account_id"],
            url=visit.field("url"),
            # Made for the form, so that a form that is sent twice makes one webhook.
            secret=visit.field("secret"),
            events=chosen_events(visit),
            description=visit.field("description"),
            sub_accounts=bool(visit.field("sub_accounts")),
        )
    except ValidationError as error:
        return _list_page(visit, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    made = webhooks.make(visit.engine, request, settings.sealer, settings.destinations, actor=visit.actor)
    if isinstance(made, Refused):
        return made if made.problem == Problem.ACCOUNT_UNKNOWN else _list_page(visit, made)
    return _secret_page(visit, made.endpoint, request.secret)


def _show(visit: Visit) -> Response | Refused:
    return _webhook_page(visit)


def _edit(visit: Visit) -> Response | Refused:
    try:
        change = WebhookEdit(
            url=visit.field("url"),
            events=chosen_events(visit),
            description=visit.field("description"),
            sub_accounts=bool(visit.field("sub_accounts")),
        )
    except ValidationError as error:
        return _webhook_page(visit, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    return _changed(visit, change, "webhook-saved")


def _enable(visit: Visit) -> Response | Refused:
    return _changed(visit, WebhookEdit(enabled=True), "webhook-enabled")


def _disable(visit: Visit) -> Response | Refused:
    return _changed(visit, WebhookEdit(enabled=False), "webhook-disabled")


def _changed(visit: Visit, change: WebhookEdit, notice: str) -> Response | Refused:
    found = _found(visit)
    if isinstance(found, Refused):
        return found
    edited = webhooks.edit(visit.engine, found.id, change, visit.rules.settings.destinations, actor=visit.actor)
    if isinstance(edited, Refused):
        return _webhook_page(visit, edited)
    return visit.to(_address(visit, _ONE), notice=notice)


def _rotate_secret(visit: Visit) -> Response | Refused:
    seconds = _SECONDS.get(visit.field("overlap"), _SECONDS["1d"])
    try:
        request = WebhookSecretRequest(secret=visit.field("secret"), overlap_seconds=seconds)
    except ValidationError as error:
        return _webhook_page(visit, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    found = _found(visit)
    if isinstance(found, Refused):
        return found
    sealer = visit.rules.settings.sealer
    rotated = webhooks.rotate_secret(visit.engine, found.id, request, sealer, actor=visit.actor)
    if isinstance(rotated, Refused):
        return _webhook_page(visit, rotated)
    return _secret_page(visit, rotated, request.secret)


def _ping(visit: Visit) -> Response | Refused:
    def ping(endpoint: Endpoint) -> object:
        return webhooks.ping(visit.engine, endpoint.id, actor=visit.actor)

    return _done(visit, ping, "webhook-pinged")


def _replay(visit: Visit) -> Response | Refused:
    try:
        days = int(visit.field("days") or 0)
        since = visit.now - timedelta(days=days) if 0 < days <= 366 else None
        messages = [visit.field("message")] if since is None else []
        request = ReplayRequest(messages=messages, failed_since=since)
    except ValueError:
        return _webhook_page(visit, Refused(Problem.INVALID_REQUEST, "say which messages to send again"))

    def replay(endpoint: Endpoint) -> object:
        return webhooks.replay(visit.engine, endpoint.id, request, actor=visit.actor)

    return _done(visit, replay, "webhook-replayed")


def _delete(visit: Visit) -> Response | Refused:
    def delete(endpoint: Endpoint) -> object:
        return webhooks.delete(visit.engine, endpoint.id, actor=visit.actor)

    return _done(visit, delete, "webhook-deleted", to=_PAGE)


def _done(visit: Visit, operation: Callable[[Endpoint], object], notice: str, *, to: str = _ONE) -> Response | Refused:
    found = _found(visit)
    if isinstance(found, Refused):
        return found
    answer = operation(found)
    if isinstance(answer, Refused):
        return _webhook_page(visit, answer)
    return visit.to(_address(visit, to), notice=notice)


def _list_page(visit: Visit, refused: Refused | None = None) -> Response | Refused:
    sealer = visit.rules.settings.sealer
    account = _account(visit)
    if isinstance(account, Refused):
        return account
    found = webhooks.listed(visit.engine, sealer, account=account.id, actor=visit.actor)
    return visit.page(
        "webhooks.html",
        status=200 if refused is None else refused.problem.status,
        account=account,
        webhooks=found,
        can_seal=sealer is not None,
        events=webhooks.EVENTS["service"],
        form=_form(visit),
        secret=visit.field("secret") or new_webhook_secret(),
        fault=refused and refused.detail,
    )


def _webhook_page(visit: Visit, refused: Refused | None = None) -> Response | Refused:
    # Enough digits for every number of the database.
    before = re.fullmatch("[0-9]{1,18}", visit.query.get("before", ""))
    account = _account(visit)
    found = _found(visit)
    if isinstance(account, Refused) or isinstance(found, Refused):
        return Refused(Problem.WEBHOOK_UNKNOWN, "there is no such webhook")
    shown = webhooks.shown(visit.engine, found, visit.rules.settings.sealer)
    delivered = webhooks.deliveries(
        visit.engine, found.id, before=int(before[0]) if before else None, limit=_DELIVERIES, actor=visit.actor
    )
    if isinstance(delivered, Refused):
        return delivered
    page, following = delivered
    return visit.page(
        "webhook.html",
        status=200 if refused is None else refused.problem.status,
        account=account,
        webhook=shown,
        events=webhooks.EVENTS[found.kind],
        deliveries=page,
        following=following,
        secret=new_webhook_secret(),
        fault=refused and refused.detail,
    )


def _secret_page(visit: Visit, endpoint: Endpoint, secret: str) -> Response | Refused:
    """Show the only page that ever has this secret."""
    account = _account(visit)
    if isinstance(account, Refused):
        return account
    shown = webhooks.shown(visit.engine, endpoint, visit.rules.settings.sealer)
    return visit.page("webhook_secret.html", account=account, webhook=shown, secret=secret)


def _account(visit: Visit) -> Account | Refused:
    return accounts.found(visit.engine, visit.path["account_id"], actor=visit.actor)


def _found(visit: Visit) -> Endpoint | Refused:
    """Return the webhook of the path, which is in the path's account."""
    found = webhooks.find(visit.engine, visit.path["webhook_id"], visit.actor)
    if isinstance(found, Endpoint) and found.account_id != visit.path["account_id"]:
        return Refused(Problem.WEBHOOK_UNKNOWN, f"there is no webhook {found.id} in this account")
    return found


def chosen_events(visit: Visit) -> list[str] | None:
    """Return the events of a form; None for all of them."""
    return visit.form.get("event", []) if visit.field("which") == "some" else None


def _form(visit: Visit) -> dict[str, object]:
    """Return the input, to be corrected."""
    return {
        "url": visit.field("url"),
        "description": visit.field("description"),
        "events": chosen_events(visit),
        "sub_accounts": bool(visit.field("sub_accounts")),
    }


def fault_of(error: ValidationError) -> str:
    """Return the fault of an input, as the detail of a refusal."""
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if field == "events":
        return "choose at least one event, or all of them"
    return f"{field}: {fault_reason(first)}" if field else fault_reason(first)


def _address(visit: Visit, path: str) -> str:
    return path.format(**visit.path)


ROUTES = [
    Route(_PAGE, signed_in(_list), methods=["GET"]),
    Route(_PAGE, signed_in(_create), methods=["POST"]),
    Route(_ONE, signed_in(_show), methods=["GET"]),
    Route(_ONE, signed_in(_edit), methods=["POST"]),
    Route(f"{_ONE}/secret", signed_in(_rotate_secret), methods=["POST"]),
    Route(f"{_ONE}/enable", signed_in(_enable), methods=["POST"]),
    Route(f"{_ONE}/disable", signed_in(_disable), methods=["POST"]),
    Route(f"{_ONE}/ping", signed_in(_ping), methods=["POST"]),
    Route(f"{_ONE}/replay", signed_in(_replay), methods=["POST"]),
    Route(f"{_ONE}/delete", signed_in(_delete), methods=["POST"]),
]
