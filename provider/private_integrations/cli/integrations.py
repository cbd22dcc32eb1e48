"""The commands about integrations, and the accounts that they live in."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..client import Client
from ..connection import find_account
from ..contract import Integration, IntegrationEdit, IntegrationRequest
from ..errors import ConfigurationError, NotFound, PrivateIntegrationError, ServiceUnreachable
from ..rotation import Policy, read_policy
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
from .output import print_facts, print_json, print_table, print_text, table_width, terminal_width
from .standing import Standing, in_pulumi, managed_by, policy_text, standing_of, standings, when
from .tokens import hand_over, issue, token_rows

_HEADINGS = ("id", "name", "account", "scopes", "status", "generation", "rotated", "next rotation", "managed by")

Description = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")]


def list_(account: AccountId = None, as_json: AsJson = False) -> None:
    """List integrations and the state of their tokens. Of all accounts, unless one is given or set."""
    client = connect()
    account = account or find_account()
    found = list(standings(client, list(client.integrations(account=account))))
    if not found and account is not None:
        _must_exist(client, account)
    if as_json:
        print_json({"integrations": [standing.as_json() for standing in found]})
    elif not found:
        note("there are no integrations yet; `private-integrations create` makes one")
    else:
        _print_list(found)


def show(integration_id: IntegrationId, as_json: AsJson = False) -> None:
    """Show one integration and its tokens, never their values."""
    client = connect()
    _print_standing(standing_of(client, client.integration(integration_id)), as_json)


def create(
    name: Annotated[str, typer.Argument(help="The name that people see.")],
    scope: ScopeNames,
    description: Description = None,
    account: AccountId = None,
    every: Annotated[
        str | None, typer.Option(metavar="DURATION", help='How often it is to be rotated, such as "90d".')
    ] = None,
    overlap: Overlap = None,
    as_json: AsJson = False,
    token_only: TokenOnly = False,
) -> None:
    """Create an integration and print its token. It is shown this once."""
    if as_json and token_only:
        raise usage("give --json or --token-only, not both")
    policy = _policy(every, overlap)
    client = connect()
    request = valid(
        IntegrationRequest,
        account=account or find_account() or _only_account(client),
        name=name,
        description=description or "",
        scopes=scope,
        rotation=policy and policy.on_the_wire(),
        claim=secrets.token_hex(16),
    )
    integration = _declare(client, request)
    try:
        issued = issue(client, integration, Policy.from_the_wire(request.rotation).overlap, reason="created")
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
    as_json: AsJson = False,
) -> None:
    """Change name, description or scopes. The tokens stay what they are; the change holds for them at once."""
    given = {"name": name, "description": description, "scopes": scope or None}
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise usage("nothing to change; give --name, --description or --scope")
    change = valid(IntegrationEdit, **changes)
    client = connect()
    edited = client.edit(integration_id, change)
    if in_pulumi(edited):
        note(f"{managed_by(edited.external_id)} declares this integration and may change it back")
    _print_standing(standing_of(client, edited), as_json)


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


def accounts(as_json: AsJson = False) -> None:
    """List the accounts that integrations can live in."""
    found = connect().accounts()
    if as_json:
        print_json({"accounts": [account.model_dump(mode="json") for account in found]})
    else:
        print_table(("id", "name", "kind"), [(a.id, a.name, a.kind.replace("_", "-")) for a in found])


def _policy(every: str | None, overlap: str | None) -> Policy | None:
    if every is None and overlap is None:
        return None
    try:
        return read_policy({"every": every, "overlap": overlap})
    except ValueError as error:
        raise usage(str(error)) from None


def _only_account(client: Client) -> str:
    found = [account.id for account in client.accounts() if account.kind == "sub_account"]
    if len(found) == 1:
        return found[0]
    raise ConfigurationError(
        "no account is given; give --account or set PRIVATE_INTEGRATIONS_ACCOUNT; "
        "`private-integrations accounts` lists them"
    )


def _must_exist(client: Client, account: str) -> None:
    if account not in {known.id for known in client.accounts()}:
        raise NotFound(f"there is no account {account}; `private-integrations accounts` lists them")


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


def _print_list(found: Sequence[Standing]) -> None:
    rows = [_row(standing) for standing in found]
    width = terminal_width()
    if width is None or width >= table_width(_HEADINGS, rows):
        print_table(_HEADINGS, rows)
    else:
        print_text("\n\n".join(_narrow(row) for row in rows))


def _row(standing: Standing) -> tuple[str, ...]:
    integration, newest = standing.integration, standing.newest
    return (
        integration.id,
        integration.name,
        integration.account,
        str(len(integration.scopes)),
        standing.in_words,
        str(newest.generation) if newest else "-",
        when(standing.rotated_at),
        when(standing.next_rotation_at),
        managed_by(integration.external_id),
    )


def _narrow(row: tuple[str, ...]) -> str:
    """The row on three lines, for a terminal that is too narrow for one."""
    integration_id, name, account, scopes, status, generation, rotated, following, owner = row
    return (
        f"{integration_id}  {name}\n"
        f"  {status}, scopes {scopes}, account {account}, by {owner}\n"
        f"  generation {generation}, rotated {rotated}, next {following}"
    )


def _print_standing(standing: Standing, as_json: bool) -> None:
    if as_json:
        print_json(standing.as_json())
        return
    print_facts(_facts(standing))
    if standing.tokens.secrets:
        print_text("")
        print_table(*token_rows(standing.tokens))


def _facts(standing: Standing) -> list[tuple[str, Any]]:
    integration = standing.integration
    return [
        ("id", integration.id),
        ("name", integration.name),
        ("description", integration.description or "-"),
        ("account", integration.account),
        ("scopes", "\n".join(integration.scopes)),
        ("rotation", policy_text(integration)),
        ("status", standing.in_words),
        ("next rotation", when(standing.next_rotation_at)),
        ("managed by", managed_by(integration.external_id)),
        ("external id", integration.external_id),
        ("created", when(integration.created_at)),
        ("changed", when(integration.updated_at)),
    ]
