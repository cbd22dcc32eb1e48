"""Store the activity of tokens in tables of the database that all replicas share.

A flush is one statement in a transaction of its own, with `synchronous_commit` off: a crash of the database loses the
last flushes, as a killed process loses its last second, and no flush waits for a disk or a standby. A flush whose
answer is lost may count twice.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from ...instants import from_milliseconds, to_milliseconds
from ..activity import CALLERS_KEPT, HOURS_KEPT, USES_KEPT, Batch, Queries, RecordedActivity, hour_of, lives
from ..engine import StorageError
from .connections import PATIENCE, Watchdog, watched

SILENT = timedelta(minutes=5)
"""Take a process of another replica for dead if the database has not heard of it for so long.

A process flushes at least every 15 seconds. If it can't store its flush, it says that it is alive. If it can't reach
the database, it passes no requests once its lease has run out, which is far sooner, so it has nothing else to record.
"""

# Instants and hours are milliseconds since the Unix epoch by the service's clock, except `activity_workers.seen_at`, an
# instant of the database.
#
# Two flushes that have a token in common run one after the other: `owners` locks the tokens in the order of their ids,
# an unchanged one too, and all other rows are written after that (`ready`). So flushes can't deadlock.
#
# `owners` returns the tokens that are new, and ids that come again beside a database that was restored from an older
# copy: what is known of the token that had the id before must not be shown to those who have it now.
#
# Every step sees the rows as they were before the statement, so callers are ranked together with those given. Flushes
# at the same time don't see each other's callers, and the next flush deletes the surplus.
_FLUSH = f"""
WITH owners AS (
    INSERT INTO activity_tokens AS known (token_id, integration_id, generation)
    SELECT * FROM unnest(%(tokens)s::bigint[], %(integrations)s::text[], %(generations)s::bigint[])
    ORDER BY 1
    ON CONFLICT (token_id) DO UPDATE SET integration_id = excluded.integration_id, generation = excluded.generation
    WHERE (known.integration_id, known.generation) <> (excluded.integration_id, excluded.generation)
    RETURNING known.token_id
), former_requests AS (
    DELETE FROM activity_requests AS former USING owners WHERE former.token_id = owners.token_id RETURNING 1
), former_uses AS (
    DELETE FROM activity_uses AS former USING owners WHERE former.token_id = owners.token_id RETURNING 1
), former_callers AS (
    DELETE FROM activity_callers AS former USING owners WHERE former.token_id = owners.token_id RETURNING 1
), ready AS MATERIALIZED (
    SELECT (SELECT count(*) FROM owners), (SELECT count(*) FROM former_requests),
           (SELECT count(*) FROM former_uses), (SELECT count(*) FROM former_callers)
), added_requests AS (
    INSERT INTO activity_requests AS known (token_id, hour, scope, reason, requests)
    SELECT given.* FROM ready, unnest(
        %(request_tokens)s::bigint[], %(hours)s::bigint[], %(request_scopes)s::text[], %(request_reasons)s::text[],
        %(requests)s::bigint[]
    ) AS given
    ON CONFLICT (token_id, hour, scope, reason) DO UPDATE SET requests = known.requests + excluded.requests
), added_uses AS (
    INSERT INTO activity_uses AS known (token_id, scope, reason, last_at)
    SELECT given.* FROM ready, unnest(
        %(use_tokens)s::bigint[], %(use_scopes)s::text[], %(use_reasons)s::text[], %(used_at)s::bigint[]
    ) AS given
    ON CONFLICT (token_id, scope, reason) DO UPDATE SET last_at = greatest(known.last_at, excluded.last_at)
), given_callers AS (
    SELECT * FROM unnest(
        %(caller_tokens)s::bigint[], %(addresses)s::text[], %(agents)s::text[], %(caller_requests)s::bigint[],
        %(first_at)s::bigint[], %(last_at)s::bigint[]
    ) AS given (token_id, address, agent, requests, first_at, last_at)
), ranked AS (
    SELECT token_id, address, agent, max(last_at) AS last_at,
           row_number() OVER (PARTITION BY token_id ORDER BY max(last_at) DESC, address, agent) AS place
    FROM (
        SELECT token_id, address, agent, last_at FROM given_callers
        UNION ALL
        SELECT token_id, address, agent, last_at FROM activity_callers
        WHERE token_id = ANY(%(caller_tokens)s::bigint[]) AND token_id NOT IN (SELECT token_id FROM owners)
    ) AS callers
    GROUP BY token_id, address, agent
), surplus_callers AS (
    DELETE FROM activity_callers AS known USING ready, ranked
    WHERE place > {CALLERS_KEPT} AND known.last_at <= ranked.last_at
    AND (known.token_id, known.address, known.agent) = (ranked.token_id, ranked.address, ranked.agent)
), added_callers AS (
    INSERT INTO activity_callers AS known (token_id, address, agent, requests, first_at, last_at)
    SELECT given.* FROM ready, given_callers AS given JOIN ranked USING (token_id, address, agent)
    WHERE place <= {CALLERS_KEPT}
    ON CONFLICT (token_id, address, agent) DO UPDATE SET
        requests = known.requests + excluded.requests,
        first_at = least(known.first_at, excluded.first_at),
        last_at = greatest(known.last_at, excluded.last_at)
), observed AS (
    INSERT INTO activity_observation (id, since, purged_hour) SELECT 1, %(now)s::bigint, 0 FROM ready
    ON CONFLICT DO NOTHING
), observed_anew AS (
    UPDATE activity_observation SET since = greatest(since, %(now)s::bigint) FROM ready WHERE NOT %(is_gapless)s
), flushed AS (
    INSERT INTO activity_workers (run, pid, flushed_at, seen_at)
    SELECT %(run)s, %(pid)s, %(now)s::bigint, clock_timestamp() FROM ready
    ON CONFLICT (run, pid) DO UPDATE SET flushed_at = excluded.flushed_at, seen_at = excluded.seen_at
)
SELECT set_config('synchronous_commit', 'off', true)
"""  # noqa: S608
_NOTE_ALIVE = """
UPDATE activity_workers SET seen_at = clock_timestamp() WHERE run = %s AND pid = %s
RETURNING set_config('synchronous_commit', 'off', true)
"""
_LEAVE = """
DELETE FROM activity_workers WHERE run = %s AND pid = %s
RETURNING set_config('synchronous_commit', 'off', true)
"""
_FLUSHES = "SELECT run, pid, flushed_at FROM activity_workers WHERE run = %s OR seen_at > clock_timestamp() - %s"

_BEGIN_READ = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '{PATIENCE}s'"
_BEGIN_PURGE = f"BEGIN; SET LOCAL synchronous_commit = off; SET LOCAL statement_timeout = '{PATIENCE}s'"
_CLAIM_PURGE = "UPDATE activity_observation SET purged_hour = %(hour)s WHERE purged_hour < %(hour)s"
# A flush waits for one deletion at most, and a deletion for no flush.
_PURGED_AT_ONCE = 5_000
_PURGE = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {table} WHERE {instant} < %s LIMIT {limit} FOR UPDATE SKIP LOCKED
))
"""
_PURGED = (
    ("activity_requests", "hour", HOURS_KEPT),
    ("activity_uses", "last_at", USES_KEPT),
    ("activity_callers", "last_at", USES_KEPT),
)
_PURGE_WORKERS = "DELETE FROM activity_workers WHERE seen_at < clock_timestamp() - interval '1 day'"
# Without its last uses, all rows of a token are deleted. Only a second statement sees what was stored until the lock.
_LOCK_UNUSED_TOKENS = f"""
SELECT token_id FROM activity_tokens AS known
WHERE NOT EXISTS (SELECT FROM activity_uses WHERE token_id = known.token_id)
LIMIT {_PURGED_AT_ONCE} FOR UPDATE SKIP LOCKED
"""  # noqa: S608
_PURGE_TOKENS = """
DELETE FROM activity_tokens AS known
WHERE token_id = ANY(%s) AND NOT EXISTS (SELECT FROM activity_uses WHERE token_id = known.token_id)
"""

_QUERIES = Queries(
    observed_since="SELECT since FROM activity_observation",
    last_uses="""
        SELECT token_id, max(last_at) FROM activity_uses
        WHERE token_id = ANY(ARRAY(SELECT json_array_elements_text(%s::json)::bigint)) AND reason NOT LIKE 'token-%%'
        GROUP BY token_id
    """,
    counted="""
        SELECT generation, hour - hour %% %s::bigint AS start, scope, reason, sum(requests)::bigint
        FROM activity_tokens JOIN activity_requests USING (token_id)
        WHERE integration_id = %s AND hour >= %s
        GROUP BY generation, start, scope, reason
    """,
    uses_of="""
        SELECT generation, scope, reason, max(last_at)
        FROM activity_tokens JOIN activity_uses USING (token_id)
        WHERE integration_id = %s
        GROUP BY generation, scope, reason
    """,
    callers_of="""
        SELECT generation, address, agent, sum(requests)::bigint, min(first_at), max(last_at) AS last
        FROM activity_tokens JOIN activity_callers USING (token_id)
        WHERE integration_id = %s AND last_at >= %s
        GROUP BY generation, address, agent
        ORDER BY last DESC
    """,
    refused_scopes="""
        SELECT integration_id, scope, sum(requests)::bigint
        FROM activity_tokens JOIN activity_requests USING (token_id)
        WHERE reason = 'scope-missing' AND hour >= %s
        GROUP BY integration_id, scope
        HAVING sum(requests) >= %s
    """,
)


class PostgreSQLActivity:
    """Read and write the activity of all replicas, from any process of one.

    Args:
        pool: connections without transactions of their own (connections.py); they belong to the engine.
        run: the name of this replica's run.
        watchdog: ends what takes too long.

    """

    place = "the database"

    def __init__(self, pool: Engine, run: str, watchdog: Watchdog) -> None:
        self._pool = pool
        self._run = run
        self._watchdog = watchdog
        self._purged_hour = 0

    @contextmanager
    def read(self) -> Iterator[RecordedActivity]:
        """Begin a read-only transaction: one consistent view. Raises StorageError."""
        with self._transaction(_BEGIN_READ) as connection:
            yield RecordedActivity(connection, _QUERIES)

    def store(self, batch: Batch, now: datetime) -> None:
        """Add a batch, and store that this process has flushed all uses until `now`; both or neither.

        Raises StorageError.
        """
        at = to_milliseconds(now)
        worker = {"run": self._run, "pid": os.getpid(), "now": at, "is_gapless": batch.is_gapless}
        try:
            self._execute(_FLUSH, worker | _columns(batch))
        except StorageError:
            # A process whose uses can't be stored is not a dead one: the watermark waits for it.
            with suppress(StorageError):
                self._execute(_NOTE_ALIVE, (self._run, os.getpid()))
            raise
        if hour_of(at) != self._purged_hour:
            self._purged_hour = hour_of(at)
            # The batch is stored, so nothing may fail any more. The next hour's purge deletes the rest.
            with suppress(StorageError):
                self._purge(at)

    def leave(self) -> None:
        """Store that this process flushes no more; raises as `store` does."""
        self._execute(_LEAVE, (self._run, os.getpid()))

    def flushes(self) -> list[datetime]:
        """Return the last flush of each live process of this replica, and of the others that are not silent."""
        with self._transaction(_BEGIN_READ) as connection:
            rows = connection.exec_driver_sql(_FLUSHES, (self._run, SILENT))
            return [from_milliseconds(flushed) for run, pid, flushed in rows if run != self._run or lives(pid)]

    def close(self) -> None:
        """Do nothing: the engine closes the connections."""

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        with watched(self._pool, self._watchdog) as (connection, _), connection.begin():
            connection.exec_driver_sql(begin)
            yield connection

    def _execute(self, statement: str, parameters: Any) -> None:
        with watched(self._pool, self._watchdog) as (connection, _):
            connection.exec_driver_sql(statement, parameters)

    def _purge(self, at: int) -> None:
        """Delete what is too old, in one process of all replicas."""
        with self._transaction(_BEGIN_PURGE) as connection:
            if not connection.exec_driver_sql(_CLAIM_PURGE, {"hour": hour_of(at)}).rowcount:
                return
            connection.exec_driver_sql(_PURGE_WORKERS)
        for table, instant, kept in _PURGED:
            statement = _PURGE.format(table=table, instant=instant, limit=_PURGED_AT_ONCE)
            before = at - kept // timedelta(milliseconds=1)
            while self._purge_some(statement, before) == _PURGED_AT_ONCE:
                """Go on to the next ones."""
        while self._purge_tokens() == _PURGED_AT_ONCE:
            """Go on to the next ones."""

    def _purge_some(self, statement: str, before: int) -> int:
        with self._transaction(_BEGIN_PURGE) as connection:
            return connection.exec_driver_sql(statement, (before,)).rowcount

    def _purge_tokens(self) -> int:
        with self._transaction(_BEGIN_PURGE) as connection:
            unused = connection.exec_driver_sql(_LOCK_UNUSED_TOKENS).scalars().all()
            return connection.exec_driver_sql(_PURGE_TOKENS, (list(unused),)).rowcount


def _columns(batch: Batch) -> dict[str, list[Any]]:
    """Return the batch as one list for each column."""
    tokens = [(token, *of) for token, of in batch.tokens.items()]
    requests = [(*about, count) for about, count in batch.requests.items()]
    uses = [(*about, last) for about, last in batch.uses.items()]
    callers = [(*caller, *seen) for caller, seen in batch.callers.items()]
    return (
        _named(tokens, "tokens", "integrations", "generations")
        | _named(requests, "request_tokens", "hours", "request_scopes", "request_reasons", "requests")
        | _named(uses, "use_tokens", "use_scopes", "use_reasons", "used_at")
        | _named(callers, "caller_tokens", "addresses", "agents", "caller_requests", "first_at", "last_at")
    )


def _named(rows: list[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
