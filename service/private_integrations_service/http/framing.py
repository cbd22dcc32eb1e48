"""How a request says what belongs to it: what two readers could take for two different requests is refused.

The server (Granian over hyper) refuses most of it before anything here sees it: folded lines, control characters,
lengths that are no plain number or contradict each other. What it lets through is judged here, once for every API.
"""

from collections.abc import Collection, Iterable


def refuse_framing(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Why these ASGI headers (lower-case names) leave room for two readings, in one sentence; None if they don't.

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
    """Whether the body's end is said by the body itself, so that it can turn out to be no body at all."""
    return b"transfer-encoding" in [name for name, _ in headers]


def _codings(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    return [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
