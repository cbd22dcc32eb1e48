"""The longest wait of the last minutes."""

from private_integrations_service.storage.postgresql.slowest_wait import MINUTES, NUMBERS, SlowestWait
from private_integrations_service.storage.shared_memory import shared_numbers


def test_the_longest_wait_is_forgotten_after_some_minutes():
    """It counts for the present minute and the four before it; another process sees it too."""
    numbers = shared_numbers(NUMBERS)
    waits, other = SlowestWait(numbers), SlowestWait(numbers)
    assert waits.longest(0.0) == 0
    for seconds, now in ((0.25, 1.0), (2.5, 30.0), (0.5, 59.0), (1.5, 130.0)):
        waits.note(seconds, now)
    assert other.longest(130.0) == 2.5
    assert other.longest(60.0 * MINUTES - 1) == 2.5
    assert other.longest(60.0 * MINUTES) == 1.5
    assert other.longest(60.0 * (MINUTES + 2)) == 0
    waits.note(0.125, 60.0 * MINUTES + 1)
    assert other.longest(60.0 * MINUTES + 1) == 1.5
    assert other.longest(60.0 * (MINUTES + 4)) == 0.125
