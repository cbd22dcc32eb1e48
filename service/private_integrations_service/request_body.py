"""Reading a request's body whole, up to a limit: both APIs do it before anything is decided on it."""

from enum import Enum

from starlette.types import Receive


class Unread(Enum):
    """Why there is no body to look at."""

    TOO_LARGE = "too large"
    CLIENT_GONE = "client gone"


async def read_body(receive: Receive, limit: int) -> bytes | Unread:
    """The whole body of an ASGI request, at most `limit` bytes."""
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
