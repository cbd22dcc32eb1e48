"""The audit log as a chain of hashes: how a row is written, and whether a log is still the one that was written.

An exported log is a row a line, each a JSON object. `hash` is the SHA-256, in hex digits, of the UTF-8 text of the
object without it, as RFC 8785 spells JSON: keys sorted, no space between tokens, nothing escaped that needn't be. (The
rows hold no fractions, so Python's `json.dumps` with sorted keys spells it so.) Each account has a chain of its own,
and what belongs to no account (`"account": null`) is the service's: `sequence` counts its rows from 1, and `previous`
is the hash of the row before, of the first one 64 zeros.

A row that the database holds as something that was never written, such as a text that became a BLOB, is exported with
`damaged`: its columns and what each is stored as. No row was hashed with that, so its hash is another one.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BEGINNING = "0" * 64
"""The hash that the first row has of its predecessor."""

DAMAGED = "damaged"
"""The field of an exported row that names the columns whose values have another type than the written one."""

_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class ChainHead:
    """A row that a chain was seen to reach, such as the last one: noted elsewhere, it tells what was cut off."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        """Write it as people note it: `SEQUENCE:HASH`."""
        return f"{self.sequence}:{self.hash}"


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong with a log; `line` counts from 1, and is None for what is missing at the end."""

    line: int | None
    reason: str


@dataclass(frozen=True)
class Whole:
    """A log in which nothing is wrong: the last row of each chain, by account; None is the service's own."""

    heads: Mapping[str | None, ChainHead]


def canonical(row: Mapping[str, Any]) -> str:
    """Return the canonical text of a row, which is hashed; ValueError for a number that JSON lacks, such as NaN."""
    return json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(row: Mapping[str, Any]) -> str:
    """Return the hash of a row's content; its own field `hash` doesn't count."""
    content = {key: value for key, value in row.items() if key != "hash"}
    # Half a character is in no row that was stored, but may be in a file that is said to be a log.
    return hashlib.sha256(canonical(content).encode(errors="surrogatepass")).hexdigest()


def examine(lines: Iterable[str | bytes], noted: Iterable[tuple[str | None, ChainHead]] = ()) -> Whole | Fault:
    """Examine a log from its first row on; `noted` are rows that a chain was seen to reach."""
    missing: dict[tuple[str | None, int], set[str]] = defaultdict(set)
    for account, head in noted:
        missing[account, head.sequence].add(head.hash)
    heads: dict[str | None, ChainHead] = {}
    for number, line in enumerate(lines, start=1):
        row = _read(line)
        if row is None:
            return Fault(number, "is no row of an audit log")
        account = row["account"]
        reason = _why_not_next(row, heads.get(account, ChainHead(0, BEGINNING)))
        if reason is not None:
            return Fault(number, reason)
        head = heads[account] = ChainHead(row["sequence"], row["hash"])
        if missing.pop((account, head.sequence), {head.hash}) != {head.hash}:
            return Fault(number, f"{_named(row)} is not the one that was noted: the log was written anew")
    for account, sequence in missing:
        there = heads.get(account, ChainHead(0, BEGINNING)).sequence
        return Fault(None, f"row {sequence} of {_chain(account)} was noted, but the log ends with row {there}")
    return Whole(heads)


def _read(line: str | bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line, object_pairs_hook=_each_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not {"account", "sequence", "previous", "hash"} <= row.keys():
        return None
    account, sequence = row["account"], row["sequence"]
    hashes = (row["previous"], row["hash"])
    # The error names a damaged row by the values that are left of it.
    hashed = DAMAGED in row or all(map(_is_hash, hashes))
    fits = isinstance(account, str | None) and type(sequence) is int and hashed
    return row if fits else None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError if it has a name twice, because other programs may read the other value."""
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


def _refuse(_: str) -> None:
    """Refuse NaN and the infinities, which JSON doesn't have."""
    raise ValueError


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None


def _why_not_next(row: dict[str, Any], before: ChainHead) -> str | None:
    if DAMAGED in row:
        return f"{_named(row)} was changed: {_damage(row[DAMAGED])}"
    if hash_of(row) != row["hash"]:
        return f"{_named(row)} was changed: its hash is another one"
    if row["sequence"] != before.sequence + 1:
        return f"{_named(row)} stands where row {before.sequence + 1} belongs: rows are missing or moved"
    if row["previous"] != before.hash:
        return f"{_named(row)} does not follow the row before it: that one was changed, and its hash with it"
    return None


def _damage(columns: object) -> str:
    if not isinstance(columns, dict):
        return "it is damaged"
    return ", ".join(f"its {name} is stored as {kind}" for name, kind in sorted(columns.items()))


def _named(row: dict[str, Any]) -> str:
    return f"row {row['sequence']} of {_chain(row['account'])}"


def _chain(account: str | None) -> str:
    return "the service's own log" if account is None else f"account {account}"
