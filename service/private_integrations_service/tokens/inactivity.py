"""When a token that nobody uses is ended: announced first, warned of again, and never in haste. Pure decisions.

Only a token that is the single one that works is ended so: with two of them a rotation is under way, and one that
was superseded has a deadline anyway.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from private_integrations.contract import UNUSED
from private_integrations.rotation.durations import format_duration

from .lifecycle import Notice, Token

WARNINGS = (15, 7, 1)
"""Days before the end at which people are warned, as the platform does for its API keys."""

LONGEST_NOTICE = timedelta(days=7)
"""How long before the end it is announced at the least, if half of the time that a token may be unused isn't less.

A consumer that runs once a week comes by within it, and people know it as the overlap.
"""

ABSENCE = timedelta(days=1)
"""If nobody looked for so long, the service was away, or could not record: what was announced is announced anew."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class TokenUse:
    """What was recorded: the last uses by token id, since when without a gap, and until when nothing is missing."""

    last_used: Mapping[int, datetime]
    observed_since: datetime
    recorded_until: datetime


@dataclass(frozen=True)
class Leave:
    """Nothing is to be said or stored."""


@dataclass(frozen=True)
class Confirm:
    """What was announced of this token still holds."""

    token: Token


@dataclass(frozen=True)
class Recall:
    """What was announced of these tokens does not hold any more; they are as they are to be stored."""

    tokens: tuple[Token, ...]


@dataclass(frozen=True)
class Warn:
    """The end of this token, which is as it is to be stored, is announced, or announced again as it comes nearer."""

    token: Token
    notice: Notice


@dataclass(frozen=True)
class End:
    """The announced end of this token, which is as it is to be stored, has come."""

    token: Token


Step = Leave | Confirm | Recall | Warn | End


def time_in_force(account: int | None, service: timedelta | None) -> timedelta | None:
    """How long a token may be unused: by the account's rule (seconds, 0: for ever) or else by the service's."""
    if account is None:
        return service
    return timedelta(seconds=account) if account else None


def plan_inactivity(tokens: Sequence[Token], after: timedelta | None, use: TokenUse, now: datetime) -> Step:
    """Decide on the tokens of an integration, one of which may be unused for too long; `after` None: that is no fault.

    The end is announced first, with at least `shortest_notice` to come, and carried out when the last warning was
    given and it is sure that nobody used the token until then. Whatever moves the end (a use, another setting, an
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
        return End(replace(token, ended_at=now, ended_because=_because(after)))
    reached = _reached(notice.ends_at, now)
    if reached < notice.warned:
        return _warn(token, replace(notice, warned=reached, seen_at=now))
    return Confirm(token)


def single(tokens: Sequence[Token], now: datetime) -> Token | None:
    """The only token that works, if it has no deadline; None while a rotation is under way, and without any."""
    live = [token for token in tokens if token.is_live(now)]
    return live[0] if len(live) == 1 and live[0].expires_at is None else None


def shortest_notice(after: timedelta) -> timedelta:
    """How long before the end of a token that may be unused for `after` it is announced at the least."""
    return min(LONGEST_NOTICE, after / 2)


def _lead(after: timedelta) -> timedelta:
    """How long before the end it is announced if nothing is late."""
    return max(shortest_notice(after), *(days * _DAY for days in WARNINGS if days * _DAY < after))


def _earliest_end(due: datetime, after: timedelta, now: datetime) -> datetime:
    return max(due, now + shortest_notice(after))


def _counted_from(token: Token, use: TokenUse) -> datetime:
    """Since when the token is unused, to the millisecond, as notices are stored."""
    known = (use.last_used.get(token.id), token.delivered_at, token.issued_at, use.observed_since)
    latest = max(instant for instant in known if instant is not None)
    return latest.replace(microsecond=latest.microsecond // 1000 * 1000)


def _announce(token: Token, since: datetime, after: timedelta, now: datetime) -> Warn:
    ends_at = _earliest_end(since + after, after, now)
    return _warn(token, Notice(since, ends_at, _reached(ends_at, now), now))


def _warn(token: Token, notice: Notice) -> Warn:
    return Warn(replace(token, notice=notice), notice)


def _recall(tokens: Sequence[Token], now: datetime) -> Leave | Recall:
    noticed = tuple(replace(token, notice=None) for token in tokens if token.notice and token.is_live(now))
    return Recall(noticed) if noticed else Leave()


def _reached(ends_at: datetime, now: datetime) -> int:
    """The nearest of the warnings that is due."""
    return min((days for days in WARNINGS if ends_at - now <= days * _DAY), default=WARNINGS[0])


def _because(after: timedelta) -> str:
    days, rest = divmod(after, _DAY)
    return UNUSED + (format_duration(after) if rest else f"{days} days")
