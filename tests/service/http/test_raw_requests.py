"""What no client library sends: requests that leave room for two readings, huge ones, slow ones, over raw sockets.

Behind each hostile request comes a harmless one on the same connection, so that the list of statuses says all: what
was answered, whether anything inside was taken for a request of its own, and whether the connection was given up.
"""

import re
import socket
from contextlib import ExitStack

import psutil
import pytest
import requests

from engines import storage_independent

pytestmark = storage_independent

LAST = b"GET /health HTTP/1.1\r\nHost: crm.test\r\nConnection: close\r\n\r\n"
REFUSED = [400]
MB = 1024 * 1024


@pytest.fixture
def token(management):
    """A token in use that may read and write contacts."""
    made = management.integration(scopes=["contacts.readonly", "contacts.write"])
    return management.issue(made["id"], 1).json()["token"]


@pytest.fixture
def connect(service):
    """Connect to the service; every connection is closed at the end."""
    port = int(service.url.rpartition(":")[2])
    with ExitStack() as held:
        yield lambda: held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))


@pytest.fixture
def exchange(service, connect, token):
    """Send bytes, with `{token}`, `{smuggled}` and the like filled in; all that came back until the server closed."""
    read = f"GET /contacts/?locationId={service.account} HTTP/1.1\r\n"
    who = f"Authorization: Bearer {token}\r\nVersion: v3\r\n"
    body = f'{{"locationId":"{service.account}"}}'
    smuggled = f"{read}Host: crm.test\r\n{who}\r\n"
    values = {
        "read": read,
        "host": "Host: crm.test\r\n",
        "who": who,
        "get": f"{read}Host: crm.test\r\n{who}",
        "post": f"POST /contacts/ HTTP/1.1\r\nHost: crm.test\r\n{who}Content-Type: application/json\r\n",
        "body": body,
        "length": len(body),
        "hex": f"{len(body):x}",
        "smuggled": smuggled,
        "smuggled_length": len(smuggled),
        "token": token,
        "key": service.key,
    }

    def talk(sent):
        content = sent.format(**values).encode("latin-1") + LAST
        with connect() as connection:
            return _answered(connection, content)

    return talk


def _answered(connection, content):
    received = b""
    try:
        connection.sendall(content)
        while part := connection.recv(65536):
            received += part
    except ConnectionError:
        # The server gave up on the rest of what was sent.
        return received
    return received


def _statuses(answers):
    """The status of each final answer."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d) ", answers)]


CHUNKED = "{post}Transfer-Encoding: chunked\r\n\r\n"


CASES = [
    # Well-formed, so that the others are refused for what they are.
    ("{get}\r\n", [200, 200]),
    ("{get}\r\n{get}\r\n", [200, 200, 200]),
    ("{post}Content-Length: {length}\r\n\r\n{body}", [201, 200]),
    (CHUNKED + "{hex}\r\n{body}\r\n0\r\n\r\n", [201, 200]),
    # Two lengths.
    ("{post}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}", REFUSED),
    ("{post}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n{smuggled}", REFUSED),
    ("{post}Content-Length: {length}\r\nContent-Length: 3\r\n\r\n{body}{smuggled}", REFUSED),
    ("{post}Content-Length: {length}, {length}\r\n\r\n{body}{smuggled}", REFUSED),
    # Lengths that are no plain number.
    ("{post}Content-Length: +{length}\r\n\r\n{body}{smuggled}", REFUSED),
    ("{post}Content-Length: -1\r\n\r\n{body}{smuggled}", REFUSED),
    ("{post}Content-Length: 0x10\r\n\r\n{body}{smuggled}", REFUSED),
    ("{post}Content-Length: 1 0\r\n\r\n{body}{smuggled}", REFUSED),
    ("{post}Content-Length: 99999999999999999999999\r\n\r\n{body}{smuggled}", REFUSED),
    ("{post}Content-Length : {length}\r\n\r\n{body}{smuggled}", REFUSED),
    # Transfer codings.
    ("{post}Transfer-Encoding: gzip\r\n\r\n{body}{smuggled}", REFUSED),
    ("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{smuggled}", REFUSED),
    ("{post}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n{smuggled}", REFUSED),
    ("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}", REFUSED),
    ("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}", REFUSED),
    ("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{smuggled}", REFUSED),
    ("{post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{smuggled}", REFUSED),
    # Chunks that are none.
    (CHUNKED + "zz\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "-5\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "+5\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "0x{hex}\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "fffffffffffffffff\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "10000000000000003\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "{hex}\r\n{body}XX0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "3\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "{hex}\n{body}\n0\n\n{smuggled}", REFUSED),
    (CHUNKED + "{hex};a\nb\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "{hex};" + "a" * 100_000 + "\r\n{body}\r\n0\r\n\r\n{smuggled}", REFUSED),
    (CHUNKED + "{hex}\r\n{body}\r\n0\r\n" + "X: y\r\n" * 50_000 + "\r\n{smuggled}", REFUSED),
    # A trailer is no header.
    ("POST /contacts/ HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n{who}\r\n", [401, 200]),
    # A body is no request, wherever the answer comes from and whether anybody read it.
    ("{get}Content-Length: {smuggled_length}\r\n\r\n{smuggled}", [200, 200]),
    ("GET /contacts/ HTTP/1.1\r\n{host}Content-Length: {smuggled_length}\r\n\r\n{smuggled}", [401, 200]),
    ("POST /health HTTP/1.1\r\n{host}Content-Length: {smuggled_length}\r\n\r\n{smuggled}", [200, 200]),
    # Headers.
    ("{get}{host}\r\n", REFUSED),
    ("{get}Host: elsewhere.test\r\n\r\n{smuggled}", REFUSED),
    ("{get}Authorization: Bearer {token}\r\n\r\n", [400, 200]),
    ("{get}X-A: one\r\n two\r\n\r\n{smuggled}", REFUSED),
    ("{read}{host}Version: v3\r\nAuthorization:\r\n Bearer {token}\r\n\r\n", REFUSED),
    ("{get}X-A: one\rtwo\r\n\r\n", REFUSED),
    ("{get}X-A: one\0two\r\n\r\n", REFUSED),
    ("{read}{host}Version: v3\r\nAuthorization: Bearer\0{token}\r\n\r\n", REFUSED),
    ("{read}{host}Version: v3\r\nAuthorization : Bearer {token}\r\n\r\n", REFUSED),
    ("{read}{host}Version: v3\r\nAuth\xf6rization: Bearer {token}\r\n\r\n", REFUSED),
    ("{get}" + "X: y\r\n" * 200 + "\r\n", [431]),
    # A single LF ends no line: some readers go on behind it.
    ("{read}Host: crm.test\nAuthorization: Bearer {token}\nVersion: v3\n\n", REFUSED),
    ("{read}Host: crm.test\r\nAuthorization: Bearer {token}\nVersion: v3\r\n\r\n", REFUSED),
    ("\r\n{get}\r\n", REFUSED),
    # Request lines. The target is a path: whose host counts in another form is a matter of the reader.
    ("GET http://elsewhere.test/health HTTP/1.1\r\n{host}\r\n", REFUSED),
    ("GET http://elsewhere.test/contacts/x HTTP/1.1\r\n{host}{who}\r\n", REFUSED),
    ("GET /health#x HTTP/1.1\r\n{host}\r\n", REFUSED),
    ("CONNECT elsewhere.test:80 HTTP/1.1\r\nHost: elsewhere.test:80\r\n{who}\r\n", REFUSED),
    ("OPTIONS * HTTP/1.1\r\n{host}{who}\r\n", REFUSED),
    ("GET /health HTTP/1.1\r\n\r\n", REFUSED),
    ("GET /health HTTP/1.1\r\nHost: a/b@c\r\n\r\n", REFUSED),
    ("GET  /health HTTP/1.1\r\n{host}\r\n", REFUSED),
    ("GET /health HTTP/1.1 \r\n{host}\r\n", REFUSED),
    ("GET\t/health HTTP/1.1\r\n{host}\r\n", REFUSED),
    ("get /health HTTP/1.1\r\n{host}\r\n", REFUSED),
    ("GET contacts/ HTTP/1.1\r\n{host}{who}\r\n", REFUSED),
    ("GET /con tacts/ HTTP/1.1\r\n{host}{who}\r\n", REFUSED),
    ("GET /\xff HTTP/1.1\r\n{host}{who}\r\n", REFUSED),
    ("G\0T / HTTP/1.1\r\n{host}\r\n", REFUSED),
    ("GET /health HTTP/9.9\r\n{host}\r\n", REFUSED),
    ("GET /health\r\n", REFUSED),
    # The management API.
    ("GET /private-integrations/v1/accounts HTTP/1.1\r\n{host}Authorization: Bearer {key}\r\n\r\n", [200, 200]),
    (
        "GET /private-integrations/v1/accounts HTTP/1.1\r\n{host}"
        "Authorization: Bearer {key}\r\nAuthorization: Bearer {key}\r\n\r\n",
        [400, 200],
    ),
    (
        "PUT /private-integrations/v1/keys/x HTTP/1.1\r\n{host}Authorization: Bearer {key}\r\n"
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n{smuggled}",
        REFUSED,
    ),
    ("GET /private%2Dintegrations/v1/accounts HTTP/1.1\r\n{host}Authorization: Bearer {key}\r\n\r\n", [401, 200]),
    ("GET //private-integrations/v1/accounts HTTP/1.1\r\n{host}Authorization: Bearer {key}\r\n\r\n", [401, 200]),
]


@pytest.mark.parametrize(("sent", "statuses"), CASES, ids=[sent[:70] for sent, _ in CASES])
def test_a_request_is_one_request(exchange, sent, statuses):
    """What can be read in two ways is refused; nothing inside a request is ever answered as another; never a 5xx."""
    answers = exchange(sent)
    assert _statuses(answers) == statuses
    assert b"Traceback" not in answers


def test_no_http_2(connect):
    """HTTP/2 has limits of its own that nobody set: it isn't spoken, and TLS isn't either."""
    for sent in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0", b"\x16\x03\x01\x02\x00\x01"):
        with connect() as connection:
            answer = _answered(connection, sent)
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert b"\r\nconnection: close\r\n" in answer


@pytest.mark.parametrize("name", ["Authorization", "X-Filler", "Version"])
def test_huge_headers_take_no_memory(service, connect, name):
    """Of twenty megabytes in a header almost nothing is kept, and the client is cut off."""
    process = psutil.Process(service.process.pid)
    requests.get(f"{service.url}/health", timeout=10)
    before = process.memory_info().rss
    for _ in range(5):
        with connect() as connection:
            start = f"GET /contacts/ HTTP/1.1\r\nHost: crm.test\r\n{name}: Bearer ".encode()
            statuses = _statuses(_answered(connection, start + b"x" * 20 * MB + b"\r\n\r\n"))
            assert statuses in ([], [400], [431])
            assert process.memory_info().rss - before < 10 * MB
    assert requests.get(f"{service.url}/health", timeout=10).ok


SLOW = [
    b"GET /contacts/ HTTP/1.1\r\nHost: crm.test\r\nX-Slow: ",
    b"",
    b"POST /private-integrations/v1/introspect HTTP/1.1\r\nHost: crm.test\r\nContent-Length: 100\r\n\r\n1",
    b"PUT /private-integrations/v1/keys/x HTTP/1.1\r\nHost: crm.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1",
]


def test_slow_clients_hold_nobody_up(service, connect, exchange):
    """While six hundred clients have begun a request and say nothing more, others are answered."""
    waiting = [connect() for _ in range(600)]
    for number, connection in enumerate(waiting):
        connection.sendall(SLOW[number % len(SLOW)])
    for _ in range(20):
        assert _statuses(exchange("{get}\r\n")) == [200, 200]
    assert requests.get(f"{service.url}/health", timeout=10).ok


def test_a_body_in_pieces(connect):
    """A body may come byte by byte: slow is not wrong."""
    with connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST /health HTTP/1.1\r\nHost: crm.test\r\nContent-Length: 5\r\n\r\nhello":
            connection.sendall(bytes([byte]))
        assert _statuses(_answered(connection, LAST)) == [200, 200]
