"""The accounts that integrations live in: `accounts` lists them, `accounts add` makes one known."""

from datetime import timedelta
from typing import Annotated

import typer

from ..client import Client
from ..contract import (
    LONGEST_INACTIVITY,
    SHORTEST_INACTIVITY,
    Account,
    AccountClass,
    AccountRequest,
    Inactivity,
    InactivityRequest,
    Problem,
)
from ..errors import NotFound
from ..rotation.durations import format_duration
from .failures import note, usage
from .options import AsJson, connect, duration, identifier, optional_identifier, valid
from .output import print_json, print_table, print_text

app = typer.Typer(
    help="List the accounts that integrations can live in, or add one under the id that it has on the platform.",
    rich_markup_mode=None,
)


_NOUNS = {each.noun: each for each in AccountClass}


def _class(value: str) -> str:
    """Check that the option names a class of accounts."""
    if value not in _NOUNS:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, _NOUNS))}.")
    return value


@app.callback(invoke_without_command=True)
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the accounts that integrations can live in, or add one under the id that it has on the platform."""
    if context.invoked_subcommand is not None:
        return
    found = connect().accounts()
    if as_json:
        print_json({"accounts": [account.model_dump(mode="json") for account in found]})
    else:
        print_table(("id", "name", "kind"), [(a.id, a.name, a.kind.noun) for a in found])


@app.command()
def add(
    account_id: Annotated[
        str, typer.Argument(metavar="ID", callback=identifier, help="The location's or agency's id on the platform.")
    ],
    name: Annotated[str, typer.Option(metavar="TEXT", help="The name that people see here.")],
    agency: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            callback=optional_identifier,
            help="The agency (company) that a location belongs to; made known too if it isn't.",
        ),
    ] = None,
    kind: Annotated[
        str, typer.Option(metavar="|".join(_NOUNS), callback=_class, help="A sub-account is a location.")
    ] = AccountClass.SUB_ACCOUNT.noun,
    as_json: AsJson = False,
) -> None:
    """Make an account known, or give it another name. Its id, kind and agency never change."""
    if _NOUNS[kind].belongs_to_agency and agency is None:
        raise usage("a location belongs to an agency; give its id (the platform's company id)", "--agency")
    request = valid(AccountRequest, name=name, kind=_NOUNS[kind], agency_id=agency)
    account = _put(connect(), account_id, request)
    note(f"{kind} {account.id} ({account.name}) is known")
    if as_json:
        print_json(account.model_dump(mode="json"))


@app.command("inactive-after")
def inactive_after(
    account_id: Annotated[str, typer.Argument(metavar="ID", callback=identifier, help="The account's id.")],
    time: Annotated[
        str | None,
        typer.Argument(
            metavar="[90d|off|default]",
            help="A duration of two days or more; off: never; default: as the service is set. Without it: show.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show or set after how long an inactive token is ended.

    It is announced first, 15, 7 and 1 days before; a shorter time leaves as much notice as any other.
    """
    client = connect()
    rule = client.inactivity(account_id) if time is None else client.set_inactivity(account_id, _request(time))
    if as_json:
        print_json(rule.model_dump(mode="json"))
    else:
        print_text(_in_words(rule))


def _request(time: str) -> InactivityRequest:
    if time in ("off", "default"):
        return InactivityRequest(rule="off" if time == "off" else "service")
    seconds = int(duration(time, "TIME").total_seconds())
    if seconds < SHORTEST_INACTIVITY:
        raise usage(f'"{time}" leaves no day to warn of it: give "2d" or more, or "off"')
    if seconds > LONGEST_INACTIVITY:
        raise usage(f'"{time}" is longer than uses are remembered: give "366d" or less, or "off"')
    return InactivityRequest(rule="after", after_seconds=seconds)


def _in_words(rule: Inactivity) -> str:
    whose = "the service's setting" if rule.rule == "service" else "set for this account"
    if rule.after_seconds is None:
        return f"inactive tokens work on ({whose})"
    after = format_duration(timedelta(seconds=rule.after_seconds))
    return f"a token is ended when nobody has used it for {after} ({whose})"


def _put(client: Client, account_id: str, request: AccountRequest) -> Account:
    try:
        return client.put_account(account_id, request)
    except NotFound as error:
        agency = request.agency_id
        if agency is None or error.problem != Problem.ACCOUNT_UNKNOWN:
            raise
    client.put_account(agency, AccountRequest(name="Agency", kind=AccountClass.AGENCY))
    note(f"agency {agency} is known; name it with `private-integrations accounts add {agency} --kind agency --name …`")
    return client.put_account(account_id, request)
