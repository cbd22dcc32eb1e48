"""Limit the requests of an account in an interval and on a day (docs/platform.md §10).

Each worker counts for itself, in memory: the sandbox is a demonstration, and a client sees the documented headers.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from private_integrations.contract import Reason

from ..authorizer.replies import PlatformError
from ..instants import to_milliseconds
from ..settings import Settings

_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1) // _MILLISECOND


@dataclass(frozen=True)
class AccountLimits:
    """Allow `per_interval` requests in `interval` (milliseconds), and `per_day` on a day in UTC."""

    per_interval: int = 100
    interval: int = 10_000
    per_day: int = 200_000

    @classmethod
    def of(cls, settings: Settings) -> "AccountLimits":
        """Return the limits that the operator set."""
        return cls(settings.rate_limit, settings.rate_interval // _MILLISECOND, settings.daily_rate_limit)


@dataclass(frozen=True, slots=True)
class Usage:
    """Count the requests of an account; instants are milliseconds since the epoch.

    `in_window` since `window_start`, `in_day` on the day (UTC) of `latest`, the last instant that counted.
    """

    window_start: int = 0
    latest: int = 0
    in_window: int = 0
    in_day: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """Hold the remaining requests after one, and the limit that refused it, if one did."""

    remaining: int
    daily_remaining: int
    exhausted: Literal["burst", "daily"] | None

    @property
    def refusal(self) -> PlatformError | None:
        """Return the platform's answer to one request too many."""
        if self.exhausted is None:
            return None
        return PlatformError(429, Reason(f"rate-limit-{self.exhausted}"), "Too Many Requests")

    def headers(self, limits: AccountLimits) -> Iterator[tuple[bytes, bytes]]:
        """Return the documented headers of every answer."""
        yield b"x-ratelimit-limit-daily", b"%d" % limits.per_day
        yield b"x-ratelimit-daily-remaining", b"%d" % self.daily_remaining
        yield b"x-ratelimit-interval-milliseconds", b"%d" % limits.interval
        yield b"x-ratelimit-max", b"%d" % limits.per_interval
        yield b"x-ratelimit-remaining", b"%d" % self.remaining


def spend(limits: AccountLimits, now: datetime, usage: Usage) -> tuple[Usage, Spent]:
    """Count a request at `now`, or refuse it, which costs nothing.

    A window begins with the first request after the one before is over, a day at midnight in UTC. A clock that is set
    back by less than an interval counts on at its latest instant; one that is set back further begins anew.
    """
    instant = to_milliseconds(now)
    if usage.latest - instant < limits.interval:
        instant = max(instant, usage.latest)
    same_window = usage.window_start <= instant < usage.window_start + limits.interval
    window_start = usage.window_start if same_window else instant
    in_window = usage.in_window if same_window else 0
    in_day = usage.in_day if instant // _DAY == usage.latest // _DAY else 0
    exhausted: Literal["burst", "daily"] | None = None
    if in_day >= limits.per_day:
        exhausted = "daily"
    elif in_window >= limits.per_interval:
        exhausted = "burst"
    else:
        in_window, in_day = in_window + 1, in_day + 1
    # A limit that was lowered may be below what was used before.
    left = max(0, limits.per_interval - in_window), max(0, limits.per_day - in_day)
    return Usage(window_start, instant, in_window, in_day), Spent(*left, exhausted)


class RateLimits:
    """The limits of every account and what is left of them in this worker; used by one thread.

    Args:
        limits: the limits of each account.
        accounts: how many accounts are counted; then the one that asked longest ago begins anew.

    """

    def __init__(self, limits: AccountLimits, accounts: int = 10_000) -> None:
        self.limits = limits
        self._accounts = accounts
        self._usage: OrderedDict[str, Usage] = OrderedDict()

    def spend(self, account_id: str, now: datetime) -> Spent:
        """Count a request of an account, or refuse it."""
        self._usage[account_id], spent = spend(self.limits, now, self._usage.get(account_id, Usage()))
        self._usage.move_to_end(account_id)
        if len(self._usage) > self._accounts:
            self._usage.popitem(last=False)
        return spent
