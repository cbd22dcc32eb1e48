"""Read a request's body whole, up to a limit."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from starlette.types import Message, Receive

BODY_SECONDS = 30
"""How long a body of the service's own APIs may take: a slow client would hold its connection for ever."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace that a body must keep: `rate` bytes a second over each `window`, and all of it in `total`.

    Times in seconds. The usual rate and window are those of Apache's `RequestReadTimeout body=20,MinRate=500`.
    """

    total: float = BODY_SECONDS
    window: float = 20
    rate: int = 500


class Unread(Enum):
    """Why there is no body."""

    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"
    CLIENT_GONE = "client gone"
    NO_ROOM = "no room"


USUAL = Pace()


def _always(_: int) -> bool:
    return True


async def read_body(
    receive: Receive, limit: int, pace: Pace = USUAL, keeps: Callable[[int], bool] = _always
) -> bytes | Unread:
    """Read the whole body of an ASGI request, at most `limit` bytes, if it comes fast enough.

    `keeps` returns whether so many more bytes may be kept in memory; if not, the result is Unread.NO_ROOM.
    """
    loop = asyncio.get_running_loop()
    last = loop.time() + pace.total
    body = bytearray()
    since = 0
    try:
        async with asyncio.timeout_at(min(loop.time() + pace.window, last)) as deadline:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return Unread.CLIENT_GONE
                part = message.get("body", b"")
                if len(body) + len(part) > limit:
                    return Unread.TOO_LARGE
                if not keeps(len(part)):
                    return Unread.NO_ROOM
                body += part
                if not message.get("more_body", False):
                    return bytes(body)
                since += len(part)
                if since >= pace.rate * pace.window:
                    since = 0
                    deadline.reschedule(min(loop.time() + pace.window, last))
    except TimeoutError:
        return Unread.TOO_SLOW


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already, and then goes on as the given one."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
