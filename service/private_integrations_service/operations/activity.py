"""What tokens were used for: when last, how often, by whom, and what that says about them."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..storage import activity as stored
from ..storage.activity import Activity, Caller

BEHIND = timedelta(minutes=1)
"""How old the watermark may be before nothing is concluded from what isn't there: far more than it ever is."""


@dataclass(frozen=True)
class RefusedScope:
    """A scope that an integration lacks, and how many requests were refused for it."""

    integration_id: str
    scope: str
    requests: int


def last_used(activity: Activity, token_ids: Collection[int]) -> dict[int, datetime]:
    """When each token (`tokens.id`) was last used while it was live, whatever was answered.

    A token that is missing was not used since `observed_since`. Raises SQLAlchemyError, like all of this module.
    """
    with activity.read() as connection:
        return stored.last_uses(connection, token_ids)


def watermark(activity: Activity, now: datetime) -> datetime | None:
    """Up to when every use is recorded: the oldest of the live workers' last flushes, and never in the future.

    None: nothing was recorded since the service has started.
    """
    flushes = activity.flushes()
    return min(*flushes, now) if flushes else None


def is_behind(activity: Activity, now: datetime) -> bool:
    """Whether uses may be missing, so that nobody must conclude anything from their absence."""
    recorded = watermark(activity, now)
    return recorded is None or now - recorded > BEHIND


def observed_since(activity: Activity) -> datetime | None:
    """Since when uses are recorded without a gap; before that a token may have been used without a trace."""
    with activity.read() as connection:
        return stored.observed_since(connection)


def callers_of(activity: Activity, token_ids: Collection[int], since: datetime) -> dict[int, list[Caller]]:
    """Who used each token since then, the latest first; tokens that nobody used are missing."""
    with activity.read() as connection:
        return stored.callers(connection, token_ids, since)


def refused_scopes(activity: Activity, since: datetime, at_least: int) -> list[RefusedScope]:
    """The scopes whose lack refused so many requests or more since the hour of this instant."""
    with activity.read() as connection:
        return [RefusedScope(*found) for found in stored.refused_scopes(connection, since, at_least)]
