"""Is a rotation due, and why: pure decisions that the provider and the service share.

Nothing here reads a clock or asks anybody, so that preview, deployment and alarm cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from .contract import CANCELLED, RotationPolicy, Secret, TokenState, instant_text
from .durations import format_duration, parse_duration
from .schedules import Schedule, read_schedule

DEFAULT_OVERLAP = timedelta(days=7)
_LONGEST_EARLY_WINDOW = timedelta(hours=1)
# Deployments and consumers that run once a day have had their chance by then, even if one run failed.
_PATIENCE = timedelta(days=2)

Status = Literal["off", "ok", "due", "overdue", "pending", "overlapping", "paused"]
AlarmKind = Literal["overdue", "unused"]


@dataclass(frozen=True)
class Policy:
    """A rotation policy with every default filled in; `every` or `schedule` says when, neither: only on demand."""

    every: timedelta | None = None
    schedule: Schedule | None = None
    overlap: timedelta = DEFAULT_OVERLAP
    early_window: timedelta = timedelta(0)
    enabled: bool = True

    @property
    def period(self) -> timedelta | None:
        """The time between two rotations, at its shortest; None without a rule."""
        return self.every if self.schedule is None else self.schedule.shortest_gap

    @property
    def rule(self) -> str:
        """When it rotates, in words: `every 90d`."""
        if self.schedule is not None:
            return f"schedule {self.schedule}"
        return "no schedule" if self.every is None else f"every {format_duration(self.every)}"

    def on_the_wire(self) -> RotationPolicy:
        """The policy as the service stores it, in whole seconds."""
        return RotationPolicy(
            every_seconds=None if self.every is None else int(self.every.total_seconds()),
            schedule=None if self.schedule is None else self.schedule.expression,
            timezone=None if self.schedule is None else self.schedule.timezone,
            overlap_seconds=int(self.overlap.total_seconds()),
            early_window_seconds=int(self.early_window.total_seconds()),
            enabled=self.enabled,
        )

    @classmethod
    def from_the_wire(cls, policy: RotationPolicy | None) -> "Policy":
        """The policy as decisions use it; a rule that can't be is refused by `refuse_policy`, not here."""
        if policy is None:
            return cls()
        return cls(
            every=None if policy.every_seconds is None else timedelta(seconds=policy.every_seconds),
            schedule=None if policy.schedule is None else Schedule(policy.schedule, policy.timezone or "UTC"),
            overlap=timedelta(seconds=policy.overlap_seconds),
            early_window=timedelta(seconds=policy.early_window_seconds),
            enabled=policy.enabled,
        )


@dataclass(frozen=True)
class Keep:
    """Nothing is to be done; `next_at` is when the rule asks for a rotation, None without one."""

    next_at: datetime | None


@dataclass(frozen=True)
class Rotate:
    """The generation that is to be the state's; `reason` is shown in the preview as it stands.

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


def read_policy(declared: Mapping[str, Any]) -> Policy:
    """Read a declared policy: `every`, or `schedule` with `timezone`; `overlap`, `early_window`, `enabled`.

    Durations are text such as "90d". Raises ValueError with the arithmetic when the parts contradict each other.
    """
    every = _duration(declared, "every")
    overlap = _duration(declared, "overlap")
    early_window = _duration(declared, "early_window")
    schedule = _schedule(declared)
    if every is not None and schedule is not None:
        raise ValueError("give every or schedule, not both")
    if every is not None and every <= timedelta(0):
        raise ValueError('every must be longer than nothing: write one like "90d"')
    if every is None and schedule is None and early_window is not None:
        raise ValueError("early_window is only used with every or schedule")
    rule = Policy(every=every, schedule=schedule)
    policy = Policy(
        every=every,
        schedule=schedule,
        overlap=_default_overlap(rule) if overlap is None else overlap,
        early_window=_default_early_window(rule) if early_window is None else early_window,
        enabled=bool(declared.get("enabled", True)),
    )
    refusal = refuse_policy(policy)
    if refusal is not None:
        raise ValueError(refusal)
    return policy


def refuse_policy(policy: Policy) -> str | None:
    """Why the parts of a policy contradict each other, with the arithmetic; None if they don't."""
    period = policy.period
    if period is None:
        return None
    if policy.overlap >= period:
        default = format_duration(_default_overlap(policy))
        pile_up = ", or old tokens would pile up" if policy.schedule is None else ""
        return (
            f"overlap {format_duration(policy.overlap)} must be shorter than {_period_text(policy)}{pile_up}; "
            f"leave it out for {default}"
        )
    if policy.early_window >= period:
        return f"early_window {format_duration(policy.early_window)} must be shorter than {_period_text(policy)}"
    return None


def canonical_policy(declared: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration with its durations in one spelling and what equals a default's absence left out."""
    canonical = {key: value for key, value in declared.items() if value is not None}
    for key in ("every", "overlap", "early_window"):
        duration = _duration(declared, key)
        if duration is not None:
            canonical[key] = format_duration(duration)
    if "schedule" in canonical:
        canonical["schedule"] = " ".join(canonical["schedule"].split())
    if canonical.get("timezone") == "UTC":
        del canonical["timezone"]
    if canonical.get("enabled") is True:
        del canonical["enabled"]
    return canonical


def due_at(policy: Policy, rotated_at: datetime, held_until: datetime | None = None) -> datetime | None:
    """When the rule asks for the next rotation, counted from the actual one; None without a rule or while paused.

    After a cancelled rotation nothing is due before `held_until`.
    """
    natural = _natural_due(policy, rotated_at)
    if natural is None or held_until is None:
        return natural
    return max(natural, held_until)


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
    back_to = current if mine.ended_because == CANCELLED else None
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
    """The one predicate: a token lives iff it was not ended and `now` is before its deadline, if it has one."""
    return not ended and (expires_at is None or now < expires_at)


def status(policy: Policy, token: TokenState, now: datetime) -> Status:
    """How it stands with an integration's tokens at `now`, the most pressing word first.

    `due` is what the next deployment would rotate, a token that was revoked included.
    """
    if token.present is None:
        return "due"
    if _is_overdue(policy, token, now):
        return "overdue"
    if _due_since(policy, token, now) is not None:
        return "due"
    if token.in_role("pending"):
        return "pending"
    if any(secret.role == "previous" and _lives(secret, now) for secret in token.secrets):
        return "overlapping"
    if policy.period is None:
        return "off" if policy.enabled else "paused"
    held = token.held_until is not None and now < token.held_until
    return "ok" if policy.enabled and not held else "paused"


def alarms(policy: Policy, token: TokenState, now: datetime) -> list[Alarm]:
    """What a person should look at: a rotation that no deployment carried out, a new token that nobody used.

    An alarm never ends a token: it works on.
    """
    found = []
    due = _due_since(policy, token, now)
    if due is not None and _is_overdue(policy, token, now):
        text = f"due since {instant_text(due)}, {policy.rule}, and no deployment has rotated it"
        found.append(Alarm("overdue", due, text))
    waiting = token.in_role("pending")
    if waiting is not None and now >= waiting.issued_at + _PATIENCE:
        text = f"generation {waiting.generation} was issued at {instant_text(waiting.issued_at)} and nobody has used it"
        found.append(Alarm("unused", waiting.issued_at, text))
    return found


def _by_rule(policy: Policy, mine: Secret, following: int, now: datetime, held_until: datetime | None) -> Decision:
    if not _is_due(policy, mine.issued_at, held_until, now):
        return Keep(due_at(policy, mine.issued_at, held_until))
    due = _natural_due(policy, mine.issued_at)
    assert due is not None
    if now < due:
        window = format_duration(policy.early_window)
        return Rotate(following, f"due at {instant_text(due)}, inside early_window {window}")
    held = f", held until {instant_text(held_until)}" if held_until and held_until > due else ""
    return Rotate(following, f"due since {instant_text(due)}, {policy.rule}{held}")


def _natural_due(policy: Policy, rotated_at: datetime) -> datetime | None:
    if not policy.enabled:
        return None
    if policy.schedule is not None:
        # Or a rotation inside the window would be repeated at the very tick that it came before.
        return policy.schedule.next_after(rotated_at + policy.early_window)
    return None if policy.every is None else rotated_at + policy.every


def _is_due(policy: Policy, rotated_at: datetime, held_until: datetime | None, now: datetime) -> bool:
    due = _natural_due(policy, rotated_at)
    return due is not None and now >= due - policy.early_window and (held_until is None or now >= held_until)


def _due_since(policy: Policy, token: TokenState, now: datetime) -> datetime | None:
    """The due instant of the newest token, if its rotation is due at `now`."""
    newest = token.in_role("pending") or token.in_role("current")
    if newest is None or not _is_due(policy, newest.issued_at, token.held_until, now):
        return None
    return due_at(policy, newest.issued_at, token.held_until)


def _is_overdue(policy: Policy, token: TokenState, now: datetime) -> bool:
    due = _due_since(policy, token, now)
    return due is not None and policy.period is not None and now >= due + min(_PATIENCE, policy.period)


def _lives(secret: Secret, now: datetime) -> bool:
    return is_live(ended=secret.role == "ended", expires_at=secret.expires_at, now=now)


def _cancelled(held: int, back_to: int, held_until: datetime | None) -> str:
    hold = f"; schedule held until {instant_text(held_until)}" if held_until else ""
    return f"rotation to {held} was cancelled: back to generation {back_to}{hold}"


def _why_dead(mine: Secret) -> str:
    ended = mine.ended_at or mine.expires_at
    since = f" at {instant_text(ended)}" if ended else ""
    if ended == mine.expires_at:
        return f"generation {mine.generation} was superseded and ended{since}"
    return f"revoked in the service{since}"


def _schedule(declared: Mapping[str, Any]) -> Schedule | None:
    expression, timezone = declared.get("schedule"), declared.get("timezone")
    if expression is None:
        if timezone is not None:
            raise ValueError("timezone is only used with schedule")
        return None
    if not isinstance(expression, str):
        raise ValueError(f'schedule must be text such as "0 3 * * MON#1", not {type(expression).__name__}')
    if not isinstance(timezone, str | None):
        raise ValueError(f'timezone must be text such as "Europe/Berlin", not {type(timezone).__name__}')
    return read_schedule(expression, "UTC" if timezone is None else timezone)


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


def _default_overlap(policy: Policy) -> timedelta:
    shortest = DEFAULT_OVERLAP if policy.period is None else min(DEFAULT_OVERLAP, policy.period / 2)
    return timedelta(seconds=int(shortest.total_seconds()))


def _default_early_window(policy: Policy) -> timedelta:
    # A calendar rule means the hour that it names: its window is opened only on request.
    if policy.every is None:
        return timedelta(0)
    return timedelta(seconds=int(min(_LONGEST_EARLY_WINDOW, policy.every / 10).total_seconds()))


def _period_text(policy: Policy) -> str:
    if policy.schedule is None:
        return policy.rule
    return f"{format_duration(policy.schedule.shortest_gap)}, the shortest gap of {policy.schedule}"
