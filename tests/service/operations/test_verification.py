"""What a verification makes of an upstream that does not answer as one: over real sockets, each in its own word."""

import socket
import ssl
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread

import pytest

from private_integrations.contract import Account, Verification
from private_integrations_service.http.fetching import FetchLimits
from private_integrations_service.operations.verification import verify

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOCATION = Account(id="loc1", name="Shop", kind="sub_account", agency_id="company")
SECRET = "pit-" + "5ec2e700-0000-4000-8000-00000000cafe"


@contextmanager
def upstream(behave, *, context=None):
    """A server that takes one connection and behaves; its port, and what it was sent."""
    heard = []

    def serve():
        with server.accept()[0] as plain:
            try:
                connection = context.wrap_socket(plain, server_side=True) if context else plain
                heard.append(connection.recv(65_536))
                behave(connection)
            except ssl.SSLError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], heard
        thread.join(10)
        assert not thread.is_alive()


def answering(*parts):
    """Sends these bytes and closes."""

    def behave(connection):
        for part in parts:
            connection.sendall(part)

    return behave


@pytest.fixture
def certificate(tmp_path):
    """A certificate for localhost, and a server's side of TLS with it."""
    file, key = tmp_path / "certificate.pem", tmp_path / "certificate.key"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 1"
    options += f" -addext subjectAltName=DNS:localhost -out {file} -keyout {key}"
    subprocess.run(["openssl", *options.split()], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return file, context


def test_the_request():
    """Method, path below the upstream's own, credential and version; only the status of the answer counts."""
    with upstream(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", SECRET.encode())) as (port, heard):
        found = verify(f"http://localhost:{port}/v2/", LOCATION, SECRET, NOON)
    assert found == Verification(at=NOON, outcome="accepted", status=200)
    request, *headers = heard[0].decode().rstrip().split("\r\n")
    assert request == "GET /v2/locations/loc1 HTTP/1.1"
    assert sorted(headers) == [
        "Accept: application/json",
        f"Authorization: Bearer {SECRET}",
        "Version: 2021-07-28",
        "connection: close",
        f"host: localhost:{port}",
        "user-agent: private-integrations",
    ]


def test_a_redirect_is_not_followed(monkeypatch):
    """The credential goes to the upstream and nowhere else, not to a proxy of the environment either."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    elsewhere = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"
    with upstream(answering(elsewhere)) as (port, _):
        assert verify(f"http://localhost:{port}", LOCATION, SECRET, NOON).status == 302


@pytest.mark.parametrize("parts", [(), (b"\0\1\2\r\n\r\n",), (b"HTTP/1.1 OK 200\r\n\r\n",)])
def test_what_is_no_answer(parts):
    """A connection that ends or speaks another language is as good as none."""
    with upstream(answering(*parts)) as (port, _):
        assert verify(f"http://127.0.0.1:{port}", LOCATION, SECRET, NOON).outcome == "unreachable"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://nothing.invalid", f"https://{'x' * 70}.invalid"])
def test_nobody_is_there(url):
    """A closed port, an unknown name and an impossible one."""
    assert verify(url, LOCATION, SECRET, NOON) == Verification(at=NOON, outcome="unreachable")


def test_no_answer_in_time():
    """An upstream that says nothing is given up."""
    limits = FetchLimits(total=0.05)
    with upstream(lambda connection: connection.recv(1)) as (port, _):
        assert verify(f"http://127.0.0.1:{port}", LOCATION, SECRET, NOON, limits).outcome == "timed-out"


def test_certificates(monkeypatch, certificate):
    """What the system doesn't trust is sent no credential; what it does is asked over TLS."""
    file, context = certificate
    answer = answering(b"HTTP/1.1 204 No Content\r\n\r\n")
    with upstream(answer, context=context) as (port, heard):
        assert verify(f"https://localhost:{port}", LOCATION, SECRET, NOON).outcome == "untrusted"
    assert heard == []
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with upstream(answer, context=context) as (port, _):
        assert verify(f"https://localhost:{port}", LOCATION, SECRET, NOON).status == 204
    with upstream(answer, context=context) as (port, _):
        assert verify(f"https://127.0.0.1:{port}", LOCATION, SECRET, NOON).outcome == "untrusted"
