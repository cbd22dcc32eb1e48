"""Decide whether a rotation is due, and why, by pure functions that the provider and the service share.

They read no clock and ask nothing, so that preview, deployment and alarm cannot disagree.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ..contract import LOST_WITHOUT_ROTATION, EndReason, InactiveToken, TokenReport, TokenState, instant_text
from .durations import format_duration
from .policy import EffectivePolicy

# Deployments and consumers that run once a day have had their chance by then, even if one run failed.
_PATIENCE = timedelta(days=2)

Status = Literal["off", "ok", "due", "overdue", "pending", "overlapping", "paused"]
AlarmKind = Literal["overdue", "undelivered", "inactive"]


@dataclass(frozen=True)
class Keep:
    """Do nothing; `next_at` is when the rule asks for a rotation, None without one."""

    next_at: datetime | None


@dataclass(frozen=True)
class Rotate:
    """Bring the state to this generation; the preview shows `reason` as it is.

    A number above the state's is to be issued. One below it is the token from before a rotation that was
    cancelled: the state puts its own previous token back.
    """

    generation: int
    reason: str


Decision = Keep | Rotate


@dataclass(frozen=True)
class Alarm:
    """Something that a person should look at, `since` when, in one sentence."""

    kind: AlarmKind
    since: datetime
    text: str


def due_at(policy: EffectivePolicy, rotated_at: datetime, held_until: datetime | None = None) -> datetime | None:
    """Return when the rule asks for the next rotation after the actual one; None without a rule or while paused.

    After a cancelled rotation nothing is due before `held_until`.
    """
    natural = _natural_due(policy, rotated_at)
    return None if natural is None else _not_before(natural, held_until)


def decide(
    policy: EffectivePolicy,
    token: TokenState,
    held: int,
    now: datetime,
    *,
    issuer: str,
    trigger_changed: bool = False,
) -> Decision:
    """Decide about a token. `held` is the generation in the state, 0 without one.

    `now` is the service's clock, and `issuer` is the owner that would rotate. The first rule that applies decides;
    a number to be issued is above every number ever used, in the service and in the state.
    """
    following = max(token.last_generation, held) + 1
    pending, current = token.in_role("pending"), token.in_role("current")
    if pending and pending.generation > held and pending.issuer == issuer:
        return Rotate(following, f"generation {pending.generation} was issued but never stored: issued anew")
    if held == 0:
        return Rotate(following, "created")
    if current and current.generation > held:
        return Rotate(following, f"state has generation {held}, service has {current.generation}: rotated elsewhere")
    mine = token.of_generation(held)
    if mine is None:
        return Rotate(following, f"generation {held} is not known to the service")
    back_to = current if mine.end_reason == EndReason.CANCELLED else None
    if back_to is not None and not trigger_changed:
        return Rotate(back_to.generation, _cancelled(held, back_to.generation, token.held_until))
    if back_to is None and not _lives(mine, now):
        return Rotate(following, _why_dead(mine))
    if trigger_changed:
        return Rotate(following, "trigger changed")
    if mine.role == "previous" and mine.expires_at is not None:
        # Nothing newer is in use, or it would be "rotated elsewhere": what is held would end without a successor.
        return Rotate(following, f"generation {held} was superseded and ends at {instant_text(mine.expires_at)}")
    return _by_rule(policy, mine, following, now, token.held_until)


def is_live(*, ended: bool, expires_at: datetime | None, now: datetime) -> bool:
    """Return whether a token works: it was not ended, and `now` is before its deadline, if it has one."""
    return not ended and (expires_at is None or now < expires_at)


def status(policy: EffectivePolicy, token: TokenState, now: datetime) -> Status:
    """Return the status of an integration's tokens at `now`; where several fit, the most urgent one.

    `due` is what the next deployment would rotate, a token that was revoked included.
    """
    if token.present is None:
        return "due"
    due = due_since(policy, token, now)
    if due is not None:
        return "overdue" if _is_overdue(policy, due, now) else "due"
    if token.in_role("pending"):
        return "pending"
    if any(each.role == "previous" and _lives(each, now) for each in token.tokens):
        return "overlapping"
    if policy.period is None:
        return "off" if policy.enabled else "paused"
    held = token.held_until is not None and now < token.held_until
    return "ok" if policy.enabled and not held else "paused"


def due_since(policy: EffectivePolicy, token: TokenState, now: datetime) -> datetime | None:
    """Return the due instant of the newest token, if its rotation is due at `now`."""
    due = None if token.newest is None else _natural_due(policy, token.newest.issued_at)
    if due is None or not _is_due(policy, due, token.held_until, now):
        return None
    return _not_before(due, token.held_until)


def alarms(policy: EffectivePolicy, token: TokenState, now: datetime) -> list[Alarm]:
    """List what a person should look at: a late rotation, an undelivered token, an inactive one with an announced end.

    An alarm by itself never ends a token.
    """
    found = []
    due = due_since(policy, token, now)
    if due is not None and _is_overdue(policy, due, now):
        text = f"due since {instant_text(due)}, {policy.rule}, and no deployment has rotated it"
        found.append(Alarm("overdue", due, text))
    waiting = token.in_role("pending")
    if waiting is not None and now >= waiting.issued_at + _PATIENCE:
        text = f"generation {waiting.generation} was issued at {instant_text(waiting.issued_at)} and nobody has used it"
        found.append(Alarm("undelivered", waiting.issued_at, text))
    if token.inactive is not None:
        found.append(Alarm("inactive", token.inactive.since, _inactive_text(token.inactive, now)))
    return found


def days_left(ends_at: datetime, now: datetime) -> int:
    """Return the days until then, one that has begun counted whole; 0 if it is past."""
    return max(0, -((now - ends_at) // timedelta(days=1)))


def in_days(ends_at: datetime, now: datetime) -> str:
    """Return the same in words: "in 7 days", "within a day", "now"."""
    left = days_left(ends_at, now)
    return f"in {left} days" if left > 1 else "within a day" if left else "now"


def _by_rule(
    policy: EffectivePolicy, mine: TokenReport, following: int, now: datetime, held_until: datetime | None
) -> Decision:
    due = _natural_due(policy, mine.issued_at)
    if due is None:
        return Keep(None)
    if not _is_due(policy, due, held_until, now):
        return Keep(_not_before(due, held_until))
    if now < due:
        window = format_duration(policy.early_window)
        return Rotate(following, f"due at {instant_text(due)}, inside early_window {window}")
    held = f", held until {instant_text(held_until)}" if held_until and held_until > due else ""
    return Rotate(following, f"due since {instant_text(due)}, {policy.rule}{held}")


def _natural_due(policy: EffectivePolicy, rotated_at: datetime) -> datetime | None:
    """Return when the rule by itself asks for a rotation, regardless of a hold."""
    if not policy.enabled:
        return None
    if policy.schedule is not None:
        # Or a rotation inside the window would be repeated at the very tick that it came before.
        return policy.schedule.next_after(rotated_at + policy.early_window)
    return None if policy.every is None else rotated_at + policy.every


def _not_before(due: datetime, held_until: datetime | None) -> datetime:
    return due if held_until is None else max(due, held_until)


def _is_due(policy: EffectivePolicy, due: datetime, held_until: datetime | None, now: datetime) -> bool:
    return now >= due - policy.early_window and (held_until is None or now >= held_until)


def _is_overdue(policy: EffectivePolicy, due: datetime, now: datetime) -> bool:
    return policy.period is not None and now >= due + min(_PATIENCE, policy.period)


def _lives(token: TokenReport, now: datetime) -> bool:
    return is_live(ended=token.role == "ended", expires_at=token.expires_at, now=now)


def _inactive_text(inactive: InactiveToken, now: datetime) -> str:
    return (
        f"generation {inactive.generation} was not used since {instant_text(inactive.since)} and is ended "
        f"{in_days(inactive.ends_at, now)}, at {instant_text(inactive.ends_at)}, unless somebody uses it"
    )


def _cancelled(held: int, back_to: int, held_until: datetime | None) -> str:
    hold = f"; schedule held until {instant_text(held_until)}" if held_until else ""
    return f"rotation to {held} was cancelled: back to generation {back_to}{hold}"


def _why_dead(mine: TokenReport) -> str:
    ended = mine.ended_at or mine.expires_at
    since = f" at {instant_text(ended)}" if ended else ""
    if ended == mine.expires_at:
        return f"generation {mine.generation} was superseded and ended{since}"
    if mine.end_reason in LOST_WITHOUT_ROTATION:
        return f"ended in the service{since}: {mine.ended_because}"
    return f"revoked in the service{since}"
