"""Values in the fields of wire models, and the spelling of instants and digests."""

import hashlib
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from .characters import hidden

API = "/private-integrations/v1"

# The largest generation: a 32-bit number, so every store and every float carries it exactly.
LAST_GENERATION = 2**31 - 1
MAX_SCOPES = 200


def instant_text(value: datetime) -> str:
    """Return an instant for people: `2026-11-20T00:00Z`, with seconds only where they aren't zero."""
    utc = value.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ" if utc.second else "%Y-%m-%dT%H:%MZ")


def rfc3339(value: datetime) -> str:
    """Return an instant for programs: UTC with milliseconds, as in `2026-11-20T00:00:00.000Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fault_message(fault: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, from one of pydantic's errors; never the value."""
    return str(fault["msg"]).removeprefix("Value error, ")


def fault_reason(fault: Mapping[str, Any]) -> str:
    """Return the same, to go on within a sentence."""
    message = fault_message(fault)
    return message[:1].lower() + message[1:]


def digest_of(value: str | bytes) -> bytes:
    """Return the 32 bytes that are stored in place of a token or key."""
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).digest()


def fingerprint(digest: bytes) -> str:
    """Return the first 12 hex digits of a token's SHA-256 digest: enough to tell tokens apart, useless to forge one."""
    return digest.hex()[:12]


def token_fingerprint(token: str) -> str:
    """Return the fingerprint of a token given in clear."""
    return fingerprint(digest_of(token))


def one_line(value: str) -> str:
    """Return the value, if it isn't blank and has no hidden characters, which line ends are too; ValueError if not."""
    if not value.strip():
        raise ValueError("must not be blank")
    return _without_hidden(value, allowed="")


def lines(value: str) -> str:
    """Return the value, if its only hidden characters are line feeds and tabs; ValueError if not."""
    return _without_hidden(value, allowed="\n\t")


def _without_hidden(value: str, *, allowed: str) -> str:
    for place in hidden(value, allowed=allowed):
        if unicodedata.category(value[place]) == "Cc":
            raise ValueError("must not contain control characters")
        raise ValueError(f"must not contain invisible or directional characters (U+{ord(value[place]):04X})")
    return value


def each_once(value: list[str]) -> list[str]:
    """Return the values in order, none of them twice."""
    return sorted(set(value))


Instant = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(one_line)]
Description = Annotated[str, Field(max_length=1000), AfterValidator(lines)]
Identifier = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
AccountId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
ExternalId = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(one_line)]
Scopes = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(min_length=1, max_length=MAX_SCOPES),
    AfterValidator(each_once),
]
Generation = Annotated[int, Field(ge=1, le=LAST_GENERATION)]
Seconds = Annotated[int, Field(ge=0, le=100 * 366 * 86_400)]


class RequestModel(BaseModel):
    """The body of a request to the service: unknown fields are a mistake."""

    model_config = ConfigDict(extra="forbid")


class ResponseModel(BaseModel):
    """The body of an answer of the service: unknown fields are from a newer service."""

    # Built when first used: a provider's process starts with every engine command and reads two or three of them.
    model_config = ConfigDict(extra="ignore", defer_build=True)
