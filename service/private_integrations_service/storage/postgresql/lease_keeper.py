"""Keep the lease of this machine: a thread that sends heartbeats, and applies the changes of other replicas.

One process of the machine runs it, by a lock file; when that process dies, another one goes on with the same replica.
A process that is halted (SIGSTOP) keeps the lock, and could go on at any moment: the others end it first.
"""

import logging
import os
import select
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psycopg

from ..engine import StorageError
from ..file_leadership import FileLeadership
from . import replicas
from .acknowledgement import Sightings
from .connections import ServiceConnection, Watchdog, connect, new_mark, storage_errors
from .lease import (
    LEAVE,
    Deregister,
    Forget,
    HeartbeatAnswer,
    LeaseTimes,
    Outcome,
    Register,
    Replica,
    ReportLoss,
    SetLease,
    after_heartbeat,
    after_notification,
    registered,
    start,
)
from .remembered_ends import FILE_NAME, Ends, Loss, RememberedEnds
from .revision import Revision, changed_since
from .shared_state import SharedState, boot_clock
from .timeline import WatchedTimeline, watch

# The marks of so many revisions are kept, to tell a database that lost changes from one that went on.
_REVISIONS_KEPT = 10_000

# Seconds between two looks at the process that keeps the lease, and how often it is found halted before it is ended:
# after one second. They are counted, because a process that was halted as well can't know for how long.
_LOOK, _MOST_HALTED = 0.05, 20

_log = logging.getLogger(__name__)


class Repairing(Protocol):
    """Do for the keeper what only the engine can."""

    def note_clock(self, high_water: int) -> None:
        """Note the instant that the database has stored, in milliseconds since 1970."""

    def repair(self, seen: Revision, found: Revision, remembered: Sequence[Ends]) -> Loss:
        """End tokens again whose end the database has lost; return what it lost."""


class LeaseKeeper:
    """Keeps the lease, from `start` to `stop`; the lease itself outlasts the thread, and every process.

    Args:
        address: of the database.
        times: how long the lease lasts.
        state: where the processes of this machine read the lease.
        leadership: the right of one process of this machine to keep it.
        service: the engine, as far as the keeper needs it.
        ends: the ends that this machine remembers.

    """

    def __init__(
        self,
        address: str,
        times: LeaseTimes,
        state: SharedState,
        leadership: FileLeadership,
        service: Repairing,
        ends: RememberedEnds,
    ) -> None:
        self._address = address
        self._times = times
        self._state = state
        self._leadership = leadership
        self._service = service
        self._ends = ends
        self._watchdog = Watchdog()
        self._connection: ServiceConnection | None = None
        self._listening: ServiceConnection | None = None
        self._timeline: WatchedTimeline | None = None
        self._sightings = Sightings()
        self._first = threading.Event()
        self._stopping = threading.Event()
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin, and wait a moment for the first lease, so that no request is refused for want of it."""
        self._thread.start()
        self._first.wait(2)

    def stop(self) -> None:
        """End the thread; the lease goes on until it runs out or another process of this machine renews it."""
        self._stopping.set()
        os.write(self._wake, b"!")
        self._thread.join()
        self._watchdog.stop()
        os.close(self._wake)
        os.close(self._woken)

    def _run(self) -> None:
        try:
            halted = 0
            while not self._leadership.take():
                if self._state.lease_end > boot_clock():
                    self._first.set()
                halted = halted + 1 if is_halted(self._state.keeper) else 0
                if halted == _MOST_HALTED:
                    _end_halted(self._state.keeper)
                if self._stopping.wait(_LOOK):
                    return
            self._state.keeper = os.getpid()
            self._keep()
        finally:
            self._leadership.release()

    def _keep(self) -> None:
        is_failing = False
        with suppress(OSError):
            if aside := self._ends.shorten():
                _log.warning("%s has the ends of another database's tokens: it is now %s", FILE_NAME, aside)
        while not self._stopping.is_set():
            try:
                with storage_errors():
                    at_once = self._beat()
                    is_failing = False
                    if not at_once:
                        self._first.set()
                        self._wait()
            except StorageError as error:
                if not is_failing:
                    _log.error("the lease can't be renewed: %s; it ends in %.1f s", error, self._left())
                is_failing = True
                self._disconnect()
                self._stopping.wait(self._times.heartbeat)
        self._disconnect()

    def _beat(self) -> bool:
        """Send one heartbeat; returns whether to send the next one at once."""
        connection = self._connected()
        replica = self._state.replica
        if replica.incarnation is None:
            return self._take(start(self._ends.last()), connection)
        began = boot_clock()
        with self._watchdog.limit(connection):
            beaten = replicas.beat(connection, replica)
            asked = boot_clock()
            found = replicas.read_authority(connection, replica.applied.number if replica.applied else 0)
        arrived = boot_clock()
        self._state.set_clock(found.clock, (asked + arrived) / 2)
        self._service.note_clock(found.high_water)
        answer = HeartbeatAnswer(
            beaten.rows,
            beaten.replicated,
            beaten.timeline,
            found.timeline,
            found.revision,
            found.own_mark,
            self._changed(replica.applied, found.revision, connection),
        )
        self._timeline = watch(self._timeline, found.timeline, found.settled, arrived)
        outcome = after_heartbeat(replica, began, answer, self._times)
        at_once = self._take(outcome, connection)
        if not at_once:
            self._look_after(connection)
        return at_once

    def _take(self, outcome: Outcome, connection: ServiceConnection, ends: Ends | None = None) -> bool:
        """Take the steps in their order; returns whether to send the next heartbeat at once.

        Args:
            outcome: the steps.
            connection: to the database.
            ends: the tokens that end with the new revision, None to ask the database.

        """
        for step in outcome.steps:
            match step:
                case SetLease(end, timeline):
                    self._state.set_lease(end, timeline)
                case Forget(changed):
                    self._state.epoch.publish(changed)
                case Register():
                    return self._register(outcome.replica, connection)
                case ReportLoss(seen, found):
                    self._timeline = None
                    loss = self._service.repair(seen, found, self._ends.read())
                    _log.critical(
                        "ALARM: the database lacks changes that it had before: it is at revision %d, and %d was seen. "
                        "It was restored from a copy, or promoted without the last changes. %d tokens were ended "
                        "again, those whose end this machine remembers; look for others that must not work. This "
                        "machine knows of %d lost changes that ended no token. They may have narrowed scopes or rights "
                        "or revoked keys: make these again. They were about: %s",
                        found.number,
                        seen.number,
                        loss.ended_again,
                        loss.other_changes,
                        ", ".join(loss.changed[:20]) or "nothing that this machine knows by name",
                    )
        before = self._state.replica.applied
        if outcome.replica.applied != before:
            self._note_ends(before, outcome.replica.applied, connection, ends)
        self._state.replica = outcome.replica
        return outcome.at_once

    def _changed(
        self, applied: Revision | None, found: Revision, connection: ServiceConnection
    ) -> frozenset[str] | None:
        """Return the subjects that changed since the applied revision, None if they may be any."""
        if applied is None or found == applied:
            return None
        with self._watchdog.limit(connection):
            return changed_since(applied, found, replicas.read_changed(connection, applied.number))

    def _note_ends(
        self, before: Revision | None, applied: Revision | None, connection: ServiceConnection, known: Ends | None
    ) -> None:
        """Remember the ends of new revisions, before they are acknowledged."""
        if applied is None:
            return
        ends = [known or Ends(applied)]
        if before is not None and known is None:
            with self._watchdog.limit(connection):
                ends = replicas.read_ends(connection, before.number) or ends
        try:
            self._ends.note(ends)
        except OSError as error:
            # The promise doesn't need it: it is for a database that loses changes.
            _log.error("the ends of tokens can't be remembered in the data folder: %s", error.strerror)

    def _register(self, replica: Replica, connection: ServiceConnection) -> bool:
        """Add a row for this machine; returns whether there is one that counts."""
        incarnation = new_mark()
        with self._watchdog.limit(connection):
            replicated = replicas.register(connection, incarnation, socket.gethostname())
        outcome = registered(replica, incarnation, replicated=replicated)
        self._state.replica = outcome.replica
        return replicated

    def _look_after(self, connection: ServiceConnection) -> None:
        """Remove silent replicas and old revisions, and store that the timeline is settled."""
        now = boot_clock()
        with self._watchdog.limit(connection):
            if self._timeline is not None and self._timeline.settles(now, self._times):
                replicas.settle(connection, self._timeline.timeline)
            self._sightings = self._sightings.after(replicas.read_replicas(connection), now)
            silent = self._sightings.silent(now, self._times)
            if silent:
                _log.warning("%d replicas are silent and were removed from the list", len(silent))
                replicas.remove_silent(connection, silent)
            replicas.forget_old_revisions(connection, _REVISIONS_KEPT)

    def _wait(self) -> None:
        """Wait for the next heartbeat, and acknowledge the changes that are notified until then."""
        due = boot_clock() + self._times.heartbeat
        try:
            if self._listening is None or self._listening.closed:
                self._listening = connect(self._address)
                self._listening.execute(f"LISTEN {replicas.CHANNEL}")
            # Not select.select, which knows the first 1024 descriptors only. A stop ends the wait too.
            readable = select.poll()
            readable.register(self._listening.pgconn.socket, select.POLLIN)
            readable.register(self._woken, select.POLLIN)
            while (left := due - boot_clock()) > 0 and not self._stopping.is_set():
                readable.poll(left * 1000)
                self._acknowledge(self._listening)
        except (psycopg.Error, OSError, ValueError):
            # Notifications only speed things up.
            self._listening = None
            self._stopping.wait(self._times.heartbeat)

    def _acknowledge(self, listening: ServiceConnection) -> None:
        """Apply the changes that were notified, and acknowledge them without a heartbeat."""
        is_moved = False
        for notification in listening.notifies(timeout=0):
            found, replica = replicas.read_notification(notification.payload), self._state.replica
            outcome = after_notification(replica, found.revision, found.before, found.changed)
            # A notification that was missed may have ended tokens as well.
            knows_ends = found.ended is not None and found.before == replica.applied
            ends = Ends(found.revision, found.ended or (), found.changed) if knows_ends else None
            is_moved |= self._take(outcome, self._connected(), ends)
        if is_moved:
            connection = self._connected()
            with self._watchdog.limit(connection):
                replicas.acknowledge(connection, self._state.replica)

    def _connected(self) -> ServiceConnection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address)
        return self._connection

    def _disconnect(self) -> None:
        for connection in (self._connection, self._listening):
            if connection is not None:
                with suppress(psycopg.Error, OSError):
                    connection.close()
        self._connection = self._listening = None

    def _left(self) -> float:
        return max(0.0, self._state.lease_end - boot_clock())


def is_halted(pid: int) -> bool:
    """Return whether a process was stopped by a signal; one that a debugger holds was not."""
    try:
        # The name of the program is in brackets, and may have any characters.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def _end_halted(pid: int) -> None:
    _log.error("worker %d keeps the lease and is halted: it is ended, so that another one goes on", pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def leave(state: SharedState, connection: ServiceConnection) -> None:
    """Give the lease up and remove the replica: a clean stop, after which no change waits for it."""
    replica: Replica = state.replica
    for step in LEAVE:
        match step:
            case SetLease(end, timeline):
                state.set_lease(end, timeline)
            case Forget(changed):
                state.epoch.publish(changed)
            case Deregister():
                if replica.incarnation is not None:
                    replicas.deregister(connection, replica.incarnation)
    state.replica = Replica()
