"""The replicas of a service on several machines, and the state of their database."""

from .values import Instant, ResponseModel


class ReplicaReport(ResponseModel):
    """A machine that serves, by the name of its host.

    `is_answering` marks the one that answers. A silent one has sent no heartbeat for so long that others remove it.
    """

    name: str
    since: Instant | None = None
    heartbeat_age_seconds: float | None = None
    acknowledged_revision: int | None = None
    is_silent: bool = False
    is_answering: bool


class Replication(ResponseModel):
    """The lease of the answering replica, and the state of the database.

    `revision` is the one that the answering replica has applied, None before its first heartbeat. The slowest
    acknowledgement is that of the last five minutes on this replica.
    """

    lease_duration_seconds: float
    lease_age_seconds: float | None
    lease_remaining_seconds: float
    revision: int | None
    database_revision: int
    timeline: str
    is_synchronous: bool
    known_replicas: int
    silent_replicas: int
    slowest_acknowledgement_seconds: float


class ReplicaList(ResponseModel):
    """Every replica; `replication` is None if the database is a file of one machine."""

    now: Instant
    replicas: list[ReplicaReport]
    replication: Replication | None = None
