"""Is a rotation due, and why: pure decisions that the provider and the service share.

Nothing here reads a clock or asks anybody, so that preview, deployment and alarm cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from .contract import RotationPolicy, Secret, TokenState, instant_text
from .durations import format_duration, parse_duration

DEFAULT_OVERLAP = timedelta(days=7)
_LONGEST_EARLY_WINDOW = timedelta(hours=1)

Status = Literal["off", "ok", "due", "pending", "overlapping", "paused"]


@dataclass(frozen=True)
class Policy:
    """A rotation policy with every default filled in; `every` is None without a schedule."""

    every: timedelta | None = None
    overlap: timedelta = DEFAULT_OVERLAP
    early_window: timedelta = timedelta(0)
    enabled: bool = True

    def on_the_wire(self) -> RotationPolicy:
        """The policy as the service stores it, in whole seconds."""
        return RotationPolicy(
            every_seconds=None if self.every is None else int(self.every.total_seconds()),
            overlap_seconds=int(self.overlap.total_seconds()),
            early_window_seconds=int(self.early_window.total_seconds()),
            enabled=self.enabled,
        )

    @classmethod
    def from_the_wire(cls, policy: RotationPolicy | None) -> "Policy":
        """The policy as decisions use it."""
        if policy is None:
            return cls()
        return cls(
            every=None if policy.every_seconds is None else timedelta(seconds=policy.every_seconds),
            overlap=timedelta(seconds=policy.overlap_seconds),
            early_window=timedelta(seconds=policy.early_window_seconds),
            enabled=policy.enabled,
        )


@dataclass(frozen=True)
class Keep:
    """Nothing is to be done; `next_at` is when the schedule is due, None without one."""

    next_at: datetime | None


@dataclass(frozen=True)
class Rotate:
    """Make this generation; `reason` is shown in the preview as it stands."""

    generation: int
    reason: str


Decision = Keep | Rotate


def read_policy(declared: Mapping[str, Any]) -> Policy:
    """Read a declared policy: `every`, `overlap`, `early_window` as durations, `enabled` as a boolean.

    Raises ValueError with the arithmetic when the parts contradict each other.
    """
    every = _duration(declared, "every")
    overlap = _duration(declared, "overlap")
    early_window = _duration(declared, "early_window")
    if every is not None and every <= timedelta(0):
        raise ValueError('every must be longer than nothing: write one like "90d"')
    if every is None and early_window is not None:
        raise ValueError("early_window is only used with every")
    return Policy(
        every=every,
        overlap=_overlap_for(every, overlap),
        early_window=_early_window_for(every, early_window),
        enabled=bool(declared.get("enabled", True)),
    )


def canonical_policy(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration with its durations in one spelling and what equals a default's absence left out."""
    canonical = {key: value for key, value in declared.items() if value is not None}
    for key in ("every", "overlap", "early_window"):
        duration = _duration(declared, key)
        if duration is not None:
            canonical[key] = format_duration(duration)
    if canonical.get("enabled") is True:
        del canonical["enabled"]
    return canonical


def due_at(policy: Policy, rotated_at: datetime) -> datetime | None:
    """When the schedule asks for the next rotation, counted from the actual one; None without a schedule."""
    if policy.every is None or not policy.enabled:
        return None
    return rotated_at + policy.every


def decide(
    policy: Policy,
    token: TokenState,
    held: int,
    now: datetime,
    *,
    issuer: str,
    trigger_changed: bool = False,
) -> Decision:
    """What is to become of a token whose generation `held` is the one in state (0 without one).

    `now` is the service's clock and `issuer` who would rotate. The first rule that applies decides;
    the number to come is above every number ever used, in the service and in the state.
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
    if mine is None or not _lives(mine, now):
        return Rotate(following, _why_dead(mine, held))
    if trigger_changed:
        return Rotate(following, "trigger changed")
    return _by_schedule(policy, mine, following, now)


def is_live(*, ended: bool, expires_at: datetime | None, now: datetime) -> bool:
    """The one predicate: a token lives iff it was not ended and `now` is before its deadline, if it has one."""
    return not ended and (expires_at is None or now < expires_at)


def status(policy: Policy, token: TokenState, now: datetime) -> Status:
    """How it stands with an integration's tokens at `now`, the most pressing word first."""
    newest = token.in_role("pending") or token.in_role("current")
    due = newest and due_at(policy, newest.issued_at)
    if due and now >= due - policy.early_window:
        return "due"
    if token.in_role("pending"):
        return "pending"
    if any(secret.role == "previous" and _lives(secret, now) for secret in token.secrets):
        return "overlapping"
    if not policy.enabled:
        return "paused"
    return "off" if policy.every is None else "ok"


def _by_schedule(policy: Policy, mine: Secret, following: int, now: datetime) -> Decision:
    due = due_at(policy, mine.issued_at)
    if due is None or policy.every is None or now < due - policy.early_window:
        return Keep(due)
    if now < due:
        window = format_duration(policy.early_window)
        return Rotate(following, f"due at {instant_text(due)}, inside early_window {window}")
    return Rotate(following, f"due since {instant_text(due)}, every {format_duration(policy.every)}")


def _lives(secret: Secret, now: datetime) -> bool:
    return is_live(ended=secret.role == "ended", expires_at=secret.expires_at, now=now)


def _why_dead(mine: Secret | None, held: int) -> str:
    if mine is None:
        return f"generation {held} is not known to the service"
    if mine.ended_at is not None:
        return f"revoked in the service at {instant_text(mine.ended_at)}"
    return f"generation {held} reached the end of its overlap"


def _duration(declared: Mapping[str, Any], field: str) -> timedelta | None:
    value = declared.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f'{field} must be a duration such as "90d", not {type(value).__name__}')
    try:
        return parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{field} {error}") from None


def _overlap_for(every: timedelta | None, declared: timedelta | None) -> timedelta:
    shrunk = DEFAULT_OVERLAP if every is None else min(DEFAULT_OVERLAP, every / 2)
    if declared is None:
        return timedelta(seconds=int(shrunk.total_seconds()))
    if every is not None and declared >= every:
        raise ValueError(
            f"overlap {format_duration(declared)} must be shorter than every {format_duration(every)}, "
            f"or old tokens would pile up; leave it out for {format_duration(shrunk)}"
        )
    return declared


def _early_window_for(every: timedelta | None, declared: timedelta | None) -> timedelta:
    if every is None:
        return timedelta(0)
    if declared is None:
        return timedelta(seconds=int(min(_LONGEST_EARLY_WINDOW, every / 10).total_seconds()))
    if declared >= every:
        raise ValueError(
            f"early_window {format_duration(declared)} must be shorter than every {format_duration(every)}"
        )
    return declared
