"""Read a person's input as the wire models do, and report its faults in a sentence for each field."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request

from private_integrations.contract import MAX_SCOPES, IntegrationEdit, fault_message

_NAMES = {"name": "A name", "description": "A description"}


def new_mark() -> str:
    """Make the mark of one action of a person; its form carries it, so that the form sent twice is one action."""
    return secrets.token_hex(16)


def is_mark(value: str) -> bool:
    """Tell whether a form's mark has the form of `new_mark`."""
    return re.fullmatch("[0-9a-f]{32}", value) is not None


def query_of(request: Request) -> dict[str, list[str]]:
    """Return every value of each of the query's parameters, as a form has them."""
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        given.setdefault(name, []).append(value)
    return given


def text(value: str) -> str:
    """Return the input without space around it and with uniform line ends."""
    return value.replace("\r\n", "\n").replace("\r", "\n").strip()


def whole_number(value: str, digits: int) -> int | None:
    """Read a number of at most so many ASCII digits; None if it is none. Python accepts other digits as well."""
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= digits else None


def duration_text(value: str) -> str:
    """Read a duration; a number without a unit is days."""
    return f"{value}d" if value.isascii() and value.isdecimal() else value


def faults_in(**entered: Any) -> dict[str, str]:
    """Return the faults of a name, a description or scopes, by field; empty without any."""
    try:
        IntegrationEdit(**entered)
    except ValidationError as error:
        found: dict[str, str] = {}
        for fault in error.errors():
            found.setdefault(str(fault["loc"][0]), _sentence(fault))
        return found
    return {}


def _sentence(fault: Mapping[str, Any]) -> str:
    field, kind = fault["loc"][0], fault["type"]
    if field == "scopes":
        if kind == "too_short":
            return "Choose at least one scope."
        return f"An integration has at most {MAX_SCOPES} scopes, and each has a name of the catalogue."
    if kind == "string_too_short":
        return f"{_NAMES[field]} is needed."
    if kind == "string_too_long":
        return f"{_NAMES[field]} has at most {fault['ctx']['max_length']} characters."
    return f"{_NAMES[field]} {fault_message(fault)}."
