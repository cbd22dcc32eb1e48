"""`replicas`: the machines that serve, and whether each hears of changes."""

from ..contract import ReplicaReport, Replication
from .failures import note
from .options import AsJson, connect
from .output import Row, print_json, print_table
from .status import when

_HEADINGS = ("name", "since", "heartbeat", "revision", "state")


def replicas(as_json: AsJson = False) -> None:
    """List the machines that serve one database. Needs a key that reaches every account, such as a viewer's."""
    found = connect().replicas()
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    print_table(_HEADINGS, [_row(replica, found.replication) for replica in found.replicas])
    if found.replication is not None:
        note(_summary(found.replication))


def _row(replica: ReplicaReport, replication: Replication | None) -> Row:
    age = replica.heartbeat_age_seconds
    return (
        replica.name,
        when(replica.since),
        "-" if age is None else f"{age:.1f} s ago",
        _revision(replica, replication),
        _state(replica),
    )


def _revision(replica: ReplicaReport, replication: Replication | None) -> str:
    if replication is None:
        return "-"
    acknowledged = "none" if replica.acknowledged_revision is None else str(replica.acknowledged_revision)
    return f"{acknowledged} of {replication.database_revision}"


def _state(replica: ReplicaReport) -> str:
    if replica.is_answering:
        return "answering"
    return "silent" if replica.is_silent else "alive"


def _summary(replication: Replication) -> str:
    confirmed = "a standby confirms each change" if replication.is_synchronous else "no standby confirms changes"
    return (
        f"the lease of the answering replica ends in {replication.lease_remaining_seconds:.1f} s "
        f"(D = {replication.lease_duration_seconds:g} s); {confirmed}; timeline {replication.timeline}; the slowest "
        f"acknowledgement of the last five minutes took {replication.slowest_acknowledgement_seconds:.3f} s"
    )
