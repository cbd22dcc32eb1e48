"""When tokens are to be rotated: the options of `create` and `edit` about it, and the policy they make."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Annotated, Any

import typer

from ..contract import RotationPolicy
from ..rotation.durations import format_duration
from ..rotation.policy import Policy, read_policy
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
    """What a command was given about rotation; None for each option that was left out."""

    every: str | None = None
    schedule: str | None = None
    timezone: str | None = None
    overlap: str | None = None
    early_window: str | None = None
    enabled: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Whether every option was left out."""
        return self == Given()

    @property
    def has_a_rule(self) -> bool:
        """Whether something was given that says when a rotation is due."""
        return any(part is not None for part in (self.every, self.schedule, self.timezone))


def new_policy(given: Given) -> Policy | None:
    """The policy of a new integration; None where nothing was given."""
    return None if given.is_empty else _read(_parts(given))


def edited_policy(stored: RotationPolicy | None, given: Given) -> Policy:
    """The stored policy with what was given; a new rule keeps the rest where it fits it (see `edit --help`)."""
    old = Policy.from_the_wire(stored)
    parts = _parts(given, _kept_rule(old, given))
    if given.enabled is not None and "every" not in parts and "schedule" not in parts:
        raise usage("there is no schedule to pause or resume; give --every or --schedule")
    if stored is None:
        return _read(parts)
    if not given.has_a_rule:
        return _read({**_margins(old), "enabled": old.enabled, **parts})
    bare = _read({name: parts[name] for name in ("every", "schedule", "timezone") if name in parts})
    return _read({**_fitting_margins(old, bare), "enabled": old.enabled, **parts})


def what_did_not_fit(stored: RotationPolicy | None, given: Given, new: Policy) -> str | None:
    """The overlap that an edit shortened without being asked to, in a sentence; None if it didn't."""
    old = Policy.from_the_wire(stored)
    if stored is None or given.overlap is not None or new.overlap == old.overlap:
        return None
    return (
        f"an overlap of {format_duration(old.overlap)} does not fit {new.rule}: "
        f"it is {format_duration(new.overlap)} from now on"
    )


def policy_text(policy: Policy) -> str:
    """A policy in one line."""
    return policy.in_words


def _parts(given: Given, kept: dict[str, Any] | None = None) -> dict[str, Any]:
    return (kept or {}) | {name: value for name, value in asdict(given).items() if value is not None}


def _kept_rule(old: Policy, given: Given) -> dict[str, Any]:
    """What of the old rule goes on beside the given one: all without a given one, and a calendar's time zone."""
    if given.every is not None:
        return {}
    if old.schedule is not None:
        return {"schedule": old.schedule.expression, "timezone": old.schedule.timezone}
    return {} if old.every is None or given.schedule is not None else {"every": format_duration(old.every)}


def _margins(old: Policy) -> dict[str, Any]:
    overlap = {"overlap": format_duration(old.overlap)}
    return overlap if old.period is None else {**overlap, "early_window": format_duration(old.early_window)}


def _fitting_margins(old: Policy, bare: Policy) -> dict[str, Any]:
    """The old overlap as long as it fits, and an early window that fits and was chosen; `bare` is the new rule."""
    period = bare.period or timedelta(0)
    default = Policy() if old.period is None else _read(_kept_rule(old, Given()))
    fits = {
        "overlap": old.overlap < period,
        "early_window": old.early_window != default.early_window and old.early_window < period,
    }
    return {name: value for name, value in _margins(old).items() if fits[name]}


def _read(declared: dict[str, Any]) -> Policy:
    try:
        return read_policy(declared)
    except ValueError as error:
        raise usage(str(error)) from None
