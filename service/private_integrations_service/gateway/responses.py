"""Build the answer to the consumer from the upstream's: without hop-by-hop headers, and without the credential."""

import json
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ..authorizer.replies import PlatformError
from ..tokens.format import without_secrets
from . import refusals
from .requests import Headers
from .upstream import Upstream

SAID_LIMIT = 16 * 1024
"""Bytes of a 401 of the upstream that are read, to pass on its message."""

_DROPPED = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        # Other addresses of the upstream.
        b"alt-svc",
        # A header of this service, like X-PIT-…: another instance as the upstream sends it about the credential.
        b"pit-token-expires",
    }
)
# Names that `Connection` can't remove: its own options, and the answer's framing.
_NOT_NAMED = frozenset({b"keep-alive", b"close", b"content-length"})
_LINKS = frozenset({b"location", b"content-location"})
_ABSOLUTE = re.compile(rb"(?:https?:)?//([^/?#]*)", re.IGNORECASE)


class ResponseHead(NamedTuple):
    """The status and headers of an answer; names are in lower case."""

    status: int
    headers: Headers


def has_body(method: str, status: int) -> bool:
    """Return whether an answer may have a body (RFC 9112 §6.3)."""
    return method != "HEAD" and status not in (204, 304)


def is_well_framed(headers: Headers) -> bool:
    """Return whether there is one length, or only chunks, or neither; other combinations are ambiguous."""
    names = [name for name, _ in headers]
    lengths = names.count(b"content-length")
    if b"transfer-encoding" not in names:
        return lengths <= 1
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    return lengths == 0 and codings == [b"chunked"]


def answered_headers(head: ResponseHead, upstream: Upstream, credential: str) -> Headers:
    """Return the headers to pass on; a header with the credential in its value is dropped."""
    secret = credential.encode()
    # All values at once: most answers have neither, so that no value needs a check of its own.
    values = b"\n".join([value for _, value in head.headers])
    may_contain = secret in values or b"%" in values
    named: set[bytes] = set()
    kept: Headers = []
    for header in head.headers:
        name, value = header
        if name == b"connection":
            says = value.lower()
            # The usual values: splitting a list of names costs as much as the rest of this loop.
            if says not in _NOT_NAMED:
                named.update(token.strip() for token in says.split(b","))
        elif name in _DROPPED or name.startswith(b"x-pit-") or (may_contain and _contains(value, secret)):
            continue
        else:
            kept.append((name, _link(value, upstream)) if name in _LINKS else header)
    named -= _NOT_NAMED
    if head.status == 204:
        named.add(b"content-length")
    return [header for header in kept if header[0] not in named] if named else kept


def refused_credential(body: bytes | None, credential: str) -> PlatformError:
    """Return the answer to a 401 of the upstream, with its message; `body` is None if it was too long."""
    said = None
    try:
        answer = json.loads(body or b"null")
        if isinstance(answer, dict) and isinstance(answer.get("message"), str):
            said = without_secrets(answer["message"].replace(credential, "…"))
    except (ValueError, RecursionError):
        pass
    return refusals.credential_refused(said)


def _contains(value: bytes, secret: bytes) -> bool:
    return secret in value or (b"%" in value and secret in unquote_to_bytes(value))


def _link(value: bytes, upstream: Upstream) -> bytes:
    """Turn a link into the upstream into one into the gateway, without a host; leave others unchanged."""
    absolute = _ABSOLUTE.match(value)
    if absolute and absolute[1].lower() != upstream.authority.lower():
        return value
    path = (value[absolute.end() :] or b"/") if absolute else value
    if not absolute and not path.startswith(b"/"):
        return value
    below = path.removeprefix(upstream.prefix)
    # Two slashes would name a host again; a path outside the base can't be reached through the gateway.
    if path.startswith(upstream.prefix) and below.startswith(b"/") and not below.startswith(b"//"):
        return below
    return value
