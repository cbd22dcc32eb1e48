"""The proxy between a service and its database: each fault does what its name says."""

import socket
import socketserver
import threading
import time

import pytest

from faulty_tcp import FaultyTCP
from server_processes import free_port, wait_until


class Echo(socketserver.BaseRequestHandler):
    """Notes what arrives and how it ends, and answers each piece with itself."""

    def handle(self):
        try:
            while data := self.request.recv(100):
                self.server.arrived.append(data)
                self.request.sendall(data)
            self.server.arrived.append("end")
        except ConnectionResetError:
            self.server.arrived.append("reset")


@pytest.fixture
def echo():
    """A server that notes what arrives."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as running:
        running.arrived = []
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def proxy(echo):
    """A proxy before it, without faults."""
    with FaultyTCP(*echo.server_address) as started:
        yield started


@pytest.fixture
def client(proxy):
    """A connection through the proxy, over which something went already."""
    with socket.create_connection((proxy.host, proxy.port), timeout=5) as made:
        assert exchange(made, b"first") == b"first"
        yield made


def exchange(client, data, *, timeout=5.0):
    """Send, and return what comes back."""
    client.settimeout(timeout)
    client.sendall(data)
    return client.recv(100)


def test_the_proxy_delays(proxy, client):
    """Each direction, or one of them."""
    begin = time.monotonic()
    assert exchange(client, b"soon") == b"soon"
    assert time.monotonic() - begin < 0.2
    proxy.delay(0.2)
    begin = time.monotonic()
    assert exchange(client, b"late") == b"late"
    assert time.monotonic() - begin >= 0.4
    proxy.recover()
    proxy.delay(0.2, towards="server")
    begin = time.monotonic()
    assert exchange(client, b"late") == b"late"
    assert time.monotonic() - begin >= 0.2


@pytest.mark.parametrize(("towards", "arrived"), [("client", [b"first", b"second"]), ("server", [b"first"])])
def test_the_proxy_drops(proxy, echo, client, towards, arrived):
    """Towards the client answers are lost, towards the server requests; after the outage the connection is reset."""
    proxy.drop(towards=towards)
    with pytest.raises(TimeoutError):
        exchange(client, b"second", timeout=0.3)
    assert echo.arrived == arrived
    proxy.recover()
    with pytest.raises(ConnectionResetError):
        client.recv(100)


def test_the_proxy_holds(proxy, echo, client):
    """What is held arrives after the outage, and the connection goes on."""
    proxy.hold()
    with pytest.raises(TimeoutError):
        exchange(client, b"second", timeout=0.3)
    assert echo.arrived == [b"first"]
    proxy.recover()
    client.settimeout(5)
    assert client.recv(100) == b"second"
    assert exchange(client, b"third") == b"third"


def test_the_proxy_cuts(proxy, echo, client):
    """Open connections are reset on both sides, and new ones pass."""
    proxy.cut()
    assert proxy.connections == 0
    wait_until(lambda: echo.arrived == [b"first", "reset"], "the server meets the reset")
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with socket.create_connection((proxy.host, proxy.port)) as another:
        assert exchange(another, b"new") == b"new"


def test_the_proxy_half_closes(proxy, echo, client):
    """The client meets the end, and what it sends still arrives; or the other way about."""
    proxy.half_close(towards="client")
    assert exchange(client, b"second") == b""
    wait_until(lambda: echo.arrived == [b"first", b"second"], "the request arrives")
    proxy.half_close(towards="server")
    wait_until(lambda: echo.arrived == [b"first", b"second", "end"], "the server meets the end")


def test_the_proxy_refuses(proxy, client):
    """New connections are refused, and the open one goes on; afterwards the port is the same."""
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port))
    assert exchange(client, b"second") == b"second"
    proxy.recover()
    with socket.create_connection((proxy.host, proxy.port)) as another:
        assert exchange(another, b"new") == b"new"


def test_the_proxy_leads_elsewhere(proxy, client):
    """New connections lead to the new server; without a server there, they are reset."""
    proxy.aim("127.0.0.1", free_port())
    with socket.create_connection((proxy.host, proxy.port)) as another, pytest.raises(ConnectionResetError):
        another.recv(100)
    assert exchange(client, b"second") == b"second"
