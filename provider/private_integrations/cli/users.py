"""The commands about people who use the settings pages: `users create`, `list`, `link`, `grant` and others."""

import re
from typing import Annotated

import typer

from ..client import Client
from ..contract import (
    Invitation,
    MembershipEdit,
    MembershipRole,
    PermissionSource,
    UserPlace,
    UserReport,
    UserRequest,
    instant_text,
)
from .failures import OutputLostError, note, usage
from .options import AsJson, connect, identifier, refuse_secret, valid
from .output import Row, print_facts, print_json, print_table
from .status import when

app = typer.Typer(
    help=(
        "People who use the settings pages: invite them, say where they belong and what they may, let them in or not. "
        "Needs an admin's key."
    ),
    rich_markup_mode=None,
)

_HEADINGS = ("email", "name", "state", "places", "since")
_PERMISSIONS = {"own": "own integrations", "sub_accounts": "sub-accounts"}


def _email(value: str) -> str:
    refuse_secret(value)
    if not re.fullmatch(r"[^@/\s\x00-\x1f]+@[^@/\s\x00-\x1f]+", value) or len(value) > 254:
        raise usage(f'"{value}" is not an email address')
    return value


def _identifiers(values: list[str]) -> list[str]:
    return [identifier(value) for value in values]


EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", callback=_email, help="The person's email address.")]
Account = Annotated[str, typer.Option("--account", metavar="ID", callback=identifier, help="The account.")]


@app.command()
def create(
    email: EmailArgument,
    account: Annotated[
        list[str], typer.Option(metavar="ID", callback=_identifiers, help="Where they belong. Repeatable.")
    ],
    role: Annotated[
        MembershipRole,
        typer.Option(help="An admin manages private integrations; a user doesn't unless it is given to them."),
    ] = MembershipRole.ADMIN,
    name: Annotated[str | None, typer.Option(help="What they are called; default: their address.")] = None,
    as_json: AsJson = False,
) -> None:
    """Invite a person and print the one-time link by which they choose a password. It is shown this once."""
    places = [{"account": one, "role": role} for one in account]
    request = valid(UserRequest, name=name, memberships=places)
    client = connect()
    _hand_over(client, client.invite_user(email, request), as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the people who use the settings pages, and where they belong."""
    found = connect().users()
    if as_json:
        print_json({"users": [user.model_dump(mode="json") for user in found]})
    else:
        print_table(_HEADINGS, [_row(user) for user in found])


@app.command()
def link(email: EmailArgument, as_json: AsJson = False) -> None:
    """Print another one-time link, for a person who forgot their password. Until it is used nothing changes."""
    client = connect()
    _hand_over(client, client.make_sign_in_link(email), as_json=as_json)


@app.command()
def disable(email: EmailArgument, as_json: AsJson = False) -> None:
    """Let a person in no more: their sessions and links end at once. Their integrations stay."""
    _show(connect().disable_user(email), as_json=as_json)


@app.command()
def enable(email: EmailArgument, as_json: AsJson = False) -> None:
    """Let a person in again, with the password and the places that they had."""
    _show(connect().enable_user(email), as_json=as_json)


@app.command()
def unlink(email: EmailArgument, as_json: AsJson = False) -> None:
    """Forget the identities at the identity provider that belong to a person, and end their sessions.

    For a person whose account at the provider is a new one: the next one there who has the address is taken for them.
    """
    _show(connect().forget_identities(email), as_json=as_json)


@app.command()
def grant(
    email: EmailArgument,
    account: Account,
    role: Annotated[
        MembershipRole | None, typer.Option(help="Their role there; default: the present one, or user.")
    ] = None,
    own: Annotated[
        PermissionSource | None,
        typer.Option(help="The permission to manage the account's private integrations; default: as the role has it."),
    ] = None,
    sub_accounts: Annotated[
        PermissionSource | None,
        typer.Option(help="In an agency: the permission to manage those of its sub-accounts."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a person a place in an account, or change their role and permissions there. It holds at once."""
    given = {"role": role, "own": own, "sub_accounts": sub_accounts}
    edit = valid(MembershipEdit, **{field: value for field, value in given.items() if value is not None})
    report = connect().put_membership(email, account, edit)
    _show(report, as_json=as_json)
    if not report.has_password:
        note(f"{report.email} has no password; if they need one, run: private-integrations users link {report.email}")


@app.command()
def revoke(email: EmailArgument, account: Account, as_json: AsJson = False) -> None:
    """Take a person's place in an account away. It holds at once; in other accounts nothing changes."""
    _show(connect().remove_membership(email, account), as_json=as_json)


def _hand_over(client: Client, invitation: Invitation, *, as_json: bool) -> None:
    """Print a one-time link, the only time that it is ever shown."""
    if invitation.code is None:
        _print_link(client, invitation, None, as_json=as_json)
        note("no link is needed: people sign in by the identity provider")
        return
    url = f"{client.url.rstrip('/')}/settings/welcome/{invitation.code}"
    try:
        _print_link(client, invitation, url, as_json=as_json)
    except OutputLostError as error:
        advice = f"nobody has seen the link; `private-integrations users link {invitation.email}` makes another one"
        raise OutputLostError(error.reason, advice=advice) from error
    note("hand the link over yourself, to nobody else: whoever opens it first is that person")


def _print_link(client: Client, invitation: Invitation, url: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json({**invitation.model_dump(mode="json", exclude={"code"}), "url": url})
        return
    facts = [("email", invitation.email), ("id", invitation.user_id)]
    if url is not None and invitation.expires_at is not None:
        facts += [("works until", instant_text(invitation.expires_at)), ("link", url)]
    else:
        facts += [("sign in at", f"{client.url.rstrip('/')}/settings/sign-in")]
    print_facts(facts)


def _show(user: UserReport, *, as_json: bool) -> None:
    if as_json:
        print_json(user.model_dump(mode="json"))
        return
    facts = [("email", user.email), ("name", user.name), ("id", user.id), ("state", _state(user))]
    print_facts([*facts, ("places", "\n".join(map(_place, user.memberships)) or "none")])


def _row(user: UserReport) -> Row:
    places = "; ".join(map(_place, user.memberships)) or "none"
    return (user.email, user.name, _state(user), places, when(user.created_at))


def _state(user: UserReport) -> str:
    if user.disabled_at is not None:
        return f"disabled {instant_text(user.disabled_at)}"
    return "active" if user.has_password else "no password"


def _place(place: UserPlace) -> str:
    said = [f"{words} {getattr(place, field)}" for field, words in _PERMISSIONS.items()]
    moved = [one for one in said if not one.endswith("default")]
    return f"{place.account} ({', '.join([place.role, *moved])})"
