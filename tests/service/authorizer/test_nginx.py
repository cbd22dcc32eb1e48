"""The shipped nginx.conf on a real nginx, between consumers and an API that keeps what reaches it."""

import http.client
import json
import os
import resource
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certificates import make_certificates
from forked import running_service
from management import Management
from raw_http import Door, head, read_answer
from real_gateway import CONSUMERS_NAME, CREDENTIAL, OVERRIDING, PLATFORM, Gateway, request, until_open
from recording_api import RecordingApi, recording_api
from throwaway import REPOSITORY, Service

SHIPPED = REPOSITORY / "examples" / "gateways" / "nginx.conf"
FORGED = "X-Forwarded-For: 203.0.113.9"
NEVER_ISSUED = "pit-" + "00000000-0000-0000-0000-000000000000"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def running_nginx(folder: Path, ca: Path, changes: dict[str, str]) -> Iterator[Door]:
    """The shipped file on nginx, with each of these texts in place of another one; its door."""
    socket = folder / "nginx.sock"
    # nginx's own temporary folders would need root.
    folders = "".join(f"{name}_temp_path {folder / name};\n" for name in TEMPORARY)
    changes = {
        "listen 443 ssl;": f"listen unix:{socket} ssl;",
        "/var/log/nginx/access.log": str(folder / "access.log"),
        "http {\n": "http {\n" + folders,
        **changes,
    }
    text = SHIPPED.read_text()
    for shipped, here in changes.items():
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    (folder / "nginx.conf").write_text(text)
    command = [shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or "nginx"]
    command += ["-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    # Workers run as nobody if the master is root's, and could not enter the test's folder.
    user = " user root;" if os.geteuid() == 0 else ""
    directives = f"daemon off; pid {folder / 'nginx.pid'}; worker_processes 2;{user}"
    with subprocess.Popen([*command, "-g", directives]) as process:
        try:
            door = Door(socket, ca, CONSUMERS_NAME)
            until_open(door, process)
            yield door
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with certificates for both sides and the accounts' credentials."""
    made = tmp_path_factory.mktemp("nginx")
    make_certificates(made, PLATFORM, CONSUMERS_NAME)
    return made


def changes(folder: Path, service: str, api: RecordingApi, account: str) -> dict[str, str]:
    """The addresses and paths of this test in place of the shipped ones."""
    (folder / "credentials").write_text(f'{account} "Bearer {CREDENTIAL}";\n')
    return {
        "127.0.0.1:8750": service,
        f"{PLATFORM}:443": f"127.0.0.1:{api.port}",
        "/etc/nginx/private-integrations/credentials": str(folder / "credentials"),
        "/etc/nginx/private-integrations/tls": str(folder / CONSUMERS_NAME),
        "/etc/ssl/certs/ca-certificates.crt": str(folder / "ca.crt"),
    }


@pytest.fixture(scope="module")
def api(folder) -> Iterator[RecordingApi]:
    """The API behind the gateway."""
    with recording_api(folder, PLATFORM) as api:
        yield api


@pytest.fixture(scope="module")
def gateway(service: Service, folder: Path, api: RecordingApi) -> Iterator[Gateway]:
    """The gateway in front of the API, with the running service as its authority."""
    address = service.url.removeprefix("http://")
    with running_nginx(folder, folder / "ca.crt", changes(folder, address, api, service.account)) as door:
        yield Gateway(door, api)


@pytest.fixture
def integration(management: Management):
    """An integration that may read and write contacts, with a name beyond ASCII."""
    return management.integration(name="Zürich: sync, 50 %", scopes=["contacts.readonly", "contacts.write"])


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
        "x-pit-name": "Z%C3%BCrich%3A%20sync%2C%2050%20%25",
        "x-pit-account": management.account,
        "x-pit-generation": "1",
        "x-pit-scope": "contacts.readonly",
    }
    assert token not in str(received)
    assert management.state(integration["id"])["tokens"][0]["role"] == "current"


@pytest.mark.parametrize(
    "forged",
    [
        ("X-PIT-Account: forged",),
        ("x-pit-account: forged", "X-Pit-Account: forged"),
        ("X_PIT_Account: forged", "X-PIT_Account: forged", "X.PIT.Account: forged"),
        ("X-PIT-Integration: forged", "X-PIT-Name: forged", "X-PIT-Generation: forged", "X-PIT-Scope: forged"),
        ("Connection: X-PIT-Account, close", "X-PIT-Account: forged"),
        ("X-PIT-Account : forged",),
    ],
)
def test_identity_sent_by_a_consumer_is_replaced(gateway, token, contacts, management, forged):
    """However a consumer spells the identity headers, what arrives is the service's, once."""
    known = len(gateway.api.received)
    answer = gateway.door.ask("GET", contacts, token, *forged)
    for received in gateway.api.received[known:]:
        assert "forged" not in str(received.headers)
        assert received.all("x-pit-account") == [management.account]
    # A space before the colon is refused by nginx itself.
    assert answer.status == (400 if " :" in forged[0] else 200)


@pytest.mark.parametrize("name", ["X-PIT-Admin", "x-pit-", "X-Pit-Problem", "X-PIT-Integrations"])
def test_other_headers_of_the_gateway_are_refused(gateway, token, contacts, name):
    """What only the gateway may say, under a name that it does not replace, does not pass."""
    answer = gateway.refused(*request(contacts, token), f"{name}: 1")
    assert answer.status == 400
    assert answer.body["reason"] == answer.headers["x-pit-problem"] == "header-not-allowed"


def test_headers_that_change_the_request_behind_do_not_arrive(gateway, token, contacts):
    """The method and the path that were authorized can't be overridden by a header."""
    spelled = [name for name in OVERRIDING for name in (name, name.lower(), name.replace("-", "_"))]
    received = gateway.arrived("GET", contacts, token, *(f"{name}: DELETE" for name in spelled))
    assert "DELETE" not in str(received)


@pytest.mark.parametrize("name", ["Version", "LocationId"])
def test_connection_takes_nothing_away_that_was_checked(gateway, token, contacts, management, name):
    """A header that the service decided on reaches the API, though the consumer names it as the connection's."""
    about = ("LocationId: " + management.account, f"Connection: {name}, close")
    received = gateway.arrived("GET", contacts, token, *about)
    assert received.all("version") == ["2021-07-28"]
    assert received.all("locationid") == [management.account]
    foreign = gateway.refused(*request(contacts, token), "LocationId: elsewhere", f"Connection: {name}, close")
    assert (foreign.status, foreign.body["reason"]) == (403, "location-not-allowed")


def test_what_the_check_is_about_comes_from_nginx_alone(gateway, token, contacts, management):
    """A consumer that names another request in nginx's own headers is checked by the one that it made."""
    foreign = gateway.refused(
        *request("/contacts/?locationId=elsewhere", token),
        f"X-Original-URI: {contacts}",
        f"X_Original_URI: {contacts}",
        "X-Original-Method: GET",
    )
    assert (foreign.status, foreign.body["reason"]) == (403, "location-not-allowed")


@pytest.mark.parametrize(
    ("lines", "status", "reason"),
    [
        (("GET {contacts} HTTP/1.1", "Host: a", "Version: v3"), 401, "token-missing"),
        (("GET {contacts} HTTP/1.1", "Host: a", "Version: v3", "Authorization: x"), 401, "token-malformed"),
        (("GET {contacts} HTTP/1.1", "Host: a", f"Authorization: {NEVER_ISSUED}"), 401, "token-unknown"),
        (("GET {contacts} HTTP/1.1", "Host: a", "Authorization: {token}"), 401, "version-missing"),
        (("GET {contacts} HTTP/1.1", "Host: a", "Authorization: {token}", "Version: x"), 400, "version-malformed"),
        (("GET /nothing HTTP/1.1", "Host: a", "Authorization: {token}", "Version: v3"), 404, "not-found"),
        (("HEAD {contacts} HTTP/1.1", "Host: a", "Authorization: {token}", "Version: v3"), 404, None),
        (("OPTIONS {contacts} HTTP/1.1", "Host: a", "Access-Control-Request-Method: GET"), 401, "token-missing"),
        (("GET /calendars/ HTTP/1.1", "Host: a", "Authorization: {token}", "Version: v3"), 401, "scope-missing"),
        (
            ("GET /contacts/?locationId=x HTTP/1.1", "Host: a", "Authorization: {token}", "Version: v3"),
            403,
            "location-not-allowed",
        ),
    ],
)
def test_refusals_as_the_consumer_sees_them(gateway, service, token, contacts, lines, status, reason):
    """Status, body and reason are those that the service itself gives for the same request."""
    sent = [line.format(contacts=contacts, token=token) for line in lines]
    answer = gateway.refused(*sent)
    direct = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=10)
    method, target, _ = sent[0].split(" ")
    direct.request(method, target, headers=dict(line.split(": ", 1) for line in sent[1:]))
    expected = direct.getresponse()
    content = expected.read()
    direct.close()
    assert answer.status == expected.status == status
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-pit-problem"] == expected.headers["X-PIT-Problem"]
    assert answer.headers.get("www-authenticate") == expected.headers.get("WWW-Authenticate")
    if reason:
        assert answer.body | {"traceId": ""} == json.loads(content) | {"traceId": ""}
        assert answer.body["reason"] == reason


def test_two_tokens_are_refused(gateway, token, contacts):
    """Nginx itself refuses a repeated Authorization."""
    assert gateway.refused(*request(contacts, token), f"Authorization: {token}").status == 400


def test_a_refusal_that_fits_no_header(gateway, token):
    """A body too long for a header is replaced by a short one with the same status and reason."""
    answer = gateway.refused(*request("/nothing/" + "a" * 3000, token))
    assert (answer.status, answer.headers["x-pit-problem"]) == (404, "not-found")
    assert answer.body == {"statusCode": 404, "message": "The request was refused", "reason": "not-found"}


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


def test_a_superseded_token_is_told_its_deadline(gateway, management, integration, token, contacts):
    """While the old token of a rotation works, its consumer learns until when."""
    gateway.arrived("GET", contacts, token)
    gateway.arrived("GET", contacts, management.issue(integration["id"], 2, holding=1).json()["token"])
    answer = gateway.door.ask("GET", contacts, token)
    deadline = management.state(integration["id"])["tokens"][0]["expires_at"]
    assert (answer.status, answer.headers["pit-token-expires"][:19]) == (200, deadline[:19])


def test_what_another_account_asks_for_is_sent_nowhere(gateway, management):
    """A token that the service grants, of an account that this gateway has no credential for, reaches nobody."""
    accounts = management.ask("GET", "/accounts").json()["accounts"]
    agency = next(account["id"] for account in accounts if account["kind"] == "agency")
    made = management.integration(account=agency, scopes=["locations.readonly"])
    token = management.issue(made["id"], 1).json()["token"]
    answer = gateway.refused(*request("/locations/search", token))
    assert (answer.status, answer.body["reason"]) == (502, "upstream-credential-missing")


@pytest.mark.parametrize(
    "target",
    [
        "/contacts/../locations/{account}",
        "/contacts/./",
        "/contacts/%2e%2e/locations/{account}",
        "/contacts//",
        "//contacts/",
        "//elsewhere.example/contacts/",
        "/contacts/a%2Fnotes",
        "/contacts/a%5Cnotes",
        "/contacts/a\\notes",
        "/contacts/..;/locations/{account}",
        "/contacts/a#b",
        "/contacts/a%23/../../locations/{account}",
        "/contacts/\xc3\xbc",
        "/contacts/%00",
        "/contacts/%0d%0aX-PIT-Account:%20forged",
        "/contacts/?locationId={account}#&locationId=x",
        "https://elsewhere.example/contacts/?locationId={account}",
        "http://api.example.com",
        "/_private_integrations",
        "/x/../_private_integrations",
        "/private-integrations/v1/accounts",
        "/private-integrations/v1/authorize/nginx",
        "*",
        "contacts/",
    ],
)
def test_odd_targets_reach_nobody(gateway, service, token, target):
    """A path that could mean two things is refused, and none of these arrives as something else."""
    answer = gateway.refused(*request(target.format(account=service.account), token))
    assert answer.status in (400, 404), answer


@pytest.mark.parametrize(
    "target",
    [
        "/contacts/abc",
        "/contacts/abc/",
        "/contacts/%61bc",
        "/contacts/a+b:c@d,e",
        "/contacts/%c3%bc%20x",
        "/contacts/abc?x=%2F..%2F&y=a/../b//c",
        "/contacts/%252e%252e",
    ],
)
def test_what_was_authorized_is_what_arrives(gateway, token, target):
    """The target reaches the API byte for byte as it was sent and checked."""
    assert gateway.arrived("GET", target, token).target == target


def test_bodies_arrive_whole(gateway, token):
    """A body of some megabytes, with a length or in chunks, is passed on as it is."""
    content = os.urandom(3_000_000)
    received = gateway.arrived("POST", "/contacts/", token, "Content-Type: application/json", body=content)
    assert received.body == content
    chunked = head(*request("/contacts/", token, "POST"), "Transfer-Encoding: chunked")
    with gateway.door.open() as connection:
        connection.sendall(chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content))
        assert read_answer(connection).status == 200
    assert gateway.api.received[-1].body == content


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


def test_the_apis_own_answer_passes(gateway, token):
    """A refusal of the API itself is not taken for one of the service's."""
    answer = gateway.door.ask("GET", "/contacts/refuse", token)
    assert (answer.status, answer.content) == (403, b"its no")
    assert answer.headers["location"] == "https://api/"


def test_an_upgrade_is_not_passed_on(gateway, token):
    """A WebSocket's handshake arrives as the plain request that was authorized."""
    received = gateway.arrived(
        "GET", "/contacts/abc", token, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"
    )
    assert received.all("upgrade") == received.all("connection") == []


def test_nothing_passes_without_the_service(folder, api, service, token, contacts):
    """If the service doesn't answer, nobody gets through, and the answer is the API's error shape."""
    own = folder / uuid.uuid4().hex[:8]
    own.mkdir()
    # Nothing listens on a reserved port.
    with running_nginx(own, folder / "ca.crt", changes(folder, "127.0.0.1:1", api, service.account)) as door:
        answer = Gateway(door, api).refused(*request(contacts, token))
    assert (answer.status, answer.body) == (
        503,
        {"statusCode": 503, "message": "Service Unavailable", "reason": "authority-unavailable"},
    )
    assert answer.headers["x-pit-problem"] == "authority-unavailable"


def test_nothing_passes_without_the_database(folder, api, tmp_path):
    """If the service can't note the first use of a token, the consumer is told so with the service's own status."""
    own = folder / uuid.uuid4().hex[:8]
    own.mkdir()
    with running_service(tmp_path) as service:
        management = Management(service.url, service.key, service.account)
        token = management.issue(management.integration()["id"], 1).json()["token"]
        # From now on no file of the service's grows.
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        wanted = changes(folder, service.url.removeprefix("http://"), api, service.account)
        with running_nginx(own, folder / "ca.crt", wanted) as door:
            answer = Gateway(door, api).refused(*request("/contacts/abc", token))
    assert (answer.status, answer.body) == (
        503,
        {"statusCode": 503, "message": "Service Unavailable", "reason": "storage-unavailable"},
    )


def test_consumers_do_not_say_themselves_where_they_are(folder, api, tmp_path):
    """What a consumer puts into X-Forwarded-For is not believed, although nginx is."""
    own = folder / uuid.uuid4().hex[:8]
    own.mkdir()
    with running_service(tmp_path, PRIVATE_INTEGRATIONS_TRUSTED_PROXIES="127.0.0.1") as service:
        management = Management(service.url, service.key, service.account)
        made = management.integration()
        token = management.issue(made["id"], 1).json()["token"]
        wanted = changes(folder, service.url.removeprefix("http://"), api, service.account)
        with running_nginx(own, folder / "ca.crt", wanted) as door:
            Gateway(door, api).arrived("GET", f"/contacts/?locationId={service.account}", token, FORGED)
        deadline = time.monotonic() + 20
        callers = []
        while not callers and time.monotonic() < deadline:
            time.sleep(0.1)
            callers = management.ask("GET", f"/integrations/{made['id']}/activity").json()["callers"]
    assert [caller["address"] for caller in callers] == ["127.0.0.1"]


def test_an_api_that_is_not_the_one_meant_gets_nothing(folder, api, service, token, contacts):
    """The credential goes to nobody whose certificate isn't the platform's."""
    own = folder / uuid.uuid4().hex[:8]
    own.mkdir()
    make_certificates(own, "unrelated")
    wanted = changes(folder, service.url.removeprefix("http://"), api, service.account)
    wanted["/etc/ssl/certs/ca-certificates.crt"] = str(own / "ca.crt")
    with running_nginx(own, folder / "ca.crt", wanted) as door:
        answer = Gateway(door, api).refused(*request(contacts, token))
    assert (answer.status, answer.body["reason"]) == (502, "upstream-unavailable")


def test_bodies_beyond_the_limit(gateway, token):
    """A declared length that is too large is refused in the API's error shape before anything is sent on."""
    answer = gateway.refused(*request("/contacts/", token, "POST"), "Content-Length: 99999999")
    assert (answer.status, answer.body["reason"]) == (413, "body-too-large")
