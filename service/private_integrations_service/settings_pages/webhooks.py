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
from ..webhooks.endpoints import WebhookEndpoint
from .page_requests import PageRequest, signed_in

_PAGE = "/settings/accounts/{account_id}/webhooks"
_ONE = _PAGE + "/{webhook_id}"
_DELIVERIES = 50
_SECONDS = {"0": 0, "1d": 86_400, "7d": 7 * 86_400}


def _list(asking: PageRequest) -> Response | Refused:
    return _list_page(asking)


def _create(asking: PageRequest) -> Response | Refused:
    settings = asking.rules.settings
    try:
        request = WebhookRequest(
            account=asking.path["account_id"],
            url=asking.field("url"),
            # Made for the form, so that a form that is sent twice makes one webhook.
            secret=asking.field("secret"),
            events=chosen_events(asking),
            description=asking.field("description"),
            sub_accounts=bool(asking.field("sub_accounts")),
        )
    except ValidationError as error:
        return _list_page(asking, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    made = webhooks.make(asking.engine, request, settings.sealer, settings.destinations, actor=asking.actor)
    if isinstance(made, Refused):
        return made if made.problem == Problem.ACCOUNT_UNKNOWN else _list_page(asking, made)
    return _secret_page(asking, made.endpoint, request.secret)


def _show(asking: PageRequest) -> Response | Refused:
    return _webhook_page(asking)


def _edit(asking: PageRequest) -> Response | Refused:
    try:
        change = WebhookEdit(
            url=asking.field("url"),
            events=chosen_events(asking),
            description=asking.field("description"),
            sub_accounts=bool(asking.field("sub_accounts")),
        )
    except ValidationError as error:
        return _webhook_page(asking, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    return _changed(asking, change, "webhook-saved")


def _enable(asking: PageRequest) -> Response | Refused:
    return _changed(asking, WebhookEdit(enabled=True), "webhook-enabled")


def _disable(asking: PageRequest) -> Response | Refused:
    return _changed(asking, WebhookEdit(enabled=False), "webhook-disabled")


def _changed(asking: PageRequest, change: WebhookEdit, notice: str) -> Response | Refused:
    found = _found(asking)
    if isinstance(found, Refused):
        return found
    edited = webhooks.edit(asking.engine, found.id, change, asking.rules.settings.destinations, actor=asking.actor)
    if isinstance(edited, Refused):
        return _webhook_page(asking, edited)
    return asking.to(_address(asking, _ONE), notice=notice)


def _rotate_secret(asking: PageRequest) -> Response | Refused:
    seconds = _SECONDS.get(asking.field("overlap"), _SECONDS["1d"])
    try:
        request = WebhookSecretRequest(secret=asking.field("secret"), overlap_seconds=seconds)
    except ValidationError as error:
        return _webhook_page(asking, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    found = _found(asking)
    if isinstance(found, Refused):
        return found
    sealer = asking.rules.settings.sealer
    rotated = webhooks.rotate_secret(asking.engine, found.id, request, sealer, actor=asking.actor)
    if isinstance(rotated, Refused):
        return _webhook_page(asking, rotated)
    return _secret_page(asking, rotated, request.secret)


def _ping(asking: PageRequest) -> Response | Refused:
    def ping(endpoint: WebhookEndpoint) -> object:
        return webhooks.ping(asking.engine, endpoint.id, actor=asking.actor)

    return _done(asking, ping, "webhook-pinged")


def _replay(asking: PageRequest) -> Response | Refused:
    try:
        days = int(asking.field("days") or 0)
        since = asking.now - timedelta(days=days) if 0 < days <= 366 else None
        messages = [asking.field("message")] if since is None else []
        request = ReplayRequest(messages=messages, failed_since=since)
    except ValueError:
        return _webhook_page(asking, Refused(Problem.INVALID_REQUEST, "say which messages to send again"))

    def replay(endpoint: WebhookEndpoint) -> object:
        return webhooks.replay(asking.engine, endpoint.id, request, actor=asking.actor)

    return _done(asking, replay, "webhook-replayed")


def _delete(asking: PageRequest) -> Response | Refused:
    def delete(endpoint: WebhookEndpoint) -> object:
        return webhooks.delete(asking.engine, endpoint.id, actor=asking.actor)

    return _done(asking, delete, "webhook-deleted", to=_PAGE)


def _done(
    asking: PageRequest, operation: Callable[[WebhookEndpoint], object], notice: str, *, to: str = _ONE
) -> Response | Refused:
    found = _found(asking)
    if isinstance(found, Refused):
        return found
    answer = operation(found)
    if isinstance(answer, Refused):
        return _webhook_page(asking, answer)
    return asking.to(_address(asking, to), notice=notice)


def _list_page(asking: PageRequest, refused: Refused | None = None) -> Response | Refused:
    sealer = asking.rules.settings.sealer
    account = _account(asking)
    if isinstance(account, Refused):
        return account
    found = webhooks.listed(asking.engine, sealer, account=account.id, actor=asking.actor)
    return asking.page(
        "webhooks.html",
        status=200 if refused is None else refused.problem.status,
        account=account,
        webhooks=found,
        can_seal=sealer is not None,
        events=webhooks.EVENTS["service"],
        form=_form(asking),
        secret=asking.field("secret") or new_webhook_secret(),
        fault=refused and refused.detail,
    )


def _webhook_page(asking: PageRequest, refused: Refused | None = None) -> Response | Refused:
    # Enough digits for every number of the database.
    before = re.fullmatch("[0-9]{1,18}", asking.query.get("before", ""))
    account = _account(asking)
    found = _found(asking)
    if isinstance(account, Refused) or isinstance(found, Refused):
        return Refused(Problem.WEBHOOK_UNKNOWN, "there is no such webhook")
    shown = webhooks.shown(asking.engine, found, asking.rules.settings.sealer)
    delivered = webhooks.deliveries(
        asking.engine, found.id, before=int(before[0]) if before else None, limit=_DELIVERIES, actor=asking.actor
    )
    if isinstance(delivered, Refused):
        return delivered
    page, following = delivered
    return asking.page(
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


def _secret_page(asking: PageRequest, endpoint: WebhookEndpoint, secret: str) -> Response | Refused:
    """Show the only page that ever has this secret."""
    account = _account(asking)
    if isinstance(account, Refused):
        return account
    shown = webhooks.shown(asking.engine, endpoint, asking.rules.settings.sealer)
    return asking.page("webhook_secret.html", account=account, webhook=shown, secret=secret)


def _account(asking: PageRequest) -> Account | Refused:
    return accounts.found(asking.engine, asking.path["account_id"], actor=asking.actor)


def _found(asking: PageRequest) -> WebhookEndpoint | Refused:
    """Return the webhook of the path, which is in the path's account."""
    found = webhooks.find(asking.engine, asking.path["webhook_id"], asking.actor)
    if isinstance(found, WebhookEndpoint) and found.account_id != asking.path["account_id"]:
        return Refused(Problem.WEBHOOK_UNKNOWN, f"there is no webhook {found.id} in this account")
    return found


def chosen_events(asking: PageRequest) -> list[str] | None:
    """Return the events of a form; None for all of them."""
    return asking.form.get("event", []) if asking.field("which") == "some" else None


def _form(asking: PageRequest) -> dict[str, object]:
    """Return the input, to be corrected."""
    return {
        "url": asking.field("url"),
        "description": asking.field("description"),
        "events": chosen_events(asking),
        "sub_accounts": bool(asking.field("sub_accounts")),
    }


def fault_of(error: ValidationError) -> str:
    """Return the fault of an input, as the detail of a refusal."""
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if field == "events":
        return "choose at least one event, or all of them"
    return f"{field}: {fault_reason(first)}" if field else fault_reason(first)


def _address(asking: PageRequest, path: str) -> str:
    return path.format(**asking.path)


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
