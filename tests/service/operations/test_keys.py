"""Management keys: who may what, in which accounts, and under which name the audit log knows them."""

import time
import uuid

import pytest
import requests

from management import API, Management, new_external_id, problem, roles
from private_integrations.contract import digest_of, new_management_key
from throwaway import database_of


def name() -> str:
    """A name that no other test has."""
    return f"ci-{uuid.uuid4().hex[:8]}"


def make(management, role, *accounts, called=None, key=None, **more):
    """Make a key known; the key and the answer."""
    key = key or new_management_key()
    body = {"role": role, "accounts": list(accounts), "digest": digest_of(key).hex(), **more}
    return key, management.ask("PUT", f"/keys/{called or name()}", body)


def accounts(management, **options):
    """The ids of the accounts that are listed."""
    return {account["id"] for account in management.ask("GET", "/accounts", **options).json()["accounts"]}


@pytest.fixture
def agency(management):
    """The id of the agency, an account that the deployer does not reach."""
    return next(a["id"] for a in management.ask("GET", "/accounts").json()["accounts"] if a["kind"] == "agency")


@pytest.fixture
def deployer(management):
    """The management API with a deployer's key for the demo account."""
    key, answer = make(management, "deployer", management.account)
    assert answer.status_code == 201, answer.text
    return Management(management.url, key, management.account)


def test_a_key_is_made_by_its_digest_and_shown_without_it(management):
    """The service learns a digest, answers a repetition with the same key, and shows neither key nor digest."""
    called = name()
    key, made = make(management, "deployer", management.account, called=called)
    _, again = make(management, "deployer", management.account, called=called, key=key)
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json()
    assert made.json() | {"id": "", "created_at": ""} == {
        "id": "",
        "name": called,
        "role": "deployer",
        "accounts": [management.account],
        "created_at": "",
        "expires_at": None,
        "revoked_at": None,
    }
    listed = management.ask("GET", "/keys")
    assert made.json() in listed.json()["keys"]
    assert key not in listed.text
    assert digest_of(key).hex() not in listed.text


def test_a_deployer_does_everything_in_its_accounts(deployer):
    """Create, issue, acknowledge, edit, cancel, expire and delete, as a pipeline does."""
    made = deployer.integration()
    first = deployer.issue(made["id"], 1).json()
    path = f"/integrations/{made['id']}"
    deployer.ask("POST", f"{path}/generations/1/ack", {"fingerprint": first["fingerprint"]})
    deployer.issue(made["id"], 2, holding=1)
    assert roles(deployer.ask("DELETE", f"{path}/generations/2").json()) == {1: "current", 2: "ended"}
    assert deployer.ask("PATCH", path, {"name": "Renamed"}).status_code == 200
    assert deployer.ask("POST", f"{path}/expire", {"generations": [1]}).status_code == 200
    assert deployer.ask("DELETE", path).json() == {"deleted": True}


def test_other_accounts_do_not_exist_for_a_deployer(management, deployer, agency):
    """Whatever lies in an account that the key is not bound to is not found, on every route, and not changed."""
    other = management.declare(account=agency, scopes=["locations.readonly"]).json()
    token = management.issue(other["id"], 1).json()["token"]
    path = f"/integrations/{other['id']}"
    body = {"issuer": "us", "run": "r2", "attempt": 1, "overlap_seconds": 0}
    for method, below, sent in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("PUT", "/generations/2", body),
        ("POST", "/generations/1/ack", {"fingerprint": "0" * 12}),
        ("DELETE", "/generations/1", None),
        ("POST", "/expire", {"generations": [1]}),
    ):
        answer = deployer.ask(method, path + below, sent)
        assert problem(answer) == (404, "integration-unknown"), (method, below)
        assert answer.json()["detail"] == f"there is no integration {other['id']}"
    assert problem(deployer.declare(account=agency, scopes=["locations.readonly"])) == (404, "account-unknown")
    assert problem(deployer.declare(adopts=other["id"])) == (404, "integration-unknown")
    assert accounts(deployer) == {deployer.account}
    assert other["id"] not in deployer.ask("GET", "/integrations", params={"account": agency}).text
    assert other["id"] not in deployer.ask("GET", "/tokens", params={"integration": other["id"]}).text
    headers = {"Authorization": f"Bearer {deployer.key}"}
    told = requests.post(f"{deployer.url}{API}/introspect", data={"token": token}, headers=headers, timeout=10)
    assert told.json() == {"active": False}
    assert management.state(other["id"])["tokens"][0]["role"] == "pending"


def test_a_viewer_may_be_bound_to_accounts(management, agency):
    """A bound viewer sees its accounts only; an unbound one sees all and changes nothing."""
    bound, _ = make(management, "viewer", management.account)
    free, _ = make(management, "viewer")
    assert accounts(management, key=bound) == {management.account}
    # Other tests make accounts too.
    assert accounts(management, key=free) >= {management.account, agency}


@pytest.mark.parametrize("role", ["deployer", "viewer"])
def test_only_an_admin_manages_keys(management, role):
    """Nobody can widen what they may: keys are made, listed and revoked with an admin's key."""
    key, made = make(management, role, management.account)
    for method, path, body in (
        ("GET", "/keys", None),
        ("PUT", f"/keys/{name()}", {"role": "admin", "digest": "0" * 64}),
        ("DELETE", f"/keys/{made.json()['id']}", None),
    ):
        assert problem(management.ask(method, path, body, key=key)) == (403, "key-not-allowed")


def test_a_revoked_key_opens_nothing(management):
    """Revoking holds from the next request on, and may be repeated."""
    key, made = make(management, "viewer")
    path = f"/keys/{made.json()['id']}"
    first, again = management.ask("DELETE", path).json(), management.ask("DELETE", path).json()
    assert first == again
    assert first["revoked_at"]
    assert problem(management.ask("GET", "/accounts", key=key)) == (401, "key-ended")


def test_a_key_ends_on_the_services_clock(management):
    """A lifetime is counted by the service from the making of the key."""
    key, made = make(management, "viewer", lifetime_seconds=1)
    assert made.json()["expires_at"] > made.json()["created_at"]
    deadline = time.monotonic() + 10
    while management.ask("GET", "/accounts", key=key).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert problem(management.ask("GET", "/accounts", key=key)) == (401, "key-ended")


def test_names_of_keys(management):
    """A name is one live key's at a time, so that people know whom they revoke; later it is free again."""
    called = name()
    _, made = make(management, "viewer", called=called)
    _, taken = make(management, "viewer", called=called)
    assert problem(taken) == (409, "key-name-taken")
    management.ask("DELETE", f"/keys/{made.json()['id']}")
    assert make(management, "viewer", called=called)[1].status_code == 201


@pytest.mark.parametrize(
    ("role", "accounts", "more", "expected"),
    [
        ("deployer", [], {}, (422, "invalid-request")),
        ("admin", ["demo"], {}, (422, "invalid-request")),
        ("owner", [], {}, (422, "invalid-request")),
        ("viewer", [], {"lifetime_seconds": 0}, (422, "invalid-request")),
        ("viewer", [], {"digest": "pmk-" + "0" * 60}, (422, "invalid-request")),
        ("deployer", ["nobody"], {}, (404, "account-unknown")),
    ],
)
def test_a_key_that_cannot_be(management, role, accounts, more, expected):
    """A deployer without accounts, an admin with some, an unknown account: refused, and nothing is made."""
    called = name()
    assert problem(make(management, role, *accounts, called=called, **more)[1]) == expected
    assert called not in management.ask("GET", "/keys").text


def test_a_key_is_not_made_twice(management):
    """A key that has ended, or has another name, does not come back by a late duplicate of its making."""
    key, made = make(management, "viewer")
    assert problem(make(management, "viewer", key=key)[1]) == (409, "key-used")
    management.ask("DELETE", f"/keys/{made.json()['id']}")
    assert problem(make(management, "viewer", key=key, called=made.json()["name"])[1]) == (409, "key-used")
    assert problem(management.ask("DELETE", "/keys/key_nothing")) == (404, "key-not-found")


def test_every_change_is_the_keys_in_the_audit_log(service, management, deployer):
    """Who made, issued, cancelled: the log names the key with its id, and holds no key and no token."""
    made = deployer.integration(external_id=new_external_id())
    token = deployer.issue(made["id"], 1).json()["token"]
    keys = management.ask("GET", "/keys").json()["keys"]
    with database_of(service) as connection:
        mine = connection.execute(
            f"SELECT actor, action FROM audit WHERE integration_id = '{made['id']}' ORDER BY id"
        ).fetchall()
        about_keys = connection.execute(
            "SELECT actor, CAST(detail AS TEXT) FROM audit WHERE action = 'create key'"
        ).fetchall()
        everything = str(connection.execute("SELECT * FROM audit").fetchall())
    actor = next(f"key/{key['name']}/{key['id']}" for key in keys if key["id"] in mine[0][0])
    assert mine == [(actor, "create"), (actor, "issue")]
    assert any(actor.split("/")[2] in detail and by.startswith("key/admin/key_") for by, detail in about_keys)
    assert token not in everything
    assert deployer.key not in everything


def test_a_key_can_ask_who_it_is(management, deployer, viewer_key):
    """A pipeline learns its key's name, role, end and the accounts that it reaches, with their class; never the key."""
    every = management.ask("GET", "/accounts").json()["accounts"]
    mine = deployer.ask("GET", "/whoami").json()
    assert (mine["role"], mine["expires_at"], mine["bound"]) == ("deployer", None, True)
    assert mine["accounts"] == [account for account in every if account["id"] == deployer.account]
    assert {account["kind"] for account in mine["accounts"]} == {"sub_account"}
    [listed] = [key for key in management.ask("GET", "/keys").json()["keys"] if key["id"] == mine["id"]]
    assert mine["name"] == listed["name"]
    reader = management.ask("GET", "/whoami", key=viewer_key)
    assert (reader.json()["name"], reader.json()["role"], reader.json()["bound"]) == ("reader", "viewer", False)
    assert reader.json()["accounts"] == every
    assert viewer_key not in reader.text


def test_a_key_that_ends_says_when(management):
    """The end of a key and the service's clock are in one answer, so that they can be compared."""
    key, made = make(management, "viewer", lifetime_seconds=3600)
    asked = management.ask("GET", "/whoami", key=key).json()
    assert asked["expires_at"] == made.json()["expires_at"]
    assert made.json()["created_at"] <= asked["now"] < asked["expires_at"]
    management.ask("DELETE", f"/keys/{made.json()['id']}")
    assert problem(management.ask("GET", "/whoami", key=key)) == (401, "key-ended")
