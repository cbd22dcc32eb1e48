"""Rotation policies: read what a program declares, and fill in the service's defaults for what it leaves out.

A `RotationPolicy` says what was declared; an `EffectivePolicy` says what holds, and is what decisions read. The
functions refuse an impossible or contradictory declaration with the arithmetic, before anything is asked or done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..contract import Integration, PolicyDefaults, RotationPolicy
from ..unusable import Unusable
from .durations import format_duration, parse_duration
from .schedules import Schedule, read_schedule

NO_DEFAULTS = PolicyDefaults(overlap_seconds=0, overlap_divisor=1, early_window_seconds=0, early_window_divisor=1)
"""Zero for everything left out: for a question whose answer doesn't depend on the service's defaults."""


@dataclass(frozen=True, kw_only=True)
class EffectivePolicy:
    """A rotation policy that holds; `every` or `schedule` says when, with neither a token is rotated on demand only."""

    every: timedelta | None = None
    schedule: Schedule | None = None
    overlap: timedelta
    early_window: timedelta = timedelta(0)
    enabled: bool = True

    @property
    def period(self) -> timedelta | None:
        """Return the shortest time between two rotations; None without a rule."""
        return self.every if self.schedule is None else self.schedule.shortest_gap

    @property
    def rule(self) -> str:
        """Say when it rotates, in words: `every 90d`."""
        if self.schedule is not None:
            return f"schedule {self.schedule}"
        return "no schedule" if self.every is None else f"every {format_duration(self.every)}"

    @property
    def in_words(self) -> str:
        """Describe the whole policy in one line."""
        early = f", early window {format_duration(self.early_window)}" if self.early_window else ""
        paused = "" if self.enabled else ", paused"
        return f"{self.rule}, overlap {format_duration(self.overlap)}{early}{paused}"

    @property
    def margins(self) -> dict[str, str]:
        """Return the parts that may come from the service's defaults, as a program would write them."""
        return {"overlap": format_duration(self.overlap), "early_window": format_duration(self.early_window)}

    @classmethod
    def reported(cls, integration: Integration) -> "EffectivePolicy":
        """Return the policy that the service reports of an integration, in which nothing is left out."""
        return effective_policy(integration.effective_rotation, NO_DEFAULTS)

    def on_the_wire(self) -> RotationPolicy:
        """Return the policy as the service reports it, with every part."""
        return RotationPolicy(
            every_seconds=None if self.every is None else int(self.every.total_seconds()),
            schedule=None if self.schedule is None else self.schedule.expression,
            timezone=None if self.schedule is None else self.schedule.timezone,
            overlap_seconds=int(self.overlap.total_seconds()),
            early_window_seconds=int(self.early_window.total_seconds()),
            enabled=self.enabled,
        )


def effective_policy(declared: RotationPolicy | None, defaults: PolicyDefaults) -> EffectivePolicy:
    """Return the policy that holds where this was declared; `refuse_policy` says whether it contradicts itself."""
    declared = declared or RotationPolicy()
    every = None if declared.every_seconds is None else timedelta(seconds=declared.every_seconds)
    schedule = None if declared.schedule is None else Schedule(declared.schedule, declared.timezone or "UTC")
    overlap, early_window = declared.overlap_seconds, declared.early_window_seconds
    return EffectivePolicy(
        every=every,
        schedule=schedule,
        overlap=_default_overlap(every, schedule, defaults) if overlap is None else timedelta(seconds=overlap),
        early_window=_default_early_window(every, defaults)
        if early_window is None
        else timedelta(seconds=early_window),
        enabled=declared.enabled,
    )


def read_policy(declared: Mapping[str, Any], defaults: Callable[[], PolicyDefaults]) -> RotationPolicy:
    """Read a declared policy, and leave out what it leaves out.

    Args:
        declared: `every`, or `schedule` with `timezone`; `overlap`, `early_window`, `enabled`. Durations are text such
            as "90d".
        defaults: called only to name the default in an error.

    Raises:
        ValueError: the parts can't be read, or contradict each other; with the arithmetic.

    """
    every = _seconds(declared, "every")
    overlap, early_window = _seconds(declared, "overlap"), _seconds(declared, "early_window")
    schedule = _schedule(declared)
    if every is not None and schedule is not None:
        raise ValueError("give every or schedule, not both")
    if every is not None and every <= 0:
        raise ValueError('every must be longer than nothing: write one like "90d"')
    if every is None and schedule is None and early_window is not None:
        raise ValueError("early_window is only used with every or schedule")
    parts: dict[str, Any] = {
        "every_seconds": every,
        "schedule": schedule and schedule.expression,
        "timezone": declared.get("timezone"),
        "overlap_seconds": overlap,
        "early_window_seconds": early_window,
        "enabled": _enabled(declared),
    }
    policy = RotationPolicy(**{name: part for name, part in parts.items() if part is not None})
    if refuse_policy(policy, NO_DEFAULTS) is not None:
        raise ValueError(refuse_policy(policy, defaults()))
    return policy


def refuse_policy(declared: RotationPolicy, defaults: PolicyDefaults) -> str | None:
    """Say how the parts of a policy contradict each other, with the arithmetic; None if they don't.

    Only declared parts can contradict each other: a default fits every rule.
    """
    policy = effective_policy(declared, defaults)
    period = policy.period
    if period is None:
        return None
    if policy.overlap >= period:
        default = format_duration(_default_overlap(policy.every, policy.schedule, defaults))
        pile_up = ", or old tokens would pile up" if policy.schedule is None else ""
        return (
            f"overlap {format_duration(policy.overlap)} must be shorter than {_period_text(policy)}{pile_up}; "
            f"leave it out for {default}"
        )
    if policy.early_window >= period:
        return f"early_window {format_duration(policy.early_window)} must be shorter than {_period_text(policy)}"
    return None


def canonical_policy(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the declaration with its durations in one spelling, and without a part that says what its absence does."""
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


def _enabled(declared: Mapping[str, Any]) -> bool | None:
    enabled = declared.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
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


def _seconds(declared: Mapping[str, Any], field: str) -> int | None:
    duration = _duration(declared, field)
    return None if duration is None else int(duration.total_seconds())


def _default_overlap(every: timedelta | None, schedule: Schedule | None, defaults: PolicyDefaults) -> timedelta:
    period = every if schedule is None else schedule.shortest_gap
    return _at_most(defaults.overlap_seconds, period, defaults.overlap_divisor)


def _default_early_window(every: timedelta | None, defaults: PolicyDefaults) -> timedelta:
    # A calendar rule means the hour that it names: its window is opened only on request.
    return _at_most(defaults.early_window_seconds if every else 0, every, defaults.early_window_divisor)


def _at_most(seconds: int, period: timedelta | None, divisor: int) -> timedelta:
    if period is None:
        return timedelta(seconds=seconds)
    return timedelta(seconds=min(seconds, int((period / divisor).total_seconds())))


def _period_text(policy: EffectivePolicy) -> str:
    if policy.schedule is None:
        return policy.rule
    return f"{format_duration(policy.schedule.shortest_gap)}, the shortest gap of {policy.schedule}"
