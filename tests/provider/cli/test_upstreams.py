"""Upstream credentials and accounts on the command line: in by stdin, verified on request, and never shown again."""

import os
import re
import uuid
from functools import partial

import pytest

from forked import running_service
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationRequest
from private_integrations_service.sealing import Sealer

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z"
TOKEN = re.compile(r"pit-[0-9a-f]{8}-")
KEY = "psk-" + "5ea1" * 16
DEAD_TOKEN = "pit-" + "5ec2e700-0000-4000-8000-00000000dead"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, service):
    """A service whose upstream is the other one."""
    settings = {"PRIVATE_INTEGRATIONS_UPSTREAM": service.url, "PRIVATE_INTEGRATIONS_SEALING_KEYS": KEY}
    with running_service(tmp_path_factory.mktemp("gateway"), **settings) as started:
        yield started


@pytest.fixture
def run(gateway, cli):
    """Runs a command against the gateway."""
    return partial(cli, **gateway.environment)


@pytest.fixture(scope="module")
def upstream_token(service):
    """A token of the upstream's demo account, as somebody would paste it."""
    client = Client(ServiceConnection(service.url, service.key))
    scopes = ["locations.readonly"]
    request = IntegrationRequest(account=service.account, name="Upstream", scopes=scopes, owner_nonce=uuid.uuid4().hex)
    made = client.declare(f"cli/{uuid.uuid4().hex}", request)
    return client.issue(made.id, 1, issuer="cli", holding=None, overlap_seconds=0, reason="").token


@pytest.fixture
def account(run, service):
    """The upstream's account, known to the gateway, without a credential."""
    added = run("accounts", "add", service.account, "--name", "Shop", "--agency", "company")
    assert added.code == 0, added.err
    run("upstreams", "remove", service.account, "--yes")
    return service.account


@pytest.fixture
def another_account(run):
    """An account that the upstream does not know."""
    name = f"loc{uuid.uuid4().hex[:12]}"
    assert run("accounts", "add", name, "--name", "Elsewhere", "--agency", "company").code == 0
    return name


def of(run, account):
    """What the list for programs says of an account."""
    return next(known for known in run("upstreams", "list", "--json").json["upstreams"] if known["account"] == account)


def test_set_verify_list_and_remove(run, account, upstream_token):
    """The whole life of a credential; every line that is said of it is without it."""
    done = run("upstreams", "set", account, stdin=f"{upstream_token}\n")
    told = f"private-integrations: the upstream credential of {account} is stored\n"
    assert (done.code, done.out, done.err) == (0, "", told)
    verified = run("upstreams", "verify", account)
    assert (verified.code, verified.out) == (0, f"{account}: the upstream accepts it (200)\n")
    listed = run("upstreams", "list")
    headings, *rows = [re.split("  +", line) for line in listed.out.splitlines()]
    assert headings == ["ACCOUNT", "SET", "BY", "SEALED WITH", "VERIFIED"]
    [row] = [row for row in rows if row[0] == account]
    patterns = (account, INSTANT, "key/admin/key_[A-Za-z0-9]{20}", Sealer([KEY]).first_key, f"accepted 200, {INSTANT}")
    assert [re.fullmatch(*each) is not None for each in zip(patterns, row, strict=True)] == [True] * 5
    for command in (
        ["upstreams", "list", "--json"],
        ["upstreams", "verify", account, "--json"],
        ["accounts", "--json"],
    ):
        assert not TOKEN.search(run(*command).out)
    removed = run("upstreams", "remove", account, "--yes")
    assert (removed.code, removed.err) == (0, f"private-integrations: removed the upstream credential of {account}\n")
    again = run("upstreams", "remove", account, "--yes")
    told = f"private-integrations: nothing to remove: {account} has no upstream credential\n"
    assert (again.code, again.err) == (0, told)
    missing = run("upstreams", "verify", account)
    told = f"private-integrations: there is no upstream credential for account {account}\n"
    assert (missing.code, missing.err) == (4, told)


def test_set_and_verify(run, account, upstream_token):
    """What the upstream refuses is not stored in place of what works."""
    done = run("upstreams", "set", account, "--verify", "--json", stdin=upstream_token)
    assert (done.code, done.json["verification"]["outcome"]) == (0, "accepted")
    told = f"private-integrations: the upstream credential of {account} is stored; the upstream accepts it (200)\n"
    assert done.err == told
    refused = run("upstreams", "set", account, "--verify", stdin=DEAD_TOKEN)
    assert (refused.code, refused.err) == (
        2,
        "private-integrations: the upstream refuses it (401): it ended there, or may not read its own location; "
        "nothing was changed\n",
    )
    assert run("upstreams", "verify", account).code == 0


def test_verify_of_a_dead_credential(run, another_account):
    """1: the answer is no, in words and for programs."""
    run("upstreams", "set", another_account, stdin=DEAD_TOKEN)
    verified = run("upstreams", "verify", another_account)
    said = "the upstream refuses it (401): it ended there, or may not read its own location"
    assert (verified.code, verified.out) == (1, f"{another_account}: {said}\n")
    assert run("upstreams", "verify", another_account, "--json").json == of(run, another_account)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "Invalid value: no credential was given; pipe one in: private-integrations upstreams set {} < file"),
        (
            "Bearer " + DEAD_TOKEN,
            "credential: must be printable ASCII without spaces: the token alone, without `Bearer` before it",
        ),
        (
            DEAD_TOKEN + "ü",
            "credential: must be printable ASCII without spaces: the token alone, without `Bearer` before it",
        ),
        ("x" * 4097, "credential: string should have at most 4096 characters"),
        (KEY, "this is a key of this service, not the platform's token"),
    ],
)
def test_what_is_no_credential(run, another_account, given, why):
    """2: refused in one line, without what was given."""
    refused = run("upstreams", "set", another_account, stdin=given)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(f"private-integrations: {why.format(another_account)}")
    assert not TOKEN.search(refused.err)


def test_a_credential_of_this_service(run, account):
    """2: a token that the gateway itself issued would lead nowhere."""
    token = run("create", "Own", "--account", account, "--scope", "contacts.readonly", "--token-only").out
    refused = run("upstreams", "set", account, stdin=token)
    told = "private-integrations: this is a token of this service, not the platform's\n"
    assert (refused.code, refused.err) == (2, told)


def test_a_credential_in_the_arguments_goes_nowhere(run, another_account):
    """2: refused before it is sent, and not repeated."""
    for arguments in ([another_account, DEAD_TOKEN], [DEAD_TOKEN], [DEAD_TOKEN, another_account]):
        refused = run("upstreams", "set", *arguments, stdin="other")
        assert refused.code == 2
        assert not TOKEN.search(refused.err)
    assert all(known["account"] != another_account for known in run("upstreams", "list", "--json").json["upstreams"])


def test_it_is_typed_without_being_shown(cli, gateway, run, another_account):
    """On a terminal it is asked for, and what is typed does not appear there."""
    typed = cli.on_terminal(
        "upstreams", "set", another_account, at="Credential: ", do=f"{DEAD_TOKEN}\n", **gateway.environment
    )
    assert typed.code == 0
    assert f"the upstream credential of {another_account} is stored" in typed.out
    assert not TOKEN.search(typed.out)
    assert of(run, another_account)["readable"] is True


def test_remove_asks_first(cli, gateway, run, another_account):
    """1: without a yes nothing is removed; 2: where nobody can be asked, --yes says it."""
    run("upstreams", "set", another_account, stdin="token")
    refused = run("upstreams", "remove", another_account)
    assert (refused.code, refused.err) == (
        2,
        "private-integrations: Invalid value: nobody can be asked here; give --yes to remove "
        "(see: private-integrations upstreams remove --help)\n",
    )
    declined = cli.on_terminal("upstreams", "remove", another_account, at="[y/N]", do="n\n", **gateway.environment)
    assert declined.code == 1
    assert "nothing was removed" in declined.out
    confirmed = cli.on_terminal("upstreams", "remove", another_account, at="[y/N]", do="y\n", **gateway.environment)
    assert (confirmed.code, run("upstreams", "verify", another_account).code) == (0, 4)


def test_a_sealing_key_is_rotated(cli, tmp_path):
    """A new key in front, a restart, a reseal, and the old one may go; without it too early, only its rows are shut."""
    folder, keys = tmp_path / "data", tmp_path / "sealing.keys"
    old, new = cli("upstreams", "new-key").out, cli("upstreams", "new-key").out
    assert re.fullmatch("psk-[0-9a-f]{64}\n", new)
    assert old != new

    def served(text):
        descriptor = os.open(keys, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        settings = {
            "PRIVATE_INTEGRATIONS_UPSTREAM": "http://127.0.0.1:9",
            "PRIVATE_INTEGRATIONS_SEALING_KEYS_FILE": str(keys),
        }
        return running_service(folder, **settings)

    with served(old) as gateway:
        run = partial(cli, **gateway.environment)
        run("accounts", "add", "loc1", "--name", "Shop", "--agency", "company")
        run("upstreams", "set", "loc1", stdin="token")
    with served(new) as gateway:
        listed = cli("upstreams", "list", **gateway.environment)
        first = Sealer([old.strip()]).first_key
        assert f"{first}: can't be opened" in listed.out
        assert listed.err == (
            "private-integrations: the upstream credential of loc1 can't be opened with the service's sealing keys: "
            f"start it with key {first} again, or set the credential anew\n"
        )
        verified = cli("upstreams", "verify", "loc1", **gateway.environment)
        assert verified.code == 5
        assert "it is sealed with key" in verified.err
        resealed = cli("upstreams", "reseal", **gateway.environment)
        assert resealed.code == 1
        assert "can't be opened with the keys at hand, and stay as they are: loc1" in resealed.err
    with served(f"{new}# of last year\n{old}") as gateway:
        run = partial(cli, **gateway.environment)
        for text in ("sealed 1 anew with key {}; 0 had that one already", "sealed 0 anew with key {}; 1 had that"):
            told = run("upstreams", "reseal")
            assert told.code == 0
            assert text.format(Sealer([new.strip()]).first_key) in told.err
    with served(new) as gateway:
        [known] = cli("upstreams", "list", "--json", **gateway.environment).json["upstreams"]
        assert (known["readable"], known["sealed_with"]) == (True, Sealer([new.strip()]).first_key)


def test_a_start_without_keys_is_refused(cli, tmp_path):
    """2: an upstream without a sealing key is one line that says what to do, and makes no data folder."""
    data_dir = tmp_path / "data"
    refused = cli.process(
        "serve", "--upstream", "https://services.example.com", "--port", "0", "--data-dir", str(data_dir)
    )
    assert refused.code == 2
    assert refused.err.startswith("private-integrations: --upstream needs a sealing key")
    assert "`private-integrations upstreams new-key`" in refused.err
    assert not data_dir.exists()


def test_a_start_with_what_is_no_upstream_is_refused(cli, tmp_path):
    """2: over plain http the credential could be read on its way; no data folder is made either."""
    data_dir = tmp_path / "data"
    options = ["--upstream", "http://services.example.com", "--port", "0", "--data-dir", str(data_dir)]
    refused = cli.process("serve", *options, PRIVATE_INTEGRATIONS_SEALING_KEYS=KEY)
    assert (refused.code, refused.err) == (
        2,
        "private-integrations: upstream 'http://services.example.com' must be https: the credential would be sent "
        "in the clear\n",
    )
    assert not data_dir.exists()


# Accounts.


def test_one_command_adds_a_location(run):
    """The agency is made along with its first location, and only then."""
    location, agency = f"loc{uuid.uuid4().hex[:12]}", f"comp{uuid.uuid4().hex[:12]}"
    added = run("accounts", "add", location, "--name", "Shop", "--agency", agency)
    assert (added.code, added.err.splitlines()) == (
        0,
        [
            f"private-integrations: agency {agency} is known; name it with "
            f"`private-integrations accounts add {agency} --kind agency --name …`",
            f"private-integrations: sub-account {location} (Shop) is known",
        ],
    )
    assert run("accounts", "add", agency, "--kind", "agency", "--name", "Company").code == 0
    again = run("accounts", "add", location, "--name", "Store", "--agency", agency, "--json")
    assert (again.code, again.json["name"], again.json["agency_id"]) == (0, "Store", agency)
    assert again.err == f"private-integrations: sub-account {location} (Store) is known\n"
    listed = {each["id"]: each["name"] for each in run("accounts", "--json").json["accounts"]}
    assert (listed[location], listed[agency]) == ("Store", "Company")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["loc1", "--name", "x"],
            2,
            "Invalid value for --agency: a location belongs to an agency; give its id (the platform's company id) "
            "(see: private-integrations accounts add --help)",
        ),
        (
            ["comp1", "--name", "x", "--kind", "agency", "--agency", "comp2"],
            2,
            "a sub-account belongs to an agency (agency_id), and an agency to none",
        ),
        (
            ["a b", "--name", "x", "--agency", "c"],
            2,
            """Invalid value for 'ID': "a b" is not an id: those have letters, """
            "digits, _ and - only (see: private-integrations accounts add --help)",
        ),
        (["x" * 65, "--name", "x", "--agency", "company"], 2, "account_id: String should have at most 64 characters"),
    ],
)
def test_an_account_that_can_not_be_added(run, arguments, code, message):
    """What is refused, here or by the service, is one line."""
    refused = run("accounts", "add", *arguments)
    assert (refused.code, refused.out, refused.err) == (code, "", f"private-integrations: {message}\n")


def test_an_account_stays_what_it_is(run, account):
    """5: an account of another agency, or of another kind, is a conflict; no agency is made for it."""
    moved = run("accounts", "add", account, "--name", "Shop", "--agency", "elsewhere")
    assert (moved.code, moved.err) == (
        5,
        f"private-integrations: {account} is a sub-account of agency company, and that never changes\n",
    )
    assert all(each["id"] != "elsewhere" for each in run("accounts", "--json").json["accounts"])
