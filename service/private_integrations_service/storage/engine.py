"""The storage engine: transactions, the service's clock, and the epoch; every database implements this protocol.

An operation never handles a database: it asks its engine for a read or a write transaction (operations/operation.py).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from .activity import ActivityStore
from .epoch import Epoch
from .replication import LeaseState, Replication

Answer = TypeVar("Answer")


class StorageError(Exception):
    """The storage can't answer; nothing of the change was stored."""


class StorageUnavailable(StorageError):
    """The database does not answer; nothing of the change was stored."""


class StorageUncertain(StorageUnavailable):
    """The database has not confirmed a change: it may be stored, and may be lost again. Repeating it is safe."""


class StorageBusy(StorageError):
    """Too many changes are waiting; nothing of this one was stored, so repeat it."""


class StorageFull(StorageError):
    """There is no room for a change; nothing of it was stored."""


NEVER = datetime.max.replace(tzinfo=UTC)
"""The instant at which a change takes effect that makes no earlier decision wrong."""


@dataclass
class Write:
    """A write transaction, and the instant at which it happens.

    A function of this package that changes a row which decisions are read from calls `move_epoch`. `takes_effect` is
    when the first decision from before the transaction becomes wrong, and `subjects` are those of all calls, None for
    any.
    """

    connection: Connection
    now: datetime
    moves_epoch: bool = False
    takes_effect: datetime = NEVER
    subjects: set[str] | None = field(default_factory=set)
    ended_tokens: list[int] = field(default_factory=list)

    def end_tokens(self, token_ids: Iterable[int], subject: str | None) -> None:
        """Have the epoch move, as these tokens end with this transaction: an engine may remember that elsewhere."""
        self.move_epoch(subject)
        self.ended_tokens.extend(token_ids)

    def move_epoch(self, subject: str | None, takes_effect: datetime | None = None) -> None:
        """Have the epoch move with this transaction, so that no process keeps a decision from before it.

        Args:
            subject: the id of what the changed decisions are about, an integration for example; None for all decisions.
            takes_effect: until when decisions from before it are right all the same, None for the present instant.
                The answer to a change that takes effect later need not wait for other machines.

        """
        self.moves_epoch = True
        if subject is None:
            self.subjects = None
        elif self.subjects is not None:
            self.subjects.add(subject)
        self.takes_effect = min(self.takes_effect, takes_effect or self.now)


class DecisionConnection(Protocol):
    """Read-only access for the statements that requests need, without the cost of Core; used by one event loop."""

    async def row(self, statement: str, *parameters: object) -> tuple[Any, ...] | None:
        """Return the first row of a query with `?` for each parameter, None without one; raises StorageError.

        An engine whose database is across a network asks it in another thread, so other calls may come meanwhile.
        """

    def close(self) -> None:
        """Close the connection; from then on every query raises StorageUnavailable."""


class Leadership(Protocol):
    """The right of one process to do a kind of work; a process that dies loses it."""

    def take(self) -> bool:
        """Take the lead if no other process has it; returns whether this process leads."""

    def release(self) -> None:
        """Give the lead to others."""


CLAIMED_FOR = timedelta(seconds=45)
"""How long a claim holds that is not taken again: longer than an attempt takes, which is 15 seconds at most."""


class Claims(Protocol):
    """Claim webhooks for this machine, so that the messages of one are sent one after the other."""

    def take(self, endpoint_id: str) -> bool:
        """Claim a webhook, or keep the claim, for CLAIMED_FOR; returns whether this machine has it."""

    def release(self, endpoint_id: str) -> None:
        """Give the claim to others."""


class StorageEngine(Protocol):
    """Run transactions on one database. Every method raises a StorageError if the database can't do its part.

    The functions that write rows decide whether a change moves the `epoch`.
    """

    epoch: Epoch
    place: str
    """Where the database is, for people."""
    folder: Path
    """The data folder, for files of this machine alone."""
    run: str
    """The name of this run of the service, the same in all of its processes."""
    security_counts: "memoryview[int]"
    """The counts of the security log, shared by the processes of this run."""

    effective_by: datetime | None
    """When the changes of this engine hold on every machine at the latest: None if they did when they were answered."""

    def without_waiting(self) -> "StorageEngine":
        """Return this engine for one request that is answered before its changes hold on every machine.

        They are stored as safely as any others. `effective_by` of the returned engine says when they hold. Refusals
        wait all the same, because one may repeat a change that does not hold yet.
        """

    def now(self) -> datetime:
        """Return the present instant in UTC, which never runs backwards, neither here nor after a restart."""

    def read(self) -> AbstractContextManager[Connection]:
        """Begin a read-only transaction: one consistent view."""

    def write(self, *, yielding: bool = False) -> AbstractContextManager[Write]:
        """Begin a write transaction, which commits at the end of the block.

        Args:
            yielding: let other changes go first, for writes that a client without a credential can cause.

        """

    def end_access(self, step: Callable[[Write], Answer]) -> Answer:
        """Run a step that ends tokens or rights, in a transaction that waits longer and may use the reserved space.

        The step runs again if there was no room for it, so it must have no effect outside of the transaction.
        """

    def has_stored(self, instant: datetime) -> bool:
        """Return whether the clock goes on at this instant or later after a restart."""

    def keep_ended(self, deadline: datetime | None) -> None:
        """Store that `deadline` has passed, before a client hears of it: no clock that is set back revives a token."""

    def require(self) -> None:
        """Raise StorageUnavailable if changes could not be stored or seen at present; cheap enough for each request."""

    def decision_connection(self) -> DecisionConnection:
        """Open a connection for the statements that requests need."""

    def activity(self) -> ActivityStore:
        """Open the recorded activity of tokens; call it after a fork, and close it."""

    def notices(self) -> list[str]:
        """Return the lines that a person should read when the service starts on this database."""

    def lease(self) -> LeaseState | None:
        """Return the lease of this machine without asking the database, None if the engine needs no leases."""

    def replication(self) -> Replication | None:
        """Return the replicas and the state of their database, None if the database is this machine's alone."""

    def leadership(self, work: str) -> Leadership:
        """Return the leadership for a kind of work, of one process on all machines; it is not taken yet."""

    def machine_leadership(self, work: str) -> Leadership:
        """Return the leadership for a kind of work, of one process on this machine; it is not taken yet."""

    def claims(self) -> Claims:
        """Return the claims of this machine on webhooks."""

    def begin(self) -> None:
        """Begin to serve requests in this process: call it after a fork, and before the first request."""

    def disconnect(self) -> None:
        """Close every connection of this process, and end its threads; the next use opens new ones.

        No connection and no thread may cross a fork.
        """

    def close(self) -> None:
        """Close every connection, and leave the database to others; the process that opened it calls this last."""
