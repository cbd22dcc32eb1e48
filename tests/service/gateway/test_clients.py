"""Hostile consumers of the gateway over bare sockets: the upstream gets what was authorized, and only that."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from gateway import Gateway, running_gateway
from raw_upstream import OK, RawUpstream, answer

CREDENTIAL = "upstream-" + "credential"
LOCATION = "locationOneAAAAAAAAA"
FOREIGN = "locationTwoAAAAAAAAA"
UPLOAD = b"POST /medias/upload-file HTTP/1.1"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    """An upstream that keeps what it is sent."""
    made = RawUpstream()
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway(under_test, tmp_path_factory, fresh_folder, upstream) -> Iterator[Gateway]:
    """A gateway with a path in its upstream's URL."""
    folder = under_test.copy(fresh_folder, tmp_path_factory.mktemp("gateway") / "data")
    url = f"http://127.0.0.1:{upstream.port}/base"
    with running_gateway(folder, url, {LOCATION: CREDENTIAL}, LOCATION, streamed_body=80 * MIB) as running:
        yield running


@pytest.fixture
def peers(upstream):
    """The connections that the upstream gets in this test."""
    return upstream.play(answer(OK))


def only_request(peers, gateway):
    """The one request that reached the upstream, without a trace of the consumer's token."""
    (peer,) = peers
    received = bytes(peer.received)
    assert gateway.token.encode() not in received
    assert received.lower().count(b"authorization:") == 1
    assert b"\r\nAuthorization: Bearer " + CREDENTIAL.encode() + b"\r\n" in received
    assert len(re.findall(rb"(?im)^[a-z]+ \S+ HTTP/1\.1\r$", received)) == 1
    return received


def refused(got):
    """Status and reason of a refusal on the wire."""
    head, _, body = got.partition(b"\r\n\r\n")
    parsed = json.loads(body)
    assert b"x-pit-problem: " + parsed["reason"].encode() in head
    assert parsed["statusCode"] == int(head[9:12])
    return parsed["statusCode"], parsed["reason"]


@pytest.mark.parametrize(
    "target",
    [
        b"/contacts/",
        b"/contacts",
        b"/contacts/?locationId=" + LOCATION.encode() + b"&startAfter=1&startAfter=x&empty=&%20a=%2F",
        b"/contacts/a%20b+c,d:@=$!'()*~._-",
        b"/contacts/%C3%A4",
        b"/contacts/a/",
    ],
)
def test_the_target_is_sent_as_it_came(gateway, peers, target):
    """Spelling, escapes, trailing slash and query; below the upstream's path."""
    assert gateway.raw(gateway.head(b"GET " + target + b" HTTP/1.1", b"Connection: close")).startswith(b"HTTP/1.1 200")
    assert only_request(peers, gateway).startswith(b"GET /base" + target + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "line",
    [
        b"GET http://elsewhere.test/contacts/abc HTTP/1.1",
        b"GET http://127.0.0.1:1/contacts/abc?a=1 HTTP/1.1",
        b"GET /contacts/abc#fragment HTTP/1.1",
        b"GET /contacts/abc?a=1#fragment HTTP/1.1",
        b"GET //elsewhere.test/contacts/abc HTTP/1.1",
        b"GET /contacts//abc HTTP/1.1",
        b"GET /contacts/../locations/x HTTP/1.1",
        b"GET /contacts/%2e%2e/locations HTTP/1.1",
        b"GET /contacts/a%2Fb HTTP/1.1",
        b"GET /contacts/a%5cb HTTP/1.1",
        b"GET /contacts\\abc HTTP/1.1",
        b"GET /contacts/..;/locations HTTP/1.1",
        b"GET /contacts/search;x HTTP/1.1",
        b"GET /contacts/a%23b HTTP/1.1",
        b"GET /contacts/a%3Fb HTTP/1.1",
        b"GET /contacts/a%252Fb HTTP/1.1",
        b"GET /contacts/a%00 HTTP/1.1",
        b"GET /contacts/%ff HTTP/1.1",
        b"GET /contacts/\xc3\xa4 HTTP/1.1",
        b"GET /contacts/{contactId} HTTP/1.1",
        b"GET /contacts/Search HTTP/1.1",
        b"GET /contacts/%73earch/duplicate HTTP/1.1",
        b"DELETE /contacts/a/campaigns/REMOVEALL HTTP/1.1",
        b"DELETE /contacts/a/campaigns/removeall HTTP/1.1",
        b"GET contacts/abc HTTP/1.1",
        b"GET 127.0.0.1:1 HTTP/1.1",
        b"get /contacts/abc HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"OPTIONS /contacts/abc HTTP/1.1",
        b"TRACE /contacts/abc HTTP/1.1",
        b"CONNECT 127.0.0.1:1 HTTP/1.1",
        b"GET /contacts/abc HTTP/1.1 x",
        b"GET /contacts/a b HTTP/1.1",
        b"GET /contacts/\x0b HTTP/1.1",
    ],
    ids=repr,
)
def test_other_targets_reach_nobody(gateway, peers, line):
    """Not the upstream, in any reading; and no answer is a failure of ours."""
    got = gateway.raw(gateway.head(line, b"Connection: close"))
    assert not got or re.match(rb"HTTP/1\.[01] 4\d\d ", got)
    assert not peers


@pytest.mark.parametrize("name", [b"Host", b"Content-Type", b"Content-Encoding"])
def test_repeated_headers_are_refused(gateway, peers, name):
    """Whichever the upstream would have taken."""
    for second in (b"a", b"b"):
        repeated = (name + b": a", name + b": " + second)
        got = gateway.raw(gateway.head(b"GET /contacts/abc HTTP/1.1", *repeated, b"Connection: close"))
        assert refused(got) == (400, "request-malformed" if name == b"Host" else "header-repeated")
    assert not peers


def test_a_repeated_authorization_is_refused(gateway, peers):
    """Before anything else."""
    repeated = b"Authorization: Bearer " + gateway.token.encode()
    got = gateway.raw(gateway.head(b"GET /contacts/abc HTTP/1.1", repeated, b"Connection: close"))
    assert refused(got) == (400, "token-repeated")
    assert not peers


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((b"Content-Length: 2", b"Content-Length: 3"), b"{}"),
        ((b"Content-Length: 2", b"Content-Length: 2"), b"{}"),
        ((b"Content-Length: 5", b"Transfer-Encoding: chunked"), b"2\r\n{}\r\n0\r\n\r\n"),
        ((b"Transfer-Encoding: chunked", b"Content-Length: 5"), b"2\r\n{}\r\n0\r\n\r\n"),
        ((b"Content-Length: 2, 2",), b"{}"),
        ((b"Content-Length: +2",), b"{}"),
        ((b"Content-Length: 0x2",), b"{}"),
        ((b"Transfer-Encoding: gzip, chunked",), b"2\r\n{}\r\n0\r\n\r\n"),
        ((b"Transfer-Encoding: identity",), b""),
        ((b"Transfer-Encoding: chunked, identity",), b"2\r\n{}\r\n0\r\n\r\n"),
        ((b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"), b"2\r\n{}\r\n0\r\n\r\n"),
        ((b"Transfer-Encoding: xchunked",), b"2\r\n{}\r\n0\r\n\r\n"),
        ((b"Transfer-Encoding : chunked",), b"2\r\n{}\r\n0\r\n\r\n"),
        ((b"Transfer-Encoding: \x0bchunked",), b"2\r\n{}\r\n0\r\n\r\n"),
        ((b"X-Folded: a\r\n b",), b""),
        ((b"X-Nul: a\0b",), b""),
        ((b"X-Return: a\rb",), b""),
    ],
)
def test_framing_with_two_readings_reaches_nobody(gateway, peers, headers, body):
    """Refused by the server or by us."""
    got = gateway.raw(gateway.head(b"POST /contacts/ HTTP/1.1", *headers, b"Connection: close") + body)
    assert re.match(rb"HTTP/1\.1 4\d\d ", got)
    assert not peers


SMUGGLED = b"GET /contacts/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body", "passed"),
    [
        ((b"Transfer-Encoding: chunked",), b"2;ext=1\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n", b"{}"),
        ((b"Content-Length: %d" % len(SMUGGLED), b"Content-Type: text/plain"), SMUGGLED, SMUGGLED),
    ],
)
def test_a_request_hides_no_other(gateway, peers, headers, body, passed):
    """One request with one framing of our own reaches the upstream, and a body stays one."""
    gateway.raw(gateway.head(b"POST /contacts/ HTTP/1.1", *headers, b"Connection: close") + body)
    (peer,) = peers
    head, _, rest = bytes(peer.received).partition(b"\r\n\r\n")
    assert head.lower().count(b"content-length:") == 1
    assert b"transfer-encoding" not in head.lower()
    assert b"content-length: %d" % len(passed) in head
    assert rest == passed
    assert b"X-Trailer" not in peer.received


@pytest.mark.parametrize(
    "body",
    [
        b"2\r\n{}XX0\r\n\r\n",
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{",
        b"2\n{}\n0\n\n",
        b"-2\r\n{}\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("media", [b"application/json", b"image/png"])
def test_a_broken_body_never_ends_at_the_upstream(gateway, upstream, media, body):
    """A checked one isn't sent at all; a streamed one breaks the upstream's connection before its end."""
    peers = upstream.play(lambda peer: peer.request())
    headers = (b"Content-Type: " + media, b"Transfer-Encoding: chunked", b"Connection: close")
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(gateway.head(UPLOAD, *headers) + body)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65536):
            pass
    if media == b"application/json":
        assert not peers
    else:
        for peer in peers:
            assert peer.closed.wait(10)
            assert not peer.received.endswith(b"0\r\n\r\n")


def test_what_belongs_to_the_connection_stays_there(gateway, peers):
    """No upgrade, no expectation, no word about who asks."""
    got = gateway.raw(
        gateway.head(
            b"POST /contacts/ HTTP/1.1",
            b"Connection: Upgrade, HTTP2-Settings, X-Hop, close",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
            b"X-Hop: 1",
            b"TE: trailers",
            b"Trailer: X-A",
            b"Proxy-Authorization: Basic x",
            b"Cookie: session=1",
            b"X-Forwarded-For: 1.2.3.4",
            b"X-PIT-Account: foreign",
            b"X_PIT_Account: foreign",
            b"X-HTTP-Method-Override: DELETE",
            b"Expect: 100-continue",
            b"Content-Length: 2",
            b"Accept: */*",
        )
        + b"{}"
    )
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
    lines = only_request(peers, gateway).split(b"\r\n")
    assert [line.partition(b":")[0] for line in lines[1:-2]] == [
        b"Host",
        b"Authorization",
        b"Via",
        b"version",
        b"accept",
        b"content-length",
    ]


def test_an_old_client_is_served(gateway, peers):
    """HTTP/1.0 without a Host; the upstream gets its own."""
    request = f"GET /contacts/abc HTTP/1.0\r\nAuthorization: {gateway.token}\r\nVersion: v3\r\n\r\n"
    assert b" 200 OK\r\n" in gateway.raw(request.encode())
    assert b"Host: 127.0.0.1" in only_request(peers, gateway)


def multipart(name, value):
    """A body with a file and a field after it."""
    lines = [
        b"--b",
        b'Content-Disposition: form-data; name="file"; filename="a.png"',
        b"",
        b"\0" * 5000,
        b"--b",
        f'Content-Disposition: form-data; name="{name}"'.encode(),
        b"",
        value.encode(),
        b"--b--",
        b"",
    ]
    return b"\r\n".join(lines)


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    ("media", "make"),
    [
        ("application/json", lambda name, value: json.dumps({"x": 1, name: value}).encode()),
        ("application/json", lambda name, value: f'{{"{name}":"{value}","{name}":"{LOCATION}"}}'.encode()),
        ("application/x-www-form-urlencoded", lambda name, value: f"x=1&{name}={value}".encode()),
        ("multipart/form-data; boundary=b", multipart),
        ("text/plain", lambda name, value: json.dumps({name: value}).encode()),
    ],
)
@pytest.mark.parametrize("name", ["locationId", "altId"])
def test_a_foreign_location_in_a_body_is_refused(gateway, upstream, method, media, make, name):
    """The account's own passes unchanged; another's never reaches the upstream whole."""
    target = {"POST": "/contacts/", "DELETE": "/contacts/a/tags"}[method]
    for chunked in (False, True):
        peers = upstream.play(answer(OK))
        body = make(name, LOCATION)
        headers = {"Content-Type": media} | ({"Transfer-Encoding": "chunked"} if chunked else {})
        assert gateway.ask(method, target, iter([body]) if chunked else body, headers).status == 200
        assert body in peers[0].received or chunked
        peers = upstream.play(lambda peer: peer.request())
        got = gateway.ask(method, target, iter([make(name, FOREIGN)]) if chunked else make(name, FOREIGN), headers)
        assert got.refused == (403, "location-not-allowed")
        assert not any(b"--b--" in peer.received for peer in peers)
        assert not peers or media.startswith("multipart")


@pytest.mark.parametrize(
    "target",
    [
        f"/invoices/a?altId={FOREIGN}&altType=location",
        f"/contacts/?locationId={LOCATION}&locationId={FOREIGN}",
        f"/contacts/?locationId[]={FOREIGN}",
        f"/contacts/?[locationId]={FOREIGN}",
        f"/locations/{FOREIGN}",
    ],
)
def test_a_foreign_location_in_the_target_is_refused(gateway, peers, target):
    """In query and path, as in a body."""
    got = gateway.ask("GET", target)
    assert got.refused[1] == "location-not-allowed"
    got = gateway.ask("GET", "/contacts/a", headers={"locationId": FOREIGN})
    assert got.refused == (403, "location-not-allowed")
    assert not peers
    assert gateway.ask("GET", target.replace(FOREIGN, LOCATION)).status == 200


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{", {"Content-Type": "application/json"}, (400, "body-malformed")),
        (b"nothing", {"Content-Type": "multipart/form-data; boundary=b"}, (400, "body-malformed")),
        (b"nothing", {"Content-Type": "multipart/form-data"}, (400, "body-malformed")),
        (b"x", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, (415, "body-encoded")),
        (b"[" + b" " * MIB + b"]", {"Content-Type": "application/json"}, (413, "body-too-large")),
    ],
)
def test_a_body_that_cannot_be_checked_is_not_forwarded(gateway, upstream, body, headers, expected):
    """It is refused in the API's shape, sent with its length or in chunks."""
    for framed in ({}, {"Transfer-Encoding": "chunked"}):
        peers = upstream.play(lambda peer: peer.request())
        sent = iter([body]) if framed else body
        assert gateway.ask("POST", "/contacts/", sent, headers | framed).refused == expected
        for peer in peers:
            assert peer.closed.wait(10)
            assert not bytes(peer.received).endswith((body, b"0\r\n\r\n"))


def test_a_streamed_body_has_a_limit(gateway, upstream):
    """By its length it isn't begun; in chunks it is broken off."""
    peers = upstream.play(answer(OK))
    got = gateway.raw(
        gateway.head(UPLOAD, b"Content-Type: image/png", b"Content-Length: %d" % (81 * MIB), b"Connection: close")
    )
    assert refused(got) == (413, "body-too-large")
    assert not peers


def resident(gateway):
    """Bytes of memory that the gateway's process has."""
    return psutil.Process(gateway.process.pid).memory_info().rss


def test_memory_stays_flat(gateway, upstream):
    """64 MiB up to an upstream that reads late, and down to a consumer that does, fit through a few."""
    size = 64 * MIB
    seen = []
    stuck = threading.Event()

    def script(peer):
        stuck.wait(20)
        peer.head()
        body = len(peer.received)
        while body < size:
            seen.append(resident(gateway))
            body += len(peer.connection.recv(MIB))
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(64):
            peer.send(b"y" * MIB)

    upstream.play(answer(OK))
    gateway.ask("POST", "/medias/upload-file", b"x" * MIB, {"Content-Type": "image/png"})
    before = resident(gateway)
    upstream.play(script)
    head = gateway.head(UPLOAD, b"Content-Type: image/png", b"Content-Length: %d" % size, b"Connection: close")
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(head)
        left = size
        client.settimeout(1)
        with suppress(TimeoutError):
            while left:
                left -= client.send(b"x" * min(left, MIB))
        # What has gone is in the buffers of sockets: the upstream has read nothing.
        assert left > size / 2
        seen.append(resident(gateway))
        stuck.set()
        client.settimeout(20)
        client.sendall(b"x" * left)
        got = len(client.recv(MIB))
        # The upstream sends as much as it can, before the rest is taken.
        seen += [resident(gateway) for _ in range(1000)]
        while part := client.recv(MIB):
            got += len(part)
            seen.append(resident(gateway))
    assert got > size
    assert max(seen) - before < 16 * MIB
