"""The audit log over HTTP: what each key sees of it, from where a change came, and an export that can go on."""

import json

import pytest

from management import API, Management, problem
from private_integrations.contract import digest_of, new_management_key
from private_integrations.contract.audit_chain import Whole, examine
from services import new_service


@pytest.fixture(scope="module")
def home(under_test, tmp_path_factory):
    """A service behind a proxy on this machine, with an integration, and keys by role."""
    folder = tmp_path_factory.mktemp("audit") / "data"
    with new_service(under_test, folder, PRIVATE_INTEGRATIONS_TRUSTED_PROXIES="127.0.0.1") as service:
        admin = Management(service.url, service.key, service.account)
        agency = next(a["id"] for a in admin.ask("GET", "/accounts").json()["accounts"] if a["kind"] == "agency")
        yield Home(admin, agency)


class Home:
    """The admin, an integration of the demo account with two changes, and what keys of others see."""

    def __init__(self, admin, agency):
        self.admin, self.agency = admin, agency
        self.keys = {"admin": admin.key}
        for name, role, accounts in (
            ("ours", "deployer", [admin.account]),
            ("theirs", "deployer", [agency]),
            ("viewer", "viewer", []),
            ("introspector", "introspector", []),
        ):
            self.keys[name] = new_management_key()
            body = {"role": role, "digest": digest_of(self.keys[name]).hex(), "accounts": accounts}
            assert admin.ask("PUT", f"/keys/{name}", body).status_code == 201
        self.integration = admin.integration()["id"]
        headers = {"X-Forwarded-For": "1.1.1.1, 203.0.113.9", "User-Agent": "laptop\t/1"}
        edited = admin.ask(
            "PATCH", f"/integrations/{self.integration}", {"name": "Edited"}, key=self.keys["ours"], headers=headers
        )
        assert edited.ok

    def ask(self, path, key="admin", **query):
        """A question with one of the keys."""
        return self.admin.ask("GET", path, key=self.keys[key], params=query)

    def actions(self, key, **query):
        """The actions that are listed, the newest first."""
        answer = self.ask("/audit", key, **query)
        assert answer.status_code == 200, answer.text
        return [entry["action"] for entry in answer.json()["entries"]]


MADE = ["create key"] * 4


@pytest.mark.parametrize(
    ("key", "query", "actions"),
    [
        ("admin", {}, ["edit", "create", *MADE]),
        ("admin", {"own": "true"}, MADE),
        ("viewer", {}, ["edit", "create"]),
        ("ours", {}, ["edit", "create"]),
        ("theirs", {}, []),
        ("admin", {"account": "nobody"}, []),
    ],
)
def test_a_key_sees_the_accounts_that_it_reaches(home, key, query, actions):
    """A bound key sees its accounts' rows, an unbound one every account's, an admin's also the service's own."""
    assert home.actions(key, **query) == actions
    lines = home.ask("/audit/export", key, **query).content.splitlines()
    assert [json.loads(line)["action"] for line in lines] == actions[::-1]
    assert isinstance(examine(lines), Whole)


def test_a_foreign_account_has_no_rows(home):
    """A key that doesn't reach an account is answered as if there was none, whatever it asks for."""
    account, integration = home.admin.account, home.integration
    assert home.actions("ours", account=account, integration=integration) == ["edit", "create"]
    assert home.actions("theirs", account=account) == home.actions("theirs", integration=integration) == []
    assert home.ask("/audit/export", "theirs", account=account).content == b""


@pytest.mark.parametrize("path", ["/audit", "/audit/export"])
def test_the_services_own_log_is_for_admins(home, path):
    """Others are told so; an introspector sees no log at all."""
    for key in ("viewer", "ours"):
        assert problem(home.ask(path, key, own="true")) == (403, "key-not-allowed")
    assert problem(home.ask(path, "introspector")) == (403, "key-not-allowed")


def test_a_row_names_key_address_and_agent(home):
    """The address is what the trusted proxy saw, the agent one line without controls."""
    edit, create = home.ask("/audit", integration=home.integration).json()["entries"]
    assert edit["actor"].startswith("key/ours/key_")
    assert (edit["address"], edit["agent"]) == ("203.0.113.9", "laptop /1")
    assert (create["address"], create["agent"].partition("/")[0]) == ("127.0.0.1", "python-requests")
    assert (edit["account"], edit["sequence"], edit["detail"]["changed"]) == (home.admin.account, 2, ["name"])


def test_an_export_goes_on_where_it_ended(home):
    """The cursor of an export asks for what was written since; nothing new is an empty answer with the same cursor."""
    first = home.ask("/audit/export")
    assert first.headers["Content-Type"] == "application/jsonl"
    cursor = first.headers["Audit-Cursor"]
    again = home.ask("/audit/export", cursor=cursor)
    assert (again.content, again.headers["Audit-Cursor"]) == (b"", cursor)


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "x"},
        {"cursor": -1},
        {"since": "yesterday"},
        {"account": "a b"},
        {"actor": ""},
        {"until": "2026-11-21T00:00:00"},
    ],
)
def test_what_cannot_be_searched_for(home, query):
    """Values of no shape are refused by name."""
    assert problem(home.ask("/audit", **query)) == (422, "invalid-request")
    assert API not in home.ask("/audit", **query).json()["detail"]
