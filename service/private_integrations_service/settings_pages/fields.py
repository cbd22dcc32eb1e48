"""What people enter, read as the wire models do, and what is wrong with it in a sentence for each field."""

import re
import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request

from private_integrations.contract import MAX_SCOPES, IntegrationEdit, fault_message

_NAMES = {"name": "A name", "description": "A description"}


def new_mark() -> str:
    """The mark of one action of a person, which its form carries: sent again, it is known as the same action."""
    return secrets.token_hex(16)


def is_mark(value: str) -> bool:
    """Whether a form's mark is one that we made."""
    return re.fullmatch("[0-9a-f]{32}", value) is not None


def query_of(request: Request) -> dict[str, list[str]]:
    """Every value of each of the query's parameters, as a form has them."""
    given: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        given.setdefault(name, []).append(value)
    return given


def text(value: str) -> str:
    """What was entered, without space around it and with lines that end as everywhere else."""
    return value.replace("\r\n", "\n").replace("\r", "\n").strip()


def whole_number(value: str, digits: int) -> int | None:
    """A number of at most so many ASCII digits; None if it is none: what Python takes for digits else is nobody's."""
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= digits else None


def duration_text(value: str) -> str:
    """A duration as it was entered, of which a number without a unit is days."""
    return f"{value}d" if value.isascii() and value.isdecimal() else value


def faults_in(**entered: Any) -> dict[str, str]:
    """What is wrong with a name, a description or scopes, by field; empty if nothing is."""
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
