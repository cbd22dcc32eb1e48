"""The request as it is sent to the upstream: built anew from what was matched, nothing copied that frames or routes."""

import re
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from ..authorizer.replies import Refusal
from ..catalogue.account_fields import HEADERS
from ..catalogue.endpoints import Endpoint
from . import refusals
from .media_types import UTF_8, MediaType, parse_media_type, written
from .upstream import Upstream

Headers = list[tuple[bytes, bytes]]

# Nobody encodes these in an id, and servers differ on them: `;` begins a parameter that some cut off, an encoded
# percent sign is decoded twice by some, an encoded slash, backslash, `?` or `#` is decoded before the path is split.
# An encoded letter, digit, `-`, `.`, `_` or `~` is a plain one to the catalogue, and to some servers no word of theirs.
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9/_-]+")
_PATH = re.compile(rb"(?:[A-Za-z0-9/._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})+")
_AMBIGUOUS = re.compile(rb"%(?:[01][0-9A-Fa-f]|2[35DdEeFf]|3[0-9BbFf]|[46][1-9A-Fa-f]|5[0-9AaCcFf]|7[0-9AaEeFf])")
_QUERY = re.compile(rb"[!-\"$-~\x80-\xff]*")
# A type that speaks of a form, of JSON or of text may be one that a server reads fields from.
_TELLING = re.compile(rb"json|form|text")
# Each reader ends a boundary with other characters elsewhere (RFC 2046 §5.1.1 allows some of them).
_BOUNDARY = re.compile(rb"[A-Za-z0-9'()+_./:=?-]{1,70}")
_LENGTH = re.compile(rb"[0-9]{1,18}")

# Said once, or the upstream might take another one than we did. Authorization is the authorizer's.
_SINGLE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"locationid"}
)
_FORWARDED_SINGLE = frozenset({b"content-encoding", b"locationid"})
# The decision was made on these headers, so `Connection` must not remove them.
_DECIDED_ON = HEADERS | {b"version", b"content-encoding"}

_DROPPED = frozenset(
    {
        # Of this connection, not of the request (RFC 9110 §7.6.1).
        b"connection",
        b"keep-alive",
        b"te",
        b"trailer",
        b"upgrade",
        b"http2-settings",
        # The server has answered it: it says 100 when the body is read.
        b"expect",
        # Credentials: the consumer's are ours to read, and a cookie might outweigh the account's credential.
        b"authorization",
        b"cookie",
        # Who asks, by the consumer's own word; the upstream sees the gateway's address and nobody else's.
        b"forwarded",
        b"x-real-ip",
        b"x-client-ip",
        b"client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        # Another method or path than the one that was authorized.
        b"x-http-method",
        b"x-http-method-override",
        b"x-method-override",
        b"x-original-method",
        b"x-original-url",
        b"x-original-uri",
        b"x-rewrite-url",
    }
)
# Other characters, an underscore first of all, are a hyphen to servers in CGI's tradition: such a name could say what
# was dropped above, or say again what was decided on.
_DROPPED_SHAPE = re.compile(rb"proxy-|x-forwarded|x-pit-|[a-z0-9-]*[^a-z0-9-]")

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_USUALLY_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class Body(Enum):
    """What is done with a request's body before it reaches the upstream."""

    NONE = "none"
    JSON = "json"
    FORM = "form"
    UNMARKED = "unmarked"
    MULTIPART = "multipart"
    OPAQUE = "opaque"


# A named tuple: it is made once per request, at half of what a frozen dataclass costs.
class Forwarded(NamedTuple):
    """A request that may be sent: method, target, end-to-end headers, and what is known of its body.

    `length` is None for a body of unknown length. `media` is what the body is said to be, None if nothing is said or
    there is no body; `content_type` is what it is sent as, in our own writing.
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
        """Tell whether the body has a text format that is not read here, unless it turns out to be JSON."""
        return self.body is Body.UNMARKED and self.media is not None and self.media.essence != b"text/plain"

    @property
    def idempotent(self) -> bool:
        """Whether it has the same effect if it is sent again (RFC 9110 §9.2.2)."""
        return self.method in _IDEMPOTENT


def forwarded_request(
    endpoint: Endpoint, raw_path: bytes, query_string: bytes, headers: Iterable[tuple[bytes, bytes]], *, framed: bool
) -> Forwarded | Refusal:
    """The request to send for one that was authorized, or why it can't be; header names are in lower case.

    `framed` says that the protocol frames bodies by itself (HTTP/2): one may come without a length.
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
    if isinstance(framing, Refusal):
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
    if isinstance(body, Refusal):
        return body
    kind, content_type = body
    return Forwarded(endpoint.method, target, kept, kind, length, media, content_type)


def request_head(request: Forwarded, upstream: Upstream, credential: str, length: int | None) -> bytes | Refusal:
    """The head to send, with the account's credential; `length` is the body's, None for chunks of unknown number."""
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
    # No parser is trusted alone: a line break that came with a value would begin a header of its sender's choice.
    breaks = len(lines) + 2
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
        return refusals.HEADER_MALFORMED
    return head + b"\r\n\r\n"


def literals_beside(endpoints: Iterable[Endpoint]) -> dict[str, tuple[tuple[str, frozenset[str]], ...]]:
    """For each path template its parameters, and in lower case the words that mean something in their places.

    Many servers ignore case: `/contacts/Search`, authorized as the contact `Search`, would be their search.
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


def _framing(length: bytes | None, coding: bytes | None, framed: bool) -> tuple[bool, int | None] | Refusal:
    """Whether there is a body, and how long it is."""
    if coding is not None:
        if length is not None or coding.strip().lower() != b"chunked":
            return refusals.FRAMING_UNKNOWN
        return True, None
    if length is None:
        return framed, None if framed else 0
    if not _LENGTH.fullmatch(length):
        return refusals.FRAMING_UNKNOWN
    return int(length) > 0, int(length)


def _body(endpoint: Endpoint, media: MediaType | None, encoding: bytes) -> tuple[Body, bytes | None] | Refusal:
    """Return how the body is checked, and its new `Content-Type`, written from the parts that were understood.

    Bodies in which an account may be named are read, or watched; what can't be is refused unless it can name none.
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
    return Body.UNMARKED if _TELLING.search(essence) else Body.OPAQUE


def _segments(path: str) -> tuple[str, ...]:
    """As the catalogue counts them: what stands before the first slash is one."""
    return tuple(path.removesuffix("/").split("/"))


def _shape(segments: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("{}" if segment.startswith("{") else segment for segment in segments)
