"""Idle connections don't lock other clients out, and one address gets only a part of the places."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

import forked
from lines import Line
from management import API, Management
from private_integrations_service.http.client_connections import Clients
from private_integrations_service.http.fair_shares import ShareHolder, Short
from throwaway import UNLIMITED, Service, listening_address

PROGRAM = Path(__file__).parents[1] / "programs" / "few_files.py"

# Of so many open files a third are clients' connections.
FILES, PLACES = 600, 200
IDLE = 260
HEAD = b"GET /contacts/ HTTP/1.1\r\nHost: crm.test\r\nX-Half: "
UNREAD = f"GET {API}/openapi.json HTTP/1.1\r\nHost: crm.test\r\n\r\n".encode()
BODY = f"PUT {API}/keys/x HTTP/1.1\r\nHost: crm.test\r\nContent-Length: 1000\r\n\r\n{{".encode()


@contextmanager
def limited_service(folder, **settings):
    """A service that may have few files open."""
    with forked.Popen(
        [sys.executable, PROGRAM, str(FILES), "serve", "--port", "0", "--data-dir", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | UNLIMITED | settings,
    ) as process:
        try:
            url = listening_address(process)
            management = Management(url, (folder / "admin.key").read_text().strip(), "")
            accounts = management.ask("GET", "/accounts").json()["accounts"]
            account = next(one["id"] for one in accounts if one["kind"] == "sub_account")
            yield Service(url, management.key, account, folder, process)
        finally:
            process.terminate()


@pytest.fixture
def limited(tmp_path):
    """Such a service, as it is usually set."""
    with limited_service(tmp_path) as service:
        yield service


@pytest.fixture
def token(limited):
    """A token that works there."""
    management = Management(limited.url, limited.key, limited.account)
    return management.issue(management.integration()["id"], 1).json()["token"]


@contextmanager
def new_line(service):
    """A new client's connection."""
    with closing(HTTPConnection(urlsplit(service.url).netloc, timeout=30)) as connection:
        yield Line(connection)


def connected(held, service, count, sent=b"", source="127.0.0.1"):
    """So many more connections from an address, each with these bytes sent."""
    port = int(service.url.rpartition(":")[2])
    made = []
    for _ in range(count):
        one = held.enter_context(socket.create_connection(("127.0.0.1", port), 20, (source, 0)))
        one.sendall(sent)
        made.append(one)
    return made


def count_closed(connections):
    """How many of them the service has closed."""
    count = 0
    for one in connections:
        one.setblocking(False)
        try:
            while one.recv(65536):
                pass
            count += 1
        except BlockingIOError:
            pass
        except OSError:
            count += 1
    return count


def open_connections(service):
    """How many connections of clients the service has."""
    port = int(service.url.rpartition(":")[2])
    found = psutil.Process(service.process.pid).net_connections("tcp")
    return sum(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in found)


@pytest.mark.parametrize("sent", [b"", HEAD, UNREAD, BODY], ids=["idle", "half-sent heads", "unread answers", "bodies"])
def test_idle_connections_lock_nobody_out(limited, token, sent):
    """With more of them than there are places a new client is answered at once, again and again."""
    with ExitStack() as held:
        for _ in range(2):
            connected(held, limited, IDLE, sent)
            for _ in range(5):
                begun = time.monotonic()
                with new_line(limited) as new:
                    assert new.use(token, limited.account) == (200, None)
                # Twenty times what it takes on a quiet machine; before, it was half a minute.
                assert time.monotonic() - begun < 10
        assert open_connections(limited) <= PLACES


def test_who_was_served_before_keeps_a_connection(limited, token):
    """Those that never had a good request go first, although they are younger."""
    with ExitStack() as held, new_line(limited) as kept:
        assert kept.use(token, limited.account) == (200, None)
        connected(held, limited, IDLE)
        with new_line(limited) as new:
            assert new.use(token, limited.account) == (200, None)
        assert kept.use(token, limited.account) == (200, None)


def test_a_request_under_way_is_not_cut_off(limited):
    """However long its client takes over the body: it has shown a good key."""
    body = json.dumps({"role": "viewer", "digest": "0" * 64}).encode()
    head = f"PUT {API}/keys/slow HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {limited.key}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with ExitStack() as held:
        (slow,) = connected(held, limited, 1, head.encode() + body[:1])
        idle = connected(held, limited, IDLE)
        while not count_closed(idle):
            time.sleep(0.2)
        slow.sendall(body[1:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 201")


def test_few_connections_are_left_alone(limited):
    """No client is cut off while there is room."""
    with ExitStack() as held:
        idle = connected(held, limited, PLACES // 2)
        time.sleep(2.5)
        assert count_closed(idle) == 0


def test_an_address_keeps_so_many_connections(tmp_path):
    """Those beyond its limit are closed; other addresses keep all of theirs, and so does a trusted proxy."""
    settings = {
        "PRIVATE_INTEGRATIONS_CONNECTIONS_PER_ADDRESS": "20",
        "PRIVATE_INTEGRATIONS_TRUSTED_PROXIES": "127.0.0.4",
    }
    with limited_service(tmp_path, **settings) as service, ExitStack() as held:
        others = connected(held, service, 15, source="127.0.0.2")
        many = connected(held, service, 50, source="127.0.0.3")
        proxies = connected(held, service, 50, source="127.0.0.4")
        deadline = time.monotonic() + 20
        while count_closed(many) < 30 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert (count_closed(others), count_closed(many), count_closed(proxies)) == (0, 30, 0)


def test_the_places_are_shared():
    """No token and no account has more requests answered at once than its share."""
    clients = Clients(100)
    scopes = [{"client": ("203.0.113.7", port)} for port in range(200)]
    owner = ShareHolder("account", 1)
    taken = [scope for scope in scopes if clients.begin(scope, owner) is None]
    assert len(taken) == 25
    assert clients.begin(scopes[-1], owner) is Short.TOKEN
    assert clients.begin(scopes[-1], ShareHolder("other", 2)) is None
    clients.end(scopes[-1], ShareHolder("other", 2))
    for scope in taken:
        clients.end(scope, owner)
    assert not clients.busy
    assert clients.begin(scopes[0], owner) is None
