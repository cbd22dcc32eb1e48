"""The lease of a replica: how long it may use remembered decisions. Pure decisions.

A replica sends a heartbeat every `LeaseTimes.heartbeat` seconds. `after_heartbeat` says what follows from the answer,
as steps to take in their order. All times are seconds of the machine's own CLOCK_BOOTTIME, which goes on during a
suspend, as CLOCK_MONOTONIC does not. No two machines need the same time, only clocks that run at nearly one speed.
The method is Gray and Cheriton's (Leases, 1989). docs/revocation-protocol.md has each rule and what breaks without it.
"""

from dataclasses import dataclass, replace
from math import inf

from .revision import Revision

NO_LEASE = -inf
"""The end of a lease that a replica does not have."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """The three settings, and the times that follow from them, in seconds.

    `duration` (D) is how long a replica serves without its database, and the longest time that a change waits for a
    silent replica. `heartbeat` (H) is the time between two heartbeats. `drift` (rho) bounds how much faster or slower
    than real time a boot clock may run: chronyd slews Linux clocks by up to 8.3 % (maxslewrate), the kernel by 10 %.
    """

    duration: float = 15.0
    heartbeat: float = 0.5
    drift: float = 0.1

    def __post_init__(self) -> None:
        if not (0 < self.heartbeat < self.duration * (1 - self.drift) and 0 <= self.drift < 1):
            raise ValueError("a lease must last longer than the time between two heartbeats")

    def lease_end(self, began: float) -> float:
        """Return the end of the lease that a heartbeat which began at `began` gives: at most D later in real time."""
        return began + self.duration * (1 - self.drift)

    @property
    def change_wait(self) -> float:
        """How long a change waits on the writer's own clock for replicas that don't acknowledge it."""
        return self.duration * (1 + 3 * self.drift)

    @property
    def silence(self) -> float:
        """How long a replica sends no heartbeat, by the clock of the machine that then removes it."""
        return self.duration * (1 + self.drift)


@dataclass(frozen=True, slots=True)
class Replica:
    """One machine as a replica.

    `incarnation` names its row, random for each registration and None without one, so no two machines share a row.
    Its memory holds nothing older than `applied`, which the next heartbeat acknowledges. `timeline` is the database's
    timeline at the last heartbeat.
    """

    incarnation: str | None = None
    applied: Revision | None = None
    timeline: str | None = None


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """The database's answer to `UPDATE replica …; COMMIT`, and then a reading of the revision in a new transaction.

    Args:
        rows: how many rows the UPDATE has changed: 1, or 0 if the replica was removed.
        replicated: whether COMMIT succeeded without a warning.
        written_on: the database's timeline in the first transaction.
        read_on: the timeline in the second one. PgBouncer may send it to another server.
        revision: the present revision.
        own_mark: the mark that the database has stored for the number of `Replica.applied`, None if it keeps none.
        changed: what the revisions since `Replica.applied` have changed, None if that may be anything.

    """

    rows: int
    replicated: bool
    written_on: str
    read_on: str
    revision: Revision
    own_mark: str | None = None
    changed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """Forget the remembered decisions about `changed`, or all if it is None, and publish a new epoch."""

    changed: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class SetLease:
    """Store the end of the lease and the timeline that grants it, where workers read them; None changes no timeline.

    Store the timeline before the end. A worker reads the end before the timeline.
    """

    end: float
    timeline: str | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """Insert a row with a new incarnation, commit, and call `registered`; then send a heartbeat."""


@dataclass(frozen=True, slots=True)
class Deregister:
    """Delete the replica's row."""


@dataclass(frozen=True, slots=True)
class ReportLoss:
    """Raise the alarm: the database at `found` was restored or has lost changes, since it lacks `seen`."""

    seen: Revision
    found: Revision


Step = Forget | SetLease | Register | Deregister | ReportLoss


@dataclass(frozen=True, slots=True)
class Outcome:
    """The steps to take in this order, then the replica as it is, and whether to send the next heartbeat at once.

    After a notification an acknowledgement alone, which grants no lease, does as well as a heartbeat.
    """

    replica: Replica
    steps: tuple[Step, ...] = ()
    at_once: bool = False


LEAVE: tuple[Step, ...] = (SetLease(NO_LEASE), Forget(), Deregister())
"""The steps of a clean stop. The row stays until the lease is gone: no change waits for a replica without a row."""


def start(seen: Revision | None = None) -> Outcome:
    """Return the steps of a replica that starts; `seen` is the last revision that an earlier run has stored."""
    return _register(Replica(applied=seen))


def registered(replica: Replica, incarnation: str, *, replicated: bool) -> Outcome:
    """Return how it goes on after the COMMIT of the new row; a row that is not replicated is left to time out."""
    if not replicated:
        return _register(replica)
    return Outcome(replace(replica, incarnation=incarnation), at_once=True)


def after_heartbeat(replica: Replica, began: float, answer: HeartbeatAnswer, times: LeaseTimes) -> Outcome:
    """Decide on the answer to a heartbeat. Nothing follows from one without an answer: the lease runs out by itself.

    Args:
        replica: as it was when the heartbeat began; the heartbeat acknowledged `replica.applied`.
        began: the boot clock before the heartbeat was sent.
        answer: the database's answer.
        times: the settings.

    """
    if answer.rows == 0:
        return _register(replica)
    if not answer.replicated or answer.written_on != answer.read_on:
        return Outcome(replica)
    lease = SetLease(times.lease_end(began), answer.read_on)
    moved = answer.read_on != replica.timeline
    if answer.revision == replica.applied and not moved:
        return Outcome(replica, (lease,))
    lost = replica.applied is not None and answer.revision.is_behind(replica.applied, answer.own_mark)
    alarm = (ReportLoss(replica.applied, answer.revision),) if lost and replica.applied else ()
    # The new timeline comes before the new epoch, so that no decision of the former primary is remembered at it.
    move = (SetLease(NO_LEASE, answer.read_on),) if moved else ()
    forget = Forget(None if lost or moved or replica.applied is None else answer.changed)
    after = replace(replica, applied=answer.revision, timeline=answer.read_on)
    return Outcome(after, (*alarm, *move, forget, lease), at_once=True)


def after_notification(
    replica: Replica, revision: Revision, before: Revision, changed: frozenset[str] | None = None
) -> Outcome:
    """Decide on a NOTIFY that names a revision: forget at once, and acknowledge it without waiting for a heartbeat.

    Call it between two heartbeats, never while one is away: its answer may be older. A notification never extends the
    lease, and nothing is lost with one that does not arrive.

    Args:
        replica: as it is.
        revision: the new revision.
        before: the one before it. If the replica has applied another one, it has missed what that one changed.
        changed: the subjects that the new one changed, None for any.

    """
    if replica.applied is None or revision.number <= replica.applied.number:
        return Outcome(replica)
    forget = Forget(changed if before == replica.applied else None)
    return Outcome(replace(replica, applied=revision), (forget,), at_once=True)


def may_use_remembered(lease_end: float, now: float, epoch_then: int, epoch_now: int) -> bool:
    """Return whether a request may use a decision that was remembered at `epoch_then`.

    Read `lease_end` and `now` first and `epoch_now` last, all after the request has arrived. In the other order, a
    replica that was cut off may publish an epoch and extend its lease between the two readings.
    """
    return now < lease_end and epoch_then == epoch_now


def may_use_read(lease_end: float, leased_on: str | None, now: float, read_on: str) -> bool:
    """Return whether a request may use a decision that was just read from the database on timeline `read_on`.

    Without a lease of the same timeline, the database may be a former primary that knows nothing of later changes.
    Read `lease_end` and `now` after the request has arrived.
    """
    return now < lease_end and read_on == leased_on


def may_remember(epoch_before: int, epoch_after: int, read_on: str, leased_on: str | None) -> bool:
    """Return whether a decision that was read between two readings of the epoch may be remembered at it."""
    return epoch_before == epoch_after and read_on == leased_on


def _register(replica: Replica) -> Outcome:
    """Drop lease and memory. `applied` stays: an empty memory holds nothing older, and a loss is still recognised."""
    return Outcome(replace(replica, incarnation=None), (SetLease(NO_LEASE), Forget(), Register()))
