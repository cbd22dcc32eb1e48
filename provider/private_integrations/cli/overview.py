"""The commands `list` and `show`: status reports of all integrations, and of one."""

from collections.abc import Iterable

from ..client import Client
from ..connection import find_account
from ..contract import Integration
from ..errors import NotFound
from ..rotation.status import IntegrationStatus, managed_by
from .failures import note
from .options import AccountId, AsJson, IntegrationId, connect
from .output import Row, print_facts, print_json, print_rows, print_table, print_text
from .schedules import policy_text
from .status import report_of, reports, when
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

    Overdue rotations, and new tokens that were not used for two days, are listed on stderr.
    """
    client = connect()
    found = reports_in(client, account or find_account())
    if as_json:
        print_json({"integrations": [report.as_json() for report in found]})
        return
    if not found:
        note("there are no integrations yet; `private-integrations create` makes one")
        return
    print_rows(_HEADINGS, [_row(report) for report in found], narrow=_narrow)
    for report in found:
        for alarm in report.alarms:
            note(f"{report.integration.id} ({report.integration.name}): {alarm.text}")


def show(integration_id: IntegrationId, as_json: AsJson = False) -> None:
    """Show one integration and its tokens, never their values."""
    client = connect()
    print_report(report_of(client, client.integration(integration_id)), as_json)


def reports_in(client: Client, account: str | None, under: str | None = None) -> list[IntegrationStatus]:
    """Return the status reports of an account's integrations, or of all; raises NotFound for an unknown account."""
    found: Iterable[Integration] = client.integrations(account=account, under=under)
    known = list(reports(client, found))
    if not known and account is not None:
        must_exist(client, account)
    return known


def print_report(report: IntegrationStatus, as_json: bool) -> None:
    """Print all that is known of an integration and its tokens."""
    if as_json:
        print_json(report.as_json())
        return
    print_facts(_facts(report))
    if report.token_state.tokens:
        print_text("")
        print_table(*token_rows(report.token_state, last_used=True))


def must_exist(client: Client, account: str) -> None:
    """Raise NotFound if there is no such account, as far as the key reaches."""
    if account not in {known.id for known in client.accounts()}:
        raise NotFound(f"there is no account {account}; `private-integrations accounts` lists them")


def _row(report: IntegrationStatus) -> Row:
    integration, newest = report.integration, report.newest
    return (
        integration.id,
        integration.name,
        integration.account,
        str(len(integration.scopes)),
        report.in_words,
        str(newest.generation) if newest else "-",
        when(report.last_used_at),
        when(report.rotated_at),
        when(report.next_rotation_at),
        policy_text(report.policy),
        managed_by(integration.external_id),
    )


def _narrow(row: Row) -> str:
    """Return the row on five lines, for a terminal that is too narrow for one."""
    integration_id, name, account, scopes, status, generation, used, rotated, following, policy, owner = row
    return (
        f"{integration_id}  {name}\n"
        f"  {status}, scopes {scopes}, account {account}, by {owner}\n"
        f"  generation {generation}, rotated {rotated}, next {following}\n"
        f"  {policy}\n"
        f"  last used {used}"
    )


def _facts(report: IntegrationStatus) -> list[tuple[str, str]]:
    integration = report.integration
    return [
        ("id", integration.id),
        ("name", integration.name),
        ("description", integration.description or "-"),
        ("account", integration.account),
        ("scopes", "\n".join(integration.scopes)),
        ("rotation", policy_text(report.policy)),
        ("status", report.in_words),
        ("alarms", "\n".join(alarm.text for alarm in report.alarms) or "-"),
        ("last used", when(report.last_used_at)),
        ("next rotation", when(report.next_rotation_at)),
        ("held until", when(report.held_until)),
        ("managed by", managed_by(integration.external_id)),
        ("external id", integration.external_id),
        ("created", when(integration.created_at)),
        ("changed", when(integration.updated_at)),
    ]
