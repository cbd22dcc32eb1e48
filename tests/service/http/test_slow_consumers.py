"""A consumer takes no more than its share, however slow its requests are: another account's go through meanwhile.

Times are scaled down: what takes a minute and more with the usual limits takes a second here.
"""

import json
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from gateway import Gateway, issued_token, running_gateway
from raw_upstream import RawUpstream

CREDENTIAL = "pit-" + "99999999-8888-4777-8666-555555555555"
OURS, THEIRS = "locationOneAAAAAAAAA", "locationBBBBBBBBBBBB"
CONTACT = "/contacts/abc"
CONNECTIONS = 100
MANY = 110
SIZE = 500_000
WINDOW = 2.0
LARGE = 20_000_000


def upstreams(peer):
    """Answer at once, but a contact that is called `hangs`, `drips` or `large`."""
    while request := peer.request():
        target = request.split(b" ", 2)[1]
        if b"hangs" in target:
            peer.more()
        elif b"drips" in target:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not peer.closed.wait(0.1):
                peer.send(b"x")
        elif b"large" in target:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
            peer.send(b"x" * LARGE)
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.fixture(scope="module")
def gateway(under_test, tmp_path_factory, fresh_folder) -> Iterator[Gateway]:
    """A gateway to an upstream that can be slow, for two accounts, with short times."""
    upstream = RawUpstream()
    upstream.play(upstreams)
    folder = under_test.copy(fresh_folder, tmp_path_factory.mktemp("gateway") / "data")
    with running_gateway(
        folder,
        f"http://127.0.0.1:{upstream.port}",
        {OURS: CREDENTIAL, THEIRS: CREDENTIAL},
        OURS,
        connections=CONNECTIONS,
        queue=0.5,
        tick=0.05,
        silence=10,
        total=8,
        window=WINDOW,
        upload_rate=500,
        download_rate=100_000,
    ) as running:
        yield running
    upstream.close()


@pytest.fixture(scope="module")
def theirs(gateway) -> Gateway:
    """The same gateway, asked with a token of the other account."""
    management = replace(gateway.management, account=THEIRS)
    return replace(gateway, account=THEIRS, management=management, token=issued_token(management))


def consumers(gateway, count):
    """The gateway, asked with so many tokens of one account, all of them in use."""
    more = [replace(gateway, token=issued_token(gateway.management)) for _ in range(count - 1)]
    for one in more:
        assert one.ask("GET", CONTACT).status == 200
    return [gateway, *more]


@contextmanager
def attacking(gateways, head, *, piece=b"", every=0.2, reads=0, count=MANY):
    """Send `head` over many connections by turns of tokens, then a piece on each now and then, and read as slowly.

    Gives what was answered so far, by connection.
    """
    answers = {}
    stop = threading.Event()
    with ExitStack() as opened, selectors.DefaultSelector() as readable:
        for number in range(count):
            client = opened.enter_context(socket.socket())
            # Little of a large answer fits in.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            client.connect(gateways[number % len(gateways)].address)
            client.sendall(head(gateways[number % len(gateways)]))
            client.setblocking(False)
            readable.register(client, selectors.EVENT_READ)
            answers[client] = b""

        def drip():
            while not stop.wait(every):
                for client in answers:
                    try:
                        if piece:
                            client.send(piece)
                        if reads:
                            answers[client] += client.recv(reads)
                    except BlockingIOError:
                        continue
                    except OSError:
                        continue

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            yield answers
        finally:
            stop.set()
            dripping.join(20)


def served_meanwhile(gateway, seconds=1.5):
    """Ask again and again for some seconds; every answer's status."""
    end = time.monotonic() + seconds
    statuses = []
    while time.monotonic() < end:
        statuses.append(gateway.ask("GET", CONTACT).status)
    return statuses


def uploads(media, *framing):
    """Heads of requests whose bodies are still to come."""

    def head(gateway):
        return gateway.head(b"POST /medias/upload-file HTTP/1.1", b"Content-Type: " + media, *framing)

    return head


def reads(contact):
    """Heads of requests for a contact."""
    return lambda gateway: gateway.head(b"GET /contacts/%b HTTP/1.1" % contact)


LENGTH = b"Content-Length: %d" % SIZE
CHUNKED = b"Transfer-Encoding: chunked"
ATTACKS = {
    "uploads of 500,000 bytes": (uploads(b"image/png", LENGTH), {"piece": b"x"}),
    "longer uploads": (uploads(b"image/png", b"Content-Length: 5000000"), {"piece": b"x"}),
    "uploads in chunks": (uploads(b"image/png", CHUNKED), {"piece": b"1\r\nx\r\n"}),
    "JSON": (uploads(b"application/json", LENGTH), {"piece": b" "}),
    "forms": (uploads(b"application/x-www-form-urlencoded", CHUNKED), {"piece": b"1\r\nx\r\n"}),
    "multipart bodies": (uploads(b"multipart/form-data; boundary=b", CHUNKED), {"piece": b"1\r\nx\r\n"}),
    "half-sent heads": (lambda gateway: gateway.head(b"GET /contacts/abc HTTP/1.1")[:-2], {"piece": b"x"}),
    "slow reads of large answers": (reads(b"large"), {"reads": 1000}),
    "unread answers": (reads(b"large"), {}),
    "an upstream that hangs": (reads(b"hangs"), {}),
    "an upstream that drips": (reads(b"drips"), {}),
}


@pytest.mark.parametrize("tokens", [1, 30])
@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_requests_of_one_account_hold_up_no_other_one(gateway, theirs, attack, tokens):
    """More of them than there are connections, with one token or with many: all of the other account's are answered."""
    head, more = ATTACKS[attack]
    with attacking(consumers(gateway, tokens), head, **more):
        statuses = served_meanwhile(theirs)
    assert set(statuses) == {200}
    # Nor does anything stay behind that the account itself would miss.
    assert gateway.ask("GET", CONTACT).status == 200


def test_another_token_of_the_account_is_served(gateway):
    """A token's share is a part of its account's."""
    _, other = consumers(gateway, 2)
    with attacking([gateway], reads(b"hangs")):
        assert set(served_meanwhile(other)) == {200}


def refusals(answers):
    """The status and reason of each refusal."""
    return {
        (int(answer[9:12]), json.loads(answer.partition(b"\r\n\r\n")[2])["reason"])
        for answer in answers.values()
        if re.match(rb"HTTP/1.1 4", answer)
    }


@pytest.mark.parametrize(("tokens", "reason"), [(1, "token-share-used"), (60, "account-share-used")])
def test_a_refusal_says_whose_share_is_used_up(gateway, tokens, reason):
    """As the platform says that there were too many requests, with a reason beside it."""
    with attacking(consumers(gateway, tokens), reads(b"hangs"), reads=65536) as answers:
        deadline = time.monotonic() + 10
        while (429, reason) not in refusals(answers) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (429, reason) in refusals(answers)


@pytest.mark.parametrize("attack", ["uploads of 500,000 bytes", "longer uploads", "JSON"])
def test_an_upload_that_is_too_slow_ends(gateway, attack):
    """Though a byte comes again and again: it must come faster than that."""
    head, more = ATTACKS[attack]
    begun = time.monotonic()
    with attacking([gateway], head, **more, reads=65536, count=5) as answers:
        while len(refusals(answers)) == 0 and time.monotonic() < begun + 10:
            time.sleep(0.1)
        assert refusals(answers) == {(408, "client-timeout")}
        assert WINDOW / 2 < time.monotonic() - begun < 3 * WINDOW


def test_an_upload_that_is_fast_enough_is_forwarded(gateway):
    """A slow line is no attack: a body that comes steadily arrives, even if it takes longer than a window."""
    body = b"x" * 20_000

    def slowly():
        for offset in range(0, len(body), 1000):
            time.sleep(0.15)
            yield body[offset : offset + 1000]

    for length in ({"Content-Length": str(len(body))}, {}):
        got = gateway.ask("POST", "/medias/upload-file", slowly(), {"Content-Type": "image/png", **length})
        assert got.status == 200


def test_an_answer_that_is_read_too_slowly_breaks_off(gateway):
    """The connection to the upstream is free again, long before the answer would have been read."""
    begun = time.monotonic()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.connect(gateway.address)
        client.settimeout(10)
        client.sendall(gateway.head(b"GET /contacts/large HTTP/1.1"))
        got = 0
        while part := client.recv(1000):
            got += len(part)
            if time.monotonic() - begun < 3 * WINDOW:
                time.sleep(0.1)
    assert got < LARGE


def test_a_request_has_a_total_deadline(gateway):
    """An answer that drips for ever ends, though no silence in it is long."""
    begun = time.monotonic()
    got = gateway.ask("GET", "/contacts/drips")
    assert (got.status, got.whole) == (200, False)
    assert 6 < time.monotonic() - begun < 15


def test_bodies_in_memory_are_shared_too(under_test, tmp_path, fresh_folder):
    """Bodies that never come to their end fill no more of the memory than a consumer's part of it."""
    upstream = RawUpstream()
    upstream.play(upstreams)
    folder = under_test.copy(fresh_folder, tmp_path / "data")
    with running_gateway(
        folder,
        f"http://127.0.0.1:{upstream.port}",
        {OURS: CREDENTIAL, THEIRS: CREDENTIAL},
        OURS,
        memory=4_000_000,
    ) as gateway:
        management = replace(gateway.management, account=THEIRS)
        theirs = replace(gateway, account=THEIRS, management=management, token=issued_token(management))
        begun = uploads(b"application/json", b"Content-Length: 400000")
        with attacking([gateway], lambda one: begun(one) + b" " * 399_999, reads=65536, count=20) as answers:
            deadline = time.monotonic() + 10
            while not refusals(answers) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert refusals(answers) == {(429, "token-share-used")}
            body = {"locationId": THEIRS, "name": "x" * 300_000}
            assert theirs.ask("POST", "/contacts/", body).status == 200
    upstream.close()
