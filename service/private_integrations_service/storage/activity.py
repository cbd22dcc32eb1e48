"""The recorded activity of tokens, whichever database stores it: what is stored, how long, and what can be read."""

import json
import os
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from ..instants import from_milliseconds, to_milliseconds

HOURS_KEPT = timedelta(days=35)
"""Keep requests by the hour for so long, which is more than the longest shown period."""
USES_KEPT = timedelta(days=400)
"""Keep last uses and callers for so long, which is more than the longest inactivity period."""
CALLERS_KEPT = 20
"""Keep the latest so many callers of a token; the schema of SQLite has the same number."""

DEAD = "token-"
"""Begin the reasons that refuse an ended token; such a request is no use of it."""

_HOUR = 3_600_000

Token = int
"""`tokens.id` of the main database."""


@dataclass(frozen=True)
class Batch:
    """Hold the uses since the last flush; instants and hours are milliseconds since the Unix epoch.

    `tokens` has the integration and generation of each token. `is_gapless` is False if uses had to be dropped.
    """

    tokens: dict[Token, tuple[str, int]] = field(default_factory=dict)
    requests: dict[tuple[Token, int, str, str], int] = field(default_factory=dict)
    """The numbers by token, hour, scope and reason."""
    uses: dict[tuple[Token, str, str], int] = field(default_factory=dict)
    """The last instant by token, scope and reason."""
    callers: dict[tuple[Token, str, str], tuple[int, int, int]] = field(default_factory=dict)
    """The number, the first and the last instant by token, address and agent."""
    is_gapless: bool = True


@dataclass(frozen=True)
class RecordedCaller:
    """Hold a caller of a token: the address of its requests, and the program that they named, if any."""

    address: str
    agent: str
    requests: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True)
class RequestCount:
    """Count requests with the tokens of one generation, by `scope` and `reason`, either of which may be empty."""

    generation: int
    start: datetime
    scope: str
    reason: str
    requests: int


@dataclass(frozen=True)
class LastUse:
    """Hold the last request of a generation with this scope and reason."""

    generation: int
    scope: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class Queries:
    """Hold the queries of one dialect; their parameters are listed in order, and instants are milliseconds."""

    observed_since: str
    last_uses: str
    """The token ids as JSON."""
    counted: str
    """The width of a bucket, the integration, the first hour."""
    uses_of: str
    """The integration."""
    callers_of: str
    """The integration, the earliest instant."""
    refused_scopes: str
    """The first hour, the smallest number."""


class RecordedActivity:
    """One consistent view of the stored activity."""

    def __init__(self, connection: Connection, queries: Queries) -> None:
        self._query = connection.exec_driver_sql
        self._queries = queries

    def observed_since(self) -> datetime | None:
        """Return the instant since which uses are recorded without a gap; None before the first one."""
        row = self._query(self._queries.observed_since).one_or_none()
        return None if row is None else from_milliseconds(row[0])

    def last_uses(self, token_ids: Collection[Token]) -> dict[Token, datetime]:
        """Return the last use of each token while it was live; tokens without a known use are missing."""
        rows = self._query(self._queries.last_uses, (json.dumps(list(token_ids)),))
        return {token: from_milliseconds(last) for token, last in rows}

    def counted(self, integration_id: str, since: datetime, bucket: timedelta) -> list[RequestCount]:
        """Count the integration's requests since the hour of an instant, in buckets that divide a day in UTC."""
        width = bucket // timedelta(milliseconds=1)
        rows = self._query(self._queries.counted, (width, integration_id, hour_of(to_milliseconds(since))))
        return [
            RequestCount(generation, from_milliseconds(start), scope, reason, requests)
            for generation, start, scope, reason, requests in rows
        ]

    def uses_of(self, integration_id: str) -> list[LastUse]:
        """Return the last uses of an integration, by generation, scope and reason."""
        rows = self._query(self._queries.uses_of, (integration_id,))
        return [LastUse(generation, scope, reason, from_milliseconds(at)) for generation, scope, reason, at in rows]

    def callers_of(self, integration_id: str, since: datetime) -> list[tuple[int, RecordedCaller]]:
        """Return the callers of the integration's tokens since then, by generation, the latest first."""
        rows = self._query(self._queries.callers_of, (integration_id, to_milliseconds(since)))
        return [
            (generation, RecordedCaller(address, agent, requests, from_milliseconds(first), from_milliseconds(last)))
            for generation, address, agent, requests, first, last in rows
        ]

    def refused_scopes(self, since: datetime, at_least: int) -> list[tuple[str, str, int]]:
        """Count refused requests by integration and missing scope, since the hour of an instant."""
        begin = hour_of(to_milliseconds(since))
        return [tuple(row) for row in self._query(self._queries.refused_scopes, (begin, at_least))]


class ActivityStore(Protocol):
    """Store and read the activity of tokens, from any process of the service; `StorageEngine.activity` opens it.

    One thread of a process stores; a store is never opened before a fork. Every method raises a StorageError if it
    can't do its part.
    """

    @property
    def place(self) -> str:
        """The place of the stored activity, for messages."""

    def read(self) -> AbstractContextManager[RecordedActivity]:
        """Begin one consistent view, for as long as the block."""

    def store(self, batch: Batch, now: datetime) -> None:
        """Add a batch, and store that this process has flushed all uses until `now`; both or neither."""

    def leave(self) -> None:
        """Store that this process flushes no more."""

    def flushes(self) -> list[datetime]:
        """Return the last flush of each process that records uses and has not left or ended."""

    def close(self) -> None:
        """Close what this store has opened."""


def hour_of(instant: int) -> int:
    """Return the beginning of the hour (UTC) of an instant; both in milliseconds since the Unix epoch."""
    return instant - instant % _HOUR


def lives(pid: int) -> bool:
    """Tell whether the process with this id lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        """It belongs to another user, and lives."""
    return True
