"""Read what each operation takes and requires, in each generation: the vendor's names and types, as data.

`data/shapes.json` names for each operation ("POST /contacts/") its generations ("v2", "v3" or "v2 and v3"), and
for each of these `body`, `query` and `answer <status>`. A type there is "string", "number", "boolean", "object" or
"any", an enumeration ("string won|lost"), an object of named types, an array of one type, or `{"one of": [types]}`.
A `*` behind a name means that it is required.

    operation_shapes("POST", "/contacts/", "v3").body.required  # {"locationId"}
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from .bodies import Check, flag, is_carriable, mapping, number, one_of, required_text, text

Generation = Literal["v2", "v3"]
"""Name the generation of the specification that a `Version` selects: v3 by its name, v2 by any date."""

_REQUIRED = "*"
_CHOICE = "one of"


@dataclass(frozen=True)
class Shape:
    """Describe the fields of a body or a query: a check for each by its name, and the names of required ones."""

    checks: Mapping[str, Check] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


@dataclass(frozen=True)
class OperationShapes:
    """Describe the fields of an operation's body and query."""

    body: Shape = Shape()
    query: Shape = Shape()


def operation_shapes(method: str, path: str, generation: Generation) -> OperationShapes:
    """Look an operation up by its method and path template; one that this generation lacks has the other's shapes."""
    generations = _SHAPES[f"{method} {path}"]
    return generations.get(generation) or next(iter(generations.values()))


def _read_shapes() -> Mapping[str, Mapping[str, OperationShapes]]:
    package = resources.files(__package__)
    data = json.loads(package.joinpath("data/shapes.json").read_text("utf-8"))
    return MappingProxyType(
        {
            name: {
                generation: OperationShapes(_shape(parts.get("body")), _shape(parts.get("query")))
                for spelled, parts in generations.items()
                for generation in spelled.split(" and ")
            }
            for name, generations in data["operations"].items()
        }
    )


def _shape(fields: Any, required: Check = required_text) -> Shape:
    """Make the shape of named types, whose required texts pass `required`; an untyped body names no field."""
    if not isinstance(fields, dict):
        return Shape()
    names = {name: name.removesuffix(_REQUIRED) for name in fields}
    return Shape(
        checks={
            names[name]: required if type_ == "string" and name != names[name] else _check(type_)
            for name, type_ in fields.items()
        },
        required=frozenset(plain for name, plain in names.items() if name != plain),
    )


def _check(type_: Any) -> Check:
    if isinstance(type_, list):
        return _array_of(type_[0])
    if isinstance(type_, dict):
        return _any_of(type_[_CHOICE]) if _CHOICE in type_ else _object_of(_shape(type_, text))
    name, _, values = type_.partition(" ")
    return _one_of(values.split("|")) if values else _CHECKS[name]


def _any_json(name: str, value: object) -> list[str]:
    return [] if is_carriable(value) else [f"{name} must be a string, a finite number, an array or an object"]


_CHECKS: Mapping[str, Check] = MappingProxyType(
    {"string": text, "number": number, "boolean": flag, "object": mapping, "any": _any_json}
)


def _one_of(values: Sequence[str]) -> Check:
    return lambda name, value: one_of(name, value, values)


def _array_of(type_: Any) -> Check:
    check = _check(type_)
    plain = type_ == "string"

    def checked(name: str, value: object) -> list[str]:
        if not isinstance(value, list):
            return [f"{name} must be an array"]
        if plain:
            return [] if not any(check(name, item) for item in value) else [f"each value in {name} must be a string"]
        if isinstance(type_, dict) and not all(isinstance(item, dict) for item in value):
            return [f"each value in nested property {name} must be either object or array"]
        return [fault for position, item in enumerate(value) for fault in check(f"{name}.{position}", item)]

    return checked


def _object_of(shape: Shape) -> Check:
    def checked(name: str, value: object) -> list[str]:
        if not isinstance(value, dict):
            return [f"{name} must be an object"]
        faults = [f"{name}.property {key} should not exist" for key in value if key not in shape.checks]
        for key, check in shape.checks.items():
            given = value.get(key)
            if given is not None or key in shape.required:
                faults += check(f"{name}.{key}", given)
        return faults

    return checked


def _any_of(types: Sequence[Any]) -> Check:
    """Accept a value that passes one of the checks; otherwise return the faults of the first check."""
    checks = [_check(type_) for type_ in types]

    def checked(name: str, value: object) -> list[str]:
        found = [check(name, value) for check in checks]
        return found[0] if all(found) else []

    return checked


_SHAPES = _read_shapes()
