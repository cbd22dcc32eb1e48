"""Report how an integration's tokens are used."""

from typing import Literal

from .values import Instant, ResponseModel

Period = Literal["day", "week", "month"]
"""The length of a report: 24 hours, 168 hours, or 30 days in UTC; the last one is the current one."""


class ScopeActivity(ResponseModel):
    """Count the requests for a scope: `requests` let through by the period's parts, and how many were refused.

    `granted`: the integration holds it. `last_used_at` is the last request let through, also before the period.
    """

    scope: str
    granted: bool
    requests: list[int]
    refused: int
    last_used_at: Instant | None = None


class GenerationActivity(ResponseModel):
    """Count the requests with the token of a generation: `requests` let through by the period's parts, and refusals.

    `role` is `ended` too where the token is no more among those that are shown. `last_used_at` is its last
    authenticated use while it was live, with any answer.
    """

    generation: int
    role: Literal["pending", "current", "previous", "ended"]
    requests: list[int]
    refused: int
    last_used_at: Instant | None = None


class RefusalActivity(ResponseModel):
    """Requests refused for one reason, and what helps; `scope` is the one that was needed, empty if none is known."""

    reason: str
    scope: str
    requests: int
    last_at: Instant
    remedy: str


class CallerActivity(ResponseModel):
    """Name a user of the token of a generation: an address and the program that it named; empty where unknown.

    Counted since `first_at`, not since the period's beginning.
    """

    generation: int
    address: str
    agent: str
    requests: int
    first_at: Instant
    last_at: Instant


class UnusedScope(ResponseModel):
    """A scope that was granted and not used in 90 days, all of them observed; `observed_since` is since when."""

    scope: str
    last_used_at: Instant | None
    observed_since: Instant


class Hint(ResponseModel):
    """Advise a change, in a sentence; `change` is how to make it, line by line, if known.

    `scopes-unused`, `scope-missing`: the line of the Pulumi program as it is (`-`) and as it should be (`+`), or a
    command. `previous-in-use`: a superseded token that still works. `ended-in-use`: one that does not.
    """

    kind: Literal["scopes-unused", "scope-missing", "previous-in-use", "ended-in-use"]
    text: str
    change: list[str] = []


class ActivityReport(ResponseModel):
    """Report how an integration's tokens were used in a period, in equal parts of it, with advice.

    `recorded_until` is None while nothing is recorded; `observed_since` is since when there is no gap.
    """

    integration_id: str
    now: Instant
    period: Period
    since: Instant
    part_seconds: int
    requests: list[int]
    """Let through, by the period's parts, the oldest first."""
    refused: list[int]
    recorded_until: Instant | None
    observed_since: Instant | None
    scopes: list[ScopeActivity]
    generations: list[GenerationActivity]
    refusals: list[RefusalActivity]
    callers: list[CallerActivity]
    unused: list[UnusedScope]
    hints: list[Hint]
