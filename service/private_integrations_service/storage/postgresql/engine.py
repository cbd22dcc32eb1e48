"""The PostgreSQL engine: one database for several machines, each with a lease on what it remembers.

A change that ends or narrows a token is answered when every machine has acknowledged it, or when every lease from
before it has run out (docs/revocation-protocol.md).
"""

import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from private_integrations.errors import ConfigurationError

from ...access import security_log
from ...instants import from_milliseconds, to_milliseconds
from ...private_files import open_private, prepare_folder
from ..engine import Answer, StorageBusy, StorageError, StorageUnavailable, StorageUncertain, Write
from ..epoch import Epoch, Subjects
from ..file_leadership import FileLeadership
from ..replication import LeaseState, Replication
from ..shared_memory import shared_numbers
from ..steady_clock import Clock, SteadyClock
from ..write_lock import WAITING, WAITING_YIELDING, WriteLock
from . import replicas
from .acknowledgement import CommittedChange, ReplicaList, Sightings, Wait, decide, first_use_waits
from .activity import PostgreSQLActivity
from .claims import TableClaims
from .connections import (
    PATIENCE,
    TIMELINE,
    WRITES,
    PostgreSQLDecisionConnection,
    Watchdog,
    connect,
    connection_pool,
    new_mark,
    place_of,
    storage_errors,
    usable_database,
    watched,
)
from .leadership import AdvisoryLeadership
from .lease import LeaseTimes, may_use_read
from .lease_keeper import LeaseKeeper, leave
from .remembered_ends import Ends, Loss, RememberedEnds, end_again
from .revision import Revision
from .schema import prepare_schema
from .shared_state import SharedState, boot_clock
from .slowest_wait import SlowestWait
from .timeline import WatchedTimeline, watch

WRITE_LOCK_NAME = "writer.lock"
_LEASE = "lease"

READERS = 8
"""How many threads of a process may read from the database at once."""

_PATIENCE_ENDING = 30

# Between two statements of a change, in seconds: a machine that is halted or cut off in one keeps all others from
# writing for so long. It is shorter than PATIENCE, so their changes need not fail.
_LONGEST_SILENCE = 2

# Of the threads of a process (server/serve.py), the rest is for reads.
_MOST_WAITING = WAITING + WAITING_YIELDING

# A wait for acknowledgements, in seconds: they come within milliseconds, or not for a long time. Each pause is longer
# than the one before by a half, so that the last one adds a third of the wait at most.
_FIRST_LOOK, _LONGEST_PAUSE = 0.001, 0.05


class PostgreSQLEngine:
    """The storage engine over one database (storage/engine.py says what each method does).

    Processes forked from the one that opened it share the epoch, the lease, the clock, the counts of the security log,
    the write lock and the name of the run; connections never cross a fork.

    Args:
        address: of the database, as libpq reads it.
        folder: the data folder of this machine.
        times: how long a lease lasts.
        clock: the clock, None for the database's.

    """

    def __init__(self, address: str, folder: Path, times: LeaseTimes, clock: Clock | None = None) -> None:
        self.effective_by: datetime | None = None
        self.address = address
        self.place = place_of(address)
        self.folder = folder
        self.run = secrets.token_hex(8)
        self.times = times
        self.security_counts = shared_numbers(security_log.NUMBERS)
        self._state = SharedState()
        self.epoch: Epoch = self._state.epoch
        self._slowest = SlowestWait(self._state.slowest_wait)
        self._clock = SteadyClock(clock or self._state.database_clock, self._state.clock_numbers)
        self._write_lock = WriteLock(folder / WRITE_LOCK_NAME)
        self._watchdog = Watchdog()
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self._writer = connection_pool(address, size=1)
        self._readers = connection_pool(address, size=READERS)
        self._keeper: LeaseKeeper | None = None
        self._timeline: WatchedTimeline | None = None
        with storage_errors(), connect(address) as connection:
            found = replicas.read_authority(connection)
            self._ends = RememberedEnds(folder, replicas.read_installation(connection))
        self._state.set_clock(found.clock, boot_clock())
        self.note_clock(found.high_water)

    def without_waiting(self) -> "UnawaitedEngine":
        """Return this engine for one request that is answered before its changes hold on every machine."""
        return UnawaitedEngine(self)

    def now(self) -> datetime:
        """Return the present instant in UTC by the database's clock, which never runs backwards."""
        return self._clock.now()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Begin a read-only transaction: one consistent view."""
        with watched(self._readers, self._watchdog) as (connection, driver), connection.begin():
            timeline = _last_row(driver, _BEGIN_READ)[0]
            self._check(timeline)
            yield connection

    @contextmanager
    def write(self, *, yielding: bool = False) -> Iterator[Write]:
        """Begin a write transaction, which has the write lock from its start and commits at the end of the block."""
        if yielding:
            with self._write_lock.held(yielding=True), self._transaction(PATIENCE) as transaction:
                yield transaction.write
            return
        with self._place_to_wait():
            with self._write_lock.held(), self._transaction(PATIENCE) as transaction:
                yield transaction.write
            self._await(transaction)

    def end_access(self, step: Callable[[Write], Answer]) -> Answer:
        """Run a step that ends tokens or rights, in a transaction that waits longer."""
        try:
            with self._place_to_wait():
                with self._write_lock.held(ending=True), self._transaction(_PATIENCE_ENDING) as transaction:
                    answer = step(transaction.write)
                self._await(transaction)
                return answer
        except StorageError:
            raise
        except Exception:
            # A refusal may repeat a change that is not answered yet, such as a deletion: "it is not there" waits too.
            self._await_earlier_changes()
            raise

    def _await_earlier_changes(self) -> None:
        with self.write():
            """Commits, and waits for the present revision."""

    def has_stored(self, instant: datetime) -> bool:
        """Return whether the clock goes on at this instant or later after a restart."""
        return self._clock.stored >= instant

    def keep_ended(self, deadline: datetime | None) -> None:
        """Store that `deadline` has passed, before a client hears of it, if that isn't stored yet."""
        if deadline is not None and not self.has_stored(deadline) and deadline <= self.now():
            with self.write(yielding=True):
                """Every write stores the latest instant."""

    def require(self) -> None:
        """Raise StorageUnavailable if this machine has no lease: it might not hear of a change."""
        if self._keeper is not None and not self._state.has_lease():
            raise StorageUnavailable("the lease has run out, since the database did not answer")

    def decision_connection(self) -> PostgreSQLDecisionConnection:
        """Open access for the statements that requests need."""
        return PostgreSQLDecisionConnection(self._readers, self._watchdog, self._check)

    def activity(self) -> PostgreSQLActivity:
        """Open the activity of all replicas, over the connections of this engine."""
        return PostgreSQLActivity(self._readers, self.run, self._watchdog)

    def notices(self) -> list[str]:
        """Return which promise holds, by the server's settings for its standbys, and for how long a lease lasts."""
        with storage_errors(), connect(self.address) as connection:
            is_synchronous = replicas.is_synchronous(connection)
        waits = f"or after {self.times.change_wait:g} s if one is silent (D = {self.times.duration:g} s)"
        holds = f"a change that ends a token is answered when every replica knows it, {waits}"
        if is_synchronous:
            return [f"{holds}; a standby has it too (synchronous_standby_names), so it outlasts a failover"]
        return [
            f"{holds}; no standby confirms it (synchronous_standby_names is empty or synchronous_commit is off), so a "
            "failover may lose the last changes"
        ]

    def lease(self) -> LeaseState:
        """Return the lease of this machine without asking the database."""
        now, end, applied = boot_clock(), self._state.lease_end, self._state.replica.applied
        return LeaseState(
            duration=self.times.duration,
            age=None if math.isinf(end) else max(0.0, now - (end - self.times.lease_end(0))),
            remaining=max(0.0, end - now),
            revision=applied.number if applied else None,
            slowest_acknowledgement=self._slowest.longest(now),
        )

    def replication(self) -> Replication:
        """Return the replicas and the state of their database."""
        with watched(self._readers, self._watchdog) as (_, driver):
            return replicas.read_replication(driver, self._state.replica.incarnation, self.times)

    def leadership(self, work: str) -> AdvisoryLeadership:
        """Return the leadership for a kind of work among all machines."""
        return AdvisoryLeadership(self.address, work, self._watchdog)

    def machine_leadership(self, work: str) -> FileLeadership:
        """Return the leadership for a kind of work among the processes of this machine."""
        return FileLeadership(self.folder / f"{work}.lock")

    def claims(self) -> TableClaims:
        """Return the claims of this machine on webhooks."""
        return TableClaims(self._readers, self.run, self._watchdog)

    def begin(self) -> None:
        """Keep the lease in this process, or stand by for the process of this machine that does."""
        leadership = self.machine_leadership(_LEASE)
        self._keeper = LeaseKeeper(self.address, self.times, self._state, leadership, self, self._ends)
        self._keeper.start()

    def disconnect(self) -> None:
        """Close every connection and end the threads of this process; the next use opens new ones."""
        if self._keeper is not None:
            self._keeper.stop()
            self._keeper = None
        self._watchdog.stop()
        self._readers.dispose()
        self._writer.dispose()

    def close(self) -> None:
        """Close every connection, and take this machine off the list of replicas."""
        self.disconnect()
        try:
            with storage_errors(), connect(self.address) as connection:
                leave(self._state, connection)
        except StorageError:
            """The others remove it when it was silent for long enough."""
        self._write_lock.close()

    def note_clock(self, high_water: int) -> None:
        """Note the instant that the database has stored, in milliseconds since 1970."""
        self._clock.note_stored(from_milliseconds(high_water))

    def repair(self, seen: Revision, found: Revision, remembered: Sequence[Ends]) -> Loss:
        """End tokens again whose end the database has lost; return what it lost. The lease is taken afterwards."""
        with self._write_lock.held(ending=True), self._transaction(_PATIENCE_ENDING) as transaction:
            return end_again(transaction.write, remembered, seen=seen, found=found)

    @contextmanager
    def _transaction(self, patience: float) -> Iterator["_Transaction"]:
        with storage_errors(), self._writer.connect() as connection:
            driver: Any = connection.connection.driver_connection
            with self._watchdog.limit(driver, patience + PATIENCE), connection.begin() as transaction:
                begun = self._begun(driver, connection, patience)
                yield begun
                write = begun.write
                if write.moves_epoch:
                    before, begun.revision = begun.revision, Revision(begun.revision.number + 1, new_mark())
                    driver.last_statements = new_revision(begun.revision, before, write.subjects, write.ended_tokens)
                driver.is_warned = False
                try:
                    transaction.commit()
                except DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                    raise StorageUncertain("it is not known whether the change was stored") from error
                finally:
                    driver.last_statements = ""
                begun.committed_at = boot_clock()
                if driver.is_warned:
                    raise StorageUncertain("no standby has confirmed the change, so it may be lost")
        self._clock.note_stored(write.now)

    def _begun(self, driver: Any, connection: Connection, patience: float) -> "_Transaction":
        asked = to_milliseconds(self.now())
        row = _last_row(driver, _BEGIN_WRITE.format(lock=int(patience * 1000), now=asked))
        high_water, number, mark, settled, timeline, behind = row
        self._timeline = watch(self._timeline, timeline, settled, boot_clock())
        self.note_clock(high_water)
        write = Write(connection, self.now())
        return _Transaction(write, Revision(number, mark), self._timeline, behind)

    @contextmanager
    def _place_to_wait(self) -> Iterator[None]:
        """Take one of the places in which changes wait, so that a silent replica leaves threads to other requests."""
        if not self._waiting.acquire(blocking=False):
            raise StorageBusy("too many changes wait for a silent replica")
        try:
            yield
        finally:
            self._waiting.release()

    def _await(self, transaction: "_Transaction") -> None:
        """Wait until the change holds on every machine.

        A change of nothing waits too: it may repeat one that is not answered yet, whose writer is gone. One that takes
        effect later waits a moment only, for the other machines to show it.
        """
        change = self._change_to_await(transaction)
        if change is None:
            return
        until = change.committed_at + self.times.heartbeat if self._is_early(transaction.write) else math.inf
        sightings, found, pause = Sightings(), None, _FIRST_LOOK
        while boot_clock() < until:
            decided = decide(change, found, sightings, boot_clock(), self.times)
            if not isinstance(decided, Wait):
                self._slowest.note(boot_clock() - transaction.committed_at, boot_clock())
                return
            if found is not None:
                time.sleep(pause)
                pause = min(1.5 * pause, _LONGEST_PAUSE)
            try:
                found = self._replicas()
                sightings = sightings.after(found, boot_clock())
            except StorageError:
                # The deadline comes without it.
                time.sleep(_LONGEST_PAUSE)

    def _change_to_await(self, transaction: "_Transaction") -> CommittedChange | None:
        """Return a committed change that some machine may not know, None if every one knows all changes."""
        write, timeline = transaction.write, transaction.timeline
        trusted_from = timeline.trusted_from(self.times)
        if not write.moves_epoch and not transaction.behind and trusted_from < transaction.committed_at:
            return None
        return CommittedChange(
            transaction.revision,
            timeline.timeline,
            transaction.committed_at,
            replicated=True,
            trusted_from=trusted_from,
        )

    def _is_early(self, write: Write) -> bool:
        """Return whether a change takes effect so late that every machine knows it by then."""
        return write.moves_epoch and not first_use_waits([write.takes_effect], self.now(), self.times)

    def _replicas(self) -> ReplicaList:
        with watched(self._readers, self._watchdog) as (_, driver):
            return replicas.read_replicas(driver)

    def _check(self, timeline: str) -> None:
        """Raise StorageUnavailable if a server of this timeline may be one that knows nothing of later changes."""
        if self._keeper is None:
            return
        if not may_use_read(self._state.lease_end, self._state.leased_on, boot_clock(), timeline):
            raise StorageUnavailable("the database may not be the present one")


class UnawaitedEngine(PostgreSQLEngine):
    """The engine for one request: it shares everything with the engine given, and its changes don't wait for others.

    Only refusals do.
    """

    def __init__(self, engine: PostgreSQLEngine) -> None:
        vars(self).update(vars(engine))
        self._awaiting = engine

    def _await(self, transaction: "_Transaction") -> None:
        change = self._change_to_await(transaction)
        if change is not None and not self._is_early(transaction.write):
            self._await_this_machine(change.revision)
            self.effective_by = change.effective_by(boot_clock(), self.now(), self.times)

    def _await_this_machine(self, revision: Revision) -> None:
        """Wait a moment for this machine's own keeper of the lease, so that a client sees its change where it asked."""
        until = boot_clock() + self.times.heartbeat
        while self._state.has_lease() and boot_clock() < until:
            applied = self._state.replica.applied
            if applied is not None and applied.number >= revision.number:
                return
            time.sleep(_FIRST_LOOK)

    def _await_earlier_changes(self) -> None:
        with self._awaiting.write():
            """Commits, and waits for the present revision."""


class _Transaction:
    """A write transaction: the revision and timeline at its begin, and how it was committed."""

    def __init__(self, write: Write, revision: Revision, timeline: WatchedTimeline, behind: int) -> None:
        self.write = write
        self.revision = revision
        self.timeline = timeline
        self.behind = behind
        """How many replicas had not acknowledged the revision at the begin."""
        self.committed_at = 0.0


_BEGIN_READ = (
    f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '{PATIENCE}s'; SELECT {TIMELINE}"
)
_BEGIN_WRITE = (
    "BEGIN; SET LOCAL lock_timeout = {lock}; "  # noqa: S608
    f"SET LOCAL idle_in_transaction_session_timeout = '{_LONGEST_SILENCE}s'; "
    f"SELECT pg_advisory_xact_lock({WRITES}); SET LOCAL statement_timeout = '{PATIENCE}s'; "
    "UPDATE clock SET high_water = greatest(high_water, {now}); "
    "SELECT (SELECT high_water FROM clock), number, mark, settled, "
    f"{TIMELINE}, (SELECT count(*) FROM replicas WHERE (acknowledged_number, acknowledged_mark) IS DISTINCT FROM "
    "(authority.number, authority.mark)) FROM authority"
)
# A notification has at most 8,000 bytes. More subjects than that are any, and replicas ask for more ended tokens.
_MOST_SUBJECTS = 16
_MOST_ENDED = 64


def new_revision(revision: Revision, before: Revision, subjects: Subjects, ended_tokens: Sequence[int] = ()) -> str:
    """Return the statements that store a revision and notify all replicas.

    Args:
        revision: the revision.
        before: the present revision.
        subjects: what it changed, None for anything.
        ended_tokens: the ids of the tokens that end with it.

    """
    known = None if subjects is None or len(subjects) > _MOST_SUBJECTS else sorted(subjects)
    ended = sql.SQL("SELECT digest FROM tokens WHERE id = ANY({})").format(sql.Literal(list(ended_tokens)))
    statements = sql.SQL(
        "UPDATE authority SET number = {number}, mark = {mark}; "
        "WITH stored AS (INSERT INTO revisions (number, mark, changed, ended) "
        "VALUES ({number}, {mark}, {changed}, ARRAY({ended})) RETURNING ended) "
        "SELECT pg_notify({channel}, concat_ws(' ', {number}, {mark}, {before}, {digests}, {subjects})) FROM stored"
    ).format(
        number=sql.Literal(revision.number),
        mark=sql.Literal(revision.mark),
        changed=sql.Literal(known),
        ended=ended,
        channel=sql.Literal(replicas.CHANNEL),
        before=sql.Literal(before.mark),
        digests=sql.SQL(_DIGESTS) if len(ended_tokens) <= _MOST_ENDED else sql.Literal(replicas.NOT_SAID),
        subjects=sql.Literal(replicas.NOT_SAID if known is None else " ".join(known)),
    )
    return statements.as_string()


_DIGESTS = "'-' || array_to_string(ARRAY(SELECT encode(digest, 'hex') FROM unnest(ended) AS digest), ',')"


def _last_row(connection: Any, statements: str) -> Any:
    """Send several statements in one round trip, and return the row of the last one."""
    cursor = connection.execute(statements)
    while cursor.nextset():
        """Go on to the last one."""
    return cursor.fetchone()


def open_postgresql(
    address: str, folder: Path, times: LeaseTimes | None = None, clock: Clock | None = None
) -> PostgreSQLEngine:
    """Open a database, which is prepared if it is empty.

    Raises ConfigurationError when it can't be reached or has a schema that this release doesn't know, or when the
    folder can't be used.
    """
    prepare_folder(folder)
    try:
        os.close(open_private(folder / WRITE_LOCK_NAME, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise ConfigurationError(f"data folder {folder} can't be used: {error.strerror}") from error
    with usable_database():
        prepare_schema(address)
        return PostgreSQLEngine(address, folder, times or LeaseTimes(), clock)
