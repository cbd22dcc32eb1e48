"""The routes of upstream credentials and accounts on a running service: who may what, and never the value again."""

import json
import re
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from forked import running_service
from management import API, Management, problem
from private_integrations.contract import digest_of, new_management_key, new_sealing_key
from services import new_service

SECRET = "pit-" + "5ec2e700-0000-4000-8000-00000000cafe"


@dataclass
class Platform:
    """An upstream that answers every request with one status, and remembers what it was asked."""

    url: str
    asked: list
    status: int = 200


@pytest.fixture(scope="module")
def platform_server():
    """The platform of all tests of this module."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            self.send_response(platform.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(SECRET.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        platform = Platform(f"http://127.0.0.1:{server.server_port}", asked)
        Thread(target=server.serve_forever, daemon=True).start()
        yield platform
        server.shutdown()


@pytest.fixture
def platform(platform_server):
    """A platform that accepts everything and was not asked yet."""
    platform_server.status = 200
    platform_server.asked.clear()
    return platform_server


@pytest.fixture(scope="module")
def gateway(under_test, tmp_path_factory, platform_server):
    """A service in front of the platform."""
    settings = {
        "PRIVATE_INTEGRATIONS_UPSTREAM": platform_server.url,
        "PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key(),
    }
    with new_service(under_test, tmp_path_factory.mktemp("gateway") / "data", **settings) as started:
        yield started


@pytest.fixture
def api(gateway):
    """Its management API with the admin's key, and a sub-account that no other test has."""
    made = Management(gateway.url, gateway.key, f"loc{uuid.uuid4().hex[:12]}")
    made.ask("PUT", "/accounts/company", {"name": "Agency", "kind": "agency"})
    answer = made.ask("PUT", f"/accounts/{made.account}", {"name": "Shop", "agency_id": "company"})
    assert answer.status_code == 201, answer.text
    return made


def set_credential(api, credential=SECRET, **more):
    """Set the credential of the test's account."""
    return api.ask("PUT", f"/upstreams/{api.account}", {"credential": credential, **more})


def shown(api, **parts):
    """What the list says of the test's account."""
    answer = api.ask("GET", "/upstreams", **parts)
    assert answer.headers["Cache-Control"] == "no-store"
    return next((known for known in answer.json()["upstreams"] if known["account"] == api.account), None)


def other_key(api, role, *accounts):
    """A key of another role."""
    key = new_management_key()
    body = {"role": role, "accounts": list(accounts), "digest": digest_of(key).hex()}
    assert api.ask("PUT", f"/keys/{uuid.uuid4().hex}", body).status_code == 201
    return key


def test_set_list_and_remove(api):
    """Every answer says who and when, none has the value, and none is to be stored on its way."""
    answer = set_credential(api)
    known = answer.json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert sorted(known) == ["account", "readable", "sealed_with", "set_at", "set_by", "verification"]
    assert re.fullmatch("key/admin/key_[A-Za-z0-9]{20}", known["set_by"])
    assert shown(api) == known
    assert SECRET not in answer.text + json.dumps(known)
    for deleted in (True, False):
        assert api.ask("DELETE", f"/upstreams/{api.account}").json() == {"deleted": deleted}
    assert shown(api) is None


@pytest.mark.parametrize("role", ["deployer", "viewer"])
def test_only_an_admin_manages_credentials_and_accounts(api, platform, role):
    """Everybody else is refused before anything is asked or changed, in their own accounts too."""
    set_credential(api)
    key = other_key(api, role, api.account)
    for method, path, body in (
        ("PUT", f"/upstreams/{api.account}", {"credential": "other"}),
        ("DELETE", f"/upstreams/{api.account}", None),
        ("POST", f"/upstreams/{api.account}/verify", None),
        ("POST", "/upstreams/reseal", None),
        ("PUT", f"/accounts/{api.account}", {"name": "Mine", "agency_id": "company"}),
    ):
        refused = api.ask(method, path, body, key=key)
        assert problem(refused) == (403, "key-not-allowed"), (method, path)
    assert platform.asked == []
    assert shown(api)["verification"] is None
    assert shown(api, key=key) == shown(api)


def test_foreign_credentials_do_not_exist(api):
    """A deployer of another account lists none."""
    set_credential(api)
    assert api.ask("GET", "/upstreams", key=other_key(api, "deployer", "company")).json() == {"upstreams": []}


@pytest.mark.parametrize("account", ["nobody", "' OR 1=1 --"])
def test_an_unknown_account(api, account):
    """404 by the service's own problem; what can't be an id is not looked for."""
    expected = (404, "account-unknown") if account == "nobody" else (422, "invalid-request")
    for method, path, body in (
        ("PUT", f"/upstreams/{account}", {"credential": SECRET}),
        ("DELETE", f"/upstreams/{account}", None),
        ("POST", f"/upstreams/{account}/verify", None),
    ):
        assert problem(api.ask(method, path, body)) == expected
    assert problem(api.ask("POST", f"/upstreams/{api.account}/verify")) == (404, "credential-missing")


@pytest.mark.parametrize(
    "body",
    [
        {"credential": f"Bearer {SECRET}"},
        {"credential": f"{SECRET}\n"},
        {"credential": f"{SECRET}ü"},
        {"credential": SECRET * 110},
        {"credential": [SECRET]},
        {"credential": {SECRET: SECRET}},
        {SECRET: ""},
        {"credential": "fine", SECRET: SECRET},
        {"credential": "fine", "verify": SECRET},
        [SECRET],
        SECRET,
        {"credential": ""},
        {},
    ],
)
def test_a_bad_body_is_not_repeated(api, body):
    """Whatever is wrong with it, and wherever in it the secret stands, the answer does not have it."""
    refused = api.ask("PUT", f"/upstreams/{api.account}", body)
    assert problem(refused) == (422, "invalid-request")
    assert SECRET not in refused.text
    assert shown(api) is None


@pytest.mark.parametrize("text", [SECRET, '{"credential": "' + SECRET, '"' + SECRET])
def test_what_is_no_json_is_not_repeated(api, text):
    """A body that was cut off is refused without its text."""
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    refused = requests.put(f"{api.url}{API}/upstreams/{api.account}", data=text, headers=headers, timeout=10)
    assert problem(refused) == (422, "invalid-request")
    assert SECRET not in refused.text


def test_an_own_token_is_refused(api):
    """A token of this service is named as what it is, and not repeated."""
    token = api.issue(api.integration()["id"], 1).json()["token"]
    refused = set_credential(api, token)
    assert problem(refused) == (422, "credential-not-upstreams")
    assert refused.json()["detail"] == "this is a token of this service, not the platform's"
    assert token not in refused.text


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "accepted"), (204, "accepted"), (401, "refused"), (403, "refused")]
    + [(status, "unexpected") for status in (302, 404, 429, 500)],
)
def test_verify(api, platform, status, outcome):
    """The upstream is asked about the location itself, once; its status is stored, and nothing of its body."""
    set_credential(api)
    platform.status = status
    verified = api.ask("POST", f"/upstreams/{api.account}/verify")
    assert verified.headers["Cache-Control"] == "no-store"
    assert verified.json() == shown(api)
    verification = verified.json()["verification"]
    assert (verification["outcome"], verification["status"]) == (outcome, status)
    [(path, headers)] = platform.asked
    assert path == f"/locations/{api.account}"
    assert (headers["Authorization"], headers["Version"]) == (f"Bearer {SECRET}", "2021-07-28")
    assert SECRET not in verified.text


def test_verify_of_an_agencys_credential(api, platform):
    """An agency's token is asked for the list of locations, which it may always read."""
    api.ask("PUT", "/upstreams/company", {"credential": "agency-token"})
    assert api.ask("POST", "/upstreams/company/verify").json()["verification"]["outcome"] == "accepted"
    assert [path for path, _ in platform.asked] == ["/locations/search?limit=1"]


def test_set_and_verify(api, platform):
    """With `verify` the upstream is asked first: what it refuses leaves the former credential in its place."""
    stored = set_credential(api, "first", verify=True).json()
    assert stored["verification"]["outcome"] == "accepted"
    platform.status = 401
    refused = set_credential(api, "second", verify=True)
    assert problem(refused) == (422, "credential-not-accepted")
    assert refused.json()["detail"] == (
        "the upstream refuses it (401): it ended there, or may not read its own location; nothing was changed"
    )
    assert (refused.json()["outcome"], refused.json()["upstream_status"]) == ("refused", 401)
    assert shown(api) == stored
    assert problem(set_credential(api, "pmk-" + "0" * 64, verify=True)) == (422, "credential-not-upstreams")
    assert [headers["Authorization"] for _, headers in platform.asked] == ["Bearer first", "Bearer second"]


def test_without_sealing_keys(management):
    """A service without sealing keys says what to start it with, and lists nothing; a removal needs no key."""
    for method, path, body in (
        ("PUT", f"/upstreams/{management.account}", {"credential": SECRET}),
        ("POST", f"/upstreams/{management.account}/verify", None),
        ("POST", "/upstreams/reseal", None),
    ):
        refused = management.ask(method, path, body)
        assert problem(refused) == (409, "sealing-keys-missing")
        assert SECRET not in refused.text
    assert management.ask("GET", "/upstreams").json() == {"upstreams": []}
    assert management.ask("DELETE", f"/upstreams/{management.account}").json() == {"deleted": False}


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Shop"},
        {"name": "Shop", "kind": "agency", "agency_id": "company"},
        {"name": "Shop", "kind": "team"},
        {"name": " ", "agency_id": "company"},
        {"agency_id": "company"},
    ],
)
def test_an_account_that_can_not_be(api, body):
    """A sub-account without an agency, an agency within one, and other kinds are refused."""
    assert problem(api.ask("PUT", "/accounts/new", body)) == (422, "invalid-request")
    assert problem(api.ask("PUT", f"/accounts/{'x' * 65}", {"name": "Long", "kind": "agency"})) == (
        422,
        "invalid-request",
    )


def test_an_account_is_made_once(api):
    """201, then 200 with another name; another kind is a conflict."""
    path = f"/accounts/{api.account}"
    renamed = api.ask("PUT", path, {"name": "Store", "agency_id": "company"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Store")
    assert problem(api.ask("PUT", path, {"name": "Store", "kind": "agency"})) == (409, "account-fixed")
    assert api.declare().status_code == 201


def test_a_start_with_fewer_keys_shuts_only_what_they_opened(data_folder, service):
    """Requests of an account whose credential can't be opened are 503; every other account's pass."""
    old, new = new_sealing_key(), new_sealing_key()
    upstream = Management(service.url, service.key, service.account)
    made = upstream.integration(scopes=["locations.readonly"])
    credential = upstream.issue(made["id"], 1).json()["token"]

    def served(*keys):
        settings = {"PRIVATE_INTEGRATIONS_UPSTREAM": service.url, "PRIVATE_INTEGRATIONS_SEALING_KEYS": " ".join(keys)}
        return running_service(data_folder, **settings)

    def read(gateway, location, token):
        headers = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
        answer = requests.get(f"{gateway.url}/locations/{location}", headers=headers, timeout=10)
        assert credential not in answer.text + str(answer.headers)
        return answer.status_code, answer.headers.get("X-PIT-Problem")

    tokens = {}
    with served(old) as gateway:
        api = Management(gateway.url, gateway.key, service.account)
        api.ask("PUT", "/accounts/company", {"name": "Agency", "kind": "agency"})
        for location in (service.account, "elsewhere"):
            api.ask("PUT", f"/accounts/{location}", {"name": "Shop", "agency_id": "company"})
            made = api.integration(account=location, scopes=["locations.readonly"])
            tokens[location] = api.issue(made["id"], 1).json()["token"]
            assert read(gateway, location, tokens[location]) == (502, "upstream-credential-missing")
            api.ask("PUT", f"/upstreams/{location}", {"credential": credential})
        assert read(gateway, service.account, tokens[service.account]) == (200, None)
    with served(new) as gateway:
        api = Management(gateway.url, gateway.key, service.account)
        assert [known["readable"] for known in api.ask("GET", "/upstreams").json()["upstreams"]] == [False, False]
        api.ask("PUT", f"/upstreams/{service.account}", {"credential": credential})
        assert read(gateway, service.account, tokens[service.account]) == (200, None)
        assert read(gateway, "elsewhere", tokens["elsewhere"]) == (503, "upstream-credential-unreadable")
        refused = api.ask("POST", "/upstreams/elsewhere/verify")
        assert problem(refused) == (409, "credential-unreadable")


def test_the_credential_is_nowhere(under_test, data_folder, platform):
    """Set, verified, sealed anew, refused and removed: it is in no file and no table, and nothing said has it."""
    keys = [new_sealing_key(), new_sealing_key()]
    settings = {"PRIVATE_INTEGRATIONS_UPSTREAM": platform.url, "PRIVATE_INTEGRATIONS_SEALING_KEYS": " ".join(keys)}
    with running_service(data_folder, **settings) as gateway:
        api = Management(gateway.url, gateway.key, "loc1")
        api.ask("PUT", "/accounts/company", {"name": "Agency", "kind": "agency"})
        api.ask("PUT", "/accounts/loc1", {"name": "Shop", "agency_id": "company"})
        said = [
            set_credential(api),
            set_credential(api, verify=True),
            api.ask("POST", "/upstreams/loc1/verify"),
            api.ask("POST", "/upstreams/reseal"),
            set_credential(api, f"{SECRET} "),
            api.ask("GET", "/upstreams"),
        ]
        assert [answer.status_code for answer in said] == [200, 200, 200, 200, 422, 200]
        stored = under_test.stored(data_folder)
        assert any(b"set upstream credential" in content for content in stored.values())
        gateway.process.terminate()
        log = gateway.process.stdout.read()
    stored |= {f"{name} at the end": content for name, content in under_test.stored(data_folder).items()}
    for secret in (SECRET, *keys):
        raw = bytes.fromhex(secret[4:].replace("-", ""))
        assert [name for name, content in stored.items() if secret.encode() in content or raw in content] == []
        assert secret not in log
    assert digest_of(SECRET) not in b"".join(stored.values())
    assert [answer.text for answer in said if SECRET in answer.text + str(answer.headers)] == []
