"""Requests at random, most of them malformed, and what several servers read in them.

A case is bytes with a last request behind them, so that a server that takes a part of the bytes for another request,
or the last request for a part of a body, is found. Our own server refuses a case, or reads it as all the others that
don't refuse it.

    await cases_of(1, 2000, compare)
"""

import asyncio
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import h11
import httptools

from private_integrations_service.server.http_connection import HttpConnection

LAST = b"GET /last HTTP/1.1\r\nHost: last\r\n\r\n"
_SECONDS = 10


class Read(NamedTuple):
    """A request as a server reads it; headers in the order of their names, those of one name as they were sent."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def read_of(method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Read:
    """A request, in a form in which different servers can be compared."""
    named = [(name.lower(), value.strip(b" \t")) for name, value in headers]
    # h11 writes it in lower case.
    named = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in named]
    return Read(method, target, tuple(sorted(named, key=lambda header: header[0])), body)


# Cases

# fmt: off
_METHODS = [b"GET", b"GET", b"POST", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"PATCH", b"CONNECT", b"get",
    b"PRI"]
_TARGETS = [b"/", b"/contacts/a", b"/contacts/?a=1&b=%20", b"/a//b/../c;d", b"/%2e%2e/%00", b"*",
    b"http://elsewhere.test/x", b"//elsewhere.test/x", b"/a#b", b"/a b", b"/\xc3\xa4", b"elsewhere.test:80",
    b'/?\\|^`{}"<>', b""]
_VERSIONS = [b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ",
    b"HTTP/11", b""]
_NAMES = [b"X-A", b"Authorization", b"Version", b"Accept", b"Cookie", b"X_A", b"Via", b"X-\xe4", b"X A", b"X:A",
    b"", b"!#$%&'*+-.^_`|~"]
_VALUES = [b"1", b"", b"a b", b"\t a \t", b"Bearer x", b"\xff\xfe", b"a\x0bb", b"a\0b", b"a\rb", b"a\nb",
    b"a\r\n b", b"x" * 300, b'"a\\"b"']
_HOSTS = [b"a"] * 6 + [b"a:80", b"[::1]:1", b"", b"a b", b"a/b", b"a@b", b"a,b"]
_LENGTHS = [b"+%d", b"-%d", b"0%d", b"%d,%d", b"%d, %d", b"0x%x", b"%d ", b" %d", b"%d\t", b"%d;", b"%d.0", b"%dx",
    b""]
_CODINGS = [b"chunked", b"Chunked", b" chunked ", b"gzip, chunked", b"chunked, gzip", b"chunked,", b",chunked",
    b"xchunked", b"chunked\t", b"\x0bchunked", b"identity", b"chunked;q=1", b'"chunked"', b""]
_CONNECTIONS = [b"keep-alive", b"close", b"Upgrade", b"upgrade, close", b"Content-Length", b"x", b"transfer-encoding"]
_ENDS = [b"\r\n"] * 40 + [b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b"\r\n "]
_PIECES = [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\0", b":", b"0", b"1", b";", b",", b"\x0b", b"\x85",
    b"\xa0", b"\x7f", b"#", b"G"]
# fmt: on


def case(rng: random.Random) -> bytes:
    """A request at random."""
    pick = rng.choice
    end = pick(_ENDS)
    body = pick([b"", b"", b"hello", b"0\r\n\r\n", b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n", b"x" * 70])
    usual = rng.random() < 0.75
    method = pick(_METHODS[:6] if usual else _METHODS)
    target = pick(_TARGETS[:5] if usual else _TARGETS)
    version = pick(_VERSIONS[:13] if usual else _VERSIONS)
    headers = [(b"Host", pick(_HOSTS if rng.random() < 0.1 else _HOSTS[:6]))] * pick([1] * 20 + [0, 2])
    names, values = (_NAMES[:5], _VALUES[:6]) if usual else (_NAMES, _VALUES)
    headers += [(pick(names), pick(values)) for _ in range(rng.randrange(4))]
    if rng.random() < 0.2:
        headers.append((b"Connection", pick(_CONNECTIONS)))
    if rng.random() < 0.05:
        headers += [(b"Upgrade", pick([b"h2c", b"websocket"])), (b"Expect", b"100-continue")]
    framing = rng.random()
    if body and framing < 0.45:
        headers.append((b"Content-Length", b"%d" % len(body)))
    elif body and framing < 0.85:
        headers.append((b"Transfer-Encoding", b"chunked"))
        body = _chunked(rng, body)
    for _ in range(pick([0] * 8 + [1, 2])):
        headers.append(_odd_framing(rng, len(body)))
    rng.shuffle(headers)
    separator = b": " if usual else pick([b": ", b":", b" : ", b"\t:", b":\t", b""])
    lines = [b" ".join([method, target, version]), *(name + separator + value for name, value in headers), b""]
    made = bytearray(b"".join(line + (b"\r\n" if rng.random() < 0.9 else end) for line in lines) + body)
    for _ in range(pick([0, 0, 0, 0, 1, 1, 2, 4])):
        _mutate(rng, made)
    return bytes(made)


def _chunked(rng: random.Random, body: bytes) -> bytes:
    sizes = [
        b"%x",
        b"%x",
        b"%x",
        b"%x",
        b"%X",
        b"0%x",
        b"%x;a=b",
        b'%x;a="b;"',
        b"%x ",
        b" %x",
        b"0x%x",
        b"+%x",
        b"%x;\tc",
    ]
    cut = rng.randrange(len(body))
    parts = [part for part in (body[:cut], body[cut:]) if part]
    usual = rng.random() < 0.7
    size = sizes[0] if usual else rng.choice(sizes)
    trailer = (
        b"" if usual else rng.choice([b"", b"X-T: 1\r\n", b"Content-Length: 3\r\n", b"X T\r\n", b" x\r\n", b":\r\n"])
    )
    ends = [b"\r\n"] * 8 + ([] if usual else [b"\n", b"", b"\r", b"xx"])
    chunks = [size % len(part) + rng.choice(ends) + part + rng.choice(ends) for part in parts]
    return b"".join(chunks) + rng.choice([b"0", b"0", b"0", b"000", b"00;x"]) + b"\r\n" + trailer + b"\r\n"


def _odd_framing(rng: random.Random, length: int) -> tuple[bytes, bytes]:
    if rng.random() < 0.5:
        name = rng.choice([b"Transfer-Encoding", b"transfer-encoding", b"Transfer_Encoding", b"Transfer-Encoding "])
        return name, rng.choice(_CODINGS)
    written = rng.choice([b"%d", *_LENGTHS])
    return rng.choice([b"Content-Length", b"content-length", b"Content_Length"]), written % (
        (length,) * written.count(b"%")
    )


def _mutate(rng: random.Random, made: bytearray) -> None:
    if not made:
        return
    place = rng.randrange(len(made))
    kind = rng.randrange(5)
    if kind == 0:
        del made[place : place + rng.randrange(1, 4)]
    elif kind == 1:
        made[place] = rng.randrange(256)
    elif kind == 2:
        made[place:place] = rng.choice(_PIECES)
    elif kind == 3:
        made[place : place + 1] = rng.choice(_PIECES)
    else:
        made[place:place] = made[place : place + rng.randrange(1, 30)]


# Our own server


class _Pretended(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._protocol: HttpConnection
        self.closed = False
        self.written = bytearray()

    def begin(self, protocol: HttpConnection) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1)

    def write(self, data):
        self.written += data

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.abort()

    def get_write_buffer_size(self):
        return 0

    def abort(self):
        if not self.closed:
            self.closed = True
            self._loop.call_soon(self._protocol.connection_lost, None)


class Ours:
    """Our own connections, with an application that notes what it reads."""

    stopping = False
    date = b"date: now\r\n"

    def __init__(self) -> None:
        self.read: list[Read] = []
        self.refused = False

    async def app(self, scope, receive, send):
        """Note a request."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        self.read.append(read_of(scope["method"].encode(), scope["raw_path"] + query, scope["headers"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def refuse(self, scope, receive, send, fault):
        """Note a refusal."""
        self.refused = True
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": fault.encode()})

    def opened(self, connection):
        """Nothing is counted."""

    def closed(self, connection):
        """Nothing is counted."""

    async def take(self, sent: Sequence[bytes]) -> list[Read]:
        """Read these bytes, which arrive one after the other."""
        loop = asyncio.get_running_loop()
        self.read, self.refused = [], False
        transport = _Pretended(loop)
        connection = HttpConnection(self, loop)
        transport.begin(connection)
        for part in sent:
            if not transport.closed:
                connection.data_received(part)
            await asyncio.sleep(0)
        # A request takes three turns of the loop.
        quiet, known = 0, 0
        while quiet < 5 and not transport.closed:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self.read) == known else 0
            known = len(self.read)
        transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)
        assert b"HTTP/1.1 5" not in transport.written
        return self.read


# Other parsers, in this process


class _Llhttp:
    def __init__(self) -> None:
        self.read: list[Read] = []
        self._parser = httptools.HttpRequestParser(self)

    def on_message_begin(self):
        self._url, self._headers, self._body, self._in_head = b"", [], b"", True

    def on_url(self, url):
        self._url += url

    def on_header(self, name, value):
        if self._in_head:
            self._headers.append((name, value))

    def on_headers_complete(self):
        self._in_head = False

    def on_body(self, data):
        self._body += data

    def on_message_complete(self):
        self.read.append(read_of(self._parser.get_method(), self._url, self._headers, self._body))

    def take(self, sent: bytes) -> list[Read]:
        with suppress(httptools.HttpParserError):
            try:
                self._parser.feed_data(sent)
            except httptools.HttpParserUpgrade:
                # It leaves the rest to its caller, the body too.
                return self.read[:-1]
        return self.read


def llhttp(sent: bytes) -> list[Read]:
    """Read a request with llhttp."""
    return _Llhttp().take(sent)


def h11_reads(sent: bytes) -> list[Read]:
    """Read a request with h11."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
    connection.receive_data(sent)
    found: list[Read] = []
    with suppress(h11.RemoteProtocolError, h11.LocalProtocolError):
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                headers = list(request.headers)
                found.append(read_of(bytes(request.method), bytes(request.target), headers, body))
                connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
            else:
                return found
    return found


def differs(ours: Sequence[Read], theirs: Sequence[Read]) -> bool:
    """Whether a request was read in two ways; a server that refuses one reads nothing from there on."""
    return any(one != other for one, other in zip(ours, theirs, strict=False))


# Other servers, each on a port

_ECHO = """
import asyncio, sys, uvloop
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    seen = (scope["method"].encode(), scope["raw_path"] + query, scope["headers"], body)
    echo = repr(seen).encode().hex().encode()
    headers = [(b"x-echo", echo), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
server = Server(app, address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.ASGI, websockets=False,
                http1_settings=HTTP1Settings(max_buffer_size=65536), log_level=LogLevels.critical, backpressure=1000)
uvloop.run(server.serve())
"""
# nginx shows no names, so the headers whose names it knows are compared.
_NGINX_NAMES = (b"host", b"authorization", b"version", b"x-a", b"accept", b"via")
_NGINX = """
daemon off; master_process off; worker_processes 1; error_log stderr crit; pid {folder}/pid;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; large_client_header_buffers 8 64k; client_max_body_size 0;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port}; underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
        add_header x-echo "$request_method|$request_uri|{names}" always;
        location / {{ return 200 ""; }}
    }}
}}
"""


@contextmanager
def granian() -> Iterator[int]:
    """Granian, with an application that echoes; its port."""
    port = _free_port()
    with subprocess.Popen([sys.executable, "-c", _ECHO, str(port)]) as process:
        yield from _until_ended(process, port)


@contextmanager
def nginx() -> Iterator[int]:
    """nginx, which echoes what it read; its port."""
    with tempfile.TemporaryDirectory() as folder:
        port, file = _free_port(), Path(folder) / "nginx.conf"
        names = "|".join("$http_" + name.decode().replace("-", "_") for name in _NGINX_NAMES)
        file.write_text(_NGINX.format(folder=folder, port=port, names=names))
        with subprocess.Popen(
            [shutil.which("nginx", path="/usr/sbin:/usr/bin") or "nginx", "-e", "stderr", "-p", folder, "-c", str(file)]
        ) as process:
            yield from _until_ended(process, port)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_ended(process: subprocess.Popen[bytes], port: int) -> Iterator[int]:
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            process.poll()
            asyncio.run(asyncio.sleep(0.1))
        yield port
    finally:
        process.terminate()


_ANSWER = re.compile(rb"HTTP/1\.[01] (\d\d\d)[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
_ECHOED = re.compile(rb"(?im)^x-echo: ?(.*)\r\n")


def asked(port: int, sent: bytes, wanted: int) -> list[bytes]:
    """Send bytes; the echoes of so many answers, or those before a refusal."""
    received = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), _SECONDS) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(sent)
        while True:
            answers = [found for found in _ANSWER.findall(received) if not found[0].startswith(b"1")]
            if len(answers) >= wanted or any(not status.startswith(b"2") for status, _ in answers):
                break
            part = connection.recv(65536)
            if not part:
                break
            received += part
    echoes = []
    for status, headers in _ANSWER.findall(received):
        echoed = _ECHOED.search(headers)
        if status.startswith(b"1"):
            continue
        if not status.startswith(b"2") or echoed is None:
            break
        echoes.append(echoed[1])
    return echoes


def granian_reads(port: int, sent: bytes, ours: Sequence[Read]) -> bool:
    """Whether Granian reads something else."""
    found = []
    for echo in asked(port, sent, len(ours)):
        method, target, headers, body = eval(bytes.fromhex(echo.decode()))
        found.append(read_of(method, target, headers, body))
    return differs([_with_host(each) for each in ours], [_with_host(each) for each in found])


def _with_host(read: Read) -> Read:
    """Granian adds an empty Host to an old client's request."""
    return read._replace(headers=tuple(header for header in read.headers if header != (b"host", b"")))


def nginx_reads(port: int, sent: bytes, ours: Sequence[Read]) -> bool:
    """Whether nginx reads something else."""
    echoes = asked(port, sent, len(ours))
    for read, echo in zip(ours, echoes, strict=False):
        said = echo.split(b"|")
        if len(said) != 2 + len(_NGINX_NAMES):
            continue
        if (read.method, read.target) != (said[0], said[1]):
            return True
        names = [name for name, _ in read.headers]
        for name, value in zip(_NGINX_NAMES, said[2:], strict=True):
            # nginx reads an underscore as a hyphen, and shows one of several.
            is_shown = name in names and names.count(name) + names.count(name.replace(b"-", b"_")) == 1
            if is_shown and dict(read.headers)[name] != value.strip(b" \t"):
                return True
    return False


async def cases_of(seed: int, count: int, found: Callable[[bytes, list[Read]], None]) -> Counter[str]:
    """Read so many cases, and hand on each one of which our server read anything."""
    rng, ours, seen = random.Random(seed), Ours(), Counter[str]()
    for _ in range(count):
        sent = case(rng) + LAST
        cut = rng.randrange(len(sent))
        read = list(await ours.take([sent] if rng.random() < 0.5 else [sent[:cut], sent[cut:]]))
        whole = bool(read) and read[-1].target == b"/last"
        seen["whole" if whole else "refused" if ours.refused else "other"] += 1
        if read:
            found(sent, read)
    return seen
