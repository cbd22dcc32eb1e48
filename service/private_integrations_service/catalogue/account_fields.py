"""Tell which fields of a request name an account: the vendor's list by operation, and names that count everywhere."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote


class Names(Enum):
    """List the kinds of account fields: a location, an agency (company), either, or the word that says which.

    EITHER_AS_LOCATION is an `altId` whose every `altType` says `location`. OTHER matches no account: a value
    that is no text, or a field inside an account field (`locationId[$ne]`), which some servers take for a condition.
    """

    LOCATION = "location"
    COMPANY = "company"
    EITHER = "either"
    EITHER_AS_LOCATION = "either, as a location"
    TYPE = "type"
    OTHER = "other"


_WORDS: Mapping[str, Names] = MappingProxyType(
    {
        "location id": Names.LOCATION,
        "location ids": Names.LOCATION,
        "locations": Names.LOCATION,
        "share location id": Names.LOCATION,
        "sub account id": Names.LOCATION,
        "company id": Names.COMPANY,
        "company ids": Names.COMPANY,
        "agency id": Names.COMPANY,
        "agency ids": Names.COMPANY,
        "alt id": Names.EITHER,
        "alt ids": Names.EITHER,
        "alt type": Names.TYPE,
    }
)
_BY_FOLDED: Mapping[str, Names] = MappingProxyType({words.replace(" ", ""): kind for words, kind in _WORDS.items()})

HEADERS = frozenset(words.replace(" ", joint).encode() for words in _WORDS for joint in ("", "-", "_"))
"""List the headers that name an account, in lower case."""

_NO_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
_BRACKETS = re.compile(r"[\[\]]+")
_ANY_WORD = re.compile("|".join(sorted(_BY_FOLDED, key=len, reverse=True)))
# No server follows a path of so many steps; one that is longer costs time to take apart.
_MOST_STEPS = 100
# Longer names are not remembered: the memory for them must stay small.
_LONGEST_REMEMBERED = 100


def kind_of(name: str) -> Names | None:
    """Return the kind of a field with this name, None if it names no account; `name` is decoded once, as by servers.

    Case, underscores, hyphens, blanks and dots don't count, since some servers ignore or rewrite them. Brackets and
    dots may make a path of the name (`filter[locationId]`, `locationId[0]`, `estimate.altId`).
    """
    return _remembered_kind(name) if len(name) <= _LONGEST_REMEMBERED else _kind_of(name)


def _kind_of(name: str) -> Names | None:
    kind = _kind_of_path(name)
    before, bracket, behind = name.partition("[")
    if kind is None and bracket and "]" not in behind:
        # PHP makes an underscore of a bracket that isn't closed.
        kind = _kind_of_path(f"{before}_{behind}")
    if kind is None and "\0" in name:
        # PHP ends a name there.
        kind = _kind_of_path(name.partition("\0")[0])
    if kind is None and "%" in name:
        # Some servers decode twice.
        kind = _kind_of_path(unquote(name))
    return kind


_remembered_kind = lru_cache(maxsize=4096)(_kind_of)


def _kind_of_path(name: str) -> Names | None:
    if _ANY_WORD.search(_folded(name)) is None:
        return None
    if name.count("[") + name.count("]") + name.count(".") > _MOST_STEPS:
        return Names.OTHER
    pieces = [piece for piece in _BRACKETS.split(name) if piece and not piece.isdecimal()]
    for position, piece in enumerate(pieces):
        last = position == len(pieces) - 1
        kind = _BY_FOLDED.get(_folded(piece))
        if kind is None and "." in piece:
            parts = [part for part in piece.split(".") if part and not part.isdecimal()]
            found = [at for at, part in enumerate(parts) if _folded(part) in _BY_FOLDED]
            if found:
                kind = _BY_FOLDED[_folded(parts[found[0]])]
                last = last and found[0] == len(parts) - 1
        if kind is not None:
            return kind if last else Names.OTHER
    return None


def _folded(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
    return _NO_ALPHANUMERIC.sub("", text.lower())


@dataclass(frozen=True, slots=True)
class AccountFields:
    """List the fields of an operation that name an account, by the vendor's documents; a body's as dotted paths."""

    path: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedFields:
    """Hold the vendor's list by method and path, and the operations with an undocumented body."""

    operations: Mapping[tuple[str, str], AccountFields]
    untyped_bodies: frozenset[tuple[str, str]]

    @classmethod
    def load(cls) -> "PublishedFields":
        """Read the list that comes with the package (its format: docs/platform.md §9)."""
        text = resources.files(__package__).joinpath("data/account_fields.json").read_text("utf-8")
        data: Mapping[str, Any] = json.loads(text)
        return cls(
            MappingProxyType(
                {
                    _operation(name): AccountFields(**{place: tuple(names) for place, names in places.items()})
                    for name, places in data["operations"].items()
                }
            ),
            frozenset(map(_operation, data["untyped_bodies"])),
        )


def _operation(name: str) -> tuple[str, str]:
    method, _, path = name.partition(" ")
    return method, path
