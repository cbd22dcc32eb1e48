"""Store the revision of the tokens, and the replicas with what each has acknowledged.

Each function is one statement, which commits by itself; `statement_timeout` does not apply to its wait for a standby.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...instants import from_milliseconds
from ..replication import ReplicaState, Replication
from .acknowledgement import RegisteredReplica, ReplicaList
from .connections import TIMELINE, ServiceConnection
from .lease import LeaseTimes, Replica
from .remembered_ends import Ends
from .revision import Changed, Revision

CHANNEL = "private_integrations"
"""The channel on which a change is notified to all replicas."""


NOT_SAID = "*"
"""In a notification: the ended tokens are too many to be named, or the subjects may be any."""


@dataclass(frozen=True)
class Notification:
    """A change sends this to all replicas: its revision and the one before.

    `changed` are the subjects that it changed, None for any; `ended` the digests of the tokens that ended with it, None
    if they are not named.
    """

    revision: Revision
    before: Revision
    changed: frozenset[str] | None
    ended: tuple[bytes, ...] | None


def read_notification(text: str) -> Notification:
    """Read a notification: number, mark, mark of the revision before, `-` and digests, and subjects; raises ValueError.

    For example, of a change that ended a token: `8 5f0c… 11d2… -9b41… int_1`.
    """
    number, mark, before, ended, *changed = text.split(" ")
    return Notification(
        Revision(int(number), mark),
        Revision(int(number) - 1, before),
        None if changed == [NOT_SAID] else frozenset(filter(None, changed)),
        None if ended == NOT_SAID else tuple(map(bytes.fromhex, filter(None, ended[1:].split(",")))),
    )


@dataclass(frozen=True)
class Beaten:
    """The answer to a heartbeat's UPDATE: how many rows it changed, on which timeline, and whether it is replicated."""

    rows: int
    timeline: str
    replicated: bool


@dataclass(frozen=True)
class Authority:
    """Describe the database, as it says itself; instants are milliseconds since 1970.

    `settled` is the timeline on which the list of replicas is complete, `own_mark` the stored mark of the revision that
    was asked for.
    """

    revision: Revision
    timeline: str
    settled: str | None
    own_mark: str | None
    clock: float
    high_water: int


_NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"


def register(connection: ServiceConnection, incarnation: str, name: str) -> bool:
    """Add a replica; returns whether the row is replicated as a revocation would be."""
    connection.is_warned = False
    connection.execute(
        f"INSERT INTO replicas (incarnation, name, since, beat, beat_at) VALUES (%s, %s, {_NOW}, 0, {_NOW})",  # noqa: S608
        (incarnation, name),
    )
    return not connection.is_warned


def deregister(connection: ServiceConnection, incarnation: str) -> None:
    """Remove a replica that has no lease."""
    connection.execute("DELETE FROM replicas WHERE incarnation = %s", (incarnation,))


def beat(connection: ServiceConnection, replica: Replica) -> Beaten:
    """Store a heartbeat, which acknowledges what the replica has applied."""
    connection.is_warned = False
    applied = replica.applied
    row = connection.execute(
        f"WITH beaten AS (UPDATE replicas SET beat = beat + 1, beat_at = {_NOW}, acknowledged_number = %s, "  # noqa: S608
        "acknowledged_mark = %s WHERE incarnation = %s RETURNING 1) "
        f"SELECT (SELECT count(*) FROM beaten), {TIMELINE}",
        (applied and applied.number, applied and applied.mark, replica.incarnation),
    ).fetchone()
    assert row is not None
    return Beaten(row[0], row[1], not connection.is_warned)


def acknowledge(connection: ServiceConnection, replica: Replica) -> None:
    """Store what the replica has applied, between two heartbeats.

    It grants no lease, and one that a crash or a failover loses has a change wait for the next heartbeat. So it waits
    for no disk and no standby.
    """
    applied = replica.applied
    connection.execute(
        "UPDATE replicas SET acknowledged_number = %s, acknowledged_mark = %s "
        "WHERE incarnation = %s AND set_config('synchronous_commit', 'off', true) = 'off'",
        (applied and applied.number, applied and applied.mark, replica.incarnation),
    )


def read_authority(connection: ServiceConnection, number: int = 0) -> Authority:
    """Return the present revision, and the mark of the revision with this number."""
    row = connection.execute(
        "SELECT number, mark, settled, (SELECT mark FROM revisions WHERE revisions.number = %s), "  # noqa: S608
        f"{TIMELINE}, extract(epoch FROM clock_timestamp())::float8, (SELECT high_water FROM clock) FROM authority",
        (number,),
    ).fetchone()
    assert row is not None
    number, mark, settled, own_mark, timeline, clock, high_water = row
    return Authority(Revision(number, mark), timeline, settled, own_mark, clock, high_water)


def read_installation(connection: ServiceConnection) -> str:
    """Return the mark of the database's installation, which a dump keeps and a copy does not."""
    row = connection.execute("SELECT installation FROM authority").fetchone()
    assert row is not None
    return str(row[0])


def read_replicas(connection: ServiceConnection) -> ReplicaList:
    """Return the list of replicas."""
    rows = connection.execute(
        "SELECT server.timeline, incarnation, beat, acknowledged_number, acknowledged_mark, revisions.mark "  # noqa: S608
        f"FROM (SELECT {TIMELINE} AS timeline) AS server LEFT JOIN replicas ON true "
        "LEFT JOIN revisions ON revisions.number = acknowledged_number ORDER BY incarnation"
    ).fetchall()
    return ReplicaList(rows[0][0], tuple(_registered(row) for row in rows if row[1] is not None))


def read_replication(connection: ServiceConnection, own: str | None, times: LeaseTimes) -> Replication:
    """Return the state of the database, and its replicas by name; `own` is the incarnation of the one that asks."""
    row = connection.execute(
        f"SELECT number, {TIMELINE}, (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM authority"  # noqa: S608
    ).fetchone()
    assert row is not None
    number, timeline, now = row
    rows = connection.execute(
        "SELECT name, since, (%s - beat_at) / 1000.0::float8, acknowledged_number, incarnation FROM replicas "
        "ORDER BY name, since, incarnation",
        (now,),
    ).fetchall()
    found = tuple(
        ReplicaState(
            name,
            from_milliseconds(since),
            max(0.0, age),
            acknowledged,
            is_silent=age >= times.silence,
            is_answering=incarnation == own,
        )
        for name, since, age, acknowledged, incarnation in rows
    )
    return Replication(number, timeline, is_synchronous(connection), found)


def is_synchronous(connection: ServiceConnection) -> bool:
    """Return whether a commit waits for a standby, by the server's settings."""
    row = connection.execute(
        "SELECT current_setting('synchronous_standby_names') <> '' "
        "AND current_setting('synchronous_commit') IN ('on', 'remote_apply', 'remote_write')"
    ).fetchone()
    return row is not None and bool(row[0])


def remove_silent(connection: ServiceConnection, silent: Sequence[tuple[str, int]]) -> None:
    """Remove replicas that have sent no heartbeat since the one named."""
    for incarnation, last in silent:
        connection.execute("DELETE FROM replicas WHERE incarnation = %s AND beat = %s", (incarnation, last))


def read_ends(connection: ServiceConnection, after: int) -> list[Ends]:
    """Return the revisions behind a number, each with what it changed and ended, the oldest first."""
    query = "SELECT number, mark, changed, ended FROM revisions WHERE number > %s ORDER BY number"
    return [
        Ends(Revision(number, mark), tuple(map(bytes, ended)), None if changed is None else frozenset(changed))
        for number, mark, changed, ended in connection.execute(query, (after,))
    ]


def read_changed(connection: ServiceConnection, after: int) -> dict[int, Changed]:
    """Return the revisions behind a number, with what each has changed."""
    rows = connection.execute("SELECT number, mark, changed FROM revisions WHERE number > %s", (after,))
    return {number: (mark, None if changed is None else frozenset(changed)) for number, mark, changed in rows}


def settle(connection: ServiceConnection, timeline: str) -> None:
    """Store that the list of replicas is complete on this timeline, if the server still is on it."""
    connection.execute(f"UPDATE authority SET settled = %s WHERE {TIMELINE} = %s", (timeline, timeline))  # noqa: S608


def forget_old_revisions(connection: ServiceConnection, kept: int) -> None:
    """Keep the marks of the latest so many revisions."""
    connection.execute("DELETE FROM revisions WHERE number <= (SELECT number FROM authority) - %s", (kept,))


def _registered(row: Sequence[Any]) -> RegisteredReplica:
    _, incarnation, last, number, mark, own_mark = row
    return RegisteredReplica(incarnation, last, None if number is None else Revision(number, mark), own_mark)
