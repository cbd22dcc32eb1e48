"""One attempt, against real TLS receivers on loopback: what it sends, where it goes, and what it puts up with."""

import queue
import socket
import threading
import time
from datetime import timedelta

import pytest

from private_integrations_service.http.fetching import FetchLimits, Interrupted
from private_integrations_service.webhooks.destinations import Destinations, networks
from private_integrations_service.webhooks.posting import Poster
from private_integrations_service.webhooks.redelivery import Tried
from receivers import ACCEPT, answer, receiving, says

LOOPBACK = networks("127.0.0.0/8")
QUICK = FetchLimits(connect=5, total=1, farewell=0.2)


@pytest.fixture
def trusted(certificates, monkeypatch):
    """The authority is trusted as an operator has it trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.crt"))


@pytest.fixture
def poster(receiver, trusted):
    """Sends to the receiver, which an operator has allowed."""
    return Poster(allowing(receiver), finds("127.0.0.1"), QUICK)


def allowing(receiver):
    """Loopback and the receiver's port."""
    return Destinations(frozenset({receiver.port}), LOOPBACK)


def finds(*addresses):
    """A resolver that always gives these."""
    return lambda host, port: addresses


def outcome(tried):
    """What came of it, without how long it took."""
    return tried.outcome, tried.status


def post(poster, url, headers=None, body=b"{}"):
    """Send something."""
    return poster.post(url, {"content-type": "application/json"} if headers is None else headers, body)


def test_a_message_arrives_as_it_is(poster, receiver):
    """One POST, with the content's and the signature's headers, to path and query, and a connection for it alone."""
    tried = post(poster, receiver.url + "?a=b", {"content-type": "application/json", "webhook-id": "msg_1"}, b'{"a":1}')
    assert outcome(tried) == ("accepted", 200)
    got = receiver.got.get(timeout=5)
    assert got.line == "POST /hook?a=b HTTP/1.1"
    assert got.body == b'{"a":1}'
    assert got.headers == {
        "host": f"hooks.test:{receiver.port}",
        "user-agent": "private-integrations",
        "content-type": "application/json",
        "content-length": "7",
        "connection": "close",
        "webhook-id": "msg_1",
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer(204), Tried("accepted", 204)),
        (answer(400), Tried("answered", 400)),
        (answer(410), Tried("gone", 410)),
        (answer(500), Tried("answered", 500)),
        (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + ACCEPT, Tried("accepted", 200)),
        (answer(101, "upgrade: websocket", "connection: upgrade"), Tried("answered", 101)),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", Tried("accepted", 200)),
        (b"SSH-2.0-OpenSSH\r\n", Tried("unreadable")),
        (b"HTTP/1.1 200", Tried("unreachable")),
        (b"", Tried("unreachable")),
    ],
)
def test_what_an_answer_comes_to(poster, receiver, said, expected):
    """The status alone says it; what is no HTTP, or has no end, accepts nothing."""
    receiver.behave = says(said)
    tried = post(poster, receiver.url)
    assert outcome(tried) == (expected.outcome, expected.status)


@pytest.mark.parametrize(("value", "seconds"), [("120", 120), ("0", 0), ("Fri, 20 Nov 2026 12:00:00 GMT", None)])
def test_a_receiver_may_say_when_to_come_again(poster, receiver, value, seconds):
    """In seconds; a date is not read."""
    receiver.behave = says(answer(429, f"Retry-After: {value}"))
    assert post(poster, receiver.url).retry_after == (None if seconds is None else timedelta(seconds=seconds))


def test_a_redirect_is_not_followed(poster, receiver):
    """Not to the metadata of the cloud, and not to the receiver itself."""
    for place in ("http://169.254.169.254/latest/meta-data", receiver.url):
        receiver.behave = says(answer(302, f"location: {place}"))
        assert outcome(post(poster, receiver.url)) == ("answered", 302)
    assert receiver.connections == 2


def test_a_rebinding_resolver_gains_nothing(receiver, certificates, trusted):
    """One question for each attempt, and the connection goes to what was looked at: no second answer is asked for."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    asked = []

    def rebinding(host, port):
        asked.append((host, port))
        return next(answers)

    poster = Poster(allowing(receiver), rebinding, QUICK)
    assert outcome(post(poster, receiver.url)) == ("accepted", 200)
    assert asked == [("hooks.test", receiver.port)]
    # Anew at each attempt: what was public when it was saved may lead inside now.
    assert outcome(post(poster, receiver.url)) == ("no-address", None)
    assert receiver.connections == 1


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]]
)
def test_without_leave_nothing_inside_is_connected_to(receiver, trusted, found):
    """Public names that lead inside are refused before anything is sent."""
    poster = Poster(Destinations(frozenset({receiver.port})), finds(*found), QUICK)
    assert outcome(post(poster, receiver.url)) == ("no-address", None)
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0177.0.0.1", "127.1", "127.0.0.1", "[::ffff:7f00:1]"])
def test_no_spelling_of_loopback_gets_through_the_systems_resolver(receiver, trusted, host):
    """Whatever the C library reads in it."""
    poster = Poster(Destinations(frozenset({receiver.port})), limits=QUICK)
    assert post(poster, f"https://{host}:{receiver.port}/").outcome in ("not-allowed", "no-address")
    assert receiver.connections == 0


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
def test_a_name_that_can_t_be_resolved_is_not_asked(receiver, trusted, error):
    """An error of the resolver is a refusal, and looks like the one of an address inside: nobody maps us by names."""

    def failing(host, port):
        raise error

    assert outcome(post(Poster(allowing(receiver), failing, QUICK), receiver.url)) == ("no-address", None)


def test_a_certificate_of_another_name_is_refused(certificates, trusted):
    """The name is the URL's, whatever address was connected to."""
    with receiving(certificates, "other.test") as other:
        poster = Poster(allowing(other), finds("127.0.0.1"), QUICK)
        assert outcome(post(poster, f"https://hooks.test:{other.port}/")) == ("untrusted", None)
        assert outcome(post(poster, other.url)) == ("accepted", 200)
        assert other.got.get(timeout=5).line == "POST /hook HTTP/1.1"
        assert other.got.empty()


def test_an_authority_that_is_not_trusted_is_refused(receiver):
    """Without the operator's file only the system's authorities are trusted."""
    assert outcome(post(Poster(allowing(receiver), finds("127.0.0.1"), QUICK), receiver.url)) == ("untrusted", None)
    assert receiver.got.empty()


def test_the_next_address_is_tried(receiver, trusted):
    """A name may have several, of which one is down."""
    poster = Poster(allowing(receiver), finds("127.0.0.2", "127.0.0.1"), QUICK)
    assert outcome(post(poster, receiver.url)) == ("accepted", 200)


def test_nobody_there(receiver, trusted):
    """No connection is an outcome."""
    poster = Poster(allowing(receiver), finds("127.0.0.2"), QUICK)
    assert outcome(post(poster, receiver.url)) == ("unreachable", None)


def test_no_proxy_of_the_environment_is_used(receiver, trusted, monkeypatch):
    """It would resolve the name by itself."""
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    poster = Poster(allowing(receiver), finds("127.0.0.1"), QUICK)
    assert outcome(post(poster, receiver.url)) == ("accepted", 200)


def drip(data, times):
    """A byte now and then: each comes in time, and there is never an end."""

    def behave(connection, _):
        connection.sendall(data)
        for _ in range(times):
            time.sleep(0.05)
            connection.sendall(b"x")

    return behave


def test_a_head_that_drips_is_given_up(poster, receiver):
    """The time is for all of the attempt, not from byte to byte."""
    receiver.behave = drip(b"HTTP/1.1 200 OK\r\nx: ", 400)
    assert outcome(post(poster, receiver.url)) == ("timed-out", None)


def test_a_head_without_end_is_not_read(poster, receiver):
    """Some of it is enough."""

    def endless(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            connection.sendall(b"y" * 65_536)

    receiver.behave = endless
    assert outcome(post(poster, receiver.url)) == ("unreadable", None)


def test_a_body_that_drips_or_has_no_end_is_not_waited_for(poster, receiver):
    """The status was said; the rest is read for a moment only."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n"
    receiver.behave = drip(head, 400)
    assert outcome(post(poster, receiver.url)) == ("accepted", 200)

    sent = []

    def endless(connection, _):
        connection.sendall(head)
        while True:
            sent.append(connection.send(b"x" * 65_536))

    receiver.behave = endless
    assert outcome(post(poster, receiver.url)) == ("accepted", 200)
    # What the kernel's buffers hold, and no more: it breaks off, and a receiver that goes on writes to nobody.
    assert sum(sent) < 64 * 1024 * 1024


def test_silence_is_given_up(poster, receiver, certificates):
    """After the request, and before TLS has begun."""
    released = threading.Event()
    receiver.behave = lambda *_: released.wait(20)
    assert outcome(post(poster, receiver.url)) == ("timed-out", None)
    released.set()


def test_a_receiver_that_speaks_no_tls_is_given_up(trusted):
    """It says nothing, or something else: neither is waited for without end."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        allowed = Destinations(frozenset({port}), LOOPBACK)
        poster = Poster(allowed, finds("127.0.0.1"), FetchLimits(connect=0.2, total=1))
        assert outcome(post(poster, f"https://hooks.test:{port}/")) == ("timed-out", None)


def test_closing_breaks_off_what_is_on_its_way(receiver, trusted):
    """Nobody knows what came of it, so it counts for nothing; and nothing is sent afterwards."""
    poster = Poster(allowing(receiver), finds("127.0.0.1"), FetchLimits(total=60))
    released, ended = threading.Event(), queue.Queue()
    receiver.behave = lambda *_: released.wait(20)

    def attempt():
        try:
            ended.put(post(poster, receiver.url))
        except Interrupted as interrupted:
            ended.put(interrupted)

    threading.Thread(target=attempt).start()
    receiver.got.get(timeout=5)
    poster.close()
    assert isinstance(ended.get(timeout=5), Interrupted)
    released.set()
    with pytest.raises(Interrupted):
        post(poster, receiver.url)
    assert receiver.connections == 1
