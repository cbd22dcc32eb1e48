"""Validate a program's declaration and bring it into one spelling, before anything is asked.

Values that are known only in the `up` (the engine's Unknown) are left alone. A fault never repeats a value: any input
may be a secret, and the provider gets secrets as plain text.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pulumi.output import Unknown
from pydantic import TypeAdapter, ValidationError

from ..connection import ACCOUNT_VARIABLE
from ..contract import TOKEN_PATTERN, AccountId, Description, ExternalId, Name, PolicyDefaults, fault_reason
from ..rotation.policy import canonical_policy, read_policy
from ..scopes import ALL_SCOPES, nearest_scopes
from ..unusable import Unusable

Properties = dict[str, Any]

Defaults = Callable[[], PolicyDefaults]
"""Return the service's policy defaults. They are asked for only where they matter."""

INTEGRATION_ID = re.compile(r"int_[A-Za-z0-9_-]{1,96}")
"""The shape of an integration's id; no token or key has it."""

_TEXTS: Mapping[str, TypeAdapter[str]] = {
    "name": TypeAdapter(Name),
    "description": TypeAdapter(Description),
    "account": TypeAdapter(AccountId),
    "external_id": TypeAdapter(ExternalId),
}
_POLICY = ("every", "schedule", "timezone", "overlap", "early_window", "enabled")
_LONGEST_SCHEDULE = 200
# A text of letters alone that is this close (difflib's ratio) to the name of a scope holds no secret.
_NEAR_ENOUGH_TO_SHOW = 0.9
_LETTERS = re.compile(r"[A-Za-z._/-]{1,60}")


def normalize_integration(declared: Properties, defaults: Defaults) -> tuple[Properties, list[str]]:
    """Return an integration's inputs with sorted scopes, each once, and the policy in one spelling; and its faults."""
    normal, faults = _with_policy(declared, defaults, has_trigger=False)
    found = [*_account_faults(normal), *_text_faults(normal), *_scope_faults(normal), *_id_faults(normal, "adopt")]
    if not found and not is_unknown(normal["scopes"]):
        normal["scopes"] = sorted(set(normal["scopes"]))
    return normal, [*found, *faults]


def normalize_token(declared: Properties, defaults: Defaults) -> tuple[Properties, list[str]]:
    """Return the inputs of a token with the policy in one spelling; and its faults."""
    normal, faults = _with_policy(declared, defaults, has_trigger=True)
    found = [
        *_text_faults(normal),
        *_id_faults(normal, "integration_id"),
        *_id_faults(normal, "adopt"),
        *_adopt_token_faults(normal),
        *_frozen_faults(normal),
    ]
    return normal, [*found, *faults]


def is_unknown(value: Any) -> bool:
    """Return whether a value, or anything inside it, will be known only in the `up`."""
    if isinstance(value, Mapping):
        return any(is_unknown(part) for part in value.values())
    if isinstance(value, list):
        return any(is_unknown(part) for part in value)
    return isinstance(value, Unknown)


def _with_policy(declared: Properties, defaults: Defaults, *, has_trigger: bool) -> tuple[Properties, list[str]]:
    given = {key: value for key, value in declared.items() if value is not None}
    policy = given.get("rotation")
    if policy is None or isinstance(policy, Unknown):
        return given, []
    parts = (*_POLICY, "trigger") if has_trigger else _POLICY
    if not isinstance(policy, Mapping) or not set(policy) <= set(parts):
        return given, [f'rotation must be pi.Rotation(every="90d") or the like; its parts are {", ".join(parts)}']
    rule = {part: value for part, value in policy.items() if part != "trigger"}
    if is_unknown(rule):
        return given, []
    try:
        _refuse_long_schedule(rule)
        read_policy(rule, defaults)
        # A trigger that is known only in the `up` is no reason to promise a rule that can't be.
        return {**given, "rotation": canonical_policy(policy)}, []
    except Unusable as error:
        return given, [f"rotation: {error.unquoted}"]
    except ValueError as error:
        return given, [f"rotation: {error}"]


def _refuse_long_schedule(rule: Mapping[str, Any]) -> None:
    schedule = rule.get("schedule")
    if isinstance(schedule, str) and len(schedule) > _LONGEST_SCHEDULE:
        raise ValueError(f"schedule has more than {_LONGEST_SCHEDULE} characters")


def _account_faults(normal: Properties) -> list[str]:
    if "account" in normal:
        return []
    advice = f"give account=, set {ACCOUNT_VARIABLE}, or run: pulumi config set private-integrations:account …"
    return [f"no account is given; {advice}"]


def _text_faults(normal: Properties) -> list[str]:
    known = {field: normal[field] for field in _TEXTS if field in normal and not is_unknown(normal[field])}
    if "external_id" not in normal:
        return ["external_id is missing; the resource computes it"]
    return [
        f"{field} {reason}" for field, value in known.items() if (reason := _why_not(_TEXTS[field], value)) is not None
    ]


def _why_not(adapter: TypeAdapter[str], value: Any) -> str | None:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return fault_reason(error.errors()[0])
    return None


def _scope_faults(normal: Properties) -> list[str]:
    scopes = normal.get("scopes")
    if isinstance(scopes, Unknown):
        return []
    if not isinstance(scopes, list):
        return ['scopes must be a list, as in scopes=["contacts.readonly"]']
    if not scopes:
        return ['give at least one scope, as in scopes=["contacts.readonly"]']
    return list(_wrong_scopes(scopes))


def _wrong_scopes(scopes: list[Any]) -> Iterator[str]:
    for position, scope in enumerate(scopes):
        if is_unknown(scope) or (isinstance(scope, str) and scope in ALL_SCOPES):
            continue
        if not isinstance(scope, str):
            yield f"scopes[{position}] must be the name of a scope, not {_kind(scope)}"
            continue
        nearest = nearest_scopes(scope)
        shown = f'"{scope}"' if _may_be_shown(scope, nearest) else "of that name"
        advice = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
        yield f"scopes[{position}]: there is no scope {shown}{advice}"


def _may_be_shown(scope: str, nearest: list[str]) -> bool:
    """Tell whether a wrong name is a misspelt scope; an error may repeat it, since scope names are public."""
    return _LETTERS.fullmatch(scope) is not None and any(
        difflib.SequenceMatcher(None, scope, near).ratio() >= _NEAR_ENOUGH_TO_SHOW for near in nearest
    )


def _id_faults(normal: Properties, field: str) -> list[str]:
    given = normal.get(field)
    if given is None or isinstance(given, Unknown) or (isinstance(given, str) and INTEGRATION_ID.fullmatch(given)):
        return []
    return [f"{field} must be the id of an integration, int_…, as `private-integrations list` shows it"]


def _adopt_token_faults(normal: Properties) -> list[str]:
    given = normal.get("adopt_token")
    if given is None or isinstance(given, Unknown) or (isinstance(given, str) and TOKEN_PATTERN.fullmatch(given)):
        return []
    return ["adopt_token must be the integration's present token, pit-…"]


def _frozen_faults(normal: Properties) -> list[str]:
    """List faults of the provider's own inputs, which may come back from `ignore_changes` or a transformation."""
    generation, reason = normal.get("generation"), normal.get("rotation_reason")
    faults = []
    if "generation" in normal and not isinstance(generation, Unknown) and not _is_number(generation):
        faults.append("generation must be a number of a token's generation, from 1; the provider computes it")
    if "rotation_reason" in normal and not isinstance(reason, str | Unknown):
        faults.append("rotation_reason must be text; the provider computes it")
    return faults


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) and value >= 1 and value == int(value)


def _kind(value: Any) -> str:
    """Name the Python type of a value."""
    return "None" if value is None else type(value).__name__
