r"""Read the head of a request that an unknown client sends; refuse each one that two readers could read differently.

A head is read twice: a regular expression says whether it has the strict form of RFC 9112, and llhttp takes it apart.
A head on which the two differ is refused. For example: `HeadReader().read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")`.
"""

import re
from typing import NamedTuple

import httptools

LONGEST_HEAD = 64 * 1024
"""Bytes of a head, with its request line; legitimate ones are far shorter."""

_MOST_HEADERS = 100

_LINE = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t -~\x80-\xff]*+\r\n"
HEADER_LINES = re.compile(rb"(?:" + _LINE + rb")*+")
"""Header lines, without the empty line that ends them."""

# The target is a path: a proxy would read another host in the absolute form, and a fragment is not for servers. There
# is no tunnel (CONNECT), in which all that follows would be another protocol's.
_HEAD = re.compile(rb"(?!CONNECT )([A-Z]{1,20}) (/[!-\"$-~]*+) HTTP/1\.([01])\r\n(?:" + _LINE + rb")*+\r\n")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]*)(?::[0-9]{0,5})?")
# Some readers take a leading zero for the sign of an octal number.
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,14}")

MALFORMED = "the request line or a header is malformed"
_HOST_MISSING = "a Host header is required"
_HOST_REPEATED = "more than one Host header was sent"
_HOST_MALFORMED = "the Host header is malformed"
_CODING = "the only transfer coding that is read here is one chunked"
_TWO_FRAMINGS = "a length and a transfer coding were sent"
_LENGTH_REPEATED = "more than one Content-Length header was sent"
_LENGTH_MALFORMED = "the Content-Length header is no plain number"


class RequestHead(NamedTuple):
    """A head that can be read in one way only; `headers` have lower-case names and no blanks around their values."""

    method: str
    raw_path: bytes
    query_string: bytes
    is_1_0: bool
    headers: list[tuple[bytes, bytes]]
    length: int | None
    """Bytes of the body, None if it is chunked."""
    keeps_alive: bool
    """The client wants to send another request over the connection."""
    expects_continue: bool
    """The client waits for `100 Continue` before it sends the body."""


class TooLarge(NamedTuple):
    """A head with too many bytes or headers."""


class Malformed(NamedTuple):
    """A head that is refused, with the reason in one sentence."""

    fault: str


class HeadReader:
    """Read the heads of one connection; llhttp calls the `on_…` methods."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._host = b""
        self._keeps_alive = False

    def read(self, head: bytes) -> RequestHead | TooLarge | Malformed:
        """Read a head, with the empty line at its end."""
        if len(head) > LONGEST_HEAD:
            return TooLarge()
        form = _HEAD.fullmatch(head)
        if form is None:
            return Malformed(MALFORMED)
        self._url = b""
        headers: list[tuple[bytes, bytes]] = []
        self._headers = headers
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            # Another protocol is not spoken here: the rest of the connection is still HTTP/1.
            self._begin_anew()
        except httptools.HttpParserError:
            return Malformed(MALFORMED)
        if self._url != form[2] or len(headers) != head.count(b"\n") - 2:
            return Malformed(MALFORMED)
        if len(headers) > _MOST_HEADERS:
            return TooLarge()
        names = [name for name, _ in headers]
        is_1_0 = form[3] == b"0"
        fault = self._host_fault(names, is_1_0=is_1_0)
        if fault is not None:
            return Malformed(fault)
        length: int | None = 0
        expects_continue = False
        if b"content-length" in names or b"transfer-encoding" in names:
            # llhttp would wait for the body, which is read without it.
            self._begin_anew()
            framing = _length(headers, is_1_0=is_1_0)
            if isinstance(framing, Malformed):
                return framing
            length = framing
            expects_continue = b"expect" in names and _expects_continue(headers) and not is_1_0
        path, _, query = self._url.partition(b"?")
        return RequestHead(form[1].decode(), path, query, is_1_0, headers, length, self._keeps_alive, expects_continue)

    def _host_fault(self, names: list[bytes], *, is_1_0: bool) -> str | None:
        """Return what is wrong with the Host header (RFC 9112 §3.2), None if nothing is."""
        count = names.count(b"host")
        if count == 0 and is_1_0:
            return None
        if count != 1:
            return _HOST_REPEATED if count else _HOST_MISSING
        host = self._headers[names.index(b"host")][1]
        if host != self._host:
            # The same as in the request before, most of the time.
            if not _HOST.fullmatch(host):
                return _HOST_MALFORMED
            self._host = host
        return None

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """Note whether the connection may be kept."""
        self._keeps_alive = self._parser.should_keep_alive()

    def _begin_anew(self) -> None:
        self._parser = httptools.HttpRequestParser(self)


def is_hopeless(beginning: bytearray, since: int) -> bool:
    """Return whether bytes can't become a head; those before `since` were asked about before.

    The end of a head that is malformed may never come.
    """
    is_method = not beginning or b"A" <= beginning[:1] <= b"Z"
    return not is_method or beginning.count(b"\n", since) != beginning.count(b"\r\n", max(0, since - 1))


def _length(headers: list[tuple[bytes, bytes]], *, is_1_0: bool) -> int | Malformed | None:
    """Return the length of the body, None if it is chunked."""
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings:
        if codings != [b"chunked"] or is_1_0:
            return Malformed(_CODING)
        return Malformed(_TWO_FRAMINGS) if lengths else None
    if len(lengths) > 1:
        return Malformed(_LENGTH_REPEATED)
    return int(lengths[0]) if _LENGTH.fullmatch(lengths[0]) else Malformed(_LENGTH_MALFORMED)


def _expects_continue(headers: list[tuple[bytes, bytes]]) -> bool:
    return [value.lower() for name, value in headers if name == b"expect"] == [b"100-continue"]
