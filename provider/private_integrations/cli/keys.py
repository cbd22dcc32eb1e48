"""The commands about management keys: `keys create`, `keys list` and `keys revoke`."""

import re
from datetime import datetime
from typing import Annotated

import typer

from ..client import Client
from ..contract import Key, KeyRequest, Role, digest_of, instant_text, new_management_key
from ..errors import NotAuthorized, ServiceUnreachable
from ..rotation.decisions import is_live
from .failures import OutputLostError, note, usage
from .options import AsJson, connect, duration, identifier, refuse_secret, valid
from .output import Row, print_facts, print_json, print_table, print_text
from .status import when

app = typer.Typer(
    help=(
        "Make, list and revoke management keys. An admin's key does everything and is needed here; a deployer's "
        "works in the accounts that it names; a viewer's only reads; an introspector's only asks what tokens open."
    ),
    rich_markup_mode=None,
)

_HEADINGS = ("id", "name", "role", "accounts", "created", "ends")


def _key_name(value: str) -> str:
    refuse_secret(value)
    if not re.fullmatch("[A-Za-z0-9._@-]{1,100}", value):
        raise usage(f'"{value}" is not a name of a key: those have letters, digits, . _ @ and - only')
    return value


def _identifiers(values: list[str] | None) -> list[str]:
    return [identifier(value) for value in values or []]


@app.command()
def create(
    name: Annotated[str, typer.Argument(callback=_key_name, help="Who or what it is for, such as ci; not a secret.")],
    role: Annotated[Role, typer.Option(help="What it may do.")],
    account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            callback=_identifiers,
            help="An account that it is bound to; a deployer's needs one, an admin's has none. Repeatable.",
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DURATION", help='How long it works, such as "365d"; default: no end.')
    ] = None,
    as_json: AsJson = False,
    key_only: Annotated[
        bool, typer.Option("--key-only", help="Print the key and nothing else, for pipelines.")
    ] = False,
) -> None:
    """Make a management key and print it. It is shown this once: the service learns its digest only."""
    if as_json and key_only:
        raise usage("give --json or --key-only, not both")
    value = new_management_key()
    request = valid(
        KeyRequest,
        role=role,
        accounts=account or [],
        digest=digest_of(value).hex(),
        lifetime_seconds=_lifetime(expires),
    )
    client = connect()
    try:
        key = client.make_key(name, request)
    except (ServiceUnreachable, KeyboardInterrupt):
        # Its answer may be what was lost.
        note(f"whether a key {name} was made, `private-integrations keys list` tells; nobody has it: revoke it there")
        raise
    _hand_over(key, value, as_json=as_json, key_only=key_only)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List management keys, those that work first. Never their values."""
    found = connect().keys()
    live_first = sorted(found.keys, key=lambda key: not _works(key, found.now))
    if as_json:
        listed = [{**key.model_dump(mode="json"), "live": _works(key, found.now)} for key in live_first]
        print_json({"keys": listed})
    else:
        print_table(_HEADINGS, [_row(key, found.now) for key in live_first])


@app.command()
def revoke(
    key_id: Annotated[
        str, typer.Argument(metavar="ID", callback=identifier, help="The key's id (key_…), as `keys list` shows it.")
    ],
) -> None:
    """End a management key at once. The last admin's key can't be ended."""
    client = connect()
    key = client.revoke_key(key_id)
    if key.revoked_at is None:
        note(f"nothing to revoke: {key.id} ({key.name}) has expired")
        return
    note(f"revoked {key.id} ({key.name}, {key.role}): it opens nothing any more")
    if _was_in_use(client):
        note("this was the key in use: set PRIVATE_INTEGRATIONS_KEY to another one")


def _lifetime(expires: str | None) -> int | None:
    if expires is None:
        return None
    lifetime = duration(expires, "--expires")
    if not lifetime:
        raise usage("a key that ends at once opens nothing; leave it out for no end", "--expires")
    return int(lifetime.total_seconds())


def _hand_over(key: Key, value: str, *, as_json: bool, key_only: bool) -> None:
    """Print a key that was just made, the only time that it is ever shown."""
    try:
        _print_made(key, value, as_json=as_json, key_only=key_only)
    except OutputLostError as error:
        advice = (
            f"nobody has seen the key {key.name}, which works: end it with "
            f"`private-integrations keys revoke {key.id}`, then make another one"
        )
        raise OutputLostError(error.reason, advice=advice) from error
    note("store this key now, it will not be shown again")


def _print_made(key: Key, value: str, *, as_json: bool, key_only: bool) -> None:
    if key_only:
        print_text(value)
    elif as_json:
        print_json({**key.model_dump(mode="json"), "key": value})
    else:
        print_facts(
            [
                ("id", key.id),
                ("name", key.name),
                ("role", key.role),
                ("accounts", _reach(key, separator="\n")),
                ("works until", "no end is set" if key.expires_at is None else instant_text(key.expires_at)),
                ("key", value),
            ]
        )


def _row(key: Key, now: datetime) -> Row:
    return (key.id, key.name, key.role, _reach(key, separator=", "), when(key.created_at), _end(key, now))


def _reach(key: Key, separator: str) -> str:
    return separator.join(key.accounts) or "all"


def _end(key: Key, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {instant_text(key.revoked_at)}"
    return when(key.expires_at) if _works(key, now) else f"expired {when(key.expires_at)}"


def _works(key: Key, now: datetime) -> bool:
    return is_live(ended=key.revoked_at is not None, expires_at=key.expires_at, now=now)


def _was_in_use(client: Client) -> bool:
    """Return whether the service refuses the key that this command itself came with."""
    try:
        client.accounts()
    except NotAuthorized:
        return True
    except ServiceUnreachable:
        # The key is revoked; only the check of it is missing.
        pass
    return False
