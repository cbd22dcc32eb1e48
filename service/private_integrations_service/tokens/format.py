"""Tokens and identifiers: made from the system's random source, tokens kept as digests."""

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from private_integrations.contract import digest_of

HASH_VERSION = 1
"""SHA-256 of the token's ASCII text. A slow hash buys nothing for 128 random bits."""

_ID_LENGTH = 20
_BASE62 = string.ascii_letters + string.digits
# `Bearer ` and 40 characters: nothing longer is worth hashing.
_LONGEST_AUTHORIZATION = 47
# Also a part of one, in any case: what was cut off or mistyped is still most of a secret.
_SECRET_LIKE = re.compile(r"((?:pit|pmk|psk)-)[0-9a-f]{4}[0-9a-f-]*|(whsec_)[0-9a-z+/]{4}[0-9a-z+/=]*", re.IGNORECASE)
_PRESENTED = re.compile(rb"(?:[Bb]earer )?(pit-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True)
class NewSecret:
    """A secret that was just made: `value` is handed out once, `digest` is what is kept."""

    value: str
    digest: bytes

    def __repr__(self) -> str:
        """Leave out the value."""
        return "NewSecret(…)"


def new_token() -> NewSecret:
    """Return a token: `pit-` and 128 random bits as 8-4-4-4-12 lower-case hex digits (see docs/security.md)."""
    digits = secrets.token_hex(16)
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    value = "pit-" + "-".join(parts)
    return NewSecret(value=value, digest=digest_of(value))


def new_id(prefix: str = "") -> str:
    """Return a random identifier of base62 characters, as the platform's are: 20 of them, 119 bits."""
    return prefix + "".join(secrets.choice(_BASE62) for _ in range(_ID_LENGTH))


def new_object_id() -> str:
    """Return a random identifier of 24 hexadecimal digits, as the platform's businesses have: 96 bits."""
    return secrets.token_hex(12)


def presented_token(authorization: bytes) -> bytes | None:
    """Return the digest of the token in an `Authorization` value, `Bearer pit-…` or bare; None if it has none."""
    if len(authorization) > _LONGEST_AUTHORIZATION:
        return None
    match = _PRESENTED.fullmatch(authorization)
    return match and digest_of(match[1])


def without_secrets(text: str) -> str:
    """Return the text without parts that look like our tokens or keys, percent-encoded or not."""
    decoded = unquote(text)
    return _SECRET_LIKE.sub(r"\1\2…", decoded) if _SECRET_LIKE.search(decoded) else text


def scrubbed(value: Any) -> Any:
    """Return the value with every text in it without secrets; mappings become dicts, sequences lists."""
    if isinstance(value, Mapping):
        return {key: scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value
