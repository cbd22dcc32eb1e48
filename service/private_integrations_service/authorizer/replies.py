"""Send the data API's answers: JSON objects; a refusal has the platform's words, and a stable reason."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from starlette.types import Send

from private_integrations.contract import Reason

from ..tokens.format import without_secrets


@dataclass(frozen=True)
class Reply:
    """An answer: a status, a JSON object, and headers beside its type and length."""

    status: int
    body: Mapping[str, object]
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True)
class PlatformError:
    """A refusal in the platform's words.

    Args:
        status: The platform's status.
        reason: The stable name of the reason.
        message: The platform's text, or list of texts.
        about: Further keys of the body.
        challenge: The `WWW-Authenticate` header (RFC 6750).
        traced: True if the body has a `traceId`, as some of the platform's have.
        status_key: The body's key of the status.
        retry_after: Seconds after which to send the request again, for the `Retry-After` header.

    """

    status: int
    reason: Reason
    message: str | tuple[str, ...]
    about: Mapping[str, object] = field(default_factory=dict)
    challenge: str | None = None
    traced: bool = False
    status_key: str = "statusCode"
    retry_after: int | None = None

    def reply(self) -> Reply:
        """Return the answer; everything in it that looks like a token or key is removed."""
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
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        return Reply(self.status, body, tuple(headers))


UNAVAILABLE = PlatformError(503, Reason.STORAGE_UNAVAILABLE, "Service Unavailable")
"""The database does not answer: no request is allowed, and nothing was changed."""

BUSY = PlatformError(503, Reason.STORAGE_BUSY, "Service Unavailable", retry_after=1)
"""Too many writers wait for the write lock: nothing was changed, and a client should try again."""

TOKEN_SHARE_USED = PlatformError(429, Reason.TOKEN_SHARE_USED, "Too Many Requests")
ACCOUNT_SHARE_USED = PlatformError(429, Reason.ACCOUNT_SHARE_USED, "Too Many Requests")
"""The token, or all tokens of the account together, hold as much as their share allows (fair_shares.py)."""


def new_trace_id() -> str:
    """Return a new `traceId`: a random UUID, as the platform's are."""
    return str(uuid4())


async def send_reply(send: Send, reply: Reply | PlatformError) -> None:
    """Send an answer."""
    if isinstance(reply, PlatformError):
        reply = reply.reply()
    # ASCII, so that the answer can name a client's key with a lone surrogate.
    body = json.dumps(reply.body, separators=(",", ":"), allow_nan=False).encode()
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
