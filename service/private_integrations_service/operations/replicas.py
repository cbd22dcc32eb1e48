"""Report the replicas of the service, and the state of their database."""

from dataclasses import dataclass

from private_integrations.contract import ReplicaReport, Replication

from ..storage.engine import StorageEngine
from ..storage.replication import ReplicaState

THIS_MACHINE = "this machine"
"""Names the only machine that serves a database of its own."""


@dataclass(frozen=True)
class Replicas:
    """Hold the replicas by name; `replication` is None if the database is this machine's alone."""

    replicas: list[ReplicaReport]
    replication: Replication | None


def listed(engine: StorageEngine) -> Replicas:
    """Return every replica; raises StorageError."""
    lease, found = engine.lease(), engine.replication()
    if lease is None or found is None:
        return Replicas([ReplicaReport(name=THIS_MACHINE, is_answering=True)], None)
    replication = Replication(
        lease_duration_seconds=lease.duration,
        lease_age_seconds=None if lease.age is None else _rounded(lease.age),
        lease_remaining_seconds=_rounded(lease.remaining),
        revision=lease.revision,
        database_revision=found.revision,
        timeline=found.timeline,
        is_synchronous=found.is_synchronous,
        known_replicas=len(found.replicas),
        silent_replicas=sum(replica.is_silent for replica in found.replicas),
        slowest_acknowledgement_seconds=lease.slowest_acknowledgement,
    )
    return Replicas([_report(replica) for replica in found.replicas], replication)


def lease_numbers(engine: StorageEngine) -> dict[str, float | int | None]:
    """Return the numbers of this machine's lease, which tell nothing secret; none if the engine needs no lease."""
    lease = engine.lease()
    if lease is None:
        return {}
    return {
        "lease_duration_seconds": lease.duration,
        "lease_age_seconds": None if lease.age is None else _rounded(lease.age),
        "lease_remaining_seconds": _rounded(lease.remaining),
        "revision": lease.revision,
    }


def _report(replica: ReplicaState) -> ReplicaReport:
    return ReplicaReport(
        name=replica.name,
        since=replica.since,
        heartbeat_age_seconds=_rounded(replica.heartbeat_age),
        acknowledged_revision=replica.acknowledged,
        is_silent=replica.is_silent,
        is_answering=replica.is_answering,
    )


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
