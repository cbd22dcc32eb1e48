"""How it stands with all integrations, and with one: `list` and `show`."""

from collections.abc import Iterable

from ..client import Client
from ..connection import find_account
from ..contract import Integration
from ..errors import NotFound
from ..rotation.status import Standing, managed_by
from .failures import note
from .options import AccountId, AsJson, IntegrationId, connect
from .output import Row, print_facts, print_json, print_rows, print_table, print_text
from .schedules import policy_text
from .status import standing_of, standings, when
from .tokens import token_rows

_HEADINGS = (
    "id",
    "name",
    "account",
    "scopes",
    "status",
    "generation",
    "last used",
    "rotated",
    "next rotation",
    "rotation",
    "managed by",
)


def list_(account: AccountId = None, as_json: AsJson = False) -> None:
    """List integrations and the state of their tokens. Of all accounts, unless one is given or set.

    Rotations that are overdue, and new tokens that nobody has used for two days, are told on stderr.
    """
    client = connect()
    found = standings_in(client, account or find_account())
    if as_json:
        print_json({"integrations": [standing.as_json() for standing in found]})
        return
    if not found:
        note("there are no integrations yet; `private-integrations create` makes one")
        return
    print_rows(_HEADINGS, [_row(standing) for standing in found], narrow=_narrow)
    for standing in found:
        for alarm in standing.alarms:
            note(f"{standing.integration.id} ({standing.integration.name}): {alarm.text}")


def show(integration_id: IntegrationId, as_json: AsJson = False) -> None:
    """Show one integration and its tokens, never their values."""
    client = connect()
    print_standing(standing_of(client, client.integration(integration_id)), as_json)


def standings_in(client: Client, account: str | None, under: str | None = None) -> list[Standing]:
    """How it stands with the integrations of an account, or of all; raises NotFound if there is no such account."""
    found: Iterable[Integration] = client.integrations(account=account, under=under)
    known = list(standings(client, found))
    if not known and account is not None:
        must_exist(client, account)
    return known


def print_standing(standing: Standing, as_json: bool) -> None:
    """Print all that is known of an integration and its tokens."""
    if as_json:
        print_json(standing.as_json())
        return
    print_facts(_facts(standing))
    if standing.tokens.secrets:
        print_text("")
        print_table(*token_rows(standing.tokens, last_used=True))


def must_exist(client: Client, account: str) -> None:
    """Raise NotFound if there is no such account, as far as the key reaches."""
    if account not in {known.id for known in client.accounts()}:
        raise NotFound(f"there is no account {account}; `private-integrations accounts` lists them")


def _row(standing: Standing) -> Row:
    integration, newest = standing.integration, standing.newest
    return (
        integration.id,
        integration.name,
        integration.account,
        str(len(integration.scopes)),
        standing.in_words,
        str(newest.generation) if newest else "-",
        when(standing.last_used_at),
        when(standing.rotated_at),
        when(standing.next_rotation_at),
        policy_text(standing.policy),
        managed_by(integration.external_id),
    )


def _narrow(row: Row) -> str:
    """The row on five lines, for a terminal that is too narrow for one."""
    integration_id, name, account, scopes, status, generation, used, rotated, following, policy, owner = row
    return (
        f"{integration_id}  {name}\n"
        f"  {status}, scopes {scopes}, account {account}, by {owner}\n"
        f"  generation {generation}, rotated {rotated}, next {following}\n"
        f"  {policy}\n"
        f"  last used {used}"
    )


def _facts(standing: Standing) -> list[tuple[str, str]]:
    integration = standing.integration
    return [
        ("id", integration.id),
        ("name", integration.name),
        ("description", integration.description or "-"),
        ("account", integration.account),
        ("scopes", "\n".join(integration.scopes)),
        ("rotation", policy_text(standing.policy)),
        ("status", standing.in_words),
        ("alarms", "\n".join(alarm.text for alarm in standing.alarms) or "-"),
        ("last used", when(standing.last_used_at)),
        ("next rotation", when(standing.next_rotation_at)),
        ("held until", when(standing.held_until)),
        ("managed by", managed_by(integration.external_id)),
        ("external id", integration.external_id),
        ("created", when(integration.created_at)),
        ("changed", when(integration.updated_at)),
    ]
