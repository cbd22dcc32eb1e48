"""The gateway before upstreams that misbehave: an error in the API's shape, or a broken connection; never a lie."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway import Gateway, issued_token, running_gateway
from raw_upstream import OK, RawUpstream, answer

CREDENTIAL = "pit-" + "99999999-8888-4777-8666-555555555555"
CONTACT = "/contacts/abc"
SILENCE = 0.6


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    """An upstream whose answers the tests write."""
    made = RawUpstream()
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway(under_test, tmp_path_factory, fresh_folder, upstream) -> Iterator[Gateway]:
    """A gateway that waits less than usual, and keeps idle connections for as long as any test takes."""
    folder = under_test.copy(fresh_folder, tmp_path_factory.mktemp("gateway") / "data")
    location = "locationOneAAAAAAAAA"
    with running_gateway(
        folder,
        f"http://127.0.0.1:{upstream.port}",
        {location: CREDENTIAL},
        location,
        silence=SILENCE,
        queue=0.4,
        # A token's share is four.
        connections=16,
        tick=0.05,
        idle=60,
    ) as running:
        yield running


def kept_alive(*answers):
    """A script that answers one request after the other over one connection."""

    def script(peer):
        for given in answers:
            if not peer.request():
                return
            peer.send(given)
        peer.more()

    return script


def test_the_answer_is_the_upstreams(gateway, upstream):
    """Status, headers and body; nothing of ours is in it."""
    upstream.play(
        answer(
            b"HTTP/1.1 422 Unprocessable Entity\r\nX-RateLimit-Remaining: 7\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
            b"Content-Type: text/plain\r\nServer: theirs\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\n"
            b"Connection: close\r\nContent-Length: 5\r\n\r\nno\r\n!"
        )
    )
    got = gateway.ask("GET", CONTACT)
    assert (got.status, got.body) == (422, b"no\r\n!")
    assert got.headers["X-RateLimit-Remaining"] == "7"
    assert got.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert got.headers["Content-Type"] == "text/plain"
    assert got.headers.get_all("Server") == ["theirs"]
    assert got.headers.get_all("Date") == ["Sat, 21 Nov 2026 00:00:00 GMT"]
    assert "X-PIT-Problem" not in got.headers


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
        b"nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 300_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 20_000 + b"\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20_000,
        CHUNKED + b"zz\r\n{}\r\n",
    ],
    ids=lambda broken: broken[:60].decode("latin-1").encode("unicode_escape").decode(),
)
def test_an_answer_without_a_sound_head_is_a_502(gateway, upstream, broken):
    """In the API's error shape, and asked for once."""
    peers = upstream.play(answer(broken))
    assert gateway.ask("GET", CONTACT).refused == (502, "upstream-broken")
    assert len(peers) == 1


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf",
        CHUNKED + b"4\r\nhalf\r\n",
        CHUNKED + b"64\r\nhalf",
        CHUNKED + b"4\r\nhalf\r\n0\r\n",
    ],
)
def test_a_body_that_breaks_off_breaks_the_consumers_connection(gateway, upstream, begun, ending):
    """It never looks whole."""

    def script(peer):
        peer.request()
        peer.send(begun)
        if ending == "reset":
            peer.reset()

    upstream.play(script)
    got = gateway.ask("GET", CONTACT)
    # A reset may overtake what was sent before it.
    assert (got.status, got.whole) == (200, False) or got.refused == (502, "upstream-broken")
    if ending == "close":
        assert got.body == b"half"


def test_a_broken_chunk_in_mid_body_breaks_the_connection(gateway, upstream):
    """What came before it has been passed on; the rest is not made up."""
    proceed = threading.Event()

    def script(peer):
        peer.request()
        peer.send(CHUNKED + b"4\r\nhalf\r\n")
        proceed.wait(10)
        peer.send(b"zz\r\n")
        peer.more()

    peers = upstream.play(script)
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(gateway.head(b"GET /contacts/abc HTTP/1.1"))
        got = b""
        while b"half" not in got:
            got += client.recv(65536)
        proceed.set()
        while part := client.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 200")
    assert not got.endswith(b"0\r\n\r\n")
    assert peers[0].closed.wait(10)


def test_trailers_without_end_break_the_answer(gateway, upstream):
    """They count as a head does."""
    upstream.play(answer(CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X-A: 1\r\n" * 20_000 + b"\r\n"))
    got = gateway.ask("GET", CONTACT)
    assert not got.whole or got.refused == (502, "upstream-broken")


def test_a_body_until_close_is_whole(gateway, upstream):
    """An upstream of HTTP/1.0's kind ends its body with the connection."""
    upstream.play(answer(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall ", b"of it"))
    got = gateway.ask("GET", CONTACT)
    assert (got.status, got.body, got.whole) == (200, b"all of it", True)


def test_a_reset_ends_no_body(gateway, upstream):
    """A body that only the end of the connection ends is not ended by a reset."""
    seen = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nsome")
        seen.wait(10)
        peer.reset()

    upstream.play(script)
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(gateway.head(b"GET /contacts/abc HTTP/1.1"))
        got = b""
        while b"some" not in got:
            got += client.recv(65536)
        seen.set()
        while part := client.recv(65536):
            got += part
    assert b"some" in got
    assert not got.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "silent",
    [
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
def test_an_upstream_that_says_nothing_is_a_504(gateway, upstream, silent):
    """And its connection is closed."""

    def script(peer):
        peer.request()
        peer.send(silent)
        peer.more()

    peers = upstream.play(script)
    assert gateway.ask("GET", CONTACT).refused == (504, "upstream-timeout")
    assert peers[0].closed.wait(10)


def test_silence_in_mid_body_breaks_the_connection(gateway, upstream):
    """The consumer is not left waiting, nor told that this was all."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.more()

    peers = upstream.play(script)
    got = gateway.ask("GET", CONTACT)
    assert (got.status, got.body, got.whole) == (200, b"half", False)
    assert peers[0].closed.wait(10)


def test_a_slow_body_is_no_silence(gateway, upstream):
    """The limit counts between two bytes; a head is passed on before its body."""
    proceed = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        proceed.wait(10)
        for byte in b"12345":
            # Longer than the limit in all, never between two.
            threading.Event().wait(SILENCE / 3)
            peer.send(bytes([byte]))
        peer.more()

    upstream.play(script)
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(gateway.head(b"GET /contacts/abc HTTP/1.1", b"Connection: close"))
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        proceed.set()
        got = b""
        while part := client.recv(65536):
            got += part
    assert got.endswith(b"12345")


def test_an_upstream_that_does_not_read_is_a_504(gateway, upstream):
    """An upload into nothing ends."""
    done = threading.Event()
    upstream.play(lambda peer: (peer.head(), done.wait(20)))
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(
            gateway.head(b"POST /medias/upload-file HTTP/1.1", b"Content-Type: image/png", b"Content-Length: 100000000")
        )
        pushing = threading.Thread(target=push, args=(client, 100_000_000))
        pushing.start()
        got = client.recv(65536)
        pushing.join(20)
    done.set()
    assert got.startswith(b"HTTP/1.1 504")


def push(client, size):
    """Send as long as somebody takes it."""
    try:
        while size > 0:
            size -= client.send(b"x" * min(size, 65536))
    except OSError:
        pass


def test_informational_answers_are_left_out(gateway, upstream):
    """However they come; only the last answer is one."""
    upstream.play(
        answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n", OK)
    )
    got = gateway.ask("GET", CONTACT)
    assert (got.status, got.body) == (200, b"{}")
    assert "Link" not in got.headers


def test_an_informational_answer_with_a_body_is_broken(gateway, upstream):
    """It has none by the protocol, and what claims to be one is not passed on as a part of the answer."""
    upstream.play(answer(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\nEVIL", OK))
    assert gateway.ask("GET", CONTACT).refused == (502, "upstream-broken")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_has_none(gateway, upstream, status):
    """Whatever length it claims; what follows reaches nobody."""
    upstream.play(kept_alive(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\nETag: a\r\n\r\nEVIL"))
    got = gateway.ask("GET", CONTACT)
    assert (got.status, got.body, got.headers["ETag"]) == (int(status[:3]), b"", "a")
    upstream.play(answer(OK))
    assert gateway.ask("GET", CONTACT).body == b"{}"


def test_connections_are_used_again(gateway, upstream):
    """One after the other over one connection, for answers of every framing."""
    peers = upstream.play(
        kept_alive(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        )
    )
    answers = [gateway.ask("GET", CONTACT) for _ in range(4)]
    assert [(got.status, got.body) for got in answers] == [(200, b"{}"), (200, b"{}"), (204, b""), (200, b"{}")]
    assert all("X-Trailer" not in got.headers for got in answers)
    assert len(peers) == 1


EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" + EVIL,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}EVIL",
        CHUNKED + b"2\r\n{}\r\n0\r\n\r\n" + EVIL,
        b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL,
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 46\r\n\r\n" + EVIL,
    ],
)
def test_bytes_after_an_answer_answer_nobody(gateway, upstream, first):
    """They close the connection: the next consumer's request must not be answered with them."""
    peers = upstream.play(kept_alive(first, EVIL))
    assert gateway.ask("GET", CONTACT).body in (b"{}", b"")
    assert peers[0].closed.wait(10)
    upstream.play(answer(OK))
    assert gateway.ask("GET", CONTACT).body == b"{}"


def test_bytes_between_two_requests_answer_nobody(gateway, upstream):
    """An idle connection on which something arrives is closed."""
    more = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        more.wait(10)
        peer.send(EVIL)
        peer.more()

    peers = upstream.play(script)
    assert gateway.ask("GET", CONTACT).body == b"{}"
    more.set()
    assert peers[0].closed.wait(10)
    upstream.play(answer(OK))
    assert gateway.ask("GET", CONTACT).body == b"{}"


@pytest.mark.parametrize(
    ("method", "target", "body", "asked"),
    [
        ("GET", CONTACT, None, 2),
        ("DELETE", CONTACT, None, 2),
        ("PUT", CONTACT, None, 2),
        ("POST", "/contacts/", None, 1),
        ("PUT", CONTACT, {"name": "a"}, 1),
        ("DELETE", CONTACT + "/tags", {"tags": ["a"]}, 1),
    ],
)
def test_what_is_asked_again(gateway, upstream, method, target, body, asked):
    """Once, over a new connection, if the kept one closed without a byte; only idempotent requests without a body."""

    def script(peer):
        peer.request()
        if peer.number == 0:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            peer.request()
        else:
            peer.send(OK)

    peers = upstream.play(script)
    assert gateway.ask("GET", CONTACT).status == 200
    got = gateway.ask(method, target, body)
    requests = sum(bytes(peer.received).count(f"{method} {target} HTTP/1.1".encode()) for peer in peers)
    if (method, target) == ("GET", CONTACT):
        requests -= 1
    assert requests == asked
    if asked == 2:
        assert (got.status, got.body) == (200, b"{}")
    else:
        assert got.refused == (502, "upstream-broken")


@pytest.mark.parametrize("second", [b"HTTP/1.1", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_nothing_is_asked_again_after_a_byte(gateway, upstream, second):
    """The upstream has begun to answer: it has carried the request out."""
    peers = upstream.play(lambda peer: (peer.request(), peer.send(OK.replace(b"Connection: close\r\n", b"")),
                                        peer.request(), peer.send(second)))  # fmt: skip
    assert gateway.ask("GET", CONTACT).status == 200
    assert gateway.ask("GET", CONTACT).refused == (502, "upstream-broken")
    assert len(peers) == 1


def test_a_new_connection_that_closes_is_not_asked_again(gateway, upstream):
    """An upstream that dies of a request is not killed twice."""
    peers = upstream.play(lambda peer: peer.request())
    assert gateway.ask("GET", CONTACT).refused == (502, "upstream-broken")
    assert len(peers) == 1


def test_an_early_answer_ends_the_upload(gateway, upstream):
    """What the upstream says before it has read everything reaches the consumer; the connection isn't used again."""

    def script(peer):
        while b"x" * 1000 not in peer.received and peer.more():
            pass
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
        while peer.more():
            pass

    peers = upstream.play(script)
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(
            gateway.head(b"POST /medias/upload-file HTTP/1.1", b"Content-Type: image/png", b"Content-Length: 1000000")
            + b"x" * 1000
        )
        got = client.recv(65536)
    assert got.startswith(b"HTTP/1.1 413")
    assert peers[0].closed.wait(10)


def test_the_credential_never_comes_back(gateway, upstream):
    """Not in a header, not in a redirect, not in the words of a refusal."""
    secret = CREDENTIAL.encode()
    head = (
        b"Location: https://elsewhere.test/?token=" + secret + b"\r\nX-Echo: Bearer " + secret + b"\r\nX-Other: 1\r\n"
    )
    upstream.play(answer(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n" + head + b"\r\n"))
    got = gateway.ask("GET", CONTACT)
    assert (got.status, got.headers["X-Other"]) == (302, "1")
    assert CREDENTIAL not in str(got.headers)
    said = b'{"statusCode":401,"message":"no such token: ' + secret + b'"}'
    upstream.play(
        answer(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
    )
    got = gateway.ask("GET", CONTACT)
    assert got.refused == (502, "upstream-credential-refused")
    assert got.json["upstreamMessage"] == "no such token: \u2026"
    assert CREDENTIAL not in str(got.headers)


@pytest.mark.parametrize("body", [b"x" * 100_000, b"", b"<html>"])
def test_a_dead_credential_is_not_the_consumers_fault(gateway, upstream, body):
    """Its token is good, so it is told 502 and why; whatever the upstream's 401 looks like."""
    upstream.play(
        answer(
            b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
    )
    got = gateway.ask("GET", CONTACT)
    assert got.refused == (502, "upstream-credential-refused")
    assert "WWW-Authenticate" not in got.headers
    assert gateway.token not in str(got)


def test_redirects_are_passed_on(gateway, upstream):
    """Never followed; into the upstream they lead through the gateway, elsewhere they are what they were."""
    base = f"http://127.0.0.1:{upstream.port}".encode()
    for location, passed in (
        (base + b"/contacts/x", "/contacts/x"),
        (b"http://elsewhere.test/a", "http://elsewhere.test/a"),
    ):
        peers = upstream.play(
            answer(b"HTTP/1.1 307 T\r\nConnection: close\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n")
        )
        got = gateway.ask("GET", CONTACT)
        assert (got.status, got.headers["Location"]) == (307, passed)
        assert len(peers) == 1


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 O", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nO"])
def test_a_consumer_that_goes_away_cancels_the_request(gateway, upstream, begun):
    """The upstream sees its connection closed, whether it has begun to answer or not."""
    arrived = threading.Event()

    def script(peer):
        peer.request()
        peer.send(begun)
        arrived.set()
        peer.connection.settimeout(0.05)
        while not peer.closed.is_set():
            # Every byte ends a silence, so that only the consumer's going away can end the exchange.
            peer.send(b"K")
            try:
                peer.closed.set() if not peer.connection.recv(1) else None
            except TimeoutError:
                continue
            except OSError:
                peer.closed.set()

    peers = upstream.play(script)
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(gateway.head(b"GET /contacts/abc HTTP/1.1"))
        assert arrived.wait(10)
    assert peers[0].closed.wait(10)


def test_a_consumer_that_stops_reading_frees_the_connection(gateway, upstream):
    """The upstream isn't held by an answer that nobody takes; what was taken is not whole."""
    size = 100_000_000
    peers = upstream.play(
        lambda peer: (
            peer.request(),
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size),
            peer.send(b"x" * size),
        )
    )
    with socket.create_connection(gateway.address, timeout=20) as client:
        client.sendall(gateway.head(b"GET /contacts/abc HTTP/1.1"))
        got = len(client.recv(65536))
        assert peers[0].closed.wait(10)
        while part := client.recv(65536):
            got += len(part)
    assert got < size


def test_a_consumer_that_stops_sending_is_a_408(gateway, upstream):
    """An upload that doesn't go on frees its connection."""
    for media in (b"image/png", b"application/json"):
        upstream.play(lambda peer: peer.request())
        got = gateway.raw(
            gateway.head(
                b"POST /medias/upload-file HTTP/1.1",
                b"Content-Type: " + media,
                b"Content-Length: 1000",
                b"Connection: close",
            )
            + b"[1,"
        )
        assert got.startswith(b"HTTP/1.1 408")
        assert b'"reason":"client-timeout"' in got


def test_waiting_requests_are_bounded(gateway, upstream):
    """More requests than a token's share of the connections wait for one, and not for ever."""
    release = threading.Event()
    arrived = threading.Semaphore(0)

    def script(peer):
        peer.request()
        arrived.release()
        peer.send(b"HTTP/1.1 200 O")
        # Every byte ends a silence.
        while not release.wait(0.1):
            peer.send(b"K")
        peer.send(b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    upstream.play(script)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(gateway.ask("GET", CONTACT))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=10)
    assert gateway.ask("GET", CONTACT).refused == (429, "token-share-used")
    waiting = threading.Thread(target=lambda: answers.append(gateway.ask("GET", CONTACT)))
    waiting.start()
    release.set()
    for thread in (*threads, waiting):
        thread.join(20)
    assert [got.status for got in answers] == [200] * 5


def test_an_account_without_a_credential(gateway, upstream):
    """Says so, and asks nobody."""
    peers = upstream.play(answer(OK))
    token = issued_token(replace(gateway.management, account="locationBBBBBBBBBBBB"))
    assert replace(gateway, token=token).ask("GET", CONTACT).refused == (502, "upstream-credential-missing")
    assert not peers


def test_an_upstream_that_is_not_there_is_a_502(under_test, tmp_path, fresh_folder):
    """Nothing listens; the answer doesn't say where."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    folder = under_test.copy(fresh_folder, tmp_path / "data")
    location = "locationOneAAAAAAAAA"
    with running_gateway(folder, f"http://127.0.0.1:{port}", {location: CREDENTIAL}, location) as gateway:
        got = gateway.ask("GET", CONTACT)
        assert got.refused == (502, "upstream-unreachable")
        assert str(port) not in str(got)
