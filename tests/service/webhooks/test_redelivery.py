"""When a webhook is tried again: as pure decisions."""

from datetime import UTC, datetime, timedelta

import pytest

from private_integrations_service.webhooks.redelivery import PATIENCE, Again, Settled, Tried, after

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
FAILED = Tried("answered", 500)


def pauses(jitter):
    """The pauses of a message that nobody ever accepts, and how it ends."""
    now, found = NOON, []
    for attempts in range(1, 100):
        follows = after(FAILED, attempts, now, failing_since=None, jitter=jitter)
        if isinstance(follows, Settled):
            return found, follows
        found.append(follows.at - now)
        now = follows.at
    raise AssertionError("without end")


def test_ten_attempts_over_three_days():
    """The schedule of the specification: seconds, minutes, hours, at last a day apart."""
    found, end = pauses(0)
    hours = timedelta(hours=1)
    assert found == [
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        *(n * hours for n in (2, 5, 10, 14, 20, 24)),
    ]
    assert end == Settled(delivered=False)
    assert PATIENCE < sum(found, timedelta()) < timedelta(hours=76)


def test_jitter_spreads_attempts_and_only_delays():
    """Those that failed together don't come back together, and none comes early."""
    for calm, spread in zip(pauses(0)[0], pauses(0.999)[0], strict=True):
        assert 1.19 < spread / calm < 1.2


@pytest.mark.parametrize("outcome", ["answered", "timed-out", "unreachable", "untrusted", "unreadable", "not-allowed"])
def test_every_failure_is_tried_again(outcome):
    """What is wrong today may be mended tomorrow."""
    assert after(Tried(outcome), 1, NOON, failing_since=None, jitter=0) == Again(NOON + timedelta(seconds=5))


def test_accepted_is_the_end():
    """Also after failures, and of an endpoint that failed for long."""
    accepted = Tried("accepted", 200)
    for attempts, since in ((1, None), (10, NOON - 2 * PATIENCE)):
        assert after(accepted, attempts, NOON, failing_since=since, jitter=0) == Settled(delivered=True)


def test_gone_disables_at_once():
    """The receiver's own word."""
    assert after(Tried("gone", 410), 1, NOON, failing_since=None, jitter=0) == Settled(
        delivered=False, disable="it answered 410 Gone"
    )


def test_three_days_of_failures_disable():
    """Not a moment before, and whichever message it is that failed last."""
    for attempts in (1, 10):
        almost = after(FAILED, attempts, NOON, failing_since=NOON - PATIENCE + timedelta(seconds=1), jitter=0)
        assert almost == (Again(NOON + timedelta(seconds=5)) if attempts == 1 else Settled(delivered=False))
        assert after(FAILED, attempts, NOON, failing_since=NOON - PATIENCE, jitter=0) == Settled(
            delivered=False, disable="it accepted nothing for 3 days"
        )


def test_a_receiver_is_left_alone_for_as_long_as_it_asks_but_a_day_at_most():
    """Never for less than the schedule says."""
    for asked, waits in ((1, 5), (60, 60), (10**9, 86_400)):
        tried = Tried("answered", 429, retry_after=timedelta(seconds=asked))
        assert after(tried, 1, NOON, failing_since=None, jitter=0) == Again(NOON + timedelta(seconds=waits))
