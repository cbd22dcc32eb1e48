"""Build the request to the upstream from the matched one; headers that frame or route are never copied."""

import re
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from ..authorizer.replies import PlatformError
from ..catalogue.account_fields import HEADERS
from ..catalogue.endpoints import Endpoint
from . import refusals
from .media_types import UTF_8, MediaType, parse_media_type, written
from .upstream import Upstream

Headers = list[tuple[bytes, bytes]]

# Ids need none of these, and servers differ on them: some cut off a parameter that begins with `;`, some decode an
# encoded percent sign twice, some decode a slash, backslash, `?` or `#` before they split the path. To the catalogue an
# encoded letter, digit, `-`, `.`, `_` or `~` is the plain one; some servers don't recognize their words in it.
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9/_-]+")
_PATH = re.compile(rb"(?:[A-Za-z0-9/._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})+")
_AMBIGUOUS = re.compile(rb"%(?:[01][0-9A-Fa-f]|2[35DdEeFf]|3[0-9BbFf]|[46][1-9A-Fa-f]|5[0-9AaCcFf]|7[0-9AaEeFf])")
_QUERY = re.compile(rb"[!-\"$-~\x80-\xff]*")
# A server may read fields from a body with such a type.
_MAY_HAVE_FIELDS = re.compile(rb"json|form|text")
# With further characters, readers differ on where a boundary ends (RFC 2046 §5.1.1 allows some of them).
_BOUNDARY = re.compile(rb"[A-Za-z0-9'()+_./:=?-]{1,70}")
_LENGTH = re.compile(rb"[0-9]{1,18}")

# Refused if repeated: the upstream might read another one. The authorizer checks Authorization.
_SINGLE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"locationid"}
)
_FORWARDED_SINGLE = frozenset({b"content-encoding", b"locationid"})
# The decision was made on these headers, so `Connection` must not remove them.
_DECIDED_ON = HEADERS | {b"version", b"content-encoding"}

_DROPPED = frozenset(
    {
        # Hop-by-hop headers (RFC 9110 §7.6.1).
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"upgrade",
        b"http2-settings",
        # The server answers 100 itself, when the body is read.
        b"expect",
        # Credentials: the token is for this service alone, and a cookie might override the account's credential.
        b"authorization",
        b"cookie",
        # Claims about the client's address, which the consumer can forge.
        b"forwarded",
        b"x-real-ip",
        b"x-client-ip",
        b"client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        # Override the method or path that was authorized.
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-method",
        b"x-original-url",
        b"x-original-uri",
        b"x-rewrite-url",
    }
)
# CGI-like servers read other characters, such as an underscore, as a hyphen: such a name could stand for a header that
# was dropped, or repeat one that the decision was made on.
_DROPPED_SHAPE = re.compile(rb"proxy-|x-forwarded|x-pit-|[a-z0-9-]*[^a-z0-9-]")

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_USUALLY_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Body(Enum):
    """The kind of a request's body, by which the gateway checks it."""

    NONE = "none"
    JSON = "json"
    FORM = "form"
    UNMARKED = "unmarked"
    MULTIPART = "multipart"
    OPAQUE = "opaque"


# A named tuple: it is made once per request, at half of what a frozen dataclass costs.
class Forwarded(NamedTuple):
    """A request that may be sent: method, target, end-to-end headers, and its body's properties.

    `length` is None for a body of unknown length. `media` is the declared type of the body, None if there is none;
    `content_type` is the type as the gateway writes it.
    """

    method: str
    target: bytes
    headers: Headers
    body: Body
    length: int | None
    media: MediaType | None = None
    content_type: bytes | None = None

    @property
    def is_other_text(self) -> bool:
        """Return whether the body has a text format that is read only if it turns out to be JSON."""
        return self.body is Body.UNMARKED and self.media is not None and self.media.essence != b"text/plain"

    @property
    def idempotent(self) -> bool:
        """Return whether sending it again has the same effect (RFC 9110 §9.2.2)."""
        return self.method in _IDEMPOTENT


def forwarded_request(
    endpoint: Endpoint, raw_path: bytes, query_string: bytes, headers: Iterable[tuple[bytes, bytes]], *, framed: bool
) -> Forwarded | PlatformError:
    """Return the request to send for an allowed one, or why it can't be sent.

    Args:
        endpoint: The matched endpoint.
        raw_path: The path as sent.
        query_string: The query as sent.
        headers: The headers as sent; names are in lower case.
        framed: True if the protocol frames bodies itself (HTTP/2), so that one may come without a length.

    """
    if not _PLAIN_PATH.fullmatch(raw_path) and (not _PATH.fullmatch(raw_path) or _AMBIGUOUS.search(raw_path)):
        return refusals.PATH_AMBIGUOUS
    if not _QUERY.fullmatch(query_string):
        return refusals.QUERY_MALFORMED
    kept: Headers = []
    single: dict[bytes, bytes] = {}
    named: set[bytes] = set()
    for header in headers:
        name, value = header
        if name in _SINGLE:
            if name in single:
                return refusals.header_repeated(name)
            single[name] = value
            if name in _FORWARDED_SINGLE:
                kept.append(header)
        elif name == b"connection":
            named.update(token.strip() for token in value.lower().split(b","))
        elif name not in _DROPPED and not _DROPPED_SHAPE.match(name):
            kept.append(header)
    if named and (named := named - _DECIDED_ON - {b"keep-alive", b"close"}):
        kept = [header for header in kept if header[0] not in named]
    framing = _framing(single.get(b"content-length"), single.get(b"transfer-encoding"), framed)
    if isinstance(framing, PlatformError):
        return framing
    has_body, length = framing
    target = raw_path + b"?" + query_string if query_string else raw_path
    said = single.get(b"content-type")
    if not has_body:
        return Forwarded(endpoint.method, target, kept, Body.NONE, length, content_type=said)
    media = None
    if said is not None and (media := parse_media_type(said)) is None:
        return refusals.CONTENT_TYPE_MALFORMED
    body = _body(endpoint, media, single.get(b"content-encoding", b"identity"))
    if isinstance(body, PlatformError):
        return body
    kind, content_type = body
    return Forwarded(endpoint.method, target, kept, kind, length, media, content_type)


def request_head(request: Forwarded, upstream: Upstream, credential: str, length: int | None) -> bytes | PlatformError:
    """Return the head to send, with the account's credential; `length` is the body's, None for a chunked one."""
    lines = [
        b"%s %s%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nVia: 1.1 private-integrations"
        % (request.method.encode(), upstream.prefix, request.target, upstream.authority, credential.encode())
    ]
    lines += [b"%s: %s" % header for header in request.headers]
    if request.content_type is not None:
        lines.append(b"content-type: %s" % request.content_type)
    if length is None:
        lines.append(b"transfer-encoding: chunked")
    elif length or request.method in _USUALLY_WITH_BODY:
        lines.append(b"content-length: %d" % length)
    head = b"\r\n".join(lines)
    # Don't rely on the server's parser alone: a line break in a value would let its sender begin a new header.
    breaks = len(lines) + 2
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        return refusals.HEADER_MALFORMED
    return head + b"\r\n\r\n"


def literals_beside(endpoints: Iterable[Endpoint]) -> dict[str, tuple[tuple[str, frozenset[str]], ...]]:
    """Return, for each path template, the words that are no values of its parameters, in lower case.

    These are words of other endpoints at the same position. Many servers ignore case: for them `/contacts/Search`,
    authorized as the contact `Search`, would be a search.
    """
    words: dict[tuple[str, ...], set[str]] = {}
    paths = {endpoint.path: endpoint for endpoint in endpoints}
    for path in paths:
        segments = _segments(path)
        for position, segment in enumerate(segments):
            if not segment.startswith("{"):
                words.setdefault(_shape(segments[:position]), set()).add(segment.lower())
    beside = {}
    for path, endpoint in paths.items():
        segments = _segments(path)
        found = [(name, words.get(_shape(segments[:position]), ())) for position, name in endpoint.parameters]
        beside[path] = tuple((name, frozenset(near)) for name, near in found if near)
    return beside


def _framing(length: bytes | None, coding: bytes | None, framed: bool) -> tuple[bool, int | None] | PlatformError:
    """Return whether there is a body, and its length, None if that is unknown."""
    if coding is not None:
        if length is not None or coding.strip().lower() != b"chunked":
            return refusals.FRAMING_UNKNOWN
        return True, None
    if length is None:
        return framed, None if framed else 0
    if not _LENGTH.fullmatch(length):
        return refusals.FRAMING_UNKNOWN
    return int(length) > 0, int(length)


def _body(endpoint: Endpoint, media: MediaType | None, encoding: bytes) -> tuple[Body, bytes | None] | PlatformError:
    """Return how the body is checked, and its `Content-Type`, written anew from the parts that were understood.

    A body that can't be checked is refused, unless it can name no account at this endpoint.
    """
    kind = _kind(media)
    if kind is Body.OPAQUE and media is not None:
        if not endpoint.names_no_account:
            return refusals.BODY_UNREADABLE
        return kind, written(media.essence, media.parameters)
    if encoding.strip(b" \t").lower() not in (b"identity", b""):
        return refusals.BODY_ENCODED
    if media is None:
        return kind, None
    if media.charset is not None and media.charset not in UTF_8:
        return refusals.BODY_ENCODED
    if kind is Body.MULTIPART:
        if media.essence != b"multipart/form-data" and not endpoint.names_no_account:
            return refusals.BODY_UNREADABLE
        boundary = media.parameters.get(b"boundary", b"")
        if not _BOUNDARY.fullmatch(boundary):
            return refusals.BODY_MALFORMED
        return kind, written(media.essence, {b"boundary": boundary})
    return kind, written(media.essence, {b"charset": b"utf-8"} if media.essence.startswith(b"text/") else {})


def _kind(media: MediaType | None) -> Body:
    if media is None:
        return Body.UNMARKED
    essence = media.essence
    if essence in (b"application/json", b"text/json") or essence.endswith(b"+json"):
        return Body.JSON
    if essence == b"application/x-www-form-urlencoded":
        return Body.FORM
    if essence.startswith(b"multipart/"):
        return Body.MULTIPART
    return Body.UNMARKED if _MAY_HAVE_FIELDS.search(essence) else Body.OPAQUE


def _segments(path: str) -> tuple[str, ...]:
    """Split a path as the catalogue does: the text before the first slash is a segment too."""
    return tuple(path.removesuffix("/").split("/"))


def _shape(segments: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("{}" if segment.startswith("{") else segment for segment in segments)
