"""Refuse ambiguous framing: a request that two readers could read as two different ones.

The server (Granian over hyper) refuses most of it: folded lines, control characters, and lengths that are no plain
number or contradict each other. This module checks the rest, once for all APIs.
"""

from collections.abc import Collection, Iterable


def refuse_framing(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return in one sentence why these ASGI headers (lower-case names) are ambiguous, None if they are not.

    More than one `Host` (RFC 9112 §3.2), or a transfer coding besides one `chunked` (§6.1, §6.3): a proxy in front
    may have chosen or decoded otherwise.
    """
    names = [name for name, _ in headers]
    if names.count(b"host") > 1:
        return "more than one Host header was sent"
    if b"transfer-encoding" in names and _codings(headers) != [b"chunked"]:
        return "the only transfer coding that is read here is one chunked"
    return None


def is_chunked(headers: Collection[tuple[bytes, bytes]]) -> bool:
    """Return whether the body is chunked, so that it can turn out to be malformed while it is read."""
    return b"transfer-encoding" in [name for name, _ in headers]


def _codings(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    return [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
