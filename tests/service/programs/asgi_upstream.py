"""An upstream on the test's own event loop, that keeps what reaches it, and requests to ASGI applications before it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class KeepingUpstream:
    """Answers every request with 200 and `{}`; `received` are the requests, head and body."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it is closed."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = b""
                if length := re.search(rb"(?im)^content-length: (\d+)\r$", head):
                    body = await reader.readexactly(int(length[1]))
                elif b"transfer-encoding: chunked" in head:
                    body = await reader.readuntil(b"0\r\n\r\n")
                self.received.append(head + body)
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def keeping_upstream() -> AsyncIterator[KeepingUpstream]:
    """Listen on a free port of 127.0.0.1."""
    made = KeepingUpstream()
    server = await asyncio.start_server(made.converse, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


@dataclass(frozen=True)
class Told:
    """Hold the answer of an ASGI application."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def reason(self) -> str | None:
        """The reason of a refusal."""
        return self.headers.get("x-pit-problem")


async def ask(
    app: Any, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b""
) -> Told:
    """Send one request to an application, its body in one piece."""
    path, _, query = target.partition(b"?")
    framing = [(b"content-length", b"%d" % len(body))] if body else []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "headers": [(b"host", b"crm.test"), *headers, *framing],
        "client": ("127.0.0.1", 50_000),
    }
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        # The client stays until it is answered.
        return await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, content = sent[0], b"".join(message.get("body", b"") for message in sent[1:])
    answered = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Told(start["status"], answered, json.loads(content) if content else None)
