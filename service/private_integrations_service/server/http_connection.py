"""Serve HTTP/1.1 over one connection of a client: one request after the other, each answered by an ASGI application.

The application gets a request as soon as its head is complete, and takes the body and gives the answer as fast as both
sides can: a client that sends or reads slowly makes the application wait, and one that goes away cancels it.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Protocol, cast
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..http.body_framing import BodyMalformed, ChunkedBody, FramedBody, SizedBody
from ..http.client_connections import Peer
from ..http.request_heads import LONGEST_HEAD, MALFORMED, HeadReader, Malformed, RequestHead, is_hopeless

# While more of a body, or of the next requests, has arrived and was not taken, the connection is not read.
_HIGH_WATER = 64 * 1024
# So much of an unread body is dropped to keep the connection; it is closed behind a longer one.
_MOST_DROPPED = 256 * 1024
# Seconds in which a client may close the connection itself after its last answer (nginx's lingering_timeout), and those
# that it has to read the answer.
_LINGER, _LONGEST_LINGER = 5.0, 600.0
# The value of SO_LINGER (socket(7)): on, for no time.
_RESET = struct.pack("ii", 1, 0)

_HEAD_END = b"\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CHUNKS_MALFORMED = "the body's chunks can't be read"
_ASGI = {"version": "3.0", "spec_version": "2.3"}
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_BODILESS = (204, 304)
# Stands for a request that can't be read.
_UNREAD = RequestHead("GET", b"", b"", False, [], 0, False, False)

_log = logging.getLogger(__name__)

Refuse = Callable[[Scope, Receive, Send, str], Awaitable[None]]
"""Answers a request that can't be read, for the reason given, in the words of the API that it is for."""


class Served(Protocol):
    """The things that the connections of a server share."""

    app: ASGIApp
    refuse: Refuse
    date: bytes
    """The line of a `Date` header."""
    stopping: bool

    def opened(self, connection: "HttpConnection") -> None:
        """Note a new connection."""

    def closed(self, connection: "HttpConnection") -> None:
        """Note the end of a connection."""


class AnswerFaulty(RuntimeError):
    """The application's answer can't be sent: a bug."""


class HttpConnection(asyncio.Protocol):
    """A connection of a client, and the request that is being answered, if there is one."""

    def __init__(self, served: Served, loop: asyncio.AbstractEventLoop) -> None:
        self.served = served
        self.loop = loop
        self.peer: Peer = ("", "")
        self.received_at = self.head_since = loop.time()
        """When the client last sent something, and since when a head is awaited; in the loop's seconds."""
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self._server_address: tuple[str, int] = ("", 0)
        self._reader = HeadReader()
        self._searched = 0
        self._request: Request | None = None
        self._dropping: FramedBody | None = None
        self._dropped = 0
        self._closing = False
        self._closing_since = 0.0
        self._lingering: asyncio.TimerHandle | None = None
        self._paused = False
        # Not None while the client doesn't read.
        self.drain: asyncio.Future[None] | None = None

    @property
    def awaits_head(self) -> bool:
        """Return whether the client has to send the next request."""
        return self._request is None and not self._closing

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's are no subclasses.
        self.transport = cast(asyncio.Transport, transport)
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if peer is None or own is None:
            # The client is gone already.
            self._closing = True
            self.transport.abort()
            return
        self.peer = (peer[0], str(peer[1]))
        self._server_address = own[:2]
        self.served.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        if self._closing:
            return
        self.received_at = self.loop.time()
        self.buffer += data
        if self._request is not None:
            self._request.arrived()
        elif self._dropping is not None:
            self._drop()
        else:
            self._next_request()
        if len(self.buffer) > _HIGH_WATER:
            self._pause()

    def eof_received(self) -> None:
        """Close: a client that sends nothing more has gone away."""

    def connection_lost(self, error: Exception | None) -> None:
        """Cancel the request."""
        self.transport = None
        self._closing = True
        if self._lingering is not None:
            self._lingering.cancel()
        self.resume_writing()
        if self._request is not None:
            self._request.cancel()
        self.served.closed(self)

    def pause_writing(self) -> None:
        """Let answers wait: the client doesn't read."""
        self.drain = self.loop.create_future()

    def resume_writing(self) -> None:
        """Let answers go on."""
        if self.drain is not None and not self.drain.done():
            self.drain.set_result(None)
        self.drain = None

    # The request's side

    def write(self, data: bytes) -> None:
        """Send bytes, unless the client is gone."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def taken(self) -> None:
        """Read on, if enough of the buffer was taken."""
        if self._paused and len(self.buffer) <= _HIGH_WATER and self.transport is not None:
            self._paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def finished(self, unread: FramedBody | None, *, keep: bool) -> None:
        """Go on to the next request, or close; a body that is still `unread` is dropped."""
        self._request = None
        self.head_since = self.loop.time()
        if self.transport is None:
            return
        if not keep or self.served.stopping:
            self._close()
        elif unread is not None:
            self._dropping, self._dropped = unread, 0
            self._drop()
        elif self.buffer:
            self._next_request()

    # The server's side

    def stop(self) -> None:
        """Close the connection, after its request if it has one."""
        if self._request is None and not self._closing and self.transport is not None:
            if self.transport.get_write_buffer_size():
                self._close()
            else:
                self._closing = True
                self.transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def reset(self) -> None:
        """Close the connection at once, and let the client see that something is missing."""
        if self.transport is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def _next_request(self) -> None:
        """Begin the next request, if its head has arrived."""
        buffer = self.buffer
        end = buffer.find(_HEAD_END, self._searched)
        if end < 0:
            since, self._searched = self._searched, max(0, len(buffer) - 3)
            if len(buffer) > LONGEST_HEAD:
                self._refuse_large()
            elif is_hopeless(buffer, since):
                self._begin(_UNREAD, MALFORMED)
            return
        self._searched = 0
        head = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        self.taken()
        read = self._reader.read(head)
        if isinstance(read, RequestHead):
            self._begin(read, "")
        elif isinstance(read, Malformed):
            self._begin(_UNREAD, read.fault)
        else:
            self._refuse_large()

    def _begin(self, head: RequestHead, fault: str) -> None:
        self._request = Request(self, head, fault, self._server_address)
        self._request.start()

    def _refuse_large(self) -> None:
        self.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self._close()

    def _drop(self) -> None:
        """Drop an unread body, up to the next request."""
        assert self._dropping is not None
        try:
            self._dropped += len(self._dropping.take(self.buffer))
        except BodyMalformed:
            self._close()
            return
        self.taken()
        if self._dropping.complete:
            self._dropping = None
            if self.buffer:
                self._next_request()
        elif self._dropped > _MOST_DROPPED:
            self._close()

    def _close(self) -> None:
        """Close the connection once the client has read what was sent.

        Bytes that it still sends are dropped for a while: the system answers bytes that come to a closed connection
        by a reset, in which the last answer may be lost.
        """
        self._closing = True
        self.buffer.clear()
        if self.transport is None or self.transport.is_closing():
            return
        self.taken()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._closing_since = self.loop.time()
        self._lingering = self.loop.call_later(_LINGER, self._linger)

    def _linger(self) -> None:
        is_reading = self.transport is not None and self.transport.get_write_buffer_size() > 0
        if is_reading and self.loop.time() - self._closing_since < _LONGEST_LINGER:
            self._lingering = self.loop.call_later(_LINGER, self._linger)
        else:
            self.abort()

    def _pause(self) -> None:
        if not self._paused and self.transport is not None and not self._closing and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()


class Request:
    """A request that is being answered: the application's `receive` and `send`."""

    # Defaults on the class: most requests change none of them.
    _body: FramedBody | None = None
    _given = False
    """The application has got the whole body."""
    _broken = False
    """The body can't be read."""
    _arrival: asyncio.Future[None] | None = None
    _gone: asyncio.Event | None = None
    _status = 0
    _headers: Sequence[tuple[bytes, bytes]] = ()
    _started = False
    """The answer's head was sent."""
    _answered = False
    _bodiless = False
    _chunked = False
    _left: int | None = None
    """Bytes that are missing of the answer's body, None if its length wasn't given."""
    _task: asyncio.Task[None] | None = None

    def __init__(self, connection: HttpConnection, head: RequestHead, fault: str, server: tuple[str, int]) -> None:
        self._connection = connection
        self._fault = fault
        if head.length is None:
            self._body = ChunkedBody()
        elif head.length:
            self._body = SizedBody(head.length)
        self._is_head = head.method == "HEAD"
        self._is_1_0 = head.is_1_0
        self._keeps = head.keeps_alive
        self._continues = head.expects_continue
        raw_path = head.raw_path
        path = unquote_to_bytes(raw_path).decode("utf-8", "replace") if b"%" in raw_path else raw_path.decode("ascii")
        self._scope: Scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.0" if head.is_1_0 else "1.1",
            "method": head.method,
            "scheme": "http",
            "server": server,
            "client": connection.peer,
            "path": path,
            "raw_path": raw_path,
            "query_string": head.query_string,
            "headers": head.headers,
            "root_path": "",
        }

    def start(self) -> None:
        """Call the application."""
        self._task = self._connection.loop.create_task(self._run())

    def arrived(self) -> None:
        """Note that bytes have arrived."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def cancel(self) -> None:
        """End the request: its client is gone."""
        if self._gone is not None:
            self._gone.set()
        if self._task is not None:
            self._task.cancel()

    async def receive(self) -> Message:
        """Give the application the next part of the body, or wait until the client is gone."""
        if self._broken:
            return {"type": "http.disconnect"}
        if self._given:
            if self._connection.transport is not None:
                self._gone = self._gone or asyncio.Event()
                await self._gone.wait()
            return {"type": "http.disconnect"}
        body = self._body
        if body is None:
            self._given = True
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._continues:
            self._continues = False
            if not self._started:
                self._connection.write(_CONTINUE)
        while True:
            try:
                data = body.take(self._connection.buffer)
            except BodyMalformed:
                self._broken = True
                return {"type": "http.disconnect"}
            self._connection.taken()
            if data or body.complete:
                self._given = body.complete
                return {"type": "http.request", "body": data, "more_body": not body.complete}
            if self._connection.transport is None:
                return {"type": "http.disconnect"}
            self._arrival = self._connection.loop.create_future()
            await self._arrival

    async def send(self, message: Message) -> None:
        """Send a part of the answer; return when the client has read most of it."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = message.get("headers", [])
            return
        if message["type"] != "http.response.body" or not self._status or self._answered:
            raise AnswerFaulty(f"{message['type']} is not expected here")
        more = message.get("more_body", False)
        data: bytes = message.get("body", b"")
        head = b"" if self._started else self._answer_head(None if more else len(data))
        if self._bodiless:
            data = b""
        elif self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise AnswerFaulty("the body is longer than its Content-Length")
        elif self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            if not more:
                data += b"0\r\n\r\n"
        self._answered = not more
        connection = self._connection
        if head or data:
            connection.write(head + data if head else data)
        if connection.drain is not None:
            # Another answer may wait for the same after this one was cancelled.
            await asyncio.shield(connection.drain)

    def _answer_head(self, length: int | None) -> bytes:
        """Return the head of the answer; `length` is that of its body, None if it is still unknown."""
        headers, status, is_1_0 = self._headers, self._status, self._is_1_0
        self._bodiless = self._is_head or status in _BODILESS
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        lines += [b"%b: %b\r\n" % header for header in headers]
        names = [name for name, _ in headers]
        if b"content-length" in names:
            if not self._bodiless:
                self._left = int(headers[names.index(b"content-length")][1])
        elif status not in _BODILESS:
            if length is not None:
                lines.append(b"content-length: %d\r\n" % length)
            elif is_1_0:
                self._keeps = False
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
        if b"connection" in names:
            self._keeps = False
        elif self._continues or self._connection.served.stopping or not self._keeps:
            # A client that waits for `100 Continue` may send its body or not.
            self._keeps = False
            lines.append(b"connection: close\r\n")
        elif is_1_0:
            lines.append(b"connection: keep-alive\r\n")
        if b"date" not in names:
            lines.append(self._connection.served.date)
        lines.append(b"\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise AnswerFaulty("a header has a control character")
        self._started = True
        return head

    async def _run(self) -> None:
        connection = self._connection
        try:
            if self._fault:
                self._keeps = False
                await connection.served.refuse(self._scope, self.receive, self.send, self._fault)
            else:
                await connection.served.app(self._scope, self.receive, self.send)
            if self._broken and not self._status:
                self._keeps = False
                await connection.served.refuse(self._scope, self.receive, self.send, _CHUNKS_MALFORMED)
        except asyncio.CancelledError:
            connection.abort()
            raise
        except Exception:
            _log.exception("a request failed")
        finally:
            self._end()

    def _end(self) -> None:
        connection = self._connection
        if not self._started and connection.transport is not None:
            self._keeps = False
            connection.write(b"HTTP/1.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        elif not self._answered or self._left:
            # The client sees that the answer is not complete: no end of the chunks, or too few bytes.
            self._keeps = False
            if self._left is None and not self._chunked:
                # Only a reset shows it: the body has no end but that of the connection.
                connection.reset()
        unread = None if self._body is None or self._body.complete else self._body
        connection.finished(unread, keep=self._keeps and not self._broken)
