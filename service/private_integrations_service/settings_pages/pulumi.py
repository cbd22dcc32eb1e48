"""Write the line of a Pulumi program that does the same as an action on a page."""

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta

from private_integrations.contract import RotationPolicy
from private_integrations.rotation.durations import format_duration


def details_line(name: str, description: str) -> str:
    """Return the arguments of a name and a description."""
    return f"name={_text(name)}, description={_text(description)}"


def scopes_line(scopes: Iterable[str]) -> str:
    """Return the argument of scopes."""
    return f"scopes=[{', '.join(_text(scope) for scope in sorted(scopes))}]"


def policy_line(policy: RotationPolicy | None) -> str:
    """Return the argument that declares this policy."""
    return f"rotation={_rotation(declared(policy), policy)}"


def rotation_line(policy: RotationPolicy | None, trigger: str, overlap: timedelta | None = None) -> str:
    """Return the argument that rotates once more, for `trigger`; except for a given `overlap`, the policy stays."""
    said = declared(policy)
    if overlap is not None:
        said["overlap"] = format_duration(overlap)
    said["trigger"] = trigger
    return f"rotation={_rotation(said, policy)}"


def declared(policy: RotationPolicy | None) -> dict[str, str]:
    """Return the parts that the policy declares, as a program writes them, without `enabled`."""
    if policy is None:
        return {}
    calendar = {"schedule": policy.schedule, "timezone": policy.timezone if policy.timezone != "UTC" else None}
    margins = {"overlap": policy.overlap_seconds, "early_window": policy.early_window_seconds}
    said = _durations({"every": policy.every_seconds}) | calendar | _durations(margins)
    return {name: text for name, text in said.items() if text is not None}


def _durations(seconds: Mapping[str, int | None]) -> dict[str, str | None]:
    return {
        name: None if value is None else format_duration(timedelta(seconds=value)) for name, value in seconds.items()
    }


def _rotation(said: dict[str, str], policy: RotationPolicy | None) -> str:
    paused = policy is not None and not policy.enabled
    arguments = [f"{name}={_text(value)}" for name, value in said.items()] + (["enabled=False"] if paused else [])
    return f"pi.Rotation({', '.join(arguments)})" if arguments else "None"


def _text(value: str) -> str:
    # A JSON text is one of Python's as well.
    return json.dumps(value, ensure_ascii=False)
