"""The shipped envoy.yaml on a real Envoy, between consumers and an API that keeps what reaches it."""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from certificates import make_certificates
from management import Management
from raw_http import Door, head, read_answer
from real_gateway import CONSUMERS_NAME, CREDENTIAL, OVERRIDING, PLATFORM, Gateway, request, until_open
from recording_api import recording_api
from throwaway import REPOSITORY, Service

SHIPPED = REPOSITORY / "examples" / "gateways" / "envoy.yaml"
NEVER_ISSUED = "pit-" + "00000000-0000-0000-0000-000000000000"


@contextmanager
def running_envoy(folder: Path, service_port: int, api_port: int, account: str) -> Iterator[Door]:
    """Envoy with the shipped file, in which only addresses, paths and the account are other ones; its door."""
    shipped = SHIPPED.read_text()
    for there, here in {
        "/etc/envoy/tls": str(folder / CONSUMERS_NAME),
        "/etc/ssl/certs/ca-certificates.crt": str(folder / "ca.crt"),
        "ve9EPM428h8vShlRW1KT": account,
        "port_value: 8750": f"port_value: {service_port}",
        f"address: {PLATFORM}, port_value: 443": f"address: 127.0.0.1, port_value: {api_port}",
    }.items():
        assert there in shipped, there
        shipped = shipped.replace(there, here)
    wanted = yaml.safe_load(shipped)
    socket = folder / f"envoy-{service_port}.sock"
    [listener] = wanted["static_resources"]["listeners"]
    listener["address"] = {"pipe": {"path": str(socket)}}
    configuration = socket.with_suffix(".yaml")
    configuration.write_text(yaml.safe_dump(wanted))
    command = [str(Path(sys.executable).with_name("envoy")), "-c", str(configuration)]
    command += ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
    environment = os.environ | {"UPSTREAM_TOKEN": CREDENTIAL}
    with subprocess.Popen(command, env=environment) as process:
        try:
            door = Door(socket, folder / "ca.crt", CONSUMERS_NAME)
            until_open(door, process)
            yield door
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with certificates for both sides."""
    made = tmp_path_factory.mktemp("envoy")
    make_certificates(made, PLATFORM, CONSUMERS_NAME)
    return made


@pytest.fixture(scope="module")
def gateway(service: Service, folder: Path) -> Iterator[Gateway]:
    """Envoy in front of the API, with the running service as its authority."""
    port = int(service.url.rpartition(":")[2])
    with recording_api(folder, PLATFORM) as api, running_envoy(folder, port, api.port, service.account) as door:
        yield Gateway(door, api)


@pytest.fixture
def integration(management: Management):
    """An integration that may read and write contacts."""
    return management.integration(scopes=["contacts.readonly", "contacts.write"])


@pytest.fixture
def token(management: Management, integration) -> str:
    """Its token."""
    return management.issue(integration["id"], 1).json()["token"]


@pytest.fixture
def contacts(service: Service) -> str:
    """The list of the account's contacts."""
    return f"/contacts/?locationId={service.account}"


def test_a_granted_request_arrives_as_the_accounts_own(gateway, management, integration, token, contacts):
    """The API sees the account's credential and who asks, and nothing of the consumer's token."""
    received = gateway.arrived("GET", contacts, token)
    assert (received.method, received.target) == ("GET", contacts)
    assert received.all("authorization") == [f"Bearer {CREDENTIAL}"]
    assert received.all("host") == [PLATFORM]
    assert received.all("version") == ["2021-07-28"]
    assert {name: value for name, value in received.headers if name.startswith("x-pit-")} == {
        "x-pit-integration": integration["id"],
        "x-pit-name": "CRM%20sync",
        "x-pit-account": management.account,
        "x-pit-generation": "1",
        "x-pit-scope": "contacts.readonly",
    }
    assert token not in str(received)


def test_headers_of_the_gateway_sent_by_a_consumer_are_replaced(gateway, token, contacts, management):
    """However a consumer spells X-PIT-*, or asks for another method or path in a header, none of it arrives."""
    forged = [
        *("X-PIT-Account", "x-pit-account", "X_PIT_Account", "X-PIT_Account", "X-PIT-Admin", "X-PIT-Scope"),
        *(name for name in OVERRIDING for name in (name, name.lower(), name.replace("-", "_"))),
    ]
    received = gateway.arrived("GET", contacts, token, *(f"{name}: forged" for name in forged))
    assert "forged" not in str(received)
    assert received.all("x-pit-account") == [management.account]


def test_a_header_that_names_an_account_is_checked(gateway, management, token, contacts):
    """The check is shown it: the token's own account passes, and arrives, another one is refused."""
    received = gateway.arrived("GET", contacts, token, f"LocationId: {management.account}")
    assert received.all("locationid") == [management.account]
    for name in ("LocationId", "location-id", "companyId", "altId"):
        foreign = gateway.refused(*request(contacts, token), f"{name}: elsewhere")
        assert (foreign.status, foreign.body["reason"]) == (403, "location-not-allowed")


@pytest.mark.parametrize("name", ["Version", "LocationId"])
def test_connection_takes_nothing_away_that_was_checked(gateway, management, token, contacts, name):
    """Envoy never forwards a request without the version by which the service decided on it."""
    known = len(gateway.api.received)
    about = (f"LocationId: {management.account}", f"Connection: {name}, close")
    answer = gateway.door.ask("GET", contacts, token, *about)
    arrived = gateway.api.received[known:]
    assert (answer.status == 200) == bool(arrived)
    for received in arrived:
        assert received.all("version") == ["2021-07-28"]
        assert received.all("locationid") in ([management.account], [])
    foreign = gateway.refused(*request(contacts, token), "LocationId: elsewhere", "Connection: close")
    assert foreign.status == 403


def test_an_account_named_by_a_consumer_chooses_no_credential(gateway, management):
    """A token of another account, with the served account's id in a header, gets no route and no credential."""
    accounts = management.ask("GET", "/accounts").json()["accounts"]
    agency = next(account["id"] for account in accounts if account["kind"] == "agency")
    made = management.integration(account=agency, scopes=["locations.readonly"])
    token = management.issue(made["id"], 1).json()["token"]
    answer = gateway.refused(*request("/locations/search", token), f"X-PIT-Account: {management.account}")
    assert (answer.status, answer.body["reason"]) == (502, "upstream-credential-missing")


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        (("GET {contacts} HTTP/1.1", "Host: a", "Version: v3"), 401, "token-missing"),
        (("GET {contacts} HTTP/1.1", "Host: a", f"Authorization: {NEVER_ISSUED}"), 401, "token-unknown"),
        (("GET {contacts} HTTP/1.1", "Host: a", "Authorization: {token}"), 401, "version-missing"),
        (("GET {contacts} HTTP/1.1", "Host: a", "Authorization: {token}", "Version: x"), 400, "version-malformed"),
        (("GET /nothing HTTP/1.1", "Host: a", "Authorization: {token}", "Version: v3"), 404, "not-found"),
        (("OPTIONS {contacts} HTTP/1.1", "Host: a", "Authorization: {token}", "Version: v3"), 404, "not-found"),
        (("GET /calendars/ HTTP/1.1", "Host: a", "Authorization: {token}", "Version: v3"), 401, "scope-missing"),
        (
            ("GET /contacts/?locationId=x HTTP/1.1", "Host: a", "Authorization: {token}", "Version: v3"),
            403,
            "location-not-allowed",
        ),
        (
            ("GET {contacts} HTTP/1.1", "Host: a", "Authorization: {token}", "Authorization: x", "Version: v3"),
            401,
            "token-malformed",
        ),
    ],
)
def test_refusals_are_passed_on(gateway, token, contacts, lines, status, reason):
    """The consumer gets the service's own answer."""
    answer = gateway.refused(*(line.format(contacts=contacts, token=token) for line in lines))
    assert (answer.status, answer.body["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-pit-problem"] == reason
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_revoking_holds_at_once(gateway, management, integration, token, contacts):
    """The first request after a revocation was answered is refused, on kept-alive connections too."""
    with gateway.door.open() as connection:
        connection.sendall(head(*request(contacts, token)))
        assert read_answer(connection).status == 200
        management.ask("POST", f"/integrations/{integration['id']}/expire", {"generations": [1]})
        known = len(gateway.api.received)
        connection.sendall(head(*request(contacts, token)))
        answer = read_answer(connection)
    assert (answer.status, answer.body["reason"]) == (401, "token-revoked")
    assert gateway.api.received[known:] == []


@pytest.mark.parametrize(
    "target",
    [
        "/contacts/%2e%2e/locations/{account}",
        "/contacts/a%2Fnotes",
        "/contacts/a%5Cnotes",
        "/contacts/..;/locations/{account}",
        "/contacts/a#b",
        "/contacts/\xc3\xbc",
        "/contacts/%00",
        "/contacts/?locationId={account}#&locationId=x",
        "/private-integrations/v1/accounts",
        "/private-integrations/v1/authorize/envoy/contacts/",
        "*",
        "contacts/",
    ],
)
def test_odd_targets_reach_nobody(gateway, service, token, target):
    """A path that could mean two things is refused by Envoy or by the service."""
    answer = gateway.refused(*request(target.format(account=service.account), token))
    assert answer.status in (400, 401, 404), answer


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        ("/contacts/../contacts/abc", "/contacts/abc"),
        ("/contacts//abc", "/contacts/abc"),
        ("//contacts/abc", "/contacts/abc"),
        ("/contacts/a\\b", None),
        ("/contacts/%61bc", "/contacts/abc"),
        ("/contacts/%c3%bc", "/contacts/%c3%bc"),
        ("/contacts/abc?x=%2F..%2F&y=a/../b//c", "/contacts/abc?x=%2F..%2F&y=a/../b//c"),
        ("/contacts/%252e%252e", "/contacts/%252e%252e"),
    ],
)
def test_what_was_authorized_is_what_arrives(gateway, token, target, arrives):
    """Envoy makes a path plain before it asks, and sends on what it asked about."""
    if arrives is None:
        assert gateway.refused(*request(target, token)).status in (400, 404)
    else:
        assert gateway.arrived("GET", target, token).target == arrives


def test_bodies_stream_both_ways(gateway, token):
    """The API has the first part of a body before the last one is sent, and a consumer of the answer likewise."""
    gateway.api.begun.clear()
    with gateway.door.open() as connection:
        connection.sendall(head(*request("/contacts/", token, "POST"), "Transfer-Encoding: chunked") + b"3\r\none\r\n")
        assert gateway.api.begun.wait(10)
        connection.sendall(b"3\r\ntwo\r\n0\r\n\r\n")
        assert read_answer(connection).status == 200
    assert gateway.api.received[-1].body == b"onetwo"
    gateway.api.go_on.clear()
    with gateway.door.open() as connection:
        connection.sendall(head(*request("/contacts/stream", token)))
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.read1(100) == b"first"
        gateway.api.go_on.set()
        assert response.read() == b"second"


def test_an_upgrade_is_refused(gateway, token):
    """Envoy opens no WebSocket."""
    handshake = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    assert gateway.refused(*request("/contacts/abc", token), *handshake).status == 403


def test_nothing_passes_without_the_service(gateway, folder, service, token, contacts):
    """If the service doesn't answer, nobody gets through."""
    with running_envoy(folder, 1, gateway.api.port, service.account) as door:
        answer = Gateway(door, gateway.api).refused(*request(contacts, token))
    assert (answer.status, answer.content) == (503, b"")
