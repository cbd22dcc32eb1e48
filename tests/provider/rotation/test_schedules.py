"""Calendar rules against the calendar itself: every minute around a change of the clocks, and what is refused."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations.rotation.policy import read_policy
from private_integrations.rotation.schedules import read_schedule
from private_integrations_service.tokens.policy_defaults import POLICY_DEFAULTS

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
WALKED = 60 * HOUR

# The zone and a day on which its clocks are changed: by an hour, at midnight, by half an hour, by a whole day, never.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 2, 18, tzinfo=UTC)),
    ("Asia/Beirut", datetime(2026, 3, 29, tzinfo=UTC)),
    ("Asia/Beirut", datetime(2026, 10, 25, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 4, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 5, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 3, 22, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),
    ("UTC", datetime(2026, 3, 1, tzinfo=UTC)),
]
CHANGED = [change for change in CHANGES if change[0] != "UTC"]
AT_FIXED_TIMES = [
    "0 0 * * *",
    "30 0 * * *",
    "0 1 * * *",
    "59 1 * * *",
    "0 2 * * *",
    "15 2 * * *",
    "30 2 * * *",
    "0,30 2,3 * * *",
    "59 2 * * *",
    "0 3 * * *",
    "15 23 * * *",
    "45 23 * * SUN",
    "0 12 30 12 *",
    "10-50/20 0-4/2 * * *",
]
IN_REAL_TIME = [
    "0 * * * *",
    "30 * * * *",
    "*/15 * * * *",
    "* 2 * * *",
    "*/30 0 * * *",
    "*/20 3 * * *",
    "0 */3 * * *",
    "45 */2 * * *",
    "*/10 23 * * SAT",
]


@cache
def walk(zone, day):
    """Every minute of the days around, as instant and wall time."""
    instants = [day - DAY + MINUTE * count for count in range(WALKED // MINUTE)]
    return [(instant, instant.astimezone(ZoneInfo(zone))) for instant in instants]


def numbers(field, lowest, highest, names=()):
    """The numbers that a field of a cron expression stands for."""
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            chosen = range(lowest, highest + 1)
        else:
            start = names.index(first) if first in names else int(first)
            chosen = range(start, int(last or start) + 1)
        found.update(chosen[:: int(step or 1)])
    return found


@cache
def matcher(expression):
    """Whether a wall time is one that the expression names; months and days as in crontab(5)."""
    minute, hour, day, month, weekday = expression.split()
    minutes, hours = numbers(minute, 0, 59), numbers(hour, 0, 23)
    days, months = numbers(day, 1, 31), numbers(month, 1, 12)
    weekdays = numbers(weekday, 0, 6, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))

    def matches(wall):
        return (
            wall.minute in minutes
            and wall.hour in hours
            and wall.day in days
            and wall.month in months
            and wall.isoweekday() % 7 in weekdays
        )

    return matches


@cache
def skipped(zone, day):
    """The wall times that never come, by the first instant after them."""
    ends = {}
    for (_, before), (instant, wall) in pairwise(walk(zone, day)):
        minutes = (wall.replace(tzinfo=None) - before.replace(tzinfo=None)) // MINUTE
        if minutes > 1:
            ends[instant] = [wall - MINUTE * back for back in range(1, minutes)]
    return ends


@cache
def promised_ticks(expression, zone, day):
    """The ticks by definition, found by looking at every minute: nothing is calculated."""
    matches = matcher(expression)
    if expression in IN_REAL_TIME:
        return [instant for instant, wall in walk(zone, day)[1:] if matches(wall)]
    # The end of a gap stands for all that it skipped; what comes for the second time is over.
    late = {instant for instant, walls in skipped(zone, day).items() if any(matches(wall) for wall in walls)}
    return [instant for instant, wall in walk(zone, day)[1:] if instant in late or (matches(wall) and not wall.fold)]


def ticks(expression, zone, after, until):
    """The ticks that the schedule tells, one after the other."""
    schedule, found = read_schedule(expression, zone), []
    while (after := schedule.next_after(after)) <= until:
        found.append(after)
    return found


def local(zone, instants):
    """Instants as people of the zone would write them."""
    return [instant.astimezone(ZoneInfo(zone)).isoformat() for instant in instants]


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_fixed_times_around_a_change_of_the_clocks(zone, day):
    """Every intended time comes once: a skipped one at the end of the gap, a doubled one the first time."""
    first, last = walk(zone, day)[0][0], walk(zone, day)[-1][0]
    for expression in AT_FIXED_TIMES:
        promised = promised_ticks(expression, zone, day)
        assert (expression, ticks(expression, zone, first, last)) == (expression, promised)


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_steps_follow_real_time_around_a_change_of_the_clocks(zone, day):
    """Where minute or hour begins with a star, each matching minute that really passes is a tick, and no other."""
    first, last = walk(zone, day)[0][0], walk(zone, day)[-1][0]
    for expression in IN_REAL_TIME:
        promised = promised_ticks(expression, zone, day)
        assert (expression, ticks(expression, zone, first, last)) == (expression, promised)


@given(
    change=st.sampled_from(CHANGED),
    expression=st.sampled_from(AT_FIXED_TIMES + IN_REAL_TIME),
    minute=st.integers(1, WALKED // MINUTE - 1),
    rest=st.timedeltas(timedelta(0), MINUTE - timedelta(microseconds=1)),
)
def test_the_next_tick_is_the_first_one_later(change, expression, minute, rest):
    """From whatever instant one asks, also within a doubled hour, the answer is the first tick after it."""
    zone, day = change
    asked_at = walk(zone, day)[minute][0] + rest
    promised = promised_ticks(expression, zone, day)
    later = [tick for tick in promised if tick > asked_at]
    answer = read_schedule(expression, zone).next_after(asked_at)
    assert answer == later[0] if later else answer > walk(zone, day)[-1][0]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # The night of the spring: 02:30 doesn't exist in Berlin, so it fires when the clock shows 03:00.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"),
        # The night of the autumn: 02:30 comes twice, and fires in summer time only.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),
        ("30 * * * *", "Europe/Berlin", "2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"),
        # Midnight is skipped.
        ("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00+02:00", "2026-03-29T01:00+03:00"),
        # Half an hour is skipped: cronsim by itself would go from midnight to six.
        ("0 */3 * * *", "Australia/Lord_Howe", "2026-10-04T00:00+10:30", "2026-10-04T03:00+11:00"),
        # 30 December 2011 is no day in Samoa.
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-29T13:00-10:00", "2011-12-31T00:00+14:00"),
        # Month ends and leap days.
        ("0 0 31 * *", "UTC", "2026-03-31T00:00Z", "2026-05-31T00:00Z"),
        ("0 0 30 * *", "UTC", "2026-01-30T00:00Z", "2026-03-30T00:00Z"),
        ("0 0 L * *", "UTC", "2026-01-31T00:00Z", "2026-02-28T00:00Z"),
        ("0 0 L 2 *", "UTC", "2026-03-01T00:00Z", "2027-02-28T00:00Z"),
        ("0 0 L 2 *", "UTC", "2027-03-01T00:00Z", "2028-02-29T00:00Z"),
        ("0 0 LW * *", "UTC", "2026-01-01T00:00Z", "2026-01-30T00:00Z"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00Z", "2028-02-29T00:00Z"),
        ("0 0 29 2 *", "UTC", "2096-02-29T00:00Z", "2104-02-29T00:00Z"),
        ("0 3 * * MON#1", "Europe/Berlin", "2026-11-21T00:00Z", "2026-12-07T03:00+01:00"),
        ("0 0 1 1 *", "Europe/Berlin", "2026-12-31T23:30+01:00", "2027-01-01T00:00+01:00"),
    ],
)
def test_next_ticks_by_hand(expression, zone, after, expected):
    """Dates that a person has looked up in a calendar."""
    answer = read_schedule(expression, zone).next_after(datetime.fromisoformat(after))
    assert local(zone, [answer]) == local(zone, [datetime.fromisoformat(expected)])


fields = st.tuples(
    st.sampled_from(["0", "30", "59", "*/20"]),
    st.sampled_from(["0", "2", "3,15", "*/6"]),
    st.sampled_from(["*", "1", "29", "31", "L", "LW", "*/10"]),
    st.sampled_from(["*", "2", "4,6,9", "12"]),
    st.sampled_from(["*", "MON", "SUN#5", "5L"]),
)


@given(
    fields=fields,
    zone=st.sampled_from(sorted({zone for zone, _ in CHANGES})),
    years=st.timedeltas(timedelta(0), 90 * 365 * DAY),
)
def test_ticks_are_later_and_strictly_increasing(fields, zone, years):
    """Any rule that was accepted has a next tick, always a later one."""
    expression = " ".join(fields)
    try:
        schedule = read_schedule(expression, zone)
    except ValueError as error:
        assert str(error) == f'schedule "{expression}" never matches'  # noqa: PT017 - the other outcome is a success
        return
    after = datetime(2000, 1, 1, tzinfo=UTC) + years
    for _ in range(5):
        following = schedule.next_after(after)
        assert following > after
        assert (following.second, following.microsecond) == (0, 0)
        after = following


@pytest.mark.parametrize(
    ("expression", "zone", "gap"),
    [
        ("0 3 * * *", "UTC", DAY),
        ("0 3 * * *", "Europe/Berlin", 23 * HOUR),
        ("30 2 * * *", "Europe/Berlin", 23 * HOUR + 30 * MINUTE),
        ("0 3 * * *", "Australia/Lord_Howe", 23 * HOUR + 30 * MINUTE),
        ("0 3 * * MON", "America/New_York", 7 * DAY - HOUR),
        ("0 0 1 * *", "UTC", 28 * DAY),
        ("0 0 L * *", "UTC", 28 * DAY),
        ("0 0 31 * *", "UTC", 31 * DAY),
        ("0 0 29 2 *", "UTC", 1461 * DAY),
        ("0 */6 * * *", "UTC", 6 * HOUR),
        ("0 */6 * * *", "Europe/Berlin", 5 * HOUR),
        ("*/5 * * * *", "Europe/Berlin", 5 * MINUTE),
    ],
)
def test_the_shortest_gap(expression, zone, gap):
    """Counted in real hours over the same four years for ever: a spring night is short."""
    assert read_schedule(expression, zone).shortest_gap == gap


@pytest.mark.parametrize(
    ("expression", "zone", "message"),
    [
        ("0 0 30 2 *", "UTC", 'schedule "0 0 30 2 *" never matches'),
        ("0 0 31 4,6,9,11 *", "UTC", 'schedule "0 0 31 4,6,9,11 *" never matches'),
        ("0 3 * * *", "Europe/Kiyv", 'timezone "Europe/Kiyv" is not an IANA name'),
        ("0 3 * * *", "", 'timezone "" is not an IANA name'),
        ("0 3 * * *", "Europe", 'timezone "Europe" is not an IANA name'),
        # What such a name means depends on the machine: provider and service would not agree.
        ("0 3 * * *", "localtime", 'timezone "localtime" is not an IANA name'),
        ("0 3 * * *", "posix/Europe/Berlin", 'timezone "posix/Europe/Berlin" is not an IANA name'),
        ("0 3 * * *", "../UTC", 'timezone "../UTC" is not an IANA name'),
        ("0 3 * *", "UTC", 'schedule "0 3 * *" must have five fields: minute hour day month weekday'),
        ("0 0 3 * * *", "UTC", 'schedule "0 0 3 * * *" must have five fields: minute hour day month weekday'),
        ("@daily", "UTC", 'schedule "@daily" must have five fields: minute hour day month weekday'),
        ("60 3 * * *", "UTC", 'schedule "60 3 * * *" is not a cron expression: bad minute'),
        ("0 24 * * *", "UTC", 'schedule "0 24 * * *" is not a cron expression: bad hour'),
        ("0 0 32 * *", "UTC", 'schedule "0 0 32 * *" is not a cron expression: bad day-of-month'),
        ("0 0 32 2 *", "UTC", 'schedule "0 0 32 2 *" is not a cron expression: bad day-of-month'),
        ("0 0 31 13 *", "UTC", 'schedule "0 0 31 13 *" is not a cron expression: bad month'),
        ("0 0 * * MON#6", "UTC", 'schedule "0 0 * * MON#6" is not a cron expression: bad day-of-week'),
        ("0 0 */0 * *", "UTC", 'schedule "0 0 */0 * *" is not a cron expression: bad day-of-month'),
    ],
)
def test_impossible_rules_are_refused(expression, zone, message):
    """A rule that can't be says what is wrong with it, and one without any tick is never waited for."""
    with pytest.raises(ValueError) as caught:
        read_schedule(expression, zone)
    assert str(caught.value) == message


@given(text=st.text(alphabet="0123456789*/,-#LW MONSUNJAN ²\t", max_size=20))
def test_any_text_is_a_rule_or_a_sentence(text):
    """Whatever is written as a schedule either has a next tick or is refused with the text that was given."""
    try:
        schedule = read_schedule(text)
    except ValueError as error:
        assert str(error).startswith(f'schedule "{text}" ')  # noqa: PT017 - the other outcome is a success
    else:
        assert schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC)) > datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"schedule": "0 3 * * *", "timezone": "Europe/Berlin", "overlap": "7d"},
            'overlap 7d must be shorter than 23h, the shortest gap of "0 3 * * *" in Europe/Berlin; '
            "leave it out for 11h30m",
        ),
        (
            {"schedule": "0 3 * * *", "timezone": "Europe/Berlin", "overlap": "23h"},
            'overlap 23h must be shorter than 23h, the shortest gap of "0 3 * * *" in Europe/Berlin; '
            "leave it out for 11h30m",
        ),
        (
            {"schedule": "0 3 * * *", "early_window": "1d"},
            'early_window 1d must be shorter than 1d, the shortest gap of "0 3 * * *" in UTC',
        ),
        ({"schedule": "0 3 * * *", "every": "90d"}, "give every or schedule, not both"),
        ({"timezone": "Europe/Berlin", "every": "90d"}, "timezone is only used with schedule"),
        ({"timezone": "Europe/Berlin"}, "timezone is only used with schedule"),
        ({"schedule": "0 0 30 2 *"}, 'schedule "0 0 30 2 *" never matches'),
        ({"schedule": "0 3 * * *", "timezone": "Europe/Kiyv"}, 'timezone "Europe/Kiyv" is not an IANA name'),
        ({"schedule": 3}, 'schedule must be text such as "0 3 * * MON#1", not int'),
        ({"schedule": "0 3 * * *", "timezone": 3}, 'timezone must be text such as "Europe/Berlin", not int'),
    ],
)
def test_impossible_calendar_policies_say_why(declared, message):
    """A policy with a calendar rule that contradicts itself is refused with the arithmetic and the way out."""
    with pytest.raises(ValueError) as caught:
        read_policy(declared, lambda: POLICY_DEFAULTS)
    assert str(caught.value) == message
