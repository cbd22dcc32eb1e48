"""Calendar rules: five-field cron expressions in a time zone, right at changes of daylight saving time.

A wall time that is skipped in spring fires at the end of the gap, one that comes twice in autumn fires once
(Debian's rules, kept by cronsim); an expression whose minute or hour begins with `*` follows real time.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ..unusable import Unusable

# Fixed, not from now: a declaration is not valid today and refused tomorrow. It has a leap day.
_SPAN = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
# A rule that fires more often than hourly shows its shortest gap within any week, and has too many ticks to count.
_DENSE = timedelta(hours=1)
_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Schedule:
    """A rule such as `0 3 * * MON#1` in `Europe/Berlin`; made by `read_schedule`, which refuses impossible ones."""

    expression: str
    timezone: str = "UTC"

    def next_after(self, instant: datetime) -> datetime:
        """Return the first tick later than `instant`, in UTC."""
        return next(_ticks(self, instant))

    @property
    def shortest_gap(self) -> timedelta:
        """Return the shortest time between two ticks in four fixed years; a spring night counts 23 hours."""
        return _shortest_gap(self)

    def __str__(self) -> str:
        return f'"{self.expression}" in {self.timezone}'


def read_schedule(expression: str, timezone: str = "UTC") -> Schedule:
    """Check a rule; raises Unusable, a ValueError, with a sentence that says what is wrong with it."""
    fields = expression.split()
    if len(fields) != 5:
        raise Unusable("schedule", expression, "must have five fields: minute hour day month weekday")
    schedule = Schedule(" ".join(fields), timezone)
    if timezone not in zone_names():
        raise Unusable("timezone", timezone, "is not an IANA name")
    try:
        next(_ticks(schedule, _SPAN[0]))
    except CronSimError as error:
        raise Unusable("schedule", expression, _why(fields, error)) from None
    except StopIteration:
        raise Unusable("schedule", expression, "never matches") from None
    return schedule


def _ticks(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Return every tick later than `after`, strictly increasing, in UTC."""
    last, local = after, after.astimezone(_zone(schedule.timezone))
    follows_real_time = any(field.startswith("*") for field in schedule.expression.split()[:2])
    # cronsim itself steps by whole hours there, over the ticks behind a change of half an hour (Lord Howe Island).
    ticks = _in_real_time(schedule.expression, local) if follows_real_time else CronSim(schedule.expression, local)
    for each in ticks:
        tick = each.astimezone(UTC)
        # Two wall times of one gap end in one instant, and those of a repeated hour come once.
        if tick > last:
            yield tick
            last = tick


def _in_real_time(expression: str, local: datetime) -> Iterator[datetime]:
    """Return every instant of a matching wall time, from `local` on: none for a skipped one, both for a doubled one."""
    # While a wall time comes for the first time, those before it are still to come again.
    to_come = local.replace(fold=1).astimezone(UTC) - local.replace(fold=0).astimezone(UTC)
    again: deque[datetime] = deque()
    for wall in CronSim(expression, local.replace(tzinfo=None) - to_come):
        # Of a skipped wall time the later reading comes first (PEP 495).
        first, second = (wall.replace(tzinfo=local.tzinfo, fold=fold).astimezone(UTC) for fold in (0, 1))
        while again and again[0] < first:
            yield again.popleft()
        if first <= second:
            yield first
        if first < second:
            again.append(second)


@cache
def _shortest_gap(schedule: Schedule) -> timedelta:
    shortest, (start, end) = timedelta.max, _SPAN
    for tick, following in pairwise(_ticks(schedule, start)):
        shortest = min(shortest, following - tick)
        if shortest < _DENSE:
            end = min(end, tick + _WEEK)
        if following >= end:
            break
    return shortest


@cache
def zone_names() -> frozenset[str]:
    """Return the time zones that a rule can be in, by their IANA names."""
    # As we bring them along: a machine's own list has `localtime` too, which is another zone on the next machine.
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@cache
def _zone(name: str) -> tzinfo:
    # cronsim goes a quicker way for the standard library's own UTC.
    return UTC if name == "UTC" else ZoneInfo(name)


def _why(fields: list[str], error: CronSimError) -> str:
    """Say what is wrong with an expression: a field of it, or a day that none of its months has."""
    malformed = f"is not a cron expression: {str(error).lower()}"
    try:
        CronSim(" ".join([*fields[:3], "*", fields[4]]), _SPAN[0])
    except CronSimError:
        return malformed
    # With every month it would do: either the one given is none, or those given never have the day.
    return malformed if str(error) == "Bad month" else "never matches"
