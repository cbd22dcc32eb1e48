"""The proxy that the fault trials stand on: each fault does what its name says, and is counted."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from trials.proxy import Faults, FaultyProxy


@pytest.fixture
def server():
    """A server that notes the bodies it was sent, and answers each with itself."""

    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.arrived.append(body.decode())
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as running:
        running.arrived = []
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def proxy(server):
    """A proxy in front of it, without faults until told."""
    with FaultyProxy(f"http://127.0.0.1:{server.server_port}") as started:
        yield started


def send(proxy, body):
    """The answer's text; None if the connection broke before there was a whole one."""
    try:
        answer = requests.post(proxy.url, data=body, timeout=5)
    except requests.RequestException:
        return None
    return answer.text or None


def test_without_faults_everything_arrives_once_and_in_order(proxy, server):
    """One connection carries one request after another."""
    with requests.Session() as session:
        assert [session.post(proxy.url, data=str(n), timeout=5).text for n in range(3)] == ["0", "1", "2"]
    assert server.arrived == ["0", "1", "2"]
    assert proxy.counts == {"delivered": 3}


@pytest.mark.parametrize(
    ("faults", "kind", "answer", "arrived", "after_flush"),
    [
        (Faults(cut_before=1), "cut before", None, [], []),
        (Faults(cut_after=1), "cut after", None, ["a"], ["a"]),
        (Faults(cut_amid=1), "cut amid", None, ["a"], ["a"]),
        (Faults(late=1), "late", None, [], ["a"]),
        (Faults(delayed=1), "delayed", "a", ["a"], ["a"]),
    ],
)
def test_each_fault_does_what_its_name_says(proxy, server, faults, kind, answer, arrived, after_flush):
    """What the client sees, what the service sees, and what it sees once everything late has arrived."""
    proxy.behave(faults)
    assert send(proxy, "a") == answer
    assert server.arrived == arrived
    proxy.flush()
    assert server.arrived == after_flush
    assert proxy.counts[kind] == 1


def test_a_duplicate_is_answered_and_arrives_twice(proxy, server):
    """The client notices nothing."""
    proxy.behave(Faults(duplicated=1))
    assert send(proxy, "a") == "a"
    proxy.flush()
    assert server.arrived == ["a", "a"]


def test_a_late_request_arrives_after_later_ones(proxy, server):
    """That is how requests are reordered: at the latest when told to, some after the next few."""
    proxy.behave(Faults(late=1), seed=1)
    assert [send(proxy, f"late {n}") for n in range(20)] == [None] * 20
    proxy.behave(Faults())
    assert [send(proxy, f"later {n}") for n in range(20)] == [f"later {n}" for n in range(20)]
    by_themselves = [body for body in server.arrived if body.startswith("late ")]
    assert 0 < len(by_themselves) < 20
    proxy.flush()
    assert len(server.arrived) == 40
    assert by_themselves != sorted(by_themselves, key=lambda body: int(body.split()[1]))


def test_the_same_seed_meets_the_same_faults(proxy):
    """A trial can be repeated."""

    def outcome():
        proxy.behave(Faults.at_loss(0.5), seed=7)
        return [send(proxy, str(n)) for n in range(30)]

    first = outcome()
    proxy.flush()
    assert outcome() == first
