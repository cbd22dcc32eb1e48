"""A replica's lease: what follows from a heartbeat, and when a request may use a decision."""

import pytest

from private_integrations_service.storage.postgresql.lease import (
    LEAVE,
    NO_LEASE,
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
    may_remember,
    may_use_read,
    may_use_remembered,
    registered,
    start,
)
from private_integrations_service.storage.postgresql.revision import Revision

TIMES = LeaseTimes(duration=10.0, heartbeat=0.5, drift=0.1)
SEEN = Revision(7, "a")
REPLICA = Replica("i", SEEN, "1")


def answer(revision=SEEN, **changed):
    """An answer without surprises: one row, one server."""
    usual = {"rows": 1, "replicated": True, "written_on": "1", "read_on": "1", "own_mark": "a"}
    return HeartbeatAnswer(revision=revision, **(usual | changed))


def test_the_times_cover_the_drift():
    """Lease, wait and silence, on the slowest and the fastest clock, never let a lease outlast the others."""
    slow, fast = 1 - TIMES.drift, 1 + TIMES.drift
    assert (TIMES.lease_end(100.0) - 100.0) / slow == pytest.approx(TIMES.duration)
    assert TIMES.change_wait / fast >= TIMES.duration
    assert TIMES.silence / fast == pytest.approx(TIMES.duration)


@pytest.mark.parametrize("times", [(0.5, 0.5, 0.1), (15.0, 0.0, 0.1), (15.0, 0.5, 1.0), (15.0, 0.5, -0.1)])
def test_impossible_times(times):
    """A lease that ends before the next heartbeat is refused, and so is a drift that is none."""
    with pytest.raises(ValueError, match="longer than the time between two heartbeats"):
        LeaseTimes(*times)


def test_a_heartbeat_extends_the_lease_from_its_beginning():
    """A heartbeat that finds nothing new extends the lease and does nothing else."""
    assert after_heartbeat(REPLICA, 100.0, answer(), TIMES) == Outcome(REPLICA, (SetLease(109.0, "1"),))


@pytest.mark.parametrize("changed", [None, frozenset({"int_1"})])
def test_a_new_revision_is_forgotten_before_the_lease(changed):
    """A new revision is applied first, then comes the lease, and the next heartbeat acknowledges it at once."""
    new = Revision(8, "b")
    outcome = after_heartbeat(REPLICA, 100.0, answer(new, changed=changed), TIMES)
    assert outcome == Outcome(Replica("i", new, "1"), (Forget(changed), SetLease(109.0, "1")), at_once=True)


def test_a_new_timeline_comes_before_its_epoch():
    """After a promotion all is forgotten, and no lease is in force while timeline and epoch change."""
    outcome = after_heartbeat(REPLICA, 100.0, answer(written_on="2", read_on="2", changed=frozenset({"int_1"})), TIMES)
    assert outcome.steps == (SetLease(NO_LEASE, "2"), Forget(), SetLease(109.0, "2"))
    assert outcome.replica.timeline == "2"


@pytest.mark.parametrize(
    ("found", "own_mark"), [(Revision(6, "c"), None), (Revision(7, "c"), "c"), (Revision(9, "c"), "c")]
)
def test_a_lost_revision_raises_the_alarm(found, own_mark):
    """A lower number, another mark, and a higher number without the seen revision in the history are a loss."""
    outcome = after_heartbeat(REPLICA, 100.0, answer(found, own_mark=own_mark), TIMES)
    assert outcome.steps == (ReportLoss(SEEN, found), Forget(), SetLease(109.0, "1"))


@pytest.mark.parametrize("own_mark", ["a", None])
def test_a_later_revision_is_no_loss(own_mark):
    """A database that has the seen revision, or no longer keeps it, has lost nothing."""
    outcome = after_heartbeat(REPLICA, 100.0, answer(Revision(9, "c"), own_mark=own_mark), TIMES)
    assert not any(isinstance(step, ReportLoss) for step in outcome.steps)


@pytest.mark.parametrize("bad", [{"replicated": False}, {"read_on": "2"}, {"written_on": "2"}])
def test_a_heartbeat_that_proves_nothing(bad):
    """No lease comes of a commit that is only local, nor of two servers."""
    assert after_heartbeat(REPLICA, 100.0, answer(Revision(8, "b"), **bad), TIMES) == Outcome(REPLICA)


def test_a_removed_replica_registers_anew():
    """Without its row a replica drops lease and memory, writes a new row, and takes a lease only afterwards."""
    outcome = after_heartbeat(REPLICA, 100.0, answer(rows=0), TIMES)
    assert outcome.steps == (SetLease(NO_LEASE), Forget(), Register())
    assert outcome.replica == Replica(None, SEEN, "1")
    assert registered(outcome.replica, "j", replicated=True) == Outcome(Replica("j", SEEN, "1"), at_once=True)
    again = registered(outcome.replica, "j", replicated=False)
    assert (again.replica.incarnation, again.steps[-1]) == (None, Register())


def test_start_and_stop():
    """A start registers with the last revision that was seen; a stop ends the lease before the row."""
    assert start(SEEN) == Outcome(Replica(None, SEEN), (SetLease(NO_LEASE), Forget(), Register()))
    assert (SetLease(NO_LEASE), Forget(), Deregister()) == LEAVE


def test_a_notification_is_acknowledged_by_the_next_heartbeat():
    """A newer revision is forgotten at once, all of it after a gap; an older one and a first one change nothing."""
    changed = frozenset({"int_1"})
    assert after_notification(REPLICA, Revision(8, "b"), SEEN, changed) == Outcome(
        Replica("i", Revision(8, "b"), "1"), (Forget(changed),), at_once=True
    )
    assert after_notification(REPLICA, Revision(9, "b"), Revision(8, "b"), changed).steps == (Forget(),)
    assert after_notification(REPLICA, Revision(8, "b"), Revision(7, "c"), changed).steps == (Forget(),)
    assert after_notification(REPLICA, SEEN, Revision(6, "z")) == Outcome(REPLICA)
    assert after_notification(Replica("i"), SEEN, Revision(6, "z")) == Outcome(Replica("i"))


def test_when_a_decision_may_be_used():
    """A remembered decision needs lease and epoch, one that was just read needs lease and timeline."""
    assert may_use_remembered(10.0, 9.9, 4, 4)
    assert not may_use_remembered(10.0, 10.0, 4, 4)
    assert not may_use_remembered(10.0, 9.9, 4, 6)
    assert may_use_read(10.0, "1", 9.9, "1")
    assert not may_use_read(10.0, "2", 9.9, "1")
    assert not may_use_read(10.0, "1", 10.0, "1")
    assert not may_use_read(NO_LEASE, None, 9.9, "1")
    assert may_remember(4, 4, "1", "1")
    assert not may_remember(4, 6, "1", "1")
    assert not may_remember(4, 4, "1", "2")
