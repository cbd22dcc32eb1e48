"""Compare an integration with its declaration and say in words what others changed. This module asks nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..contract import AuditEntry, Integration, RotationPolicy, instant_text
from ..rotation.policy import EffectivePolicy, effective_policy
from .declaration import Defaults, Properties, is_unknown
from .plan import declared_policy

EDITABLE = ("name", "description", "scopes", "rotation")
"""The fields that can be changed in place."""

_LONGEST_QUOTE = 60


def left_alone(declared: Properties) -> list[str]:
    """Return the inputs that the program leaves to others, by the option `ignore_changes`."""
    return list(declared.get("ignored_changes", []))


def unlike(live: Integration, props: Properties, defaults: Defaults) -> list[str]:
    """List the fields in which the service differs from these inputs, but for those that are left to others."""
    return [field for field in EDITABLE if field not in left_alone(props) and not _agrees(live, props, field, defaults)]


def changed_since(state: Properties, declared: Properties, live: Integration, defaults: Defaults) -> list[str]:
    """List the fields in which the service differs both from the last run and from what the program declares."""
    return [field for field in unlike(live, declared, defaults) if not _agrees(live, state, field, defaults)]


def in_words(fields: Iterable[str], state: Properties, live: Integration, edits: Sequence[AuditEntry]) -> str:
    """Say who changed these fields and when; `edits` is what the audit log has of it, the last one first."""
    return "; ".join(f"{field}: {_told(field, state, live, edits)}" for field in fields)


def _agrees(live: Integration, props: Properties, field: str, defaults: Defaults) -> bool:
    if is_unknown(props.get(field)):
        return False
    if field == "rotation":
        return _same_policy(live, props, defaults)
    return bool(_held(props, field) == getattr(live, field))


def _same_policy(live: Integration, props: Properties, defaults: Defaults) -> bool:
    try:
        declared = declared_policy(props)
    except ValueError:
        # The state may have a rule that was accepted once; what it meant then can't be compared any more.
        return True
    if declared is None or live.rotation is None or declared == live.rotation:
        return declared == live.rotation
    # An earlier version of this package declared the defaults that it knew: the same policy in other words.
    return effective_policy(declared, defaults()) == effective_policy(live.rotation, defaults())


def _held(props: Properties, field: str) -> Any:
    if field == "scopes":
        return sorted(props["scopes"])
    return props.get(field, "")


def _told(field: str, state: Properties, live: Integration, edits: Sequence[AuditEntry]) -> str:
    edit = next((edit for edit in edits if field in edit.detail.get("changed", ())), None)
    if edit is None or edit.instant is None:
        return f"somebody {_change(field, state, live)}, at the latest at {instant_text(live.updated_at)}"
    who = f"{edit.who} (a deployment)" if edit.kind == "deployment" else edit.who
    return f"{who} {_change(field, state, live)} at {instant_text(edit.instant)}"


def _change(field: str, state: Properties, live: Integration) -> str:
    if field == "scopes":
        before, now = set(state["scopes"]), set(live.scopes)
        parts = (("added", now - before), ("removed", before - now))
        return " and ".join(f"{verb} {', '.join(sorted(some))}" for verb, some in parts if some)
    if field == "rotation":
        return f"changed it to {_chosen(live.rotation, live)}" if live.rotation else "removed it"
    return f"changed it to {_quoted(getattr(live, field))}"


def _chosen(declared: RotationPolicy, live: Integration) -> str:
    """Describe the policy that a person chose, without an early window that the service filled in.

    The engine cuts a value off after 150 characters, and the instant stands at the end.
    """
    policy = EffectivePolicy.reported(live)
    if declared.early_window_seconds is None:
        policy = replace(policy, early_window=timedelta(0))
    return policy.in_words


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line}"' if len(line) <= _LONGEST_QUOTE else f'"{line[: _LONGEST_QUOTE - 1]}…"'
