"""The rules of the replicas' protocol, each with the way to switch it off in the simulation."""

from dataclasses import dataclass, replace
from typing import Any

from private_integrations_service.storage.postgresql import acknowledgement, lease
from private_integrations_service.storage.postgresql.acknowledgement import Answer, CommittedChange, RegisteredReplica
from private_integrations_service.storage.postgresql.lease import HeartbeatAnswer, LeaseTimes, Outcome, Replica
from private_integrations_service.storage.postgresql.revision import Revision
from replica_simulation import TIMES, Faults, History, Rules


@dataclass(frozen=True)
class Ablation:
    """A rule, how the promise breaks without it, the protocol without it, and the promise that is counted."""

    rule: str
    without: str
    rules: Rules
    promise: str = "stale"
    faults: Faults | None = None
    """The faults of the histories, None for all kinds. Some rules matter only in a narrow window."""
    first: int = 0
    """The seed from which the tests look for a break; `bench/revocation_protocol.py` prints those that break."""

    def breaks(self, seed: int) -> bool:
        """Return whether this history breaks the promise while the rule is switched off."""
        return bool(getattr(History(seed, self.rules, self.faults).run(), self.promise))

    def row(self, histories: int, broken: int) -> str:
        """Return the rule's row in docs/revocation-protocol.md."""
        return f"| {self.rule} | {self.without} | {broken:,} of {histories:,} |"


class Undrifting(LeaseTimes):
    """Times without a margin for drift."""

    def lease_end(self, began: float) -> float:
        return began + self.duration

    change_wait = silence = property(lambda self: self.duration)


class Impatient(LeaseTimes):
    """A row leaves the list before the lease has run out."""

    silence = property(lambda self: self.duration / 2)


class AcknowledgedByNumber(RegisteredReplica):
    """An acknowledgement of another database counts."""

    def has_acknowledged(self, change: Revision) -> bool:
        return self.acknowledged is not None and self.acknowledged.number >= change.number


def numbered(replica: Replica, began: float, answer: HeartbeatAnswer, times: LeaseTimes) -> Outcome:
    """Compare revisions by their numbers alone."""
    seen = replica.applied
    if seen is not None and seen.number == answer.revision.number:
        answer = replace(answer, revision=seen, own_mark=seen.mark)
        replica = replace(replica, timeline=answer.read_on)
    return lease.after_heartbeat(replica, began, answer, times)


def wherever_read(replica: Replica, began: float, answer: HeartbeatAnswer, times: LeaseTimes) -> Outcome:
    """Take a revision from any server."""
    return lease.after_heartbeat(replica, began, replace(answer, written_on=answer.read_on), times)


def lease_then_epoch(replica: Replica, began: float, answer: HeartbeatAnswer, times: LeaseTimes) -> Outcome:
    """Extend the lease before the memory is forgotten."""
    outcome = lease.after_heartbeat(replica, began, answer, times)
    return replace(outcome, steps=outcome.steps[::-1])


def epoch_then_timeline(replica: Replica, began: float, answer: HeartbeatAnswer, times: LeaseTimes) -> Outcome:
    """Publish the epoch before the timeline."""
    outcome = lease.after_heartbeat(replica, began, answer, times)
    move = lease.SetLease(lease.NO_LEASE, answer.read_on)
    return replace(outcome, steps=tuple(step for step in outcome.steps if step != move))


def only_the_last(_: Revision, found: Revision, stored: Any) -> frozenset[str] | None:
    """Take what the last revision has changed for all that changed."""
    return stored[found.number][1] if found.number in stored else None


def gaps_ignored(replica: Replica, revision: Revision, _: Revision, changed: frozenset[str] | None) -> Outcome:
    """Take what a notification says for all that changed."""
    outcome = lease.after_notification(replica, revision, revision, changed)
    return replace(outcome, steps=tuple(lease.Forget(changed) for _ in outcome.steps))


def from_any_list(change: CommittedChange, replicas: Any, *others: Any) -> Any:
    """Take the list of any server."""
    return acknowledgement.decide(change, replicas and replace(replicas, timeline=change.timeline), *others)


ABLATIONS = (
    Ablation(
        "A change waits for all acknowledgements, or until older leases have run out.",
        "The change is answered while replicas remember the old decision.",
        Rules(decide=lambda change, *_: Answer()),
    ),
    Ablation(
        "A remembered decision counts only with a lease.",
        "A replica that is cut off goes on with it.",
        Rules(may_use_remembered=lambda end, now, then, epoch: then == epoch),
    ),
    Ablation(
        "A decision is remembered only if the epoch is the same before and after reading it.",
        "A decision from before the change is remembered after it.",
        Rules(may_remember=lambda before, after, read_on, leased_on: read_on == leased_on),
        first=60,
    ),
    Ablation(
        "Of the changes since the last heartbeat all are looked at, or everything is forgotten.",
        "What an earlier one of them was about stays remembered.",
        Rules(changed_since=only_the_last),
    ),
    Ablation(
        "After a notification that was missed, everything is forgotten.",
        "What the missed change was about stays remembered.",
        Rules(after_notification=gaps_ignored),
    ),
    Ablation(
        "The lease counts from before the heartbeat is sent.",
        "A late answer gives a lease that outlasts the wait.",
        Rules(leases_from_beginning=False),
        faults=Faults("alone", loss=0.0, lags=0.6),
        first=260,
    ),
    Ablation(
        "A heartbeat acknowledges only what was applied before it.",
        "The change is answered while the replica has yet to forget.",
        Rules(acknowledges_applied=False),
    ),
    Ablation(
        "Lease and wait have a margin for drift.",
        "A slow clock's lease outlasts a fast clock's wait.",
        Rules(times=Undrifting(TIMES.duration, TIMES.heartbeat, TIMES.drift)),
        first=220,
    ),
    Ablation(
        "The boot clock goes on during a suspend (CLOCK_BOOTTIME).",
        "A machine wakes up with a lease that ran out long ago.",
        Rules(clock_in_suspend=False),
        first=170,
    ),
    Ablation(
        "The epoch is published before the lease is extended.",
        "A replica that was cut off has a lease before it forgets.",
        Rules(after_heartbeat=lease_then_epoch),
        faults=Faults("alone", loss=0.0, lags=0.6),
        first=530,
    ),
    Ablation(
        "A request reads the lease first and the epoch last.",
        "A new lease comes between the two readings.",
        Rules(reads_lease_first=False),
        faults=Faults("async", loss=0.0, lags=0.5, reconnects=3.0),
        first=2800,
    ),
    Ablation(
        "The row is written before the lease is taken.",
        "The change waits for a list that lacks the replica.",
        Rules(registers_first=False),
        first=130,
    ),
    Ablation(
        "On a stop, the lease ends before the row is deleted.",
        "The change does not wait for the replica that still serves.",
        Rules(leave=lease.LEAVE[::-1]),
        first=190,
    ),
    Ablation(
        "A row is removed only after the time of a lease without a heartbeat.",
        "Later changes do not wait for a lease that still lasts.",
        Rules(times=Impatient(TIMES.duration, TIMES.heartbeat, TIMES.drift)),
        first=110,
    ),
    Ablation(
        "A row is removed only with the heartbeat that was seen last.",
        "A replica that sends heartbeats loses its row but not its lease.",
        Rules(removes_seen_beat=False),
        first=330,
    ),
    Ablation(
        "A repeated change writes and waits.",
        "It is answered while the first one still waits, or its writer is dead.",
        Rules(repeated_change_writes=False),
    ),
    Ablation(
        "Decisions are read on the primary.",
        "A standby that lags shows a decision from before the change.",
        Rules(reads_primary=False),
    ),
    Ablation(
        "A decision that was read counts only with a lease of the same timeline.",
        "An old primary that is cut off answers from before the change.",
        Rules(may_use_read=lambda end, leased_on, now, read_on: True),
        first=50,
    ),
    Ablation(
        "A decision is remembered only if it was read on the lease's timeline.",
        "A worker that is still connected to the old primary remembers its decisions.",
        Rules(may_remember=lambda before, after, read_on, leased_on: before == after),
        first=90,
    ),
    Ablation(
        "A new timeline is published before the epoch.",
        "A decision of the old primary is remembered at the new epoch.",
        Rules(after_heartbeat=epoch_then_timeline),
        faults=Faults("sync", loss=0.0, lags=0.5, reconnects=3.0),
        first=1760,
    ),
    Ablation(
        "A heartbeat writes and commits.",
        "An old primary that is cut off goes on granting leases.",
        Rules(commits_heartbeat=False),
        first=40,
    ),
    Ablation(
        "A heartbeat whose COMMIT warned extends no lease.",
        "An old primary that is cut off goes on granting leases.",
        Rules(heeds_warning_of_heartbeat=False),
        first=350,
    ),
    Ablation(
        "A change whose COMMIT warned is refused.",
        "The answered change is missing on the new primary.",
        Rules(heeds_warning_of_change=False),
        "lost",
    ),
    Ablation(
        "A heartbeat writes and reads on one server.",
        "The new primary keeps the row, the old one shows the old revision.",
        Rules(after_heartbeat=wherever_read),
        faults=Faults("sync", loss=0.05, lags=0.05, rerouted=0.5),
        first=70,
    ),
    Ablation(
        "Revisions are compared by number and mark.",
        "The new primary uses a number again, and the replica does not forget.",
        Rules(after_heartbeat=numbered),
        faults=Faults("async", loss=0.05, lags=0.05, unreplicated=1),
    ),
    Ablation(
        "An acknowledgement counts only for a revision that the same database has.",
        "A higher number from before the promotion counts as an acknowledgement.",
        Rules(replica=AcknowledgedByNumber),
        faults=Faults("async", reconnects=3.0, unreplicated=20, splits=0.6),
        first=1160,
    ),
    Ablation(
        "The list counts only on the change's timeline.",
        "The old primary's list lacks replicas of the new one.",
        Rules(decide=from_any_list),
        faults=Faults("sync", loss=0.05, lags=0.05, rerouted=0.5, reconnects=0.3, joins=3.0),
    ),
    Ablation(
        "After a promotion, the first D waits in full.",
        "The new primary's list lacks replicas whose leases last.",
        Rules(trusts_settled_timeline=False),
        faults=Faults("async", loss=0.0, lags=0.05, reconnects=0.3, joins=2.5),
        first=30,
    ),
    Ablation(
        "A database keeps its own revisions.",
        "Lost changes are not noticed once the number is higher again.",
        Rules(keeps_revisions=False),
        "undetected",
    ),
    Ablation(
        "The gateway looks again right before it sends.",
        "A request that waited is sent after the change was answered.",
        Rules(looks_before_sending=False),
        "late",
    ),
)


def table(name: str, rows: list[str], page: str) -> str:
    """Return the page with other rows in the table after `<!-- name -->`; the first two lines are the heading."""
    start = page.index(f"<!-- {name} -->\n")
    heading = page.index("\n", page.index("\n|--", start) + 1) + 1
    end = page.index("\n\n", heading - 1)
    return page[:heading] + "\n".join(rows) + page[end:]


def table_rows(name: str, page: str) -> list[list[str]]:
    """Return the cells of the table after `<!-- name -->`, without its heading."""
    lines = page.partition(f"<!-- {name} -->\n")[2].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
