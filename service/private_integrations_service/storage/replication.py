"""Describe the replicas of an engine for several machines, and the lease of the machine that is asked."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class LeaseState:
    """The lease of this machine and what it has seen of its database, in seconds.

    `age` is the time since the heartbeat that gave the lease, None before the first one; `revision` is that of the
    database which this machine has applied, None before the first one. `slowest_acknowledgement` is the longest time
    that a change of this machine waited for all replicas in the last minutes, 0 if none did.
    """

    duration: float
    age: float | None
    remaining: float
    revision: int | None
    slowest_acknowledgement: float


@dataclass(frozen=True)
class ReplicaState:
    """A machine in the list of replicas.

    `heartbeat_age` is in seconds by the database's clock. A silent replica has sent none for so long that others remove
    it. The answering replica is the machine that was asked.
    """

    name: str
    since: datetime
    heartbeat_age: float
    acknowledged: int | None
    is_silent: bool
    is_answering: bool


@dataclass(frozen=True)
class Replication:
    """The revision and the timeline of the database, whether a standby confirms each change, and the replicas."""

    revision: int
    timeline: str
    is_synchronous: bool
    replicas: tuple[ReplicaState, ...]
