"""Tokens, management keys and identifiers: made from the system's random source, kept as digests."""

import hashlib
import re
import secrets
import string
from dataclasses import dataclass

HASH_VERSION = 1
"""SHA-256 of the token's ASCII text. A slow hash buys nothing for 128 random bits."""

KEY_PREFIX = "pmk-"
"""Management keys have another prefix than tokens, so that neither is ever taken for the other."""

_ID_LENGTH = 20
_BASE62 = string.ascii_letters + string.digits
# `Bearer ` and 40 characters: nothing longer is worth hashing.
_LONGEST_AUTHORIZATION = 47
_PRESENTED = re.compile(rb"(?:[Bb]earer )?(pit-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True)
class NewSecret:
    """A secret that was just made: `value` is handed out once, `digest` is what is kept."""

    value: str
    digest: bytes

    def __repr__(self) -> str:
        """Never the value."""
        return "NewSecret(…)"


def digest_of(value: str | bytes) -> bytes:
    """The 32 bytes that are stored in place of a token or key."""
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).digest()


def new_token() -> NewSecret:
    """A token: `pit-` and 128 random bits as 8-4-4-4-12 lower-case hex digits (see docs/security.md)."""
    digits = secrets.token_hex(16)
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return _secret("pit-" + "-".join(parts))


def new_management_key() -> NewSecret:
    """A management key: `pmk-` and 256 random bits."""
    return _secret(KEY_PREFIX + secrets.token_hex(32))


def new_id(prefix: str = "") -> str:
    """A random identifier of base62 characters, as the platform's are: 20 of them, 119 bits."""
    return prefix + "".join(secrets.choice(_BASE62) for _ in range(_ID_LENGTH))


def presented_token(authorization: bytes) -> bytes | None:
    """The digest of the token in an `Authorization` value, `Bearer pit-…` or bare; None if it isn't shaped like one."""
    if len(authorization) > _LONGEST_AUTHORIZATION:
        return None
    match = _PRESENTED.fullmatch(authorization)
    return match and hashlib.sha256(match[1]).digest()


def _secret(value: str) -> NewSecret:
    return NewSecret(value=value, digest=digest_of(value))
