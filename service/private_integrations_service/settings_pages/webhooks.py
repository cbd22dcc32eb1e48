"""Webhooks of an account: where its events are sent, what was sent, and to send it again."""

import re
from collections.abc import Callable
from datetime import timedelta

from pydantic import ValidationError
from sqlalchemy import Connection
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

from ..operations import webhooks
from ..storage.accounts import account_by_id
from ..storage.sqlite.database import Write
from ..storage.webhooks import Endpoint
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
            # Made for the form: sent twice, it is the same webhook.
            secret=visit.field("secret"),
            events=chosen_events(visit),
            description=visit.field("description"),
            sub_accounts=bool(visit.field("sub_accounts")),
        )
    except ValidationError as error:
        return _list_page(visit, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    with visit.database.write(visit.now, verdicts=False) as write:
        made = webhooks.make(write, request, settings.sealer, settings.destinations, actor=visit.actor)
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
    with visit.database.write(visit.now, verdicts=False) as write:
        found = _found(write.connection, visit)
        if isinstance(found, Refused):
            return found
        edited = webhooks.edit(write, found.id, change, visit.rules.settings.destinations, actor=visit.actor)
    if isinstance(edited, Refused):
        return _webhook_page(visit, edited)
    return visit.to(_address(visit, _ONE), notice=notice)


def _rotate_secret(visit: Visit) -> Response | Refused:
    seconds = _SECONDS.get(visit.field("overlap"), _SECONDS["1d"])
    try:
        request = WebhookSecretRequest(secret=visit.field("secret"), overlap_seconds=seconds)
    except ValidationError as error:
        return _webhook_page(visit, Refused(Problem.INVALID_REQUEST, fault_of(error)))
    with visit.database.write(visit.now, verdicts=False) as write:
        found = _found(write.connection, visit)
        if isinstance(found, Refused):
            return found
        sealer = visit.rules.settings.sealer
        rotated = webhooks.rotate_secret(write, found.id, request, sealer, actor=visit.actor)
    if isinstance(rotated, Refused):
        return _webhook_page(visit, rotated)
    return _secret_page(visit, rotated, request.secret)


def _ping(visit: Visit) -> Response | Refused:
    def ping(write: Write, endpoint: Endpoint) -> object:
        return webhooks.ping(write, endpoint.id, actor=visit.actor)

    return _done(visit, ping, "webhook-pinged")


def _replay(visit: Visit) -> Response | Refused:
    try:
        days = int(visit.field("days") or 0)
        since = visit.now - timedelta(days=days) if 0 < days <= 366 else None
        messages = [visit.field("message")] if since is None else []
        request = ReplayRequest(messages=messages, failed_since=since)
    except ValueError:
        return _webhook_page(visit, Refused(Problem.INVALID_REQUEST, "say which messages to send again"))

    def replay(write: Write, endpoint: Endpoint) -> object:
        return webhooks.replay(write, endpoint.id, request, actor=visit.actor)

    return _done(visit, replay, "webhook-replayed")


def _delete(visit: Visit) -> Response | Refused:
    def delete(write: Write, endpoint: Endpoint) -> object:
        return webhooks.delete(write, endpoint.id, actor=visit.actor)

    return _done(visit, delete, "webhook-deleted", to=_PAGE)


def _done(
    visit: Visit, operation: Callable[[Write, Endpoint], object], notice: str, *, to: str = _ONE
) -> Response | Refused:
    with visit.database.write(visit.now, verdicts=False) as write:
        found = _found(write.connection, visit)
        if isinstance(found, Refused):
            return found
        answer = operation(write, found)
    if isinstance(answer, Refused):
        return _webhook_page(visit, answer)
    return visit.to(_address(visit, to), notice=notice)


def _list_page(visit: Visit, refused: Refused | None = None) -> Response | Refused:
    sealer = visit.rules.settings.sealer
    with visit.database.read() as connection:
        account = _account(connection, visit)
        if isinstance(account, Refused):
            return account
        found = webhooks.listed(connection, sealer, account=account.id, actor=visit.actor)
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
    # Enough for every number that the database gives.
    before = re.fullmatch("[0-9]{1,18}", visit.query.get("before", ""))
    with visit.database.read() as connection:
        account = _account(connection, visit)
        found = _found(connection, visit)
        if isinstance(account, Refused) or isinstance(found, Refused):
            return Refused(Problem.WEBHOOK_UNKNOWN, "there is no such webhook")
        shown = webhooks.shown(connection, found, visit.rules.settings.sealer)
        page, following = webhooks.deliveries(
            connection, found, before=int(before[0]) if before else None, limit=_DELIVERIES
        )
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
    """The only page that ever shows this secret."""
    with visit.database.read() as connection:
        account = _account(connection, visit)
        if isinstance(account, Refused):
            return account
        shown = webhooks.shown(connection, endpoint, visit.rules.settings.sealer)
    return visit.page("webhook_secret.html", account=account, webhook=shown, secret=secret)


def _account(connection: Connection, visit: Visit) -> Account | Refused:
    account_id = visit.path["account_id"]
    account = account_by_id(connection, account_id)
    if account is None or not visit.actor.reaches(account_id):
        return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account_id}")
    return account


def _found(connection: Connection, visit: Visit) -> Endpoint | Refused:
    """The webhook of the path, which is in the path's account."""
    found = webhooks.find(connection, visit.path["webhook_id"], visit.actor)
    if isinstance(found, Endpoint) and found.account_id != visit.path["account_id"]:
        return Refused(Problem.WEBHOOK_UNKNOWN, f"there is no webhook {found.id} in this account")
    return found


def chosen_events(visit: Visit) -> list[str] | None:
    """The events of a form; None for all of them."""
    return visit.form.get("event", []) if visit.field("which") == "some" else None


def _form(visit: Visit) -> dict[str, object]:
    """What was typed, to be corrected."""
    return {
        "url": visit.field("url"),
        "description": visit.field("description"),
        "events": chosen_events(visit),
        "sub_accounts": bool(visit.field("sub_accounts")),
    }


def fault_of(error: ValidationError) -> str:
    """What is wrong with what was entered, as the detail of a refusal."""
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
