"""Management keys on the command line: made, listed and revoked, and never shown a second time."""

import json
import os
import re

import pytest

from private_integrations.contract import new_management_key

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z"
KEY = re.compile(r"pmk-[0-9a-f]{64}")
STORE_IT = "private-integrations: store this key now, it will not be shown again\n"


@pytest.fixture
def as_key(cli):
    """Runs a command with another key than the first admin's."""

    def run(key, *arguments):
        return cli(*arguments, PRIVATE_INTEGRATIONS_KEY=key)

    return run


def _line_of(out, key_id):
    found = next(line for line in out.splitlines() if line.startswith(key_id))
    return re.split(r"  +", found)


def _wait_for_the_end_of(cli, made):
    while next(key["live"] for key in cli("keys", "list", "--json").json["keys"] if key["id"] == made["id"]):
        pass


def test_a_new_key_is_printed_once(cli, as_key):
    """A deployer's key works in its accounts; it is in this output and in no other."""
    account = cli.environment["PRIVATE_INTEGRATIONS_ACCOUNT"]
    made = cli("keys", "create", "ci", "--role", "deployer", "--account", account)
    assert (made.code, made.err) == (0, STORE_IT)
    facts = made.facts
    assert list(facts) == ["id", "name", "role", "accounts", "works until", "key"]
    key = facts.pop("key")[0]
    assert KEY.fullmatch(key)
    assert facts == {
        "id": facts["id"],
        "name": ["ci"],
        "role": ["deployer"],
        "accounts": [account],
        "works until": ["no end is set"],
    }
    assert [a["id"] for a in as_key(key, "accounts", "--json").json["accounts"]] == [account]
    assert as_key(key, "create", "By a deployer", "--scope", "contacts.readonly").code == 0
    for form in ([], ["--json"]):
        assert not KEY.search(cli("keys", "list", *form).out)


def test_a_key_for_programs(cli, as_key):
    """`--json` has the key beside all that the service knows; `--key-only` nothing else."""
    made = cli("keys", "create", "dashboard", "--role", "viewer", "--expires", "30d", "--json")
    assert made.err == STORE_IT
    key = made.json
    assert sorted(key) == ["accounts", "created_at", "expires_at", "id", "key", "name", "revoked_at", "role"]
    assert (key["role"], key["accounts"], key["revoked_at"]) == ("viewer", [], None)
    assert as_key(key["key"], "list").code == 0
    only = cli("keys", "create", "second-admin", "--role", "admin", "--key-only")
    assert KEY.fullmatch(only.out.removesuffix("\n"))
    assert as_key(only.out.strip(), "keys", "list").code == 0


def test_an_introspectors_key_only_verifies(cli, as_key):
    """A key for gateways that ask about tokens: `verify` works with it, and nothing else."""
    key = cli("keys", "create", "edge", "--role", "introspector", "--key-only").out.strip()
    token = cli.create("Seen by a gateway")["token"]
    assert cli("verify", "--json", stdin=token, PRIVATE_INTEGRATIONS_KEY=key).json["active"] is True
    refused = as_key(key, "list")
    assert (refused.code, refused.out) == (3, "")
    assert refused.err.endswith("management key edge is an introspector's and may only introspect\n")


def test_list_has_those_that_work_first(cli):
    """Each key has its end, and those that have ended come last, revoked or expired."""
    short = cli("keys", "create", "short", "--role", "viewer", "--expires", "1s", "--json").json
    revoked = cli("keys", "create", "revoked", "--role", "viewer", "--json").json
    long = cli("keys", "create", "long", "--role", "viewer", "--expires", "30d", "--json").json
    cli("keys", "revoke", revoked["id"])
    _wait_for_the_end_of(cli, short)
    listed = cli("keys", "list")
    assert (listed.code, listed.err) == (0, "")
    assert re.split(r"  +", listed.out.splitlines()[0]) == ["ID", "NAME", "ROLE", "ACCOUNTS", "CREATED", "ENDS"]
    assert _line_of(listed.out, long["id"])[1:4] == ["long", "viewer", "all"]
    assert re.fullmatch(INSTANT, _line_of(listed.out, long["id"])[5])
    assert re.fullmatch(f"revoked {INSTANT}", _line_of(listed.out, revoked["id"])[5])
    assert re.fullmatch(f"expired {INSTANT}", _line_of(listed.out, short["id"])[5])
    keys = cli("keys", "list", "--json").json["keys"]
    assert [key["live"] for key in keys] == sorted((key["live"] for key in keys), reverse=True)
    assert [key["live"] for key in keys if key["id"] in (long["id"], short["id"])] == [True, False]
    first = next(key for key in keys if key["name"] == "admin")
    assert _line_of(listed.out, first["id"])[5] == "-"


def test_a_revoked_key_opens_nothing(cli, as_key):
    """What ended is told; doing it again is no error; and a name that is free again may be given again."""
    made = cli("keys", "create", "leaver", "--role", "viewer", "--json").json
    revoked = cli("keys", "revoke", made["id"])
    told = f"private-integrations: revoked {made['id']} (leaver, viewer): it opens nothing any more\n"
    assert (revoked.code, revoked.out, revoked.err) == (0, "", told)
    refused = as_key(made["key"], "list")
    assert refused.code == 3
    assert refused.err == "private-integrations: management key leaver has expired or was revoked\n"
    assert cli("keys", "revoke", made["id"]).err == told
    assert cli("keys", "create", "leaver", "--role", "viewer").code == 0


def test_revoking_a_key_that_has_expired(cli):
    """What has ended by itself is left as it is, and that is told."""
    made = cli("keys", "create", "gone", "--role", "viewer", "--expires", "1s", "--json").json
    _wait_for_the_end_of(cli, made)
    done = cli("keys", "revoke", made["id"])
    assert (done.code, done.err) == (0, f"private-integrations: nothing to revoke: {made['id']} (gone) has expired\n")


def test_revoking_the_key_in_use(cli, as_key):
    """An admin may end the very key that asks, and is told to take another one; the last admin's stays."""
    made = cli("keys", "create", "own", "--role", "admin", "--json").json
    done = as_key(made["key"], "keys", "revoke", made["id"])
    assert (done.code, done.err) == (
        0,
        f"private-integrations: revoked {made['id']} (own, admin): it opens nothing any more\n"
        "private-integrations: this was the key in use: set PRIVATE_INTEGRATIONS_KEY to another one\n",
    )
    keys = cli("keys", "list", "--json").json["keys"]
    first = next(key["id"] for key in keys if key["name"] == "admin")
    for other in keys:
        if other["role"] == "admin" and other["live"] and other["id"] != first:
            cli("keys", "revoke", other["id"])
    last = cli("keys", "revoke", first)
    told = "private-integrations: admin is the last admin key; make another one first\n"
    assert (last.code, last.err) == (5, told)


def test_only_an_admin_manages_keys(as_key, viewer_key):
    """3: any other role is refused by the service."""
    told = "private-integrations: management key reader is a viewer's"
    listed = as_key(viewer_key, "keys", "list")
    assert (listed.code, listed.err) == (3, f"{told}; only an admin's manages keys\n")
    made = as_key(viewer_key, "keys", "create", "x", "--role", "viewer")
    assert (made.code, made.out, made.err) == (3, "", f"{told} and may only read\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["reader two", "--role", "viewer"],
            2,
            "Invalid value for 'name': \"reader two\" is not a name of a key: "
            "those have letters, digits, . _ @ and - only (see: private-integrations keys create --help)",
        ),
        (["x", "--role", "deployer"], 2, "a deployer's key is bound to accounts: name at least one"),
        (["x", "--role", "admin", "--account", "a"], 2, "an admin's key is bound to no account"),
        (["x", "--role", "deployer", "--account", "nowhere"], 4, "there is no account nowhere"),
        (
            ["x", "--role", "viewer", "--expires", "0s"],
            2,
            "Invalid value for --expires: a key that ends at once opens "
            "nothing; leave it out for no end (see: private-integrations keys create --help)",
        ),
        (
            ["x", "--role", "viewer", "--json", "--key-only"],
            2,
            "Invalid value: give --json or --key-only, not both (see: private-integrations keys create --help)",
        ),
        (["admin", "--role", "viewer"], 5, "there is a key admin already; revoke it first or take another name"),
    ],
)
def test_a_key_that_can_not_be_made(cli, arguments, code, message):
    """What is refused, here or by the service, is one line, and nothing was made."""
    refused = cli("keys", "create", *arguments)
    assert (refused.code, refused.out, refused.err) == (code, "", f"private-integrations: {message}\n")
    assert not any(key["name"] == "x" for key in cli("keys", "list", "--json").json["keys"])


def test_an_unknown_key(cli):
    """4: there is no key of this id."""
    done = cli("keys", "revoke", "key_nowhere")
    assert (done.code, done.err) == (4, "private-integrations: there is no management key key_nowhere\n")


def test_a_key_in_the_arguments_goes_nowhere(cli):
    """2: a key typed as a name or id is refused before it is sent or stored, and not repeated."""
    value = new_management_key()
    for arguments in (["create", value, "--role", "viewer"], ["revoke", value]):
        refused = cli("keys", *arguments)
        assert refused.code == 2
        assert "this is a management key; it goes into PRIVATE_INTEGRATIONS_KEY" in refused.err
        assert value not in refused.err
    assert value not in json.dumps(cli("keys", "list", "--json").json)


def test_a_key_without_an_answer_is_not_silent(without_keys):
    """6: when the answer is lost, it is told where to look, and that nobody has the key."""
    done = without_keys("keys", "create", "lost", "--role", "viewer")
    assert (done.code, done.out) == (6, "")
    assert done.err.splitlines()[0] == (
        "private-integrations: whether a key lost was made, `private-integrations keys list` tells; "
        "nobody has it: revoke it there"
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a full device")
def test_a_key_that_can_not_be_printed_is_not_lost_in_silence(cli):
    """7: when stdout takes no key, it is named with the way to end it, which works."""
    with open("/dev/full", "w") as full:
        done = cli.process("keys", "create", "unseen", "--role", "viewer", stdout=full.fileno())
    key_id = re.findall("key_[A-Za-z0-9]+", done.err)[0]
    assert (done.code, done.err) == (
        7,
        "private-integrations: the output could not be written: No space left on device; nobody has seen the key "
        f"unseen, which works: end it with `private-integrations keys revoke {key_id}`, then make another one\n",
    )
    assert cli("keys", "revoke", key_id).code == 0
