"""The commands about integrations."""

import secrets
from typing import Annotated, Any

import typer

from ..client import Client
from ..connection import find_account
from ..contract import Integration, IntegrationEdit, IntegrationRequest
from ..errors import ConfigurationError, PrivateIntegrationError, ServiceUnreachable
from ..rotation.status import in_pulumi, managed_by
from .failures import ANSWER_IS_NO, note, usage
from .options import (
    AccountId,
    AsJson,
    IntegrationId,
    NewScopeNames,
    Overlap,
    ScopeNames,
    TokenOnly,
    connect,
    is_interactive,
    valid,
)
from .overview import print_report
from .schedules import CronRule, EarlyWindow, Every, Given, Timezone, edited_policy, new_policy, what_did_not_fit
from .status import report_of
from .tokens import hand_over, issue

Description = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")]


def create(
    name: Annotated[str, typer.Argument(help="The name that people see.")],
    scope: ScopeNames,
    description: Description = None,
    account: AccountId = None,
    every: Every = None,
    schedule: CronRule = None,
    timezone: Timezone = None,
    overlap: Overlap = None,
    early_window: EarlyWindow = None,
    as_json: AsJson = False,
    token_only: TokenOnly = False,
) -> None:
    """Create an integration and print its token. It is shown this once."""
    if as_json and token_only:
        raise usage("give --json or --token-only, not both")
    policy = new_policy(Given(every, schedule, timezone, overlap, early_window), lambda: connect().policy_defaults())
    client = connect()
    request = valid(
        IntegrationRequest,
        account=account or find_account() or _only_account(client),
        name=name,
        description=description or "",
        scopes=scope,
        rotation=policy,
        owner_nonce=secrets.token_hex(16),
    )
    integration = _declare(client, request)
    try:
        issued = issue(client, integration, None, reason="created")
    except (PrivateIntegrationError, KeyboardInterrupt):
        note(
            f"{integration.id} is created, but without a token that you know; go on with `private-integrations "
            f"rotate {integration.id}` or undo it with `private-integrations delete {integration.id}`"
        )
        raise
    hand_over(integration, issued, as_json=as_json, token_only=token_only)


def edit(
    integration_id: IntegrationId,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="The name that people see.")] = None,
    description: Description = None,
    scope: NewScopeNames = None,
    every: Every = None,
    schedule: CronRule = None,
    timezone: Timezone = None,
    overlap: Overlap = None,
    early_window: EarlyWindow = None,
    pause: Annotated[bool, typer.Option("--pause", help="Stop the schedule; its dates are kept.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let a paused schedule go on.")] = False,
    no_rotation: Annotated[
        bool, typer.Option("--no-rotation", help="Remove the whole policy; a running overlap still ends on time.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Change what is given and leave the rest. The tokens stay what they are; new scopes hold for them at once.

    A changed overlap moves the end of a running one. A new --every or --schedule keeps the overlap where it still
    fits, and an early window that was chosen; otherwise it gets its own defaults.
    """
    if pause and resume:
        raise usage("give --pause or --resume, not both")
    given = Given(every, schedule, timezone, overlap, early_window, enabled=resume if pause or resume else None)
    if no_rotation and not given.is_empty:
        raise usage("--no-rotation removes the whole policy; give nothing else about rotation with it")
    fields = {"name": name, "description": description, "scopes": scope or None}
    changes: dict[str, Any] = {field: value for field, value in fields.items() if value is not None}
    if not changes and given.is_empty and not no_rotation:
        raise usage("nothing to change; give at least one option")
    client = connect()
    present = client.integration(integration_id)
    if no_rotation:
        changes["rotation"] = None
    elif not given.is_empty:
        changes["rotation"] = edited_policy(present.rotation, given, client.policy_defaults)
    edited = client.edit(integration_id, valid(IntegrationEdit, **changes), version=present.version)
    shortened = what_did_not_fit(present, given, edited)
    if shortened:
        note(shortened)
    if in_pulumi(edited):
        note(f"{managed_by(edited.external_id)} declares this integration and may change it back")
    print_report(report_of(client, edited), as_json)


def delete(
    integration_id: IntegrationId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Delete an integration with all its tokens."""
    if not yes and not is_interactive():
        raise usage("nobody can be asked here; give --yes to delete")
    client = connect()
    integration = client.integration(integration_id)
    if not yes and not _confirmed(integration):
        note("nothing was deleted")
        raise typer.Exit(ANSWER_IS_NO)
    client.delete(integration_id)
    note(f"deleted {integration_id} ({integration.name}) with all its tokens")


def _only_account(client: Client) -> str:
    found = [account.id for account in client.accounts() if account.kind.belongs_to_agency]
    if len(found) == 1:
        return found[0]
    raise ConfigurationError(
        "no account is given; give --account or set PRIVATE_INTEGRATIONS_ACCOUNT; "
        "`private-integrations accounts` lists them"
    )


def _declare(client: Client, request: IntegrationRequest) -> Integration:
    try:
        return client.declare(f"cli/{secrets.token_hex(8)}", request)
    except ServiceUnreachable as error:
        # Its answer may be what was lost.
        raise ServiceUnreachable(
            f"{error}; whether it was created anyway, `private-integrations list` tells"
        ) from error


def _confirmed(integration: Integration) -> bool:
    owner = f", declared by {managed_by(integration.external_id)}," if in_pulumi(integration) else ""
    question = f"Delete {integration.id} ({integration.name}){owner} with all its tokens?"
    return typer.confirm(question, err=True)
