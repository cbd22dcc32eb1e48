"""What a person writes into a Pulumi program in place of doing it on a page."""

import json
from collections.abc import Iterable
from datetime import timedelta

from private_integrations.rotation.durations import format_duration
from private_integrations.rotation.policy import Policy, rule_alone


def details_line(name: str, description: str) -> str:
    """The arguments of a name and a description."""
    return f"name={_text(name)}, description={_text(description)}"


def scopes_line(scopes: Iterable[str]) -> str:
    """The argument of scopes."""
    return f"scopes=[{', '.join(_text(scope) for scope in sorted(scopes))}]"


def policy_line(policy: Policy) -> str:
    """The argument that declares this policy."""
    return f"rotation={_rotation(declared(policy), enabled=policy.enabled)}"


def rotation_line(policy: Policy, trigger: str, overlap: timedelta | None = None) -> str:
    """The argument that rotates once more, for `trigger`; but for the `overlap` given, the policy stays as it is."""
    said = declared(policy)
    if overlap is not None:
        said["overlap"] = format_duration(overlap)
    said["trigger"] = trigger
    return f"rotation={_rotation(said, enabled=policy.enabled)}"


def declared(policy: Policy) -> dict[str, str]:
    """The policy as people declare it: without what each rule has by itself, and without `enabled`."""
    return _rule(policy) | _margins(policy)


def _rotation(said: dict[str, str], *, enabled: bool) -> str:
    arguments = [f"{name}={_text(value)}" for name, value in said.items()] + ([] if enabled else ["enabled=False"])
    return f"pi.Rotation({', '.join(arguments)})" if arguments else "None"


def _rule(policy: Policy) -> dict[str, str]:
    if policy.schedule is not None:
        zone = policy.schedule.timezone
        return {"schedule": policy.schedule.expression} | ({} if zone == "UTC" else {"timezone": zone})
    return {} if policy.every is None else {"every": format_duration(policy.every)}


def _margins(policy: Policy) -> dict[str, str]:
    """The overlap and the early window where they aren't what the rule has by itself."""
    usual = rule_alone(policy)
    given: dict[str, str] = {}
    if policy.overlap != usual.overlap:
        given["overlap"] = format_duration(policy.overlap)
    if policy.early_window != usual.early_window:
        given["early_window"] = format_duration(policy.early_window)
    return given


def _text(value: str) -> str:
    # A JSON text is one of Python's as well.
    return json.dumps(value, ensure_ascii=False)
