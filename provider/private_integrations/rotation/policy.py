"""When a token is to be rotated and how long the old one lives on: the declared policy, read and checked.

An impossible or contradictory declaration is refused with the arithmetic, before anything is asked or done.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from ..contract import RotationPolicy
from ..unusable import Unusable
from .durations import format_duration, parse_duration
from .schedules import Schedule, read_schedule

DEFAULT_OVERLAP = timedelta(days=7)
_LONGEST_EARLY_WINDOW = timedelta(hours=1)


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

    @property
    def in_words(self) -> str:
        """The whole policy in one line."""
        early = f", early window {format_duration(self.early_window)}" if self.early_window else ""
        paused = "" if self.enabled else ", paused"
        return f"{self.rule}, overlap {format_duration(self.overlap)}{early}{paused}"

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
        enabled=_enabled(declared),
    )
    refusal = refuse_policy(policy)
    if refusal is not None:
        raise ValueError(refusal)
    return policy


def rule_alone(policy: Policy) -> Policy:
    """The policy that declares the same rule and leaves everything else out."""
    rule = Policy(every=policy.every, schedule=policy.schedule)
    return replace(rule, overlap=_default_overlap(rule), early_window=_default_early_window(rule))


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


def _enabled(declared: Mapping[str, Any]) -> bool:
    enabled = declared.get("enabled", True)
    if not isinstance(enabled, bool):
        raise ValueError(f"enabled must be True or False, not {type(enabled).__name__}")
    return enabled


def _duration(declared: Mapping[str, Any], field: str) -> timedelta | None:
    value = declared.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f'{field} must be a duration such as "90d", not {type(value).__name__}')
    try:
        return parse_duration(value)
    except Unusable as error:
        raise error.about(field) from None


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
