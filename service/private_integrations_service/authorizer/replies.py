"""The data API's answers: always a JSON object; refusals in the platform's words, with a stable reason beside them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from starlette.types import Send

from private_integrations.contract import Reason

from ..tokens.format import without_secrets


@dataclass(frozen=True)
class Reply:
    """A status, a JSON object and headers beyond its type and length."""

    status: int
    body: Mapping[str, object]
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class Refusal:
    """A no: the platform's status and text, and a `reason` that never changes its name.

    `about` are further keys of the body, `challenge` is the `WWW-Authenticate` header (RFC 6750),
    `traced` adds a `traceId` where the platform sends one, `status_key` is how it names the status.
    """

    status: int
    reason: Reason
    message: str | tuple[str, ...]
    about: Mapping[str, object] = field(default_factory=dict)
    challenge: str | None = None
    traced: bool = False
    status_key: str = "statusCode"

    def reply(self) -> Reply:
        """The answer that says so; nothing in it looks like a token or key."""
        texts = [self.message] if isinstance(self.message, str) else self.message
        shown = [without_secrets(text) for text in texts]
        body: dict[str, object] = {
            self.status_key: self.status,
            "message": shown[0] if isinstance(self.message, str) else shown,
            **self.about,
        }
        if self.traced:
            body["traceId"] = new_trace_id()
        body["reason"] = self.reason
        headers = [(b"x-pit-problem", self.reason.encode())]
        if self.challenge is not None:
            headers.append((b"www-authenticate", self.challenge.encode()))
        return Reply(self.status, body, tuple(headers))


UNAVAILABLE = Refusal(503, Reason.STORAGE_UNAVAILABLE, "Service Unavailable")
"""The database does not answer: nothing is let through and nothing was changed."""

BUSY = Refusal(503, Reason.STORAGE_BUSY, "Service Unavailable")
"""Too many changes are waiting for their turn: nothing was changed, and trying again is worth it."""

TOKEN_SHARE_USED = Refusal(429, Reason.TOKEN_SHARE_USED, "Too Many Requests")
ACCOUNT_SHARE_USED = Refusal(429, Reason.ACCOUNT_SHARE_USED, "Too Many Requests")
"""The token, or all tokens of the account together, hold as much at once as others leave for them (fair_shares.py)."""


def new_trace_id() -> str:
    """A `traceId`: a random UUID, as the platform's are."""
    return str(uuid4())


async def send_reply(send: Send, reply: Reply | Refusal) -> None:
    """Send an answer whole."""
    if isinstance(reply, Refusal):
        reply = reply.reply()
    # ASCII, so that a lone surrogate in a client's own key can be named in the answer.
    body = json.dumps(reply.body, separators=(",", ":"), allow_nan=False).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
