"""Read queries and check them, in the words of the platform's validator."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..authorizer.replies import PlatformError
from .bodies import invalid, searched

query_text = searched(1000)
"""Limit a text to search for; a pattern of more than 50,000 bytes is an error to SQLite."""

_WHOLE = re.compile(r"([0-9]+)(?:\.0+)?")
LARGEST_SKIP = 10**9
"""Limit counts to more than any list has; SQLite counts no further than 2**63."""


@dataclass(frozen=True)
class Slice:
    """Ask for `limit` entries of a list after the first `skip` that contain `text`."""

    skip: int
    limit: int
    text: str


def read_slice(
    query: Mapping[str, Sequence[str]], faults: Sequence[str], *, limit: int, largest: int
) -> Slice | PlatformError:
    """Read `limit`, `skip` and `query`; `faults` are those found before, `limit` is the default."""
    skip = whole_number(last(query, "skip"), 0)
    asked = whole_number(last(query, "limit"), limit)
    text = last(query, "query")
    found = [*faults, *number_faults("limit", asked, 1, largest), *number_faults("skip", skip, 0, LARGEST_SKIP)]
    found += query_text("query", text)
    if found or skip is None or asked is None:
        return invalid(found)
    return Slice(skip, asked, text)


def number_faults(name: str, number: int | None, smallest: int, largest: int) -> list[str]:
    """Return the faults of a number that was read."""
    if number is None:
        return [f"{name} must be a number conforming to the specified constraints"]
    if number > largest:
        return [f"{name} must not be greater than {largest}"]
    return [f"{name} must not be less than {smallest}"] if number < smallest else []


def whole_number(digits: str, default: int) -> int | None:
    """Read a whole number, which some clients send as `20.0`; a very long one becomes just a very large one."""
    if not digits:
        return default
    found = _WHOLE.fullmatch(digits)
    if found is None:
        return None
    return int(found[1]) if len(found[1]) <= 18 else 10**18


def last(query: Mapping[str, Sequence[str]], name: str) -> str:
    """Return the parameter's last value, or an empty text."""
    return query.get(name, ("",))[-1]


def flag(value: str, *, default: bool) -> bool | None:
    """Read `true` or `false`; None if it is neither."""
    return {"": default, "true": True, "false": False}.get(value)
