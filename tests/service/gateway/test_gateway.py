"""The gateway before a second instance of the service, over TLS, and when it stops."""

import signal
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from gohighlevel_api import AuthenticatedClient
from gohighlevel_api.api.contacts import create_contact, get_contact
from gohighlevel_api.models import CreateContactDto, CreateContactVersion, GetContactVersion

from certificates import make_certificates
from forked import running_service
from gateway import SCOPES, Gateway, issued_token, running_gateway
from management import Management
from private_integrations.errors import ConfigurationError
from private_integrations_service.server.application import Application
from private_integrations_service.settings import Settings
from raw_upstream import OK, RawUpstream, answer

LOCATION = "locationOneAAAAAAAAA"
FOREIGN = "locationTwoAAAAAAAAA"


@dataclass(frozen=True)
class Pair:
    """A gateway, and the management of the service behind it with the integration that it uses."""

    gateway: Gateway
    upstream: Management
    integration: str
    credential: str


@pytest.fixture(scope="module")
def pair(under_test, tmp_path_factory, fresh_folder) -> Iterator[Pair]:
    """Two services with the same accounts; the one in front has a token of the other as its credential."""
    behind, before = (
        under_test.copy(fresh_folder, tmp_path_factory.mktemp("pair") / name) for name in ("behind", "before")
    )
    with running_service(behind, PRIVATE_INTEGRATIONS_RATE_LIMIT="100000") as service:
        upstream = Management(service.url, service.key, LOCATION)
        made = upstream.integration(scopes=list(SCOPES))
        credential = upstream.issue(made["id"], 1).json()["token"]
        with running_gateway(before, service.url, {LOCATION: credential, FOREIGN: credential}, LOCATION) as gateway:
            yield Pair(gateway, upstream, made["id"], credential)


def test_contacts_through_the_gateway(pair):
    """Create, read, list, update, delete: as without it, with the consumer's token only."""
    gateway = pair.gateway
    made = gateway.ask("POST", "/contacts/", {"locationId": LOCATION, "firstName": "Ada", "tags": ["a"]})
    assert made.status == 201
    contact = made.json["contact"]["id"]
    read = gateway.ask("GET", f"/contacts/{contact}")
    assert (read.status, read.json["contact"]["firstName"]) == (200, "Ada")
    for path in ("/contacts/", "/contacts"):
        listed = gateway.ask("GET", f"{path}?locationId={LOCATION}&limit=100")
        assert contact in [found["id"] for found in listed.json["contacts"]]
    edited = gateway.ask("PUT", f"/contacts/{contact}", {"firstName": "Grace"})
    assert (edited.status, edited.json["contact"]["firstName"]) == (200, "Grace")
    deleted = gateway.ask("DELETE", f"/contacts/{contact}", {"reason": "a body is allowed"})
    assert (deleted.status, deleted.json["succeded"]) == (200, True)
    gone = gateway.ask("GET", f"/contacts/{contact}")
    assert (gone.status, gone.json["message"]) == (400, f"Contact with id {contact} not found")
    # The upstream's refusals are its own; ours are marked.
    assert "X-PIT-Problem" not in gone.headers


def test_the_platform_itself_refuses_what_v3_dropped(pair):
    """The gateway passes such a request on: third parties found that the platform still serves some of them."""
    answer = pair.gateway.ask("DELETE", "/contacts/c1/campaigns/removeAll", headers={"Version": "v3"})
    assert (answer.status, answer.json["message"].partition(" not ")[0]) == (
        400,
        "Endpoint DELETE /contacts/c1/campaigns/removeAll",
    )
    assert "X-PIT-Problem" not in answer.headers


def test_an_official_client_works_unchanged(pair):
    """It is given another base URL and a token of the gateway's, and notices nothing."""
    client = AuthenticatedClient(base_url=pair.gateway.url, token=pair.gateway.token)
    body = CreateContactDto(location_id=LOCATION, first_name="Ada")
    made = create_contact.sync(client=client, body=body, version=CreateContactVersion("2021-07-28"))
    read = get_contact.sync(made.contact.id, client=client, version=GetContactVersion("2021-07-28"))
    assert read.contact.first_name == "Ada"


def test_the_gateway_decides_before_the_upstream(pair):
    """Its own scopes and accounts count, not those of the credential."""
    gateway = pair.gateway
    narrow = Gateway(
        gateway.url,
        LOCATION,
        gateway.management,
        issued_token(gateway.management, "contacts.readonly"),
        gateway.process,
    )
    assert narrow.ask("POST", "/contacts/", {"locationId": LOCATION}).refused == (401, "scope-missing")
    assert gateway.ask("POST", "/contacts/", {"locationId": FOREIGN}).refused == (403, "location-not-allowed")
    assert gateway.ask("GET", "/nowhere").refused == (404, "not-found")


def test_a_superseded_token_says_so_through_the_gateway(pair):
    """The deadline is the gateway's token's, beside the upstream's answer."""
    management = pair.gateway.management
    made = management.integration(scopes=["contacts.readonly"])
    target = f"/contacts/?locationId={LOCATION}"
    headers = {}
    for generation in (1, 2):
        held = {"holding": generation - 1} if generation > 1 else {}
        token = management.issue(made["id"], generation, run=f"r{generation}", **held).json()["token"]
        headers[generation] = {"Authorization": token}
        assert pair.gateway.ask("GET", target, headers=headers[generation]).status == 200
    assert "PIT-Token-Expires" in pair.gateway.ask("GET", target, headers=headers[1]).headers
    assert "PIT-Token-Expires" not in pair.gateway.ask("GET", target, headers=headers[2]).headers


def test_a_location_that_the_credential_does_not_reach(pair):
    """The upstream's own refusal of an account whose credential is another's passes as it is."""
    gateway = pair.gateway
    token = issued_token(Management(gateway.url, gateway.management.key, FOREIGN))
    sister = Gateway(gateway.url, FOREIGN, gateway.management, token, gateway.process)
    got = sister.ask("GET", f"/contacts/?locationId={FOREIGN}")
    assert (got.status, got.json["message"]) == (403, "The token does not have access to this location.")
    assert "X-PIT-Problem" not in got.headers


def test_a_dead_credential_is_told_apart(under_test, tmp_path, fresh_folder):
    """The consumer's token is good; who has pasted the credential learns that it is dead."""
    behind, before = (under_test.copy(fresh_folder, tmp_path / name) for name in ("behind", "before"))
    dead = "pit-" + "00000000-0000-4000-8000-000000000000"
    with (
        running_service(behind) as service,
        running_gateway(before, service.url, {LOCATION: dead}, LOCATION) as gateway,
    ):
        got = gateway.ask("GET", "/contacts/abc")
        assert got.refused == (502, "upstream-credential-refused")
        assert got.json["upstreamMessage"] == "Invalid Private Integration token"
        assert dead not in str(got)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(20) == 0
        assert gateway.process.stdout.read() == "stopped\n"


def test_it_stops_with_connections_open(under_test, tmp_path, fresh_folder):
    """Idle ones are closed; the process ends with status 0 and has said nothing."""
    upstream = RawUpstream()
    idle = threading.Event()
    peers = upstream.play(
        lambda peer: (peer.request(), peer.send(OK.replace(b"Connection: close\r\n", b"")), idle.wait(20))
    )
    folder = under_test.copy(fresh_folder, tmp_path / "data")
    url = f"http://127.0.0.1:{upstream.port}"
    with running_gateway(folder, url, {LOCATION: "held"}, LOCATION) as gateway:
        assert gateway.ask("GET", "/contacts/abc").status == 200
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(20) == 0
        assert gateway.process.stdout.read() == "stopped\n"
    idle.set()
    assert peers[0].closed.wait(10)
    upstream.close()


@pytest.mark.parametrize(
    ("host", "trusted", "expected"),
    [("localhost", True, 200), ("elsewhere.test", True, 502), ("localhost", False, 502)],
)
def test_tls_is_checked(under_test, tmp_path, fresh_folder, host, trusted, expected):
    """A certificate of somebody that the system trusts, for the very host; otherwise not a byte is sent."""
    make_certificates(tmp_path, host)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / f"{host}.crt", tmp_path / f"{host}.key")
    upstream = RawUpstream(tls)
    peers = upstream.play(answer(OK))
    folder = under_test.copy(fresh_folder, tmp_path / "data")
    trust = {"SSL_CERT_FILE": str(tmp_path / ("ca.crt" if trusted else "none.pem"))}
    (tmp_path / "none.pem").touch()
    url = f"https://localhost:{upstream.port}"
    with running_gateway(folder, url, {LOCATION: "held"}, LOCATION, environment=trust) as gateway:
        got = gateway.ask("GET", "/contacts/abc")
        assert got.status == expected
        if expected == 502:
            assert got.refused == (502, "upstream-unreachable")
            assert not peers
        else:
            assert b"Authorization: Bearer held\r\n" in peers[0].received
    upstream.close()


def test_an_application_without_a_good_upstream_is_refused(database):
    """One line, at the start."""
    with pytest.raises(ConfigurationError, match="must be https"):
        Application(database, Settings(upstream="http://services.example.com"))


def test_the_socket_of_a_gateway_takes_many_at_once(pair):
    """Requests side by side get each their own answer."""
    names = [f"name{number}" for number in range(40)]
    got = {}

    def make(name):
        made = pair.gateway.ask("POST", "/contacts/", {"locationId": LOCATION, "firstName": name})
        read = pair.gateway.ask("GET", f"/contacts/{made.json['contact']['id']}")
        got[name] = read.json["contact"]["firstName"]

    threads = [threading.Thread(target=make, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == {name: name for name in names}
