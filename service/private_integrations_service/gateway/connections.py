"""One connection to the upstream: a request at a time, its answer parsed by llhttp, with backpressure both ways."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from ..authorizer.replies import Refusal
from . import refusals
from .limits import GatewayLimits
from .responses import Head, has_body, is_well_framed

# Bytes kept of a body that the consumer doesn't take: above that many, reading stops until they are taken.
_HIGH_WATER = 256 * 1024

# What a line of an answer takes beyond its name and value; also what an answer without headers counts for.
_LINE = 32


class Connection(asyncio.Protocol):
    """A transport to the upstream and the exchange that runs over it, if any.

    Whatever arrives while no exchange runs, or after its answer, closes the connection: it must not become
    the answer to the next request. `on_lost` is told once that the connection is gone.
    """

    def __init__(self, limits: GatewayLimits, on_lost: Callable[["Connection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._on_lost = on_lost
        self._parser: httptools.HttpResponseParser | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._writing_paused = False
        self._sent = False
        self._reused = False
        self.lost = False
        self.progress = self._loop.time()
        """When something last went in either direction, in the loop's seconds."""

    def begin(self, method: str) -> None:
        """Start an exchange: from now on bytes are its answer."""
        self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._head: Head | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._unfinished = 0
        self._informational = False
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._reading_paused = False
        self._until_close = False
        self._keeps_alive = False
        self._surplus = False
        self._answered = False
        self._ended = False
        self._sent = False
        self._failure: Refusal | None = None
        self.touch()
        if self.lost:
            self._failure = self._unanswered()

    def write(self, data: bytes) -> None:
        """Send a part of the request; wait for `drained` before the next if it is a long one."""
        if not self.lost:
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the upstream takes more, or never will."""
        while self._writing_paused and not self.lost:
            self._writer = self._loop.create_future()
            await self._writer
        self.touch()

    def touch(self) -> None:
        """Note that something went on: the silence begins anew."""
        self.progress = self._loop.time()

    def sent(self) -> None:
        """Say that the request is complete: only then the connection may serve another one."""
        self._sent = True

    async def head(self) -> Head | Refusal:
        """Status and headers of the answer, or why there are none."""
        while self._failure is None:
            if self._head is not None:
                return self._head
            await self._arrival()
        return self._failure

    async def read(self) -> bytes | Refusal:
        """What has arrived of the body, empty at its end, or why it never comes to one."""
        while True:
            if self._chunks:
                return self.taken()
            if self._failure is not None:
                return self._failure
            if self._ended:
                return b""
            await self._arrival()

    def taken(self) -> bytes:
        """What has arrived of the body and was not read; reading goes on if it had stopped."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._reading_paused and not self.lost:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    @property
    def exhausted(self) -> bool:
        """Whether the answer has arrived and was read to its end."""
        return self._ended and not self._chunks

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: this one and its answer are complete, and nothing came after it."""
        return self._sent and self._keeps_alive and self.exhausted and not self._surplus and not self.lost

    def fail(self, refusal: Refusal) -> None:
        """End the exchange and the connection with it; what was already sent stays incomplete."""
        if not self._ended and self._failure is None:
            self._failure = refusal
        self.close()
        self._wake()

    def rest(self) -> None:
        """No exchange runs any more."""
        self._parser = None
        self._reused = True

    def close(self) -> None:
        """Close at once, whatever is still to be sent."""
        if not self.lost:
            self._transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's are no subclasses.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse a part of the answer."""
        if self._parser is None:
            self.close()
            return
        self.touch()
        self._answered = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break()
        if self._head is None:
            # What the parser still holds of an unfinished line is counted here only.
            self._unfinished += len(data)
            if self._unfinished > self._limits.head:
                self._break()
        self._wake()

    def eof_received(self) -> None:
        """The end of an answer that has no other."""
        if self._parser is not None and self._until_close:
            self._ended = True

    def connection_lost(self, error: Exception | None) -> None:
        """End what is not complete."""
        self.lost = True
        if self._parser is not None and not self._ended and self._failure is None:
            self._failure = refusals.BROKEN if self._answered else self._unanswered()
        self._wake()
        self.resume_writing()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The upstream doesn't read."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The upstream reads again."""
        self._writing_paused = False
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # httptools' side

    def on_message_begin(self) -> None:
        """A second answer is nobody's."""
        self._count(0)
        if self._head is not None:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is dropped."""
        self._count(len(name) + len(value))
        if self._head is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide how the answer is framed; 1xx are left out."""
        if self._head is not None:
            return
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:
            self._informational = True
            return
        if not is_well_framed(self._headers):
            self._break()
            return
        self._head = Head(status, self._headers)
        self._keeps_alive = self._parser.should_keep_alive()
        if not has_body(self._method, status):
            self._ended = True
        else:
            names = [name for name, _ in self._headers]
            self._until_close = b"content-length" not in names and b"transfer-encoding" not in names

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body until it is read."""
        if self._ended:
            self._surplus = True
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER and not self._reading_paused and not self.lost:
            self._reading_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The end of the answer, or of a 1xx before it."""
        if self._informational:
            self._informational = False
            self._headers = []
        elif self._head is not None:
            self._ended = True

    def _count(self, size: int) -> None:
        self._head_bytes += size + _LINE
        if self._head_bytes > self._limits.head:
            self._break()

    def _break(self) -> None:
        """What arrived is no answer, or no rest of one; after its end it is nobody's."""
        if self._ended:
            self._surplus = True
        elif self._failure is None:
            self._failure = refusals.BROKEN
        self.close()

    def _unanswered(self) -> Refusal:
        return refusals.STALE if self._reused else refusals.CLOSED_UNANSWERED

    def _arrival(self) -> asyncio.Future[None]:
        """Done as soon as anything has changed."""
        self._reader = self._loop.create_future()
        return self._reader

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
