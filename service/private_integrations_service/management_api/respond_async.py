"""Answer a change before it holds on every machine, if the client asks for that (RFC 7240).

For example, with `Prefer: respond-async`, `POST /integrations/{id}/expire` answers 202 with the usual body and
`"effective_by": "2026-11-30T12:00:16.500Z"`: the tokens have ended for good, and until that instant a machine that does
not answer may let requests with them pass. If the change holds everywhere already, the answer is the usual one.
"""

import json
from collections.abc import MutableMapping
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from private_integrations.contract import rfc3339

from ..storage.engine import StorageEngine

_UNAWAITED = "private_integrations_unawaited"


def engine_of(request: Request, engine: StorageEngine) -> StorageEngine:
    """Return the engine for a request: one that doesn't wait for other machines if the client prefers that."""
    unawaited: StorageEngine = request.scope.get(_UNAWAITED, engine)
    return unawaited


class RespondAsync:
    """Honour `Prefer: respond-async` in front of the management API."""

    def __init__(self, app: ASGIApp, engine: StorageEngine) -> None:
        self._app = app
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not _is_preferred(scope):
            await self._app(scope, receive, send)
            return
        engine = scope[_UNAWAITED] = self._engine.without_waiting()
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, collect)
        if engine.effective_by is not None and messages[0]["status"] < 300:
            messages = _accepted(messages, rfc3339(engine.effective_by))
        for message in messages:
            await send(message)


def _is_preferred(scope: Scope) -> bool:
    preferences = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"prefer")
    return "respond-async" in (one.split(";")[0].strip().lower() for one in preferences.split(","))


def _accepted(messages: list[Message], effective_by: str) -> list[Message]:
    """Return the answer as 202, with the instant in its object."""
    body = b"".join(message.get("body", b"") for message in messages)
    answer: MutableMapping[str, Any] = json.loads(body) if body else {}
    content = json.dumps({**answer, "effective_by": effective_by}, ensure_ascii=False, separators=(",", ":")).encode()
    replaced = (b"content-length", b"content-type")
    headers = [
        *((name, value) for name, value in messages[0]["headers"] if name not in replaced),
        (b"content-length", b"%d" % len(content)),
        (b"content-type", b"application/json"),
        (b"preference-applied", b"respond-async"),
    ]
    return [
        {"type": "http.response.start", "status": 202, "headers": headers},
        {"type": "http.response.body", "body": content},
    ]
