"""What a program declared, validated and brought into one spelling before anything is asked.

Values that are known only in the `up` (the engine's Unknown) are left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.output import Unknown
from pydantic import TypeAdapter, ValidationError

from .connection import ACCOUNT_VARIABLE
from .contract import Description, Identifier, Name, fault_reason
from .policy import canonical_policy, read_policy
from .scopes import ALL_SCOPES, no_such_scope

Properties = dict[str, Any]

_TEXTS: Mapping[str, TypeAdapter[str]] = {
    "name": TypeAdapter(Name),
    "description": TypeAdapter(Description),
    "account": TypeAdapter(Identifier),
    "adopt": TypeAdapter(Identifier),
}


@dataclass(frozen=True)
class Fault:
    """An input that can't be used, and what to write instead."""

    field: str
    reason: str


def normalize_integration(declared: Properties) -> tuple[Properties, list[Fault]]:
    """The inputs of an integration with scopes sorted, each once, and the policy in one spelling; and its faults."""
    normal, faults = normalize_token(declared)
    if isinstance(normal.get("scopes"), list) and not is_unknown(normal["scopes"]):
        normal["scopes"] = sorted({str(scope) for scope in normal["scopes"]})
    return normal, [*_account_faults(normal), *_text_faults(normal), *_scope_faults(normal), *faults]


def normalize_token(declared: Properties) -> tuple[Properties, list[Fault]]:
    """The inputs of a token with the policy in one spelling; and its faults."""
    given = {key: value for key, value in declared.items() if value is not None}
    policy = given.get("rotation")
    if policy is None or is_unknown(policy):
        return given, []
    try:
        read_policy(policy)
        return {**given, "rotation": canonical_policy(policy)}, []
    except ValueError as error:
        return given, [Fault("rotation", str(error))]


def is_unknown(value: Any) -> bool:
    """Whether a value, or anything inside it, will be known only in the `up`."""
    if isinstance(value, Mapping):
        return any(is_unknown(part) for part in value.values())
    if isinstance(value, list):
        return any(is_unknown(part) for part in value)
    return isinstance(value, Unknown)


def _account_faults(normal: Properties) -> list[Fault]:
    if "account" in normal:
        return []
    advice = f"give account=, set {ACCOUNT_VARIABLE}, or run: pulumi config set private-integrations:account …"
    return [Fault("account", f"no account is given; {advice}")]


def _text_faults(normal: Properties) -> list[Fault]:
    known = {field: normal[field] for field in _TEXTS if field in normal and not is_unknown(normal[field])}
    return [
        Fault(field, f"{field} {reason}")
        for field, value in known.items()
        if (reason := _why_not(_TEXTS[field], value)) is not None
    ]


def _why_not(adapter: TypeAdapter[str], value: Any) -> str | None:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        return fault_reason(error.errors()[0])
    return None


def _scope_faults(normal: Properties) -> list[Fault]:
    scopes = normal.get("scopes")
    if is_unknown(scopes):
        return []
    if not isinstance(scopes, list):
        return [Fault("scopes", 'scopes must be a list, as in scopes=["contacts.readonly"]')]
    if not scopes:
        return [Fault("scopes", 'give at least one scope, as in scopes=["contacts.readonly"]')]
    return [Fault("scopes", no_such_scope(scope)) for scope in scopes if scope not in ALL_SCOPES]
