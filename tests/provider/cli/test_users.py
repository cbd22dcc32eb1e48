"""People on the command line: invited by a one-time link, let in or not, and where they belong."""

import json
import re
import uuid
from dataclasses import dataclass

import pytest

from private_integrations.cli import run
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from visitors import PASSWORD, Visitor

LINK = re.compile(r"http://127\.0\.0\.1:\d+/settings/welcome/[\w-]{43}")


@pytest.fixture
def email():
    """An address that no other test has."""
    return f"{uuid.uuid4().hex[:12]}@example.com"


@pytest.fixture
def account(service):
    """The demo account."""
    return service.account


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Its output for programs."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def facts(self):
        """Its output for people: values by name."""
        assert self.code == 0, self.err
        lines = [re.split(r"  +", line, maxsplit=1) for line in self.out.splitlines()]
        return {name: value for name, value in lines if name}


@pytest.fixture
def users(service, monkeypatch, capsys):
    """Runs `users …` in this process: a process of its own for each would take most of the tests' time."""
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)

    def command(*arguments):
        capsys.readouterr()
        code = run(["users", *arguments])
        return Said(code, *capsys.readouterr())

    return command


def test_the_first_admin_comes_in_by_a_link(users, email, account):
    """The command prints it once; whoever opens it chooses a password and is in; then it is over."""
    made = users("create", email, "--account", account, "--name", "Ada")
    assert (made.code, made.err) == (
        0,
        "private-integrations: hand the link over yourself, to nobody else: whoever opens it first is that person\n",
    )
    facts = made.facts
    assert list(facts) == ["email", "id", "works until", "link"]
    link = facts["link"]
    assert LINK.fullmatch(link)
    url, _, code = link.partition("/settings/welcome/")
    visitor = Visitor(url)
    assert email in visitor.get(f"/settings/welcome/{code}").text
    assert visitor.post(f"/settings/welcome/{code}", password=PASSWORD).url == f"{url}/settings/private-integrations"
    assert visitor.get(f"/settings/welcome/{code}").status_code == 404
    shown = users("list")
    assert code not in shown.out
    assert re.search(rf"^{email} +Ada +active +{account} \(admin\) +", shown.out, re.M)
    again = users("create", email, "--account", account)
    assert (again.code, again.err) == (
        5,
        f"private-integrations: there is a user {email} already; nothing was changed\n",
    )
    assert visitor.get("/settings/private-integrations").status_code == 200


def test_another_link_is_in_the_audit_log(users, cli, email, account):
    """Whoever holds a link can be that person: one that the same command makes again is written down like any other."""
    links = [users("create", email, "--account", account).facts["link"] for _ in range(2)]
    assert links[0] != links[1]
    entries = cli("audit", "list", "--own", "--action", "make sign-in link", "--json").json["entries"]
    assert [entry["action"] for entry in entries if entry["detail"]["email"] == email] == ["make sign-in link"]


def test_a_person_is_disabled_and_comes_back(users, email, account):
    """At once out of every browser; enabled again, with a new link, nothing that they had is lost."""
    made = users("create", email, "--account", account, "--role", "user", "--json").json
    assert made.keys() == {"user_id", "email", "expires_at", "url"}
    url, _, code = made["url"].partition("/settings/welcome/")
    visitor = Visitor(url)
    visitor.post(f"/settings/welcome/{code}", password=PASSWORD)
    assert visitor.get("/settings/me").url == f"{url}/settings/me"
    assert users("disable", email).facts["state"].startswith("disabled ")
    assert visitor.get("/settings/me").url.startswith(f"{url}/settings/sign-in")
    refused = users("link", email)
    assert (refused.code, refused.err) == (
        5,
        f"private-integrations: {email} is disabled; enable them first\n",
    )
    assert users("enable", email, "--json").json["disabled_at"] is None
    assert LINK.fullmatch(users("link", email).facts["link"])


def test_a_place_is_given_changed_and_taken(users, email, account, service):
    """What isn't said stays as it is; in other accounts nothing changes."""
    agency = next(a.id for a in Client(ServiceConnection(service.url, service.key)).accounts() if a.kind == "agency")
    users("create", email, "--account", account, "--role", "user")
    given = users("grant", email, "--account", agency, "--sub-accounts", "given", "--json").json
    assert sorted(given["memberships"], key=lambda place: place["sub_accounts"]) == [
        {"account": account, "role": "user", "own": "default", "sub_accounts": "default"},
        {"account": agency, "role": "user", "own": "default", "sub_accounts": "given"},
    ]
    changed = users("grant", email, "--account", agency, "--role", "admin", "--own", "taken")
    assert f"{agency} (admin, own integrations taken, sub-accounts given)" in changed.out
    assert users("revoke", email, "--account", agency).facts["places"] == f"{account} (user)"
    refused = users("grant", email, "--account", account, "--sub-accounts", "given")
    assert (refused.code, "is no agency" in refused.err) == (2, True)


def test_who_or_what_is_not_there(users, account):
    """Each is said in one line, by name."""
    for command in ("link", "disable", "enable", "unlink"):
        told = users(command, "nobody@example.com")
        assert (told.code, told.err) == (4, "private-integrations: there is no user nobody@example.com\n")
    told = users("create", "x@example.com", "--account", "nowhere")
    assert (told.code, told.err) == (4, "private-integrations: there is no account nowhere\n")
    told = users("create", "no address", "--account", account)
    assert told.code == 2
    assert '"no address" is not an email address' in told.err


def test_people_are_an_admins(users, viewer_key, monkeypatch):
    """Another key lists and changes none."""
    monkeypatch.setenv("PRIVATE_INTEGRATIONS_KEY", viewer_key)
    for arguments in (["list"], ["link", "x@example.com"], ["create", "x@example.com", "--account", "a"]):
        assert users(*arguments).code == 3


def test_the_output_that_nobody_saw_is_said(cli, email, account):
    """Where a link could not be printed, another one is to be made."""
    with open("/dev/full", "wb") as full:
        made = cli.process("users", "create", email, "--account", account, stdout=full.fileno())
    assert made.code == 7
    assert f"nobody has seen the link; `private-integrations users link {email}` makes another one" in made.err
