"""Make keys from names; forms and templates use them for custom fields and values."""

import re

from .bodies import required_text

_NO_WORD = re.compile(r"[\W_]+")


def key_of(name: str) -> str:
    """Return the name in lower case, with one `_` for other characters: "My field!" gives `my_field`."""
    return _NO_WORD.sub("_", name.lower()).strip("_")


def named(name: str, value: object) -> list[str]:
    """Check for a string from which a key can be made."""
    faults = required_text(name, value)
    if not faults and isinstance(value, str) and not key_of(value):
        faults = [f"{name} must contain a letter or a digit"]
    return faults
