"""Reading a request's body whole, up to a limit: both APIs do it before anything is decided on it."""

import asyncio
from enum import Enum

from starlette.types import Receive

BODY_SECONDS = 30
"""How long a body may take: a client that sends a byte now and then would hold its connection for ever."""


class Unread(Enum):
    """Why there is no body to look at."""

    TOO_LARGE = "too large"
    TOO_SLOW = "too slow"
    CLIENT_GONE = "client gone"


async def read_body(receive: Receive, limit: int, seconds: float = BODY_SECONDS) -> bytes | Unread:
    """The whole body of an ASGI request, at most `limit` bytes, arriving within some seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await _whole(receive, limit)
    except TimeoutError:
        return Unread.TOO_SLOW


async def _whole(receive: Receive, limit: int) -> bytes | Unread:
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return Unread.CLIENT_GONE
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            return Unread.TOO_LARGE
    return body
