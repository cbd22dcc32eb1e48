"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations.rotation.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("2w", timedelta(days=14)),
        ("30m", timedelta(minutes=30)),
        ("0s", timedelta(0)),
        (" 7D ", timedelta(days=7)),
        ("36525d", timedelta(days=36_525)),
    ],
)
def test_durations_are_read(text, duration):
    """Weeks, days, hours, minutes and seconds are read, also together, in any case and with blanks around."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("90", '"90" has no unit: write "90d" for days'),
        ("", '"" is not a duration: write one like "90d", "12h" or "30m"'),
        ("1.5d", '"1.5d" is not a duration: write one like "90d", "12h" or "30m"'),
        ("-1d", '"-1d" is not a duration: write one like "90d", "12h" or "30m"'),
        ("3 months", '"3 months" is not a duration: write one like "90d", "12h" or "30m"'),
        ("36526d", '"36526d" is longer than 100 years'),
        ("٣d", '"٣d" is not a duration: write one like "90d", "12h" or "30m"'),
    ],
)
def test_what_is_no_duration_says_what_to_write(text, message):
    """Anything else is refused with a sentence that says what to write instead."""
    with pytest.raises(ValueError) as refused:
        parse_duration(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=90), "90d"),
        (timedelta(hours=36), "1d12h"),
        (timedelta(weeks=2), "14d"),
        (timedelta(0), "0s"),
        (timedelta(seconds=1, microseconds=900_000), "1s"),
    ],
)
def test_durations_have_one_spelling(duration, text):
    """A duration is written in days, hours, minutes and seconds, and in one way only."""
    assert format_duration(duration) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_525)))
def test_a_written_duration_is_read_as_itself(duration):
    """What is written is read back, to the second."""
    assert parse_duration(format_duration(duration)) == timedelta(seconds=int(duration.total_seconds()))
