"""Every route of the management API on the running service: success, wrong key, bad input, unknown and foreign ids."""

import hashlib
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from described import DOCUMENT
from engines import sqlite_only
from management import API, Management, new_external_id, problem, roles
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import KeyRequest, digest_of, new_management_key

# What path parameters say in the tests of keys, which are refused before anything is looked up.
NAMED = {
    "account_id": "acc_0",
    "email": "ada@example.com",
    "external_id": "a/b/c/d",
    "generation": "1",
    "integration_id": "int_0",
    "key_id": "key_0",
    "name": "ci",
    "webhook_id": "whk_0",
}
# Whoever holds a token may end it: no key is asked for (docs/leaked-tokens.md).
OPEN = {("POST", "/leaked")}
ROUTES = [
    (method.upper(), path.removeprefix(API).format(**NAMED))
    for path, item in DOCUMENT["paths"].items()
    for method in item
    if (method.upper(), path.removeprefix(API)) not in OPEN
]
CHANGING = [route for route in ROUTES if route[0] != "GET" and route[1] != "/introspect"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("", "key-missing"),
        ("pmk-" + "0" * 64, "key-unknown"),
        ("pit-" + "00000000-0000-0000-0000-000000000000", "key-unknown"),
        ("'; DROP TABLE management_keys; --", "key-unknown"),
    ],
)
def test_no_route_without_a_management_key(management, method, path, key, expected):
    """Nothing, an unknown key and a token open no route, before any input is looked at."""
    answer = management.ask(method, path, key=key)
    assert problem(answer) == (401, expected)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="private-integrations"'
    assert key[4:] == "" or key not in answer.text


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_a_viewer_changes_nothing(management, viewer_key, method, path):
    """A viewer's key may read, and every other route refuses it."""
    assert problem(management.ask(method, path, key=viewer_key)) == (403, "key-not-allowed")


@pytest.fixture(scope="module")
def introspector_key(service):
    """A management key that may only ask what a token opens."""
    made = new_management_key()
    request = KeyRequest(role="introspector", digest=digest_of(made).hex())
    Client(ServiceConnection(service.url, service.key)).make_key(f"gateway-{uuid.uuid4().hex[:8]}", request)
    return made


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1] != "/introspect"])
def test_an_introspector_reads_and_changes_nothing(management, introspector_key, method, path):
    """An introspector's key is refused on every route but one."""
    assert problem(management.ask(method, path, key=introspector_key)) == (403, "key-not-allowed")


def test_an_introspector_introspects(management, introspector_key):
    """It learns what a token opens, like any other key."""
    token = management.issue(management.integration()["id"], 1).json()["token"]
    for asking in (introspector_key, management.key):
        headers = {"Authorization": f"Bearer {asking}"}
        told = requests.post(f"{management.url}{API}/introspect", data={"token": token}, headers=headers, timeout=10)
        assert (told.status_code, told.json()["active"]) == (200, True)


def test_an_introspector_may_be_bound_to_accounts(management):
    """Bound to accounts, it learns nothing of a token of another one."""
    agency = next(a["id"] for a in management.ask("GET", "/accounts").json()["accounts"] if a["kind"] == "agency")
    bound = new_management_key()
    body = {"role": "introspector", "accounts": [agency], "digest": digest_of(bound).hex()}
    assert management.ask("PUT", f"/keys/bound-{uuid.uuid4().hex[:8]}", body).status_code == 201
    here = management.issue(management.integration()["id"], 1).json()["token"]
    there = management.declare(account=agency, scopes=["locations.readonly"]).json()
    active = []
    for token in (here, management.issue(there["id"], 1).json()["token"]):
        headers = {"Authorization": f"Bearer {bound}"}
        told = requests.post(f"{management.url}{API}/introspect", data={"token": token}, headers=headers, timeout=10)
        active.append(told.json()["active"])
    assert active == [False, True]


def test_a_viewer_reads(management, viewer_key):
    """A viewer sees accounts, integrations and states."""
    made = management.integration()
    for path in ("/accounts", "/integrations", f"/integrations/{made['id']}", "/tokens"):
        assert management.ask("GET", path, key=viewer_key).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/integrations/{id}", None),
        ("PATCH", "/integrations/{id}", {"name": "x"}),
        ("DELETE", "/integrations/{id}", None),
        ("PUT", "/integrations/{id}/generations/1", {"issuer": "us", "run": "r", "attempt": 1, "overlap_seconds": 0}),
        ("POST", "/integrations/{id}/generations/1/ack", {"fingerprint": "0" * 12}),
        ("POST", "/integrations/{id}/expire", {"generations": [1]}),
        ("DELETE", "/integrations/{id}/generations/1", None),
    ],
)
@pytest.mark.parametrize("integration_id", ["int_nothing", "deleted", "' OR 1=1 --"])
def test_an_unknown_id_is_not_found(management, method, path, body, integration_id):
    """An id that never was, or is gone, is 404 by the service's own problem."""
    if integration_id == "deleted":
        integration_id = management.integration()["id"]
        management.ask("DELETE", f"/integrations/{integration_id}")
    answer = management.ask(method, path.format(id=integration_id), body)
    assert problem(answer) == (404, "integration-unknown")
    assert answer.json()["detail"] == f"there is no integration {integration_id}"


def test_create_and_its_repetition(management):
    """The same owner nonce again is the same creation: 201, then 200 with the same integration."""
    external_id, owner_nonce = new_external_id(), uuid.uuid4().hex
    first = management.declare(
        external_id, owner_nonce=owner_nonce, scopes=["contacts.write", "contacts.readonly", "contacts.write"]
    )
    again = management.declare(external_id, owner_nonce=owner_nonce, name="ignored, as it is a repetition")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    body = first.json()
    assert body["scopes"] == ["contacts.readonly", "contacts.write"]
    assert body["external_id"] == external_id
    assert (body["owner_nonce"], body["version"], body["last_generation"]) == (owner_nonce, 1, 0)


def test_a_used_owner_nonce_is_refused(management):
    """A late duplicate of a creation takes nothing from whoever owns the integration by now."""
    external_id, owner_nonce = new_external_id(), uuid.uuid4().hex
    made = management.declare(external_id, owner_nonce=owner_nonce).json()
    management.ask("DELETE", f"/integrations/{made['id']}", params={"owner_nonce": owner_nonce})
    assert problem(management.declare(external_id, owner_nonce=owner_nonce)) == (409, "owner-nonce-used")


def test_a_taken_external_id(management):
    """The remains of an interrupted creation may be replaced once; what has had a token may not."""
    external_id = new_external_id()
    remains = management.declare(external_id).json()
    taken = management.declare(external_id)
    assert problem(taken) == (409, "external-id-taken")
    assert (taken.json()["id"], taken.json()["issued"]) == (remains["id"], False)
    replaced = management.declare(external_id, replaces=remains["id"])
    assert replaced.status_code == 201
    assert replaced.json()["id"] != remains["id"]
    assert management.ask("GET", f"/integrations/{remains['id']}").status_code == 404
    assert management.issue(replaced.json()["id"], 1).status_code == 201
    again = management.declare(external_id, replaces=replaced.json()["id"])
    assert problem(again) == (409, "external-id-taken")
    assert again.json()["issued"] is True


def test_adopting(management):
    """Adopting sets external id, owner nonce and declared values on the same id, and keeps its tokens."""
    made = management.integration()
    issued = management.issue(made["id"], 1).json()
    external_id = new_external_id()
    adopted = management.declare(external_id, adopts=made["id"], name="Adopted")
    assert adopted.status_code == 200
    assert (adopted.json()["id"], adopted.json()["external_id"]) == (made["id"], external_id)
    assert management.state(made["id"])["tokens"][0]["fingerprint"] == issued["fingerprint"]
    by_the_old_owner = {"params": {"owner_nonce": made["owner_nonce"]}}
    assert management.ask("DELETE", f"/integrations/{made['id']}", **by_the_old_owner).json() == {"deleted": False}
    refused = management.ask("PATCH", f"/integrations/{made['id']}", {"name": "Mine"}, **by_the_old_owner)
    assert problem(refused) == (409, "owner-nonce-old")
    assert refused.json()["detail"] == f"{made['id']} was taken over by {external_id}"
    assert problem(management.declare(new_external_id(), adopts="int_nothing")) == (404, "integration-unknown")


def test_a_late_adoption_takes_nothing_from_a_newer_one(management):
    """An adoption names the owner that it saw: a copy that arrives after another adoption is refused."""
    made = management.integration()
    first = {"adopts": made["id"], "adopts_from": made["owner_nonce"], "owner_nonce": uuid.uuid4().hex}
    external_id = new_external_id()
    newer = management.declare(external_id, adopts=made["id"], adopts_from=made["owner_nonce"])
    assert newer.status_code == 200
    assert problem(management.declare(external_id, **first)) == (409, "owner-nonce-old")
    assert management.ask("GET", f"/integrations/{made['id']}").json()["owner_nonce"] == newer.json()["owner_nonce"]


def test_a_former_owner_issues_nothing(management):
    """A rotation that its sender asked for as an owner is refused after an adoption, however late it arrives."""
    made = management.integration()
    assert management.issue(made["id"], 1, owner=made["external_id"]).status_code == 201
    external_id = new_external_id()
    management.declare(external_id, adopts=made["id"])
    late = management.issue(made["id"], 2, owner=made["external_id"], overlap_seconds=0)
    assert problem(late) == (409, "owner-nonce-old")
    assert late.json()["detail"] == f"{made['id']} was taken over by {external_id}"
    assert roles(management.state(made["id"])) == {1: "pending"}


def test_an_integration_of_another_account_is_not_adopted(management):
    """To a declaration for another account the integration doesn't exist."""
    made = management.integration()
    agency = next(a["id"] for a in management.ask("GET", "/accounts").json()["accounts"] if a["kind"] == "agency")
    answer = management.declare(account=agency, scopes=["locations.readonly"], adopts=made["id"])
    assert problem(answer) == (404, "integration-unknown")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"account": "nobody"}, (404, "account-unknown")),
        ({"scopes": ["contact.readonly"]}, (422, "scope-not-allowed")),
        ({"scopes": []}, (422, "invalid-request")),
        ({"name": " "}, (422, "invalid-request")),
        ({"name": "a\nb"}, (422, "invalid-request")),
        ({"name": "x" * 101}, (422, "invalid-request")),
        ({"surprise": 1}, (422, "invalid-request")),
        ({"owner_nonce": ""}, (422, "invalid-request")),
        ({"rotation": {"every_seconds": 0, "overlap_seconds": 0}}, (422, "invalid-request")),
        ({"rotation": {"every_seconds": 100, "overlap_seconds": 100}}, (422, "rotation-not-allowed")),
        (
            {"rotation": {"every_seconds": 100, "schedule": "0 3 * * *", "overlap_seconds": 0}},
            (422, "invalid-request"),
        ),
        ({"rotation": {"timezone": "UTC", "overlap_seconds": 0}}, (422, "invalid-request")),
        ({"rotation": {"schedule": "0 0 30 2 *", "overlap_seconds": 0}}, (422, "rotation-not-allowed")),
        (
            {"rotation": {"schedule": "0 3 * * *", "timezone": "Nowhere", "overlap_seconds": 0}},
            (422, "rotation-not-allowed"),
        ),
        ({"rotation": {"schedule": "0 3 * * *", "overlap_seconds": 86_400}}, (422, "rotation-not-allowed")),
    ],
)
def test_a_bad_declaration_creates_nothing(management, changes, expected):
    """Each bad value is refused with its own problem, and nothing is left behind."""
    external_id = new_external_id()
    assert problem(management.declare(external_id, **changes)) == expected
    assert management.ask("GET", "/integrations", params={"under": external_id}).json()["integrations"] == []


def test_an_external_id_has_an_end(management):
    """A path of more than 512 characters, or with a control character in it, names no owner."""
    for external_id in ("a" * 513, "a%09b"):
        assert problem(management.declare(external_id)) == (422, "invalid-request")


def test_list(management):
    """Integrations are listed by account and by the path they lie under, a path being whole segments."""
    stack = f"organization/{uuid.uuid4().hex}/dev"
    made = management.declare(f"{stack}/crm").json()
    management.declare(f"{stack}elopment/crm")
    found = management.ask("GET", "/integrations", params={"under": stack}).json()
    assert [each["id"] for each in found["integrations"]] == [made["id"]]
    assert found["cursor"] is None
    assert management.ask("GET", "/integrations", params={"account": "nobody"}).json()["integrations"] == []
    assert management.ask("GET", "/integrations", params={"under": "%"}).json()["integrations"] == []


def test_edit(management):
    """An edit changes what is given, counts the version, and issues no token."""
    made = management.integration(rotation={"every_seconds": 86400, "overlap_seconds": 3600})
    path = f"/integrations/{made['id']}"
    edited = management.ask("PATCH", path, {"scopes": ["contacts.write"], "description": "line one\nline two"}).json()
    assert (edited["scopes"], edited["name"], edited["version"]) == (["contacts.write"], "CRM sync", 2)
    assert edited["rotation"]["every_seconds"] == 86400
    assert management.ask("PATCH", path, {"scopes": ["contacts.write"]}).json()["version"] == 2
    assert management.ask("PATCH", path, {"rotation": None}).json()["rotation"] is None
    assert management.state(made["id"])["tokens"] == []
    assert problem(management.ask("PATCH", path, {"scopes": ["nothing.write"]})) == (422, "scope-not-allowed")


def test_edit_of_an_old_version(management):
    """With If-Match an edit of what somebody changed meanwhile is refused."""
    made = management.integration()
    path = f"/integrations/{made['id']}"
    tag = management.ask("GET", path).headers["ETag"]
    assert management.ask("PATCH", path, {"name": "First"}, headers={"If-Match": tag}).status_code == 200
    assert problem(management.ask("PATCH", path, {"name": "Second"}, headers={"If-Match": tag})) == (412, "version-old")
    assert management.ask("GET", path).json()["name"] == "First"


def test_a_late_copy_of_an_edit(management):
    """With If-Match a repetition is a success while nothing newer is there, and undoes nothing once something is."""
    made = management.integration()
    path = f"/integrations/{made['id']}"
    wide = {"scopes": ["contacts.readonly", "contacts.write"]}

    def edit(body, tag):
        return management.ask("PATCH", path, body, headers={"If-Match": tag})

    for _ in range(2):
        assert edit(wide, '"1"').json()["version"] == 2
    assert edit({"scopes": ["contacts.readonly"]}, '"2"').json()["version"] == 3
    assert problem(edit(wide, '"1"')) == (412, "version-old")
    assert management.ask("GET", path).json()["scopes"] == ["contacts.readonly"]


def test_delete(management):
    """Without a owner nonce it always deletes; the tokens end with it."""
    made = management.integration()
    token = management.issue(made["id"], 1).json()["token"]
    assert management.ask("DELETE", f"/integrations/{made['id']}").json() == {"deleted": True}
    assert requests.post(
        f"{management.url}{API}/introspect", data={"token": token}, headers=key(management), timeout=10
    ).json() == {"active": False}


@sqlite_only
def test_without_other_machines_no_change_is_answered_early(management):
    """`Prefer: respond-async` changes no answer: the token has ended everywhere."""
    made = management.integration()["id"]
    management.issue(made, 1)
    prefer = {"Prefer": "respond-async"}
    answer = management.ask("POST", f"/integrations/{made}/expire", {"generations": [1]}, headers=prefer)
    assert (answer.status_code, answer.json()) == (200, management.state(made))
    assert "Preference-Applied" not in answer.headers


def key(management: Management) -> dict[str, str]:
    """The header of the admin's key."""
    return {"Authorization": f"Bearer {management.key}"}


def test_issue(management):
    """A new generation is pending, its answer is not to be stored by anybody, and shows nothing but the token."""
    made = management.integration()
    answer = management.issue(made["id"], 1)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert set(body) == {"token", "generation", "fingerprint", "issued_at"}
    digest = hashlib.sha256(body["token"].encode()).hexdigest()
    assert body["fingerprint"] == digest[:12]
    state = management.state(made["id"])
    assert roles(state) == {1: "pending"}
    assert body["token"] not in str(state)
    assert digest not in str(state)


def test_issue_refused(management):
    """Late, foreign and repeated requests are named, with what the sender needs to go on."""
    made = management.integration()
    management.issue(made["id"], 1, attempt=2)
    stale = management.issue(made["id"], 1, attempt=2)
    assert problem(stale) == (409, "attempt-stale")
    assert stale.json()["last_attempt"] == 2
    assert problem(management.issue(made["id"], 1, run="r2")) == (409, "generation-used")
    other = management.issue(made["id"], 2, issuer="cli/anna", run="r3")
    assert problem(other) == (409, "rotation-open")
    assert other.json()["issuer"] == "us"
    for bad in ({"attempt": 0}, {"overlap_seconds": -1}, {"issuer": ""}, {"run": "a b"}):
        assert problem(management.issue(made["id"], 2, **bad)) == (422, "invalid-request")
    for generation in (0, -1, 2**31):
        assert problem(management.issue(made["id"], generation)) == (422, "invalid-request")


def test_many_at_once_ask_for_one_generation(management):
    """Of pipelines that ask for the same generation at the same time one wins, and the others are told."""
    made = management.integration()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: management.issue(made["id"], 1, run=f"r{number}"), range(24)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 23
    assert {problem(answer)[1] for answer in answers if answer.status_code == 409} == {"generation-used"}
    assert roles(management.state(made["id"])) == {1: "pending"}


def test_acknowledge(management):
    """An ack with the right fingerprint makes the pending token current, and may be repeated."""
    made = management.integration()
    issued = management.issue(made["id"], 1).json()
    path = f"/integrations/{made['id']}/generations/1/ack"
    for _ in range(2):
        assert roles(management.ask("POST", path, {"fingerprint": issued["fingerprint"]}).json()) == {1: "current"}
    assert problem(management.ask("POST", path, {"fingerprint": "0" * 12})) == (409, "fingerprint-unknown")
    assert problem(management.ask("POST", path, {"fingerprint": "no"})) == (422, "invalid-request")


def test_expire(management):
    """Named generations end at once; a repetition is a success; what was never issued is refused."""
    made = management.integration()
    management.issue(made["id"], 1)
    path = f"/integrations/{made['id']}/expire"
    for _ in range(2):
        assert roles(management.ask("POST", path, {"generations": [1]}).json()) == {1: "ended"}
    assert problem(management.ask("POST", path, {"generations": [2]})) == (422, "generation-unknown")
    assert problem(management.ask("POST", path, {"generations": []})) == (422, "invalid-request")


def test_states_of_a_stack_in_one_request(management):
    """The tokens below a path come together with the service's clock; gone integrations are missing."""
    stack = f"organization/{uuid.uuid4().hex}/dev"
    made = [management.declare(f"{stack}/{name}").json() for name in ("a", "b")]
    management.issue(made[0]["id"], 1)
    answer = management.ask("GET", "/tokens", params={"under": stack}).json()
    assert {state["external_id"]: roles(state) for state in answer["tokens"]} == {
        f"{stack}/a": {1: "pending"},
        f"{stack}/b": {},
    }
    assert answer["now"].endswith("Z")
    named = management.ask("GET", "/tokens", params={"integration": [made[1]["id"], "int_nothing"]}).json()
    assert [state["integration_id"] for state in named["tokens"]] == [made[1]["id"]]


def test_introspection_tells_and_changes_nothing(management):
    """It says what a token opens, is no use of it, and tells nothing of one that isn't live."""
    made = management.integration()
    token = management.issue(made["id"], 1).json()["token"]
    told = requests.post(
        f"{management.url}{API}/introspect", data={"token": token}, headers=key(management), timeout=10
    )
    assert told.headers["Cache-Control"] == "no-store"
    body = told.json()
    assert body.pop("iat") < body.pop("cache_until")
    assert body == {
        "active": True,
        "client_id": made["id"],
        "sub": management.account,
        "token_type": "Bearer",
        "integration_id": made["id"],
        "integration": "CRM sync",
        "account": management.account,
        "scope": "contacts.readonly",
        "generation": 1,
        "role": "pending",
    }
    assert roles(management.state(made["id"])) == {1: "pending"}
    for unknown in ("pit-" + "00000000-0000-0000-0000-000000000000", "nonsense", "ä", token + "0", "x" * 5000):
        asked = requests.post(
            f"{management.url}{API}/introspect", data={"token": unknown}, headers=key(management), timeout=10
        )
        assert asked.json() == {"active": False}


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "anything", "x" * 500, ""])
def test_a_hint_changes_nothing(management, hint):
    """`token_type_hint` is accepted and of no consequence (RFC 7662 §2.1)."""
    token = management.issue(management.integration()["id"], 1).json()["token"]
    form = {"token": token, "token_type_hint": hint}
    told = requests.post(f"{management.url}{API}/introspect", data=form, headers=key(management), timeout=10)
    assert told.json()["active"] is True


def test_bodies_that_cannot_be_read(management):
    """Broken JSON and a body beyond 64 KB are refused in one line, without repeating what was sent."""
    url = f"{management.url}{API}/integrations/int_0"
    broken = requests.patch(
        url, data=b'{"name": ', headers={**key(management), "Content-Type": "application/json"}, timeout=10
    )
    assert problem(broken) == (422, "invalid-request")
    huge = requests.patch(url, data=b"x" * 70_000, headers=key(management), timeout=10)
    assert problem(huge) == (413, "body-too-large")


def test_a_validation_error_never_repeats_a_value(management):
    """What was sent, a secret perhaps, is not in the answer."""
    answer = management.declare(name=["a secret by mistake"])
    assert "a secret" not in answer.text
    assert answer.json()["errors"] == [{"field": "name", "reason": "Input should be a valid string"}]


def test_unknown_routes_and_methods(management):
    """What isn't there is a problem too."""
    assert problem(management.ask("GET", "/nothing")) == (404, "route-unknown")
    assert problem(management.ask("POST", "/accounts")) == (405, "invalid-request")


def test_health(under_test, management):
    """The health check needs no key, and a replica says how long its lease lasts."""
    answer = requests.get(f"{management.url}/health", timeout=10)
    lease = {"lease_duration_seconds", "lease_age_seconds", "lease_remaining_seconds", "revision"}
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json().keys() - {"status"} == (lease if under_test.name == "postgresql" else set())
