"""Options that several commands share, and what they lead to."""

import getpass
import os
import re
import sys
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

from ..client import Client
from ..connection import KEY_VARIABLE, URL_VARIABLE, find_connection, find_service
from ..contract import KEY_PREFIX, SEALING_KEY_PREFIX, TOKEN_PATTERN, fault_reason
from ..errors import ConfigurationError, InvalidRequest
from ..rotation.durations import parse_duration
from ..scopes import ALL_SCOPES, no_such_scope
from .failures import usage

Model = TypeVar("Model", bound=BaseModel)

# More than any secret has, and little enough to read at once.
_LONGEST_INPUT = 8192


def connect() -> Client:
    """Return a client for the service that the environment names; raises ConfigurationError saying what to set."""
    missing = [variable for variable in (URL_VARIABLE, KEY_VARIABLE) if not os.environ.get(variable, "").strip()]
    if missing:
        raise ConfigurationError(
            f"{' and '.join(missing)} must be set: the address that `private-integrations serve` prints, "
            "and the key that it wrote to admin.key"
        )
    return Client(find_connection())


def connect_without_key() -> Client:
    """Return a client without a key, for what needs none; raises ConfigurationError saying what to set."""
    if not os.environ.get(URL_VARIABLE, "").strip():
        raise ConfigurationError(f"{URL_VARIABLE} must be set: the address of the service that the tokens belong to")
    return Client(find_service())


def is_interactive() -> bool:
    """Return whether a person at a terminal can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def secret_from_stdin(what: str, example: str) -> str:
    """Return a secret that is piped in, or typed without being shown; raises a usage error if there is none."""
    if is_interactive():
        value = getpass.getpass(f"{what.capitalize()}: ").strip()
    else:
        given = sys.stdin.buffer.read(_LONGEST_INPUT) if sys.stdin is not None else b""
        value = given.decode(errors="replace").strip()
    if not value:
        raise usage(f"no {what} was given; pipe one in: {example}")
    return value


def duration(text: str, option: str) -> timedelta:
    """Return the duration given for an option."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise usage(str(error), option) from None


def valid(model: type[Model], **values: Any) -> Model:
    """Return the request with these values; raises InvalidRequest naming each field that is wrong."""
    try:
        return model(**values)
    except ValidationError as error:
        raise InvalidRequest("; ".join(_fault(fault) for fault in error.errors())) from None


def _fault(fault: Any) -> str:
    field = ".".join(map(str, fault["loc"]))
    return f"{field}: {fault_reason(fault)}" if field else fault_reason(fault)


def _known_scopes(scopes: list[str] | None) -> list[str] | None:
    for scope in scopes or []:
        if scope not in ALL_SCOPES:
            raise usage(no_such_scope(scope), "--scope")
    return scopes


def refuse_secret(value: str) -> None:
    """Refuse a token or key in a place where it would be shown, sent or stored."""
    if TOKEN_PATTERN.fullmatch(value):
        raise usage("this is a token, not an id; `private-integrations verify` reads one from stdin")
    if value.startswith(KEY_PREFIX):
        raise usage("this is a management key; it goes into PRIVATE_INTEGRATIONS_KEY")
    if value.startswith(SEALING_KEY_PREFIX):
        raise usage("this is a sealing key; it goes into the file of `serve --sealing-keys`")


def identifier(value: str) -> str:
    """Return a value of the shape that ids have."""
    refuse_secret(value)
    if not re.fullmatch("[A-Za-z0-9_-]{1,100}", value):
        raise usage(f'"{value}" is not an id: those have letters, digits, _ and - only')
    return value


def optional_identifier(value: str | None) -> str | None:
    """Return the same, where nothing may be given."""
    return None if value is None else identifier(value)


def complete_scope(incomplete: str) -> list[str]:
    """Return the names of scopes that begin like this."""
    return sorted(scope for scope in ALL_SCOPES if scope.startswith(incomplete))


IntegrationId = Annotated[
    str, typer.Argument(metavar="ID", callback=identifier, help="The integration's id (int_…), as `list` shows it.")
]
AccountId = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="ID",
        callback=optional_identifier,
        help="The account; default: PRIVATE_INTEGRATIONS_ACCOUNT.",
    ),
]
ScopeNames = Annotated[
    list[str],
    typer.Option(
        "--scope",
        metavar="SCOPE",
        callback=_known_scopes,
        autocompletion=complete_scope,
        help="A scope its tokens hold, such as contacts.readonly. Repeatable.",
    ),
]
NewScopeNames = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        metavar="SCOPE",
        callback=_known_scopes,
        autocompletion=complete_scope,
        help="A scope to hold from now on; the ones not named are taken away. Repeatable.",
    ),
]
Overlap = Annotated[
    str | None,
    typer.Option(
        "--overlap",
        metavar="DURATION",
        help='How long the old token works on after the new one\'s first use, such as "7d"; "0s" ends it at once.',
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
TokenOnly = Annotated[bool, typer.Option("--token-only", help="Print the token and nothing else, for pipelines.")]
