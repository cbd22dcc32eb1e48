"""Decide when a message is tried again, and when no more.

There are ten attempts over a bit more than three days. A webhook that accepted no message for three days is disabled,
and one that answers 410 Gone at once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Outcome = Literal[
    "accepted",
    "answered",
    "gone",
    "timed-out",
    "unreachable",
    "untrusted",
    "unreadable",
    "not-allowed",
    "no-address",
    "secret-sealed",
]
"""Name the result of an attempt: a 2xx; another status; 410; no answer in time; no connection, or one that broke; a
certificate that is not the name's or not trusted; an answer that is no HTTP; a URL that is not allowed; a name without
addresses, or with one that is not allowed (to say which of the two would reveal internal names); a secret that the
sealing keys don't open."""

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""Wait so long between the attempts, each with up to a fifth more: the schedule that the Standard Webhooks
specification proposes, so the tenth attempt comes 76 to 91 hours after the first."""

PATIENCE = timedelta(days=3)
"""Disable a webhook that accepted no message for so long."""

_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class Tried:
    """Hold the result of an attempt; `retry_after` is the pause that the receiver asked for, if it did."""

    outcome: Outcome
    status: int | None = None
    milliseconds: int = 0
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class Settled:
    """End the attempts; `disable` is the reason to disable the webhook, None to keep it."""

    delivered: bool
    disable: str | None = None


@dataclass(frozen=True)
class Again:
    """Make another attempt at this instant."""

    at: datetime


def after(
    tried: Tried, attempts: int, now: datetime, *, failing_since: datetime | None, jitter: float
) -> Settled | Again:
    """Decide what follows the last of so many `attempts`, which ended at `now`; `jitter` is random, from 0 to 1.

    `failing_since` is the webhook's first failed attempt since the last one that it accepted.
    """
    if tried.outcome == "accepted":
        return Settled(delivered=True)
    if tried.outcome == "gone":
        return Settled(delivered=False, disable="it answered 410 Gone")
    if failing_since is not None and now >= failing_since + PATIENCE:
        return Settled(delivered=False, disable=f"it accepted nothing for {PATIENCE.days} days")
    if attempts > len(PAUSES):
        return Settled(delivered=False)
    pause = PAUSES[attempts - 1] * (1 + jitter / 5)
    asked = min(tried.retry_after or timedelta(), _LONGEST_WAIT)
    return Again(now + max(pause, asked))
