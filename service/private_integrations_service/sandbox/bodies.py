"""Read the fields of bodies and check them, in the words of the platform's validator (class-validator)."""

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from private_integrations.contract import Reason

from ..authorizer.replies import PlatformError
from .instants import instant_of

BODY_LIMIT = 100 * 1024
"""Limit a body of the data API to so many bytes."""

_DEEPEST = 20
_LONGEST_INTEGER = 15
_SURROGATE = re.compile("[\ud800-\udfff]")

Check = Callable[[str, object], list[str]]
"""Return the faults of a value, given the field's name and the value, in the platform's words."""

TOO_LARGE = PlatformError(413, Reason.BODY_TOO_LARGE, "request entity too large", {"error": "Payload Too Large"})
TOO_SLOW = PlatformError(408, Reason.BODY_TOO_SLOW, "request timeout", {"error": "Request Timeout"})
_NO_OBJECT = PlatformError(400, Reason.BODY_MALFORMED, "The body must be a JSON object", {"error": "Bad Request"})


def read_fields(body: bytes) -> dict[str, Any] | PlatformError:
    """Read the fields of a JSON object; an empty body has none, as with the platform's parser."""
    if not body.strip():
        return {}
    try:
        # Numbers as in JavaScript: one that no double carries is infinite, and refused where it is used.
        value = json.loads(body.decode(), parse_int=_integer, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        place = f" at position {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        return PlatformError(400, Reason.BODY_MALFORMED, f"Unexpected token in JSON{place}", {"error": "Bad Request"})
    return value if isinstance(value, dict) else _NO_OBJECT


def refuse_fields(
    fields: Mapping[str, object], checks: Mapping[str, Check], required: Collection[str] = ()
) -> PlatformError | None:
    """Refuse fields with faults, all in one answer; null counts as a missing field, unless it is required."""
    texts = [f"property {name} should not exist" for name in fields if name not in checks]
    for name, check in checks.items():
        value = fields.get(name)
        if value is not None or name in required:
            texts += check(name, value)
    return invalid(texts) if texts else None


def invalid(texts: Collection[str]) -> PlatformError:
    """Return the platform's answer to invalid values."""
    return PlatformError(422, Reason.INVALID_REQUEST, tuple(texts), {"error": "Unprocessable Entity"})


def text(name: str, value: object) -> list[str]:
    """Check for a string that can be stored and sent, without half a surrogate pair."""
    return [] if _is_text(value) else [f"{name} must be a string"]


def required_text(name: str, value: object) -> list[str]:
    """Check for a string that isn't empty."""
    empty = [f"{name} should not be empty"] if value in (None, "") else []
    return text(name, value) + empty


def flag(name: str, value: object) -> list[str]:
    """Check for true or false."""
    return [] if isinstance(value, bool) else [f"{name} must be a boolean value"]


def mapping(name: str, value: object) -> list[str]:
    """Check for a JSON object of any content."""
    return [] if isinstance(value, dict) and is_carriable(value) else [f"{name} must be an object"]


def texts(name: str, value: object) -> list[str]:
    """Check for an array of strings."""
    if not isinstance(value, list):
        return [f"{name} must be an array"]
    return [] if all(_is_text(item) for item in value) else [f"each value in {name} must be a string"]


def searched(longest: int) -> Check:
    """Make a check for a text to search for, of at most `longest` characters."""

    def checked(name: str, value: object) -> list[str]:
        # SQLite's LIKE would end the pattern at a NUL, and find everything.
        if not isinstance(value, str) or text(name, value) or "\x00" in value:
            return [f"{name} must be a string"]
        return [f"{name} must be shorter than or equal to {longest} characters"] if len(value) > longest else []

    return checked


def at_most(longest: int, check: Check) -> Check:
    """Make a check for an array that passes another check and has at most `longest` elements."""

    def checked(name: str, value: object) -> list[str]:
        if isinstance(value, list) and len(value) > longest:
            return [f"{name} must contain no more than {longest} elements"]
        return check(name, value)

    return checked


def whole_number(smallest: int, largest: int) -> Check:
    """Make a check for a whole number from `smallest` to `largest`."""

    def checked(name: str, value: object) -> list[str]:
        if not isinstance(value, int) or isinstance(value, bool):
            return [f"{name} must be an integer number"]
        if value > largest:
            return [f"{name} must not be greater than {largest}"]
        return [f"{name} must not be less than {smallest}"] if value < smallest else []

    return checked


def number(name: str, value: object) -> list[str]:
    """Check for a number that a double carries."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return [] if good else [f"{name} must be a number conforming to the specified constraints"]


def one_of(name: str, value: object, values: Collection[str]) -> list[str]:
    """Check for one of the values."""
    good = isinstance(value, str) and value in values
    return [] if good else [f"{name} must be one of the following values: {', '.join(values)}"]


def instant(name: str, value: object) -> list[str]:
    """Check for an instant as ISO 8601 writes it."""
    return [] if instant_of(value) else [f"{name} must be a valid ISO 8601 date string"]


def is_carriable(value: object, depth: int = 0) -> bool:
    """Tell whether storing and sending keep a value as it is: finite, well-formed, not nested too deep."""
    if depth > _DEEPEST:
        return False
    if isinstance(value, dict):
        return all(_is_text(key) and is_carriable(item, depth + 1) for key, item in value.items())
    if isinstance(value, list):
        return all(is_carriable(item, depth + 1) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, str) or _is_text(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not _SURROGATE.search(value)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
