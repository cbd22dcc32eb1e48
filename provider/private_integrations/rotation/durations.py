"""Durations as people write them: "90d", "12h", "1d12h", with the units w d h m s."""

import re
from datetime import timedelta

from ..unusable import Unusable

_UNITS = {"w": 7 * 86_400, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SHAPE = re.compile(r"(?:[0-9]+[wdhms])+")
_PART = re.compile(r"([0-9]+)([wdhms])")
# A hundred years: beyond it instants overflow.
_LONGEST = timedelta(days=36_525)


def parse_duration(value: str) -> timedelta:
    """Read a duration such as "90d" or "1d12h".

    Raises Unusable, a ValueError, with a sentence that says what to write instead. A month is no duration.
    """
    text = value.strip().lower()
    if text.isdecimal():
        raise Unusable("", value, f'has no unit: write "{text}d" for days', general='has no unit: write one like "90d"')
    if not _SHAPE.fullmatch(text):
        raise Unusable("", value, 'is not a duration: write one like "90d", "12h" or "30m"')
    seconds = sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if seconds > _LONGEST.total_seconds():
        raise Unusable("", value, "is longer than 100 years")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Return the canonical text of a duration: days, hours, minutes and seconds, as in "1d12h" or "0s"."""
    rest = int(value.total_seconds())
    parts = []
    for unit in "dhms":
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
