"""When tokens are to be rotated: the options of `create` and `edit` about it, and the policy they make."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer

from ..contract import Integration, PolicyDefaults, RotationPolicy
from ..rotation.durations import format_duration, parse_duration
from ..rotation.policy import NO_DEFAULTS, EffectivePolicy, effective_policy, read_policy
from .failures import usage

Every = Annotated[
    str | None,
    typer.Option("--every", metavar="DURATION", help='Due this long after the last rotation, such as "90d".'),
]
CronRule = Annotated[
    str | None,
    typer.Option(
        "--schedule", metavar="CRON", help='In place of --every: due by the calendar, such as "0 3 * * MON#1".'
    ),
]
Timezone = Annotated[
    str | None,
    typer.Option("--timezone", metavar="ZONE", help='The zone of --schedule, such as "Europe/Berlin"; else UTC.'),
]
EarlyWindow = Annotated[
    str | None,
    typer.Option(
        "--early-window",
        metavar="DURATION",
        help="A deployment this close before the due date rotates too. "
        "Default: an hour or a tenth of --every; none with --schedule.",
    ),
]


@dataclass(frozen=True)
class Given:
    """Hold a command's options about rotation; None for each option that was left out."""

    every: str | None = None
    schedule: str | None = None
    timezone: str | None = None
    overlap: str | None = None
    early_window: str | None = None
    enabled: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether every option was left out."""
        return self == Given()

    @property
    def has_a_rule(self) -> bool:
        """Return whether something was given that says when a rotation is due."""
        return any(part is not None for part in (self.every, self.schedule, self.timezone))


Defaults = Callable[[], PolicyDefaults]


def new_policy(given: Given, defaults: Defaults) -> RotationPolicy | None:
    """Return the policy of a new integration; None where nothing was given."""
    return None if given.is_empty else _read(_parts(given), defaults)


def edited_policy(stored: RotationPolicy | None, given: Given, defaults: Defaults) -> RotationPolicy:
    """Return the stored policy with what was given; a new rule keeps the rest where it fits it (see `edit --help`)."""
    old = stored or RotationPolicy()
    parts = _parts(given, _kept_rule(old, given))
    if given.enabled is not None and "every" not in parts and "schedule" not in parts:
        raise usage("there is no schedule to pause or resume; give --every or --schedule")
    margins = _fitting_margins(old, parts, defaults) if given.has_a_rule else _margins(old)
    return _read({**margins, "enabled": old.enabled, **parts}, defaults)


def what_did_not_fit(old: Integration, given: Given, new: Integration) -> str | None:
    """Say that an edit shortened the overlap without being asked to; None if it didn't."""
    before, after = EffectivePolicy.reported(old), EffectivePolicy.reported(new)
    if old.rotation is None or new.rotation is None or given.overlap is not None or after.overlap >= before.overlap:
        return None
    return (
        f"an overlap of {format_duration(before.overlap)} does not fit {after.rule}: "
        f"it is {format_duration(after.overlap)} from now on"
    )


def policy_text(policy: EffectivePolicy) -> str:
    """Describe a policy in one line."""
    return policy.in_words


def _parts(given: Given, kept: dict[str, Any] | None = None) -> dict[str, Any]:
    return (kept or {}) | {name: value for name, value in asdict(given).items() if value is not None}


def _kept_rule(old: RotationPolicy, given: Given) -> dict[str, Any]:
    """Return what of the old rule goes on beside the given one: all without one, and a calendar's time zone."""
    if given.every is not None:
        return {}
    if old.schedule is not None:
        return {"schedule": old.schedule} | ({} if old.timezone is None else {"timezone": old.timezone})
    return {} if old.every_seconds is None or given.schedule is not None else {"every": _text(old.every_seconds)}


def _margins(old: RotationPolicy) -> dict[str, str]:
    """Return the overlap and the early window that were declared."""
    declared = {"overlap": old.overlap_seconds, "early_window": old.early_window_seconds}
    return {name: _text(seconds) for name, seconds in declared.items() if seconds is not None}


def _fitting_margins(old: RotationPolicy, parts: dict[str, Any], defaults: Defaults) -> dict[str, str]:
    """Return those that are shorter than the period of the new rule, which is in `parts`."""
    bare = _read({name: parts[name] for name in ("every", "schedule", "timezone") if name in parts}, defaults)
    period = effective_policy(bare, NO_DEFAULTS).period or timedelta(0)
    return {name: text for name, text in _margins(old).items() if parse_duration(text) < period}


def _text(seconds: int) -> str:
    return format_duration(timedelta(seconds=seconds))


def _read(declared: dict[str, Any], defaults: Defaults) -> RotationPolicy:
    try:
        return read_policy(declared, defaults)
    except ValueError as error:
        raise usage(str(error)) from None
