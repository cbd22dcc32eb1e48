"""Decide when an inactive token is ended. The end is announced first, and again as it comes nearer. Pure decisions.

They end only the single token that works: with two of them a rotation is under way, and a superseded one has a
deadline anyway. `operations/inactivity.py` carries the decisions out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from private_integrations.contract import EndReason, InactiveToken
from private_integrations.rotation.durations import format_duration

from .lifecycle import Notice, StoredToken

WARNINGS = (15, 7, 1)
"""Days before the end at which people are warned, as the platform does for its API keys."""

LONGEST_NOTICE = timedelta(days=7)
"""The shortest time between announcement and end, unless half of the time that a token may be inactive is less.

A consumer that runs once a week uses its token within it, and people know it as the overlap.
"""

ABSENCE = timedelta(days=1)
"""After such a gap between two checks the service was away, or could not record: it announces the end anew."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class TokenUse:
    """Recorded uses of tokens: the last ones by token id, and the instants between which no use is missing."""

    last_used: Mapping[int, datetime]
    observed_since: datetime
    recorded_until: datetime


@dataclass(frozen=True)
class Leave:
    """Say and store nothing."""


@dataclass(frozen=True)
class Confirm:
    """Keep the announcement of this token, which still holds."""

    token: StoredToken


@dataclass(frozen=True)
class Recall:
    """Store these tokens, which no longer have an announcement."""

    tokens: tuple[StoredToken, ...]


@dataclass(frozen=True)
class Warn:
    """Store this token, and announce its end, for the first time or as it comes nearer."""

    token: StoredToken
    notice: Notice


@dataclass(frozen=True)
class End:
    """Store this token, which is ended now: its announced end has come."""

    token: StoredToken


Step = Leave | Confirm | Recall | Warn | End


def time_in_force(account: int | None, service: timedelta | None) -> timedelta | None:
    """Return how long a token may be inactive: by the account's rule (seconds, 0: for ever), else the service's."""
    if account is None:
        return service
    return timedelta(seconds=account) if account else None


def plan_inactivity(tokens: Sequence[StoredToken], after: timedelta | None, use: TokenUse, now: datetime) -> Step:
    """Decide about an integration's tokens, one of which may be inactive for too long; `after` is None for never.

    The end is announced first, with at least `shortest_notice` to come, and carried out when the last warning was
    given and it is sure that the token was not used until then. Whatever moves the end (a use, another setting, an
    absence of the service) leads to another announcement or to none.
    """
    token = single(tokens, now)
    if after is None or token is None:
        return _recall(tokens, now)
    since = _counted_from(token, use)
    due = since + after
    if now < due - _lead(after):
        return _recall(tokens, now)
    notice = token.notice
    if notice is None or notice.since != since or now - notice.seen_at > ABSENCE:
        return _announce(token, since, after, now)
    if due > notice.ends_at or _earliest_end(due, after, now) < notice.ends_at:
        return _announce(token, since, after, now)
    if use.recorded_until >= notice.ends_at:
        if notice.warned > WARNINGS[-1]:
            return _announce(token, since, after, now)
        return End(replace(token, ended_at=now, end_reason=EndReason.INACTIVE, end_detail=_in_days(after)))
    reached = _reached(notice.ends_at, now)
    if reached < notice.warned:
        return _warn(token, replace(notice, warned=reached, seen_at=now))
    return Confirm(token)


def announced(tokens: Sequence[StoredToken], now: datetime, last_used: Mapping[int, datetime]) -> InactiveToken | None:
    """Return the announced end of an inactive token; None without one, or if the token was used since."""
    token = single(tokens, now)
    if token is None or token.notice is None:
        return None
    # The next check withdraws the announcement; until then a report must not say "inactive" beside a newer use.
    if last_used.get(token.id, token.notice.since) > token.notice.since:
        return None
    return InactiveToken(generation=token.generation, since=token.notice.since, ends_at=token.notice.ends_at)


def single(tokens: Sequence[StoredToken], now: datetime) -> StoredToken | None:
    """Return the only token that works, if it has no deadline; None while a rotation is under way, and without any."""
    live = [token for token in tokens if token.is_live(now)]
    return live[0] if len(live) == 1 and live[0].expires_at is None else None


def shortest_notice(after: timedelta) -> timedelta:
    """Return the shortest time between announcement and end of a token that may be inactive for `after`."""
    return min(LONGEST_NOTICE, after / 2)


def _lead(after: timedelta) -> timedelta:
    """Return the time between announcement and end if nothing is late."""
    return max(shortest_notice(after), *(days * _DAY for days in WARNINGS if days * _DAY < after))


def _earliest_end(due: datetime, after: timedelta, now: datetime) -> datetime:
    return max(due, now + shortest_notice(after))


def _counted_from(token: StoredToken, use: TokenUse) -> datetime:
    """Return since when the token is inactive, to the millisecond, as notices are stored."""
    known = (use.last_used.get(token.id), token.delivered_at, token.issued_at, use.observed_since)
    latest = max(instant for instant in known if instant is not None)
    return latest.replace(microsecond=latest.microsecond // 1000 * 1000)


def _announce(token: StoredToken, since: datetime, after: timedelta, now: datetime) -> Warn:
    ends_at = _earliest_end(since + after, after, now)
    return _warn(token, Notice(since, ends_at, _reached(ends_at, now), now))


def _warn(token: StoredToken, notice: Notice) -> Warn:
    return Warn(replace(token, notice=notice), notice)


def _recall(tokens: Sequence[StoredToken], now: datetime) -> Leave | Recall:
    noticed = tuple(replace(token, notice=None) for token in tokens if token.notice and token.is_live(now))
    return Recall(noticed) if noticed else Leave()


def _reached(ends_at: datetime, now: datetime) -> int:
    """Return the nearest of the warnings that is due."""
    return min((days for days in WARNINGS if ends_at - now <= days * _DAY), default=WARNINGS[0])


def _in_days(after: timedelta) -> str:
    days, rest = divmod(after, _DAY)
    return format_duration(after) if rest else f"{days} days"
