"""One connection to the upstream: a request at a time, its answer parsed by llhttp, with backpressure both ways."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from ..authorizer.replies import PlatformError
from . import refusals
from .limits import GatewayLimits
from .responses import ResponseHead, has_body, is_well_framed
from .states import ConnectionEvent, State, next_state

# Bytes of a body that are kept for a slow consumer; while there are more, the connection is not read.
_HIGH_WATER = 256 * 1024

# The size of a header line beyond its name and value, and of an answer without headers.
_LINE = 32

# Not looked up for each byte that arrives: in Python 3.11 a member of an enum costs more than a transition.
_HEAD, _COMPLETE, _SPENT, _FAILED = State.HEAD, State.COMPLETE, State.SPENT, State.FAILED
_BEGIN, _BYTES, _FRAMED, _END, _REST = (
    ConnectionEvent.BEGIN,
    ConnectionEvent.BYTES,
    ConnectionEvent.FRAMED,
    ConnectionEvent.END,
    ConnectionEvent.REST,
)
_IDLE = (State.NEW, State.KEPT)
_IN_BODY = (State.BODY, State.LAST_BODY, State.OPEN_BODY)
_ANSWERED = (_COMPLETE, _SPENT)
_ENDED = (_SPENT, _FAILED)
_UNANSWERED = {State.AWAITING: refusals.CLOSED_UNANSWERED, State.AWAITING_KEPT: refusals.STALE}


class UpstreamConnection(asyncio.Protocol):
    """A transport to the upstream, and the exchange that runs over it, if any.

    Bytes that arrive while no exchange runs, or after its answer, end the connection: they must not become the answer
    to the next request. The connection calls `on_lost` once, when it is closed.
    """

    def __init__(self, limits: GatewayLimits, on_lost: Callable[["UpstreamConnection"], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._on_lost = on_lost
        self._state = State.NEW
        self._transport: asyncio.Transport | None = None
        self._arrival: asyncio.Future[None] | None = None
        # Not None while the upstream doesn't read.
        self._drain: asyncio.Future[None] | None = None
        self._request_sent = False
        self._failure = refusals.BROKEN
        self.progress = self._loop.time()
        """When something last went in either direction, in the loop's seconds."""

    # The exchange's side

    def begin(self, method: str) -> None:
        """Start an exchange: from now on bytes are its answer."""
        self._move(_BEGIN)
        self._parser = httptools.HttpResponseParser(self)
        self._method = method
        self._head: ResponseHead | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = self._unfinished = 0
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._request_sent = False
        self.touch()
        if self.lost:
            self._lose()

    def write(self, data: bytes) -> None:
        """Send a part of the request; wait for `drained` before the next part of a long one."""
        if self._transport is not None:
            self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the upstream reads more, or the connection is lost."""
        while self._drain is not None:
            await self._drain
        self.touch()

    def touch(self) -> None:
        """Note progress: the time of silence begins anew."""
        self.progress = self._loop.time()

    def sent(self) -> None:
        """Note that the request is complete: without that the connection is not kept."""
        self._request_sent = True

    async def head(self) -> ResponseHead | PlatformError:
        """Wait for the answer's status and headers; return them, or why there are none."""
        while self._state is not _FAILED:
            if self._head is not None:
                return self._head
            await self._next_arrival()
        return self._failure

    async def read(self) -> bytes | PlatformError:
        """Wait for more of the body; return it, `b""` at its end, or why it is incomplete."""
        while not self._chunks:
            if self._state is _FAILED:
                return self._failure
            if self._state in _ANSWERED:
                return b""
            await self._next_arrival()
        return self.taken()

    def taken(self) -> bytes:
        """Return what has arrived of the body and was not read yet."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self._buffered > _HIGH_WATER and self._transport is not None:
            self._transport.resume_reading()
        self._buffered = 0
        return data

    @property
    def lost(self) -> bool:
        """Return whether the connection is closed."""
        return self._transport is None

    @property
    def exhausted(self) -> bool:
        """Return whether the answer has arrived and was read to its end."""
        return self._state in _ANSWERED and not self._chunks

    @property
    def reusable(self) -> bool:
        """Return whether another request may be sent: this one and its answer are complete, and nothing came after."""
        return self._state is _COMPLETE and self._request_sent and not self._chunks

    def fail(self, refusal: PlatformError) -> None:
        """End the exchange, unless its answer is complete, and close the connection."""
        self._fail(ConnectionEvent.FAIL, refusal)
        self.close()
        self._wake()

    def rest(self) -> None:
        """End a complete exchange; the connection is kept for another one."""
        self._move(_REST)

    def close(self) -> None:
        """Close at once, without sending what is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's are no subclasses.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Parse a part of the answer."""
        if self._state in _IDLE:
            self.close()
            return
        self.touch()
        self._move(_BYTES)
        if self._state in _ENDED:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break()
        if self._state is _HEAD:
            # Bytes of a line that the parser still holds are counted here only.
            self._unfinished += len(data)
            if self._unfinished > self._limits.head:
                self._break()
        self._wake()

    def eof_received(self) -> None:
        """End an answer that ends with the connection."""
        self._move(ConnectionEvent.EOF)

    def connection_lost(self, error: Exception | None) -> None:
        """End an exchange that is not complete."""
        self._transport = None
        self._lose()
        self._wake()
        self.resume_writing()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Let `drained` wait: the upstream doesn't read."""
        self._drain = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let `drained` return."""
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)
        self._drain = None

    # httptools' side

    def on_message_begin(self) -> None:
        """Notice an answer that was not asked for."""
        self._count(0)
        if self._state is not _HEAD:
            self._move(ConnectionEvent.SURPLUS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer is dropped."""
        self._count(len(name) + len(value))
        if self._state is _HEAD:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Decide how the answer is framed; interim answers (1xx) are dropped."""
        if self._state is not _HEAD:
            return
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if status < 200:
            return
        if not is_well_framed(headers):
            self._break()
            return
        self._head = ResponseHead(status, headers)
        self._move(self._framing(self._head, keeps_alive=self._parser.should_keep_alive()))

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body until it is read."""
        if self._state is _HEAD:
            # Of an interim answer, which has none.
            self._break()
            return
        if self._state not in _IN_BODY:
            self._move(ConnectionEvent.SURPLUS)
            return
        self._chunks.append(data)
        before = self._buffered
        self._buffered += len(data)
        if before <= _HIGH_WATER < self._buffered and self._transport is not None:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """End the answer, or skip an interim one."""
        self._move(_END)

    def _framing(self, head: ResponseHead, *, keeps_alive: bool) -> ConnectionEvent:
        if not has_body(self._method, head.status):
            return ConnectionEvent.EMPTY if keeps_alive else ConnectionEvent.EMPTY_LAST
        names = [name for name, _ in head.headers]
        if b"content-length" not in names and b"transfer-encoding" not in names:
            return ConnectionEvent.UNFRAMED
        return _FRAMED if keeps_alive else ConnectionEvent.FRAMED_LAST

    def _count(self, size: int) -> None:
        self._head_bytes += size + _LINE
        if self._head_bytes > self._limits.head:
            self._break()

    def _break(self) -> None:
        """End the exchange: the bytes are no answer. After an answer they only end the connection."""
        self._fail(ConnectionEvent.BREAK, refusals.BROKEN)
        self.close()

    def _lose(self) -> None:
        self._fail(ConnectionEvent.LOST, _UNANSWERED.get(self._state, refusals.BROKEN))

    def _fail(self, event: ConnectionEvent, refusal: PlatformError) -> None:
        """Go to the next state; the refusal counts if the exchange fails by this event."""
        before = self._state
        self._move(event)
        if self._state is _FAILED and before is not _FAILED:
            self._failure = refusal

    def _move(self, event: ConnectionEvent) -> None:
        self._state = next_state(self._state, event)

    def _next_arrival(self) -> asyncio.Future[None]:
        """Return a future that is done as soon as anything has changed."""
        self._arrival = self._loop.create_future()
        return self._arrival

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
