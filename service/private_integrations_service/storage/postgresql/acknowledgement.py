"""When a change that ends or narrows a token may be answered. Pure decisions.

After COMMIT has returned, a writer reads the list of replicas again and again, and calls `decide` with each reading.
All numbers of seconds are those of the writer's own boot clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .lease import LeaseTimes
from .revision import Revision


@dataclass(frozen=True, slots=True)
class RegisteredReplica:
    """A row of the list of replicas.

    `own_mark` is the mark that the database of the list has stored for the number of `acknowledged`, None if it keeps
    none. An acknowledgement with another mark speaks of a change that only another database has.
    """

    incarnation: str
    beat: int
    acknowledged: Revision | None = None
    own_mark: str | None = None

    def has_acknowledged(self, change: Revision) -> bool:
        """Return whether the replica has applied this change or a later one of the same database."""
        acknowledged = self.acknowledged
        return (
            acknowledged is not None
            and acknowledged.number >= change.number
            and acknowledged.mark == self.own_mark
            and (acknowledged.number > change.number or acknowledged.mark == change.mark)
        )


@dataclass(frozen=True, slots=True)
class ReplicaList:
    """One reading of the list of replicas, on this timeline; its transaction began after the COMMIT had returned."""

    timeline: str
    replicas: tuple[RegisteredReplica, ...]


@dataclass(frozen=True, slots=True)
class Sighting:
    """The last heartbeat of a replica that a machine has seen, and its boot clock at the first sight of it."""

    beat: int
    since: float


@dataclass(frozen=True, slots=True)
class Sightings:
    """The heartbeats that one machine has seen on one timeline, by incarnation."""

    timeline: str | None = None
    seen: Mapping[str, Sighting] = field(default_factory=dict)

    def after(self, replicas: ReplicaList, now: float) -> "Sightings":
        """Return the sightings after another reading, which arrived before `now`."""
        before = self.seen if self.timeline == replicas.timeline else {}
        seen = {}
        for replica in replicas.replicas:
            last = before.get(replica.incarnation)
            same = last is not None and last.beat == replica.beat
            seen[replica.incarnation] = last if last and same else Sighting(replica.beat, now)
        return Sightings(replicas.timeline, seen)

    def silent(self, now: float, times: LeaseTimes) -> tuple[tuple[str, int], ...]:
        """Return incarnation and beat of the replicas to remove: `DELETE … WHERE incarnation = … AND beat = …`.

        The beat in the condition keeps a replica whose heartbeat comes in between. One that sends heartbeats stays in
        the list even if its acknowledgements are late, for it may have a lease.
        """
        return tuple((name, seen.beat) for name, seen in self.seen.items() if now >= seen.since + times.silence)


@dataclass(frozen=True, slots=True)
class CommittedChange:
    """A change after its COMMIT has returned.

    `replicated` is False if COMMIT returned with a warning. `trusted_from` is `WatchedTimeline.trusted_from` for
    `timeline`, on which the change was made.
    """

    revision: Revision
    timeline: str
    committed_at: float
    replicated: bool
    trusted_from: float

    def deadline(self, times: LeaseTimes) -> float:
        """Return when every lease from before the change has run out."""
        return self.committed_at + times.change_wait

    def effective_by(self, boot: float, now: datetime, times: LeaseTimes) -> datetime:
        """Return the deadline as an instant of the engine's clock, which shows `now` when the boot clock is at `boot`.

        It promises no more than `decide`, which answers at the deadline even if replicas are silent.
        """
        return now + timedelta(seconds=max(0.0, self.deadline(times) - boot))


@dataclass(frozen=True, slots=True)
class Wait:
    """Read the list again soon, and decide again at the latest when the boot clock is at `until`."""

    until: float


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer 2xx, and remove the rows of `silent` (see `Sightings.silent`)."""

    silent: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer 503: the change may be lost with this database. Repeating it is safe."""


def decide(
    change: CommittedChange, replicas: ReplicaList | None, sightings: Sightings, now: float, times: LeaseTimes
) -> Wait | Answer | Refuse:
    """Decide whether a change may be answered now. A repeated change commits and waits as well.

    Args:
        change: the change.
        replicas: the last reading of the list, None if the database has not answered yet.
        sightings: those of this change or of its machine.
        now: the boot clock.
        times: the settings.

    """
    if not change.replicated:
        return Refuse()
    deadline = change.deadline(times)
    if now >= deadline:
        return Answer(sightings.silent(now, times))
    if now < change.trusted_from:
        return Wait(min(deadline, change.trusted_from))
    if replicas is None or replicas.timeline != change.timeline:
        return Wait(deadline)
    complete = all(replica.has_acknowledged(change.revision) for replica in replicas.replicas)
    return Answer() if complete else Wait(deadline)


def first_use_waits(deadlines: Sequence[datetime], now: datetime, times: LeaseTimes) -> bool:
    """Return whether the first use of a token waits as a change does, since a deadline that it sets is too near.

    A replica that has not heard of the first use may let the previous token pass until its lease runs out. That is no
    harm before the deadline of that token.

    Args:
        deadlines: those that the first use gives to previous tokens.
        now: the instant of the first use by the engine's clock.
        times: the settings.

    """
    return any(deadline < now + timedelta(seconds=times.change_wait) for deadline in deadlines)
