"""When a change may be answered: acknowledgements, the wait, promotions, and the list of replicas."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from private_integrations_service.storage.postgresql.acknowledgement import (
    Answer,
    CommittedChange,
    Refuse,
    RegisteredReplica,
    ReplicaList,
    Sightings,
    Wait,
    decide,
    first_use_waits,
)
from private_integrations_service.storage.postgresql.lease import LeaseTimes
from private_integrations_service.storage.postgresql.revision import Revision
from private_integrations_service.storage.postgresql.timeline import WatchedTimeline, watch

TIMES = LeaseTimes(duration=10.0, heartbeat=0.5, drift=0.1)
CHANGE = CommittedChange(Revision(7, "a"), "1", committed_at=100.0, replicated=True, trusted_from=-inf)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def listed(*acknowledged, timeline="1"):
    """A list of replicas that have acknowledged these revisions, each with the mark that the database has."""
    rows = (RegisteredReplica(f"i{n}", 5, seen, own) for n, (seen, own) in enumerate(acknowledged))
    return ReplicaList(timeline, tuple(rows))


@pytest.mark.parametrize(
    ("acknowledged", "own_mark", "counts"),
    [
        (Revision(7, "a"), "a", True),
        (Revision(8, "b"), "b", True),
        (Revision(6, "b"), "b", False),
        (Revision(7, "b"), "a", False),
        (Revision(8, "b"), "c", False),
        (Revision(8, "b"), None, False),
        (None, None, False),
    ],
)
def test_an_acknowledgement_of_the_same_database_counts(acknowledged, own_mark, counts):
    """The change itself counts, and a later revision that this database has; no higher number of another one."""
    ready = decide(CHANGE, listed((Revision(7, "a"), "a"), (acknowledged, own_mark)), Sightings(), 100.1, TIMES)
    assert ready == (Answer() if counts else Wait(113.0))


@pytest.mark.parametrize(("boot", "seconds"), [(100.0, 13.0), (101.5, 11.5), (113.0, 0.0), (200.0, 0.0)])
def test_who_does_not_wait_learns_when_the_wait_would_end(boot, seconds):
    """It is the deadline at which a change is answered without any list, never an instant before it or in the past."""
    assert CHANGE.effective_by(boot, NOW, TIMES) == NOW + timedelta(seconds=seconds)
    assert decide(CHANGE, None, Sightings(), boot + seconds, TIMES) == Answer()


def test_without_a_list_the_change_waits_in_full():
    """A database that does not answer, or another one, delays the answer until the leases have run out."""
    complete = listed((Revision(7, "a"), "a"), timeline="2")
    for replicas in (None, complete):
        assert decide(CHANGE, replicas, Sightings(), 112.9, TIMES) == Wait(113.0)
        assert decide(CHANGE, replicas, Sightings(), 113.0, TIMES) == Answer()


def test_a_commit_that_is_only_local_is_refused():
    """A warning at COMMIT is never a success, even after the wait."""
    change = replace(CHANGE, replicated=False)
    assert decide(change, listed((Revision(7, "a"), "a")), Sightings(), 200.0, TIMES) == Refuse()


def test_silent_replicas_leave_the_list():
    """After the wait, a replica without a heartbeat is removed; one with heartbeats stays, acknowledged or not."""
    first = listed((Revision(6, "z"), "z"), (None, None))
    beating = ReplicaList("1", (first.replicas[0], replace(first.replicas[1], beat=6)))
    sightings = Sightings().after(first, 100.1).after(beating, 105.0)
    assert decide(CHANGE, beating, sightings, 113.0, TIMES) == Answer((("i0", 5),))


def test_sightings_begin_again_on_another_timeline():
    """A heartbeat counts from its first sight on this timeline."""
    before = Sightings().after(listed((None, None)), 100.0)
    assert before.silent(110.9, TIMES) == ()
    assert before.silent(111.0, TIMES) == (("i0", 5),)
    assert before.after(listed((None, None)), 105.0).silent(111.0, TIMES) == (("i0", 5),)
    assert before.after(listed((None, None), timeline="2"), 105.0).silent(111.0, TIMES) == ()
    assert before.after(listed(), 105.0).silent(111.0, TIMES) == ()


def test_after_a_promotion_the_first_changes_wait():
    """No acknowledgement counts before a lease from before the promotion has run out, until the timeline is settled."""
    complete = listed((Revision(7, "a"), "a"))
    seen = watch(watch(None, "0", "0", 50.0), "1", "0", 99.0)
    change = replace(CHANGE, trusted_from=seen.trusted_from(TIMES))
    assert decide(change, complete, Sightings(), 111.9, TIMES) == Wait(112.0)
    assert decide(change, complete, Sightings(), 112.0, TIMES) == Answer()


def test_a_timeline_settles():
    """A machine that has watched a timeline through a whole wait stores it as settled; later ones need not wait."""
    seen = watch(None, "1", "0", 100.0)
    later = watch(seen, "1", "0", 105.0)
    assert later == seen == WatchedTimeline("1", 100.0)
    assert (later.settles(112.9, TIMES), later.settles(113.0, TIMES)) == (False, True)
    settled = watch(later, "1", "1", 106.0)
    assert settled.trusted_from(TIMES) == -inf
    assert not settled.settles(200.0, TIMES)
    assert watch(settled, "2", "1", 107.0).trusted_from(TIMES) == 120.0
    assert watch(None, "1", "1", 0.0).trusted_from(TIMES) == -inf


def test_a_first_use_waits_only_for_a_near_deadline():
    """A deadline beyond the wait needs none, since every replica hears of it before."""
    assert not first_use_waits([], NOW, TIMES)
    assert not first_use_waits([NOW + timedelta(days=7), NOW + timedelta(seconds=13)], NOW, TIMES)
    assert first_use_waits([NOW + timedelta(days=7), NOW + timedelta(seconds=12)], NOW, TIMES)
