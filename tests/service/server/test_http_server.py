"""The HTTP server on real sockets: order, framing of answers, backpressure, deadlines, and how it stops."""

import asyncio
import re
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest
import uvloop

from private_integrations_service.http.client_connections import Clients
from private_integrations_service.server import http_connection, http_server
from private_integrations_service.server.clock import utc_now
from private_integrations_service.server.http_server import HttpServer

MB = 1024 * 1024


class App:
    """An application that does what the path says, and notes what happens to it."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.begun = threading.Event()
        self.go = threading.Event()
        self.received = self.sent = 0

    async def __call__(self, scope, receive, send):
        """Answer a request."""
        self.begun.set()
        try:
            await getattr(self, scope["path"][1:])(scope, receive, send)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def fast(self, scope, receive, send):
        """Answer without a length, as a whole."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["query_string"] or b"ok"})

    async def slow(self, scope, receive, send):
        """Answer after a while."""
        await asyncio.sleep(0.3)
        await self.fast(scope, receive, send)

    async def waits(self, scope, receive, send):
        """Answer when the test says so."""
        while not self.go.is_set():
            await asyncio.sleep(0.01)
        await self.fast(scope, receive, send)

    async def echo(self, scope, receive, send):
        """Answer with the body."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async def parts(self, scope, receive, send):
        """Answer in two parts."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async def short(self, scope, receive, send):
        """Give fewer bytes than announced."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"abc", "more_body": False})

    async def long(self, scope, receive, send):
        """Give more bytes than announced."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"abc"})

    async def broken(self, scope, receive, send):
        """Begin an answer and fail."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise RuntimeError("a bug")

    async def fails(self, scope, receive, send):
        """Fail."""
        raise RuntimeError("a bug")

    async def splits(self, scope, receive, send):
        """Send a line end in a header."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"1\r\nset-cookie: a")]})
        await send({"type": "http.response.body", "body": b""})

    async def empty(self, scope, receive, send):
        """Answer without a body."""
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def flood(self, scope, receive, send):
        """Send as much as is taken."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64 * 16):
            await send({"type": "http.response.body", "body": b"x" * (MB // 16), "more_body": True})
            self.sent += MB // 16
        await send({"type": "http.response.body", "body": b""})

    async def huge(self, scope, receive, send):
        """Send 64 MB at once, and don't wait."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await send({"type": "http.response.body", "body": b"x" * 64 * MB})

    async def reads_late(self, scope, receive, send):
        """Read the body when the test says so."""
        more = True
        while more:
            while not self.go.is_set():
                await asyncio.sleep(0.01)
            message = await receive()
            more = message["more_body"]
            self.received += len(message["body"])
        await self.fast(scope, receive, send)


async def refuse(scope, receive, send, fault):
    """Answer what can't be read."""
    await send({"type": "http.response.start", "status": 400, "headers": []})
    await send({"type": "http.response.body", "body": fault.encode()})


class Running:
    """A server in a thread."""

    def __init__(self, app, capacity):
        self.app = app
        self.clients = Clients(capacity)
        self.bound = socket.socket()
        self.bound.bind(("127.0.0.1", 0))
        self.address = self.bound.getsockname()
        self._ready = threading.Event()
        self.thread = threading.Thread(target=lambda: uvloop.run(self._serve()))
        self.thread.start()
        assert self._ready.wait(10)

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        server = HttpServer(self.app, refuse, self.clients, None, (), utc_now)
        await server.listen(self.bound)
        self._ready.set()
        await self._stopped.wait()
        server.stop()
        await server.wait_closed()

    def stop(self):
        """Begin to stop."""
        if self.thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)

    def connect(self):
        """A new client."""
        return closing(socket.create_connection(self.address, timeout=10))

    def ask(self, sent):
        """All that comes back until the server closes."""
        with self.connect() as client:
            client.sendall(sent)
            return rest(client)


@contextmanager
def running(capacity=100):
    """Such a server, stopped at the end."""
    started = Running(App(), capacity)
    try:
        yield started
    finally:
        started.app.go.set()
        started.stop()
        started.thread.join(10)
        assert not started.thread.is_alive()


@pytest.fixture
def server():
    """A server for one test."""
    with running() as started:
        yield started


def get(path, *headers, version=b"1.1", method=b"GET"):
    """A request's head."""
    lines = (b"%b /%b HTTP/%b" % (method, path, version), b"Host: a", *headers, b"", b"")
    return b"\r\n".join(lines)


def rest(client):
    """Return all bytes until the server closes; `!` for a reset."""
    got = b""
    try:
        while part := client.recv(65536):
            got += part
    except ConnectionResetError:
        got += b"!"
    return got


def body_of(answer):
    """Return the bytes behind the head of an answer."""
    return answer.partition(b"\r\n\r\n")[2]


CLOSE = b"Connection: close"


def test_answers_come_in_order(server):
    """However long the first one takes; all requests were sent at once."""
    got = server.ask(get(b"slow?1") + get(b"fast?2") + get(b"slow?3") + get(b"fast?4", CLOSE) + get(b"fast?5"))
    assert re.findall(rb"\r\n\r\n(\d)", got) == [b"1", b"2", b"3", b"4"]
    assert got.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert got.count(b"\r\ndate: ") == 4
    assert got.count(b"connection: close") == 1


@pytest.mark.parametrize(
    ("sent", "head", "body"),
    [
        (get(b"fast", CLOSE), b"content-length: 2", b"ok"),
        (get(b"parts", CLOSE), b"transfer-encoding: chunked", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        (get(b"fast", CLOSE, method=b"HEAD"), b"content-length: 2", b""),
        (get(b"parts", CLOSE, method=b"HEAD"), b"transfer-encoding: chunked", b""),
        (get(b"empty", CLOSE), b"HTTP/1.1 204 No Content", b""),
        (get(b"fast", version=b"1.0"), b"connection: close", b"ok"),
        (get(b"parts", version=b"1.0"), b"connection: close", b"onetwo"),
        (get(b"parts", b"Connection: keep-alive", version=b"1.0"), b"connection: close", b"onetwo"),
    ],
)
def test_an_answer_is_framed(server, sent, head, body):
    """By its length, in chunks, or by the connection's end, as the client understands it."""
    got = server.ask(sent)
    assert head in got.partition(b"\r\n\r\n")[0]
    assert body_of(got) == body
    assert (b"content-length" in got) == (b"fast" in sent)


def test_an_old_client_keeps_its_connection_if_it_asks(server):
    """HTTP/1.0 closes, unless the client says keep-alive; HTTP/1.1 keeps, unless it says close."""
    got = server.ask(
        get(b"fast", b"Connection: Keep-Alive", version=b"1.0") + get(b"fast", version=b"1.0") + get(b"fast")
    )
    assert got.count(b"200 OK") == 2
    assert b"\r\nconnection: keep-alive\r\n" in got


def test_continue_is_sent_when_the_body_is_read(server):
    """Before that the client waits; if nobody reads the body, the connection is closed, since it may come or not."""
    with server.connect() as client:
        client.sendall(get(b"echo", b"Expect: 100-continue", b"Content-Length: 5"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello" + get(b"fast", CLOSE))
        got = rest(client)
        assert body_of(got).startswith(b"hello")
        assert got.count(b"200 OK") == 2
    got = server.ask(get(b"fast", b"Expect: 100-continue", b"Content-Length: 5"))
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" in got


@pytest.mark.parametrize(
    ("sent", "got"),
    [
        (get(b"short"), rb"HTTP/1\.1 200 OK\r\n[^!]*\r\n\r\nabc"),
        (get(b"broken"), rb"HTTP/1\.1 200 OK\r\n[^!]*\r\n\r\n3\r\nabc\r\n"),
        # Without a length or chunks only a reset says that there was more.
        (get(b"broken", version=b"1.0"), rb".*!"),
        (get(b"long"), rb"HTTP/1\.1 200 OK\r\n[^!]*\r\n\r\n|HTTP/1\.1 500 [^!]*|"),
        (get(b"fails"), rb"HTTP/1\.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        (get(b"splits"), rb"HTTP/1\.1 500 Internal Server Error\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
    ],
)
def test_a_faulty_answer_never_looks_whole(server, sent, got):
    """The connection ends with it, and no other request is answered over it."""
    assert re.fullmatch(got, server.ask(sent + get(b"fast")), re.DOTALL)


def test_a_body_that_nobody_reads_is_dropped(server):
    """Up to a limit; behind a longer one the connection is closed."""
    assert server.ask(get(b"fast", b"Content-Length: 5") + b"hello" + get(b"fast", CLOSE)).count(b"200 OK") == 2
    chunks = b"5\r\nhello\r\n0\r\n\r\n"
    assert server.ask(get(b"fast", b"Transfer-Encoding: chunked") + chunks + get(b"fast", CLOSE)).count(b"200 OK") == 2
    long = get(b"fast", b"Content-Length: 1000000") + b"x" * 1_000_000 + get(b"fast", CLOSE)
    assert server.ask(long).count(b"200 OK") == 1


@pytest.mark.parametrize("leave", [socket.socket.close, lambda client: client.shutdown(socket.SHUT_WR)])
def test_a_client_that_goes_away_cancels_its_request(server, leave):
    """Also one that only sends nothing more."""
    with server.connect() as client:
        client.sendall(get(b"waits"))
        assert server.app.begun.wait(10)
        leave(client)
        assert server.app.cancelled.wait(10)


def test_an_answer_waits_for_its_reader(server):
    """Of 64 MB only what fits into buffers is taken from the application; then all of it arrives."""
    with server.connect() as client:
        client.sendall(get(b"flood", CLOSE))
        sent = -1
        while server.app.sent != sent:
            sent = server.app.sent
            time.sleep(0.3)
        assert 0 < sent < 32 * MB
        size = 0
        while part := client.recv(MB):
            size += len(part)
        assert size > 64 * MB
        assert server.app.sent == 64 * MB


def test_a_body_waits_for_the_application(server):
    """The client can't send on while nobody reads; then all of it arrives."""
    with server.connect() as client:
        client.sendall(get(b"reads_late", b"Content-Length: %d" % (64 * MB), CLOSE))
        client.settimeout(0.5)
        left = 64 * MB
        with pytest.raises(TimeoutError):
            while True:
                left -= client.send(b"x" * min(left, MB))
        assert left > 32 * MB
        server.app.go.set()
        client.settimeout(10)
        client.sendall(b"x" * left)
        assert b"200 OK" in rest(client)
        assert server.app.received == 64 * MB


def test_pipelined_requests_wait_in_a_bounded_buffer(server):
    """A client can't fill the memory with requests while the first one is answered."""
    with server.connect() as client:
        client.sendall(get(b"waits"))
        client.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 64 * MB:
                sent += client.send(get(b"fast") * 1000)
        assert sent < 32 * MB


@pytest.mark.parametrize(
    "sent", [b"", b"GET /fast HTTP/1.1\r\nHost: a\r\nX: ", get(b"fast"), get(b"fast", b"Content-Length: 9")]
)
def test_a_head_has_a_deadline(monkeypatch, sent):
    """From the beginning, or from the end of the request before; bytes now and then don't help."""
    monkeypatch.setattr(http_server, "_HEAD_SECONDS", 0.5)
    monkeypatch.setattr(http_server, "_USUAL", 0.1)
    with running() as server, server.connect() as client:
        client.sendall(sent)
        begun = time.monotonic()
        client.settimeout(0.1)
        got, is_open = b"", True
        while is_open and time.monotonic() < begun + 10:
            try:
                part = client.recv(65536)
                got, is_open = got + part, bool(part)
            except TimeoutError:
                if sent and not sent.endswith(b"\r\n\r\n"):
                    client.send(b"x")
            except ConnectionError:
                is_open = False
        assert not is_open
        assert time.monotonic() - begun > 0.4
        assert got.count(b"200 OK") == sent.count(b"\r\n\r\n")


def test_an_unread_answer_has_a_deadline(monkeypatch):
    """A client that takes nothing of its answer, and is not known, is cut off if there are many connections."""
    monkeypatch.setattr(http_server, "_LONGEST_IDLE", 0.5)
    monkeypatch.setattr(http_server, "_USUAL", 0.1)
    with running(capacity=4) as server, server.connect() as client, server.connect():
        client.sendall(get(b"flood"))
        assert server.app.cancelled.wait(10)


def test_a_last_answer_that_is_never_read_has_a_deadline(monkeypatch):
    """Though the client goes on sending."""
    monkeypatch.setattr(http_connection, "_LINGER", 0.1)
    monkeypatch.setattr(http_connection, "_LONGEST_LINGER", 0.5)
    with running() as server, server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.sendall(get(b"huge", CLOSE))
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < begun + 10:
                client.send(b"x")
                time.sleep(0.05)


def test_a_stop_finishes_what_was_begun(server):
    """Idle clients are closed at once, and the answer under way says that it is the last one."""
    with server.connect() as idle, server.connect() as half, server.connect() as busy:
        half.sendall(b"GET /fast HT")
        busy.sendall(get(b"waits") + get(b"fast"))
        assert server.app.begun.wait(10)
        server.stop()
        assert rest(idle) == b""
        assert rest(half) in (b"", b"!")
        assert server.thread.is_alive()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.address, timeout=1)
        server.app.go.set()
        got = rest(busy)
    assert got.count(b"200 OK") == 1
    assert b"connection: close" in got
    server.thread.join(10)
    assert not server.thread.is_alive()


def test_a_client_beyond_the_last_place_is_refused():
    """When all places are taken by known clients with requests; nobody else is cut off for it."""
    with running(capacity=2) as server, server.connect() as one, server.connect() as two:
        for client in (one, two):
            server.clients.busy.add((client.getsockname()[0], str(client.getsockname()[1])))
            client.sendall(get(b"waits"))
        with server.connect() as third:
            third.sendall(get(b"fast"))
            assert rest(third) in (b"", b"!")
        server.app.go.set()
        for client in (one, two):
            assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_last_answer_is_not_lost(server, monkeypatch):
    """The server drops bytes that come after its answer, for a while: a reset could overtake that. Then it closes."""
    monkeypatch.setattr(http_connection, "_LINGER", 0.5)
    with server.connect() as client:
        client.sendall(b"nonsense\r\n\r\n")
        time.sleep(0.1)
        client.sendall(b"x" * 10)
        assert client.recv(100).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        begun = time.monotonic()
        while time.monotonic() < begun + 10:
            try:
                client.send(b"x")
            except OSError:
                break
            time.sleep(0.05)
        assert time.monotonic() < begun + 10
