"""Every outgoing request ends in time and reads no more than its limit, even if the other side misbehaves."""

import ast
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

import private_integrations_service
from private_integrations_service.http.fetching import (
    Fetcher,
    FetchLimits,
    NoAddressError,
    Target,
    UnreadableError,
    resolve,
)
from private_integrations_service.operations import identity_provider
from private_integrations_service.operations.identity_provider import Provider, SignInAttempt
from private_integrations_service.settings import IdentityProvider

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOTAL = 0.6
LIMITS = FetchLimits(connect=0.4, total=TOTAL, answer=10_000)


@contextmanager
def serving(behave):
    """A server whose every connection behaves so, until the block ends; its port, and the connections it took."""
    taken, ended = [], threading.Event()

    def serve(connection):
        with connection, suppress(OSError):
            behave(connection, ended)

    def accept():
        while not ended.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            taken.append(connection)
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1], taken
        finally:
            ended.set()
            server.shutdown(socket.SHUT_RDWR)


def dripping(head, part, pause=0.05):
    """Says a head at once and then, every so many seconds, a part; for ever."""

    def behave(connection, ended):
        connection.sendall(head)
        while not ended.wait(pause):
            connection.sendall(part)

    return behave


def silent(connection, ended):
    """Takes the connection and says nothing."""
    ended.wait(20)


def fetched(port, *, secure=False, limits=LIMITS, **options):
    """Fetch from a port of this machine, and check that it took little longer than the deadline."""
    begun = time.monotonic()
    try:
        return Fetcher(limits).fetch("GET", Target("127.0.0.1", port, "/", secure), {}, **options)
    finally:
        assert time.monotonic() - begun < TOTAL + 2


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"x-more: 1\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ],
)
def test_an_answer_that_drips_is_given_up(head, part):
    """A server that sends a byte now and then can't exceed the deadline, in any part of the answer."""
    with serving(dripping(head, part)) as (port, _), pytest.raises((TimeoutError, UnreadableError)):
        fetched(port)


def test_silence_and_a_slow_handshake_are_given_up():
    """A server that takes the connection and says nothing, in plain and instead of its part of TLS."""
    with serving(silent) as (port, _):
        for secure in (False, True):
            with pytest.raises(TimeoutError):
                fetched(port, secure=secure)
    # The first bytes of a TLS record of 16 KB, one at a time.
    with serving(dripping(b"\x16\x03\x03\x40\x00", b"\x02")) as (port, _), pytest.raises((TimeoutError, ssl.SSLError)):
        fetched(port, secure=True)


def test_a_connection_that_is_not_taken_is_given_up():
    """A full queue of connections answers nothing at all."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(server.getsockname())
        with pytest.raises(TimeoutError):
            fetched(server.getsockname()[1])
        for one in waiting:
            one.close()


def test_a_name_server_that_hangs_is_given_up():
    """Resolving is part of the deadline, and so many hanging names and no more keep a thread."""
    released = threading.Event()

    def hanging(host, port):
        released.wait(20)
        return ["127.0.0.1"]

    fetcher = Fetcher(FetchLimits(total=0.1), hanging)
    before = threading.active_count()
    for _ in range(20):
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            fetcher.fetch("GET", Target("hangs.example", 80, "/", secure=False), {})
        assert time.monotonic() - begun < 1
    assert threading.active_count() - before <= 16
    released.set()


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("no name")])
def test_a_name_without_an_address_is_said(error):
    """Neither an unknown name nor an impossible one."""

    def failing(host, port):
        raise error

    with pytest.raises(NoAddressError):
        Fetcher(LIMITS, failing).fetch("GET", Target("nothing.example", 80, "/", secure=False), {})


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x-long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n" + b"x" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nx",
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_too_large_or_cut_off_is_no_answer(said):
    """Bytes beyond the limit aren't read, and half a body is not passed on as a whole one."""

    def behave(connection, ended):
        connection.recv(1000)
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)

    with serving(behave) as (port, _), pytest.raises(OSError) as raised:
        fetched(port)
    assert not isinstance(raised.value, TimeoutError)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 103 Early Hints\r\nx-no: 1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nbody",
    ],
)
def test_an_answer_is_read_to_its_end(said):
    """However its end is said."""

    def behave(connection, ended):
        connection.recv(1000)
        connection.sendall(said)

    with serving(behave) as (port, _):
        answer = fetched(port)
    assert (answer.status, answer.body, "x-no" in answer.headers) == (200, b"body", False)


def test_a_redirect_is_an_answer(monkeypatch):
    """It is not followed, and no proxy of the environment is asked."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    def behave(connection, ended):
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 302 Found\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n")

    with serving(behave) as (port, taken):
        assert fetched(port).status == 302
        assert len(taken) == 1


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\0", "é\u20ac"])
def test_what_would_be_another_request_is_not_sent(value):
    """A line end in a header's value, and what no header can hold."""
    with serving(silent) as (port, taken):
        with pytest.raises(ValueError):
            Fetcher(LIMITS).fetch("GET", Target("127.0.0.1", port, "/", secure=False), {"x": value})
        assert taken == []


@pytest.mark.parametrize(
    "url", ["ftp://a/", "http://", "//a/", "https://a b/", "http://é/", "http://a:x/", "file:///etc"]
)
def test_what_is_no_target(url):
    """Only http and https URLs, of plain characters."""
    with pytest.raises(ValueError):
        Target.of(url)


def test_a_sign_in_waits_for_a_slow_provider_once(monkeypatch):
    """All that one step of a sign-in asks ends by one deadline, for those too who wait for another's asking."""
    monkeypatch.setattr(identity_provider, "_SECONDS", 0.5)
    with serving(dripping(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b"x")) as (port, _):
        provider = Provider(IdentityProvider(f"http://127.0.0.1:{port}", "us", "secret"), "https://us.example/back")
        begun = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: provider.address(SignInAttempt("s"), NOW), range(8)))
        assert time.monotonic() - begun < 2
    assert {answer.problem for answer in answers} == {"provider-failed"}


def test_the_systems_resolver_is_asked():
    """Addresses as text."""
    assert "127.0.0.1" in resolve("localhost", 80)


# The gateway's exchanges have limits of their own; the server listens.
WAYS_OUT = {
    *("http/fetching.py", "gateway/pool.py", "server/serve.py"),
    # To the one database that the operator names.
    "storage/postgresql/connections.py",
}
CLIENTS = {"http.client", "urllib.request", "requests", "httpx", "aiohttp", "urllib3", "ftplib", "smtplib", "xmlrpc"}
CALLS = {"create_connection", "open_connection", "getaddrinfo", "gethostbyname", "socket", "urlopen", "connect_ex"}


def ways_out(source: str) -> set[str]:
    """List the imported clients and the calls to connect or resolve with which a module could reach a server."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            found.add(f"call:{node.func.attr}")
    return {name for name in found if name.startswith("call:") or any(f"{name}.".startswith(f"{c}.") for c in CLIENTS)}


def test_nothing_else_reaches_out():
    """Every request to another server goes through the fetcher: a module that does otherwise is named here."""
    root = Path(private_integrations_service.__file__).parent
    found = {str(file.relative_to(root)): ways_out(file.read_text()) for file in root.rglob("*.py")}
    assert {name for name, ways in found.items() if ways} == WAYS_OUT
    assert ways_out("from http.client import HTTPConnection")
    assert ways_out("import socket\nsocket.create_connection(('a', 1))")
    assert ways_out("from urllib import request\nimport requests as r")
