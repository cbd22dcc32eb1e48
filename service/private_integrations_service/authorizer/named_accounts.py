"""Read the accounts that a request names: in its path, query and headers, and in a body of JSON or form fields."""

import json
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl

from ..catalogue.account_fields import Names, kind_of
from ..catalogue.endpoints import Match

MOST_NAMED = 1000
"""How many accounts a request may name."""

_LONGEST_SHOWN = 100


class NamedAccount(NamedTuple):
    """An account that a request names: the kind of account, the value, and the field's name as it was sent.

    A value that is no text (a number, an object) is of the kind OTHER.
    """

    kind: Names
    value: str
    field: str


def names_only(match: Match, account_id: str) -> bool:
    """Return whether the path names no other account than this one, so that the caller can skip the full check."""
    for name, _ in match.endpoint.account_parameters:  # noqa: SIM110 - a generator would cost more than all of it
        if match.params[name] != account_id:
            return False
    return True


def named_in_request(match: Match, query_string: bytes, headers: Iterable[tuple[bytes, bytes]]) -> set[NamedAccount]:
    """Read the accounts that the path, the query and these account headers name."""
    named = {NamedAccount(kind, match.params[name], name) for name, kind in match.endpoint.account_parameters}
    if query_string:
        named |= named_in_form(query_string)
    if headers:
        named |= named_among((name.decode(), value.decode("latin-1").strip(" \t")) for name, value in headers)
    return named


def named_in_form(text: bytes) -> set[NamedAccount]:
    """Read the accounts that a query or a urlencoded body names, for all usual separators of fields."""
    fields = read_fields(text)
    # Some servers split at semicolons too.
    if b";" in text:
        fields += read_fields(text.replace(b";", b"&"))
    return named_among(fields)


def named_in_json(text: str) -> set[NamedAccount]:
    """Read the accounts that a JSON text names at any depth; a key that is there twice counts twice.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.

    """
    named: set[NamedAccount] = set()

    def read_object(fields: list[tuple[str, object]]) -> object:
        named.update(named_among(fields))
        return _OBJECT

    # Numbers as doubles: a number is no account's id, and one with thousands of digits takes long to parse.
    json.loads(text, object_pairs_hook=read_object, parse_int=float, parse_constant=_refuse_constant)
    return named


def named_among(fields: Iterable[tuple[str, object]]) -> set[NamedAccount]:
    """Read the accounts that the fields of one object name; an `altType` applies to every `altId` among them."""
    found = [(kind, name, value) for name, value in fields if (kind := kind_of(name)) is not None]
    if not found:
        return set()
    types = [each for kind, _, value in found if kind is Names.TYPE for each in _values(value)]
    as_location = bool(types) and all(each == "location" for each in types)
    named = set()
    for kind, name, value in found:
        shown = name[:_LONGEST_SHOWN]
        if kind is Names.OTHER:
            named.add(NamedAccount(kind, "", shown))
        elif kind is not Names.TYPE:
            meant = Names.EITHER_AS_LOCATION if kind is Names.EITHER and as_location else kind
            for each in _values(value):
                named.add(
                    NamedAccount(meant, each, shown) if isinstance(each, str) else NamedAccount(Names.OTHER, "", shown)
                )
    return named


def read_query(query_string: bytes) -> dict[str, list[str]]:
    """Return the query's values by name, in the order sent; all of the service reads queries this way."""
    return parse_qs(query_string.decode("utf-8", "replace"), keep_blank_values=True)


def read_fields(text: bytes) -> list[tuple[str, str]]:
    """Return the fields of a query or a urlencoded body, in the order sent; read as `read_query` reads them."""
    return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True)


_OBJECT = object()


def _values(value: object) -> list[object]:
    """Return a value, or a list's elements; null and an empty text name nothing."""
    if isinstance(value, list):
        return [each for item in value for each in _values(item)]
    return [] if value is None or value == "" else [value]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
