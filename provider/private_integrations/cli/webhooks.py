"""The commands about webhooks: make, list, edit, delete and test them, replace a secret, see and replay messages."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from ..connection import find_account
from ..contract import (
    Event,
    ReplayRequest,
    Webhook,
    WebhookDelivery,
    WebhookEdit,
    WebhookRequest,
    WebhookSecretRequest,
    new_webhook_secret,
)
from ..errors import ConfigurationError, ServiceUnreachable
from .failures import ANSWER_IS_NO, OutputLostError, note, usage
from .options import AccountId, AsJson, connect, duration, identifier, is_interactive, refuse_secret, valid
from .output import Row, print_facts, print_json, print_table, print_text
from .status import when

app = typer.Typer(
    help=(
        "Where the service sends what happens in an account: rotations that are due, tokens that were rotated, "
        "used, retired, leaked. Messages are signed (Standard Webhooks) and sent again until they are accepted."
    ),
    rich_markup_mode=None,
)

_HEADINGS = ("id", "account", "url", "events", "state")
_DELIVERY_HEADINGS = ("message", "event", "created", "state", "attempts", "last attempt")


def _url(value: str | None) -> str | None:
    if value is not None:
        refuse_secret(value)
    return value


def _events(values: list[str] | None) -> list[str] | None:
    for value in values or []:
        if value not in tuple(Event):
            raise usage(f'there is no event "{value}"; there are {", ".join(Event)}', "--event")
    return values


def complete_event(incomplete: str) -> list[str]:
    """Return the events that begin like this."""
    return [event for event in Event if event.startswith(incomplete)]


WebhookId = Annotated[
    str,
    typer.Argument(metavar="ID", callback=identifier, help="The webhook's id (whk_…), as `webhooks list` has it."),
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="NAME",
        callback=_events,
        autocompletion=complete_event,
        help="An event to send, such as rotation.overdue; the ones not named are not sent. Repeatable.",
    ),
]
SecretOnly = Annotated[bool, typer.Option("--secret-only", help="Print the secret and nothing else, for pipelines.")]


@app.command()
def create(
    url: Annotated[str, typer.Argument(callback=_url, help="An https URL that takes POST requests.")],
    account: AccountId = None,
    event: Events = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.")] = "",
    sub_accounts: Annotated[
        bool, typer.Option("--sub-accounts", help="Of an agency: what happens in its sub-accounts too.")
    ] = False,
    as_json: AsJson = False,
    secret_only: SecretOnly = False,
) -> None:
    """Have an account's events sent to a URL, and print the secret that they are signed with, this once."""
    _one_form(as_json=as_json, secret_only=secret_only)
    secret = new_webhook_secret()
    request = valid(
        WebhookRequest,
        account=_account(account),
        url=url,
        secret=secret,
        events=event or None,
        description=description,
        sub_accounts=sub_accounts,
    )
    client = connect()
    try:
        made = client.create_webhook(request)
    except (ServiceUnreachable, KeyboardInterrupt):
        # Its answer may be what was lost.
        note("whether it was made, `private-integrations webhooks list` tells; nobody has its secret: delete it there")
        raise
    _hand_over(made, secret, as_json=as_json, secret_only=secret_only)


@app.command("list")
def list_(account: AccountId = None, as_json: AsJson = False) -> None:
    """List webhooks, of one account or of all that the key reaches. Never their secrets."""
    found = connect().webhooks(account=account or find_account())
    if as_json:
        print_json({"webhooks": [webhook.model_dump(mode="json") for webhook in found]})
    else:
        print_table(_HEADINGS, [_row(webhook) for webhook in found])


@app.command()
def edit(
    webhook_id: WebhookId,
    url: Annotated[str | None, typer.Option(metavar="URL", callback=_url, help="Another https URL.")] = None,
    event: Events = None,
    all_events: Annotated[bool, typer.Option("--all-events", help="Send every event, later releases' too.")] = False,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")] = None,
    sub_accounts: Annotated[
        bool | None, typer.Option("--sub-accounts/--no-sub-accounts", help="Of an agency: its sub-accounts' events.")
    ] = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable", help="Send to it again, or no more.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a webhook. One that was disabled is sent to again with --enable; `replay` sends what it missed."""
    if event and all_events:
        raise usage("give --event or --all-events, not both")
    given: dict[str, object] = {
        "url": url,
        "description": description,
        "sub_accounts": sub_accounts,
        "enabled": enabled,
        "events": event or None,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if all_events:
        changes["events"] = None
    if not changes:
        raise usage("nothing to change; see --help for what can be")
    edited = connect().edit_webhook(webhook_id, valid(WebhookEdit, **changes))
    note(f"changed {webhook_id}")
    if as_json:
        print_json(edited.model_dump(mode="json"))


@app.command()
def delete(
    webhook_id: WebhookId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Delete a webhook, with what is still to be sent to it."""
    if not yes and not is_interactive():
        raise usage("nobody can be asked here; give --yes to delete")
    if not yes and not typer.confirm(f"Delete {webhook_id}? What is still to be sent to it is lost.", err=True):
        note("nothing was deleted")
        raise typer.Exit(ANSWER_IS_NO)
    if connect().delete_webhook(webhook_id):
        note(f"deleted {webhook_id}")
    else:
        note(f"nothing to delete: there is no webhook {webhook_id}")


@app.command("rotate-secret")
def rotate_secret(
    webhook_id: WebhookId,
    overlap: Annotated[
        str, typer.Option(metavar="DURATION", help='How long the old secret signs too; "0s": not at all.')
    ] = "24h",
    as_json: AsJson = False,
    secret_only: SecretOnly = False,
) -> None:
    """Sign with a new secret, and print it, this once. Until the overlap ends, the old one signs beside it."""
    _one_form(as_json=as_json, secret_only=secret_only)
    secret = new_webhook_secret()
    seconds = int(duration(overlap, "--overlap").total_seconds())
    request = valid(WebhookSecretRequest, secret=secret, overlap_seconds=seconds)
    rotated = connect().rotate_webhook_secret(webhook_id, request)
    _hand_over(rotated, secret, as_json=as_json, secret_only=secret_only)


@app.command()
def ping(webhook_id: WebhookId) -> None:
    """Send an event that only tests a webhook."""
    message_id = connect().ping_webhook(webhook_id)
    note(f"sent as {message_id}; what comes of it: private-integrations webhooks deliveries {webhook_id}")


@app.command()
def deliveries(
    webhook_id: WebhookId,
    state: Annotated[
        Literal["waiting", "delivered", "failed"] | None, typer.Option(help="Only those that stand so.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the last hundred messages of a webhook, the newest first, and what came of them."""
    found = connect().webhook_deliveries(webhook_id, state=state).deliveries
    if as_json:
        print_json({"deliveries": [delivery.model_dump(mode="json") for delivery in found]})
    else:
        print_table(_DELIVERY_HEADINGS, [_delivery_row(delivery) for delivery in found])


@app.command()
def replay(
    webhook_id: WebhookId,
    messages: Annotated[
        list[str] | None, typer.Argument(metavar="[MESSAGE]...", help="Messages (msg_…) to send again.")
    ] = None,
    failed_since: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="All that failed since then, such as 2026-11-20 or 2026-11-20T08:00Z."),
    ] = None,
) -> None:
    """Send messages again, under the ids that they had."""
    since = None if failed_since is None else _instant(failed_since)
    named = [identifier(message) for message in messages or []]
    if bool(named) == (since is not None):
        raise usage("name the messages to send again, or give --failed-since")
    request = valid(ReplayRequest, failed_since=since) if since else valid(ReplayRequest, messages=named)
    count = connect().replay_webhook(webhook_id, request)
    note(f"{count} message{'' if count == 1 else 's'} of {webhook_id} will be sent again")


def _account(given: str | None) -> str:
    account = given or find_account()
    if account is None:
        raise ConfigurationError(
            "no account is given; give --account or set PRIVATE_INTEGRATIONS_ACCOUNT; "
            "`private-integrations accounts` lists them"
        )
    return account


def _one_form(*, as_json: bool, secret_only: bool) -> None:
    if as_json and secret_only:
        raise usage("give --json or --secret-only, not both")


def _instant(text: str) -> datetime:
    if re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?Z?)?", text):
        try:
            return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
        except ValueError:
            pass
    raise usage(f'"{text}" is no instant in UTC such as 2026-11-20 or 2026-11-20T08:00Z', "--failed-since")


def _hand_over(webhook: Webhook, secret: str, *, as_json: bool, secret_only: bool) -> None:
    """Print a secret that was just made, the only time that it is ever shown."""
    try:
        if secret_only:
            print_text(secret)
        elif as_json:
            print_json({**webhook.model_dump(mode="json"), "secret": secret})
        else:
            facts = [("id", webhook.id), ("account", webhook.account), ("url", webhook.url)]
            until = webhook.former_secret_until
            former = [] if until is None else [("old secret until", when(until))]
            print_facts([*facts, ("events", _sent(webhook)), *former, ("secret", secret)])
    except OutputLostError as error:
        advice = (
            f"nobody has seen the secret of {webhook.id}: make another one with "
            f"`private-integrations webhooks rotate-secret {webhook.id}`"
        )
        raise OutputLostError(error.reason, advice=advice) from error
    note("store this secret now, it will not be shown again")


def _row(webhook: Webhook) -> Row:
    return (webhook.id, webhook.account, webhook.url, _sent(webhook), _state(webhook))


def _sent(webhook: Webhook) -> str:
    return "all" if webhook.events is None else ", ".join(webhook.events)


def _state(webhook: Webhook) -> str:
    if webhook.disabled_because is not None:
        return f"disabled {when(webhook.disabled_at)}: {webhook.disabled_because}"
    if not webhook.secret_readable:
        return "its secret can't be opened with the service's sealing keys"
    if webhook.failing_since is not None:
        return f"failing since {when(webhook.failing_since)}, {webhook.waiting} waiting"
    return f"{webhook.waiting} waiting" if webhook.waiting else "ok"


def _delivery_row(delivery: WebhookDelivery) -> Row:
    last = delivery.attempts[-1] if delivery.attempts else None
    state: str = delivery.state
    if delivery.next_attempt_at is not None and last is not None:
        state = f"next at {when(delivery.next_attempt_at)}"
    return (
        delivery.message_id,
        delivery.event,
        when(delivery.created_at),
        state,
        str(len(delivery.attempts)),
        "" if last is None else f"{when(last.at)}: {last.in_words}",
    )
