"""When a webhook is tried again, and when no more: pure decisions.

Ten attempts over a bit more than three days; an endpoint that accepted nothing for three days is disabled, and one
that says it is gone at once.
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
"""What came of an attempt: a 2xx; another status; 410; no answer in time; no connection, or one that broke; a
certificate that is not the name's or not trusted; an answer that is no HTTP; a URL that may not be asked; a name with
no address, or not only such that may be asked: which of the two would tell what there is inside; a secret that the
sealing keys don't open."""

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""Between the attempts, each with up to a fifth of it more: the schedule that the Standard Webhooks specification
proposes, so the tenth attempt comes 76 to 91 hours after the first."""

PATIENCE = timedelta(days=3)
"""An endpoint that accepted nothing for so long is disabled."""

_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class Tried:
    """What came of an attempt; `retry_after` is how long the receiver asked to be left alone, if it did."""

    outcome: Outcome
    status: int | None = None
    milliseconds: int = 0
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class Settled:
    """No attempt follows; `disable` says why the endpoint gets nothing any more, None if it does."""

    delivered: bool
    disable: str | None = None


@dataclass(frozen=True)
class Again:
    """Another attempt at this instant."""

    at: datetime


def after(
    tried: Tried, attempts: int, now: datetime, *, failing_since: datetime | None, jitter: float
) -> Settled | Again:
    """What follows the last of so many `attempts`, which ended at `now`; `jitter` is a random number from 0 to 1.

    `failing_since` is the endpoint's first failed attempt since the last one that it accepted.
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
