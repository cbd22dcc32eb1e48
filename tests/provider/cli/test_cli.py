"""The command line against a real service: what it prints, where, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

import forked
from private_integrations import errors
from private_integrations.cli import run
from private_integrations.cli.failures import exit_code
from private_integrations.rotation.status import managed_by

UNKNOWN_TOKEN = "pit-" + "00000000-0000-0000-0000-000000000000"
SECRET = re.compile(r"(pit|pmk)-[0-9a-f]")
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z"
STORE_IT = "private-integrations: store this token now, it will not be shown again\n"


def _line_of(out: str, integration_id: str) -> list[str]:
    """The cells of an integration's line in a table."""
    found = next(line for line in out.splitlines() if line.startswith(integration_id))
    return re.split(r"  +", found)


# What each command prints.


def test_create_prints_the_token_once_and_says_so(cli):
    """The table has all that identifies the integration and its token, and stderr says that it is shown once."""
    created = cli.process("create", "CRM sync [red]", "--scope", "locations.readonly", "--scope", "contacts.readonly")
    assert (created.code, created.err) == (0, STORE_IT)
    assert list(created.facts) == ["id", "name", "account", "scopes", "generation", "token"]
    assert created.facts["name"] == ["CRM sync [red]"]
    assert created.facts["account"] == [cli.environment["PRIVATE_INTEGRATIONS_ACCOUNT"]]
    assert created.facts["scopes"] == ["contacts.readonly", "locations.readonly"]
    assert created.facts["generation"] == ["1"]
    assert len(SECRET.findall(created.out)) == 1


def test_the_created_token_works(cli):
    """What `create` printed opens what was asked for, as `verify` says."""
    created = cli.create("A token that works", "--scope", "locations.readonly")
    verified = cli.process("verify", stdin=created["token"] + "\n")
    assert (verified.code, verified.err) == (0, "")
    assert verified.facts == {
        "integration": [f"A token that works ({created['integration']['id']})"],
        "account": [cli.environment["PRIVATE_INTEGRATIONS_ACCOUNT"]],
        "scopes": ["contacts.readonly", "locations.readonly"],
        "generation": ["1"],
        "role": ["pending: not used yet"],
        "works until": ["no end is set"],
    }


def test_verify_for_programs(cli):
    """`verify --json` prints the service's introspection as it is."""
    created = cli.create("Verified by a program")
    found = cli("verify", "--json", stdin=created["token"]).json
    assert found.pop("iat") < found.pop("cache_until")
    assert found == {
        "active": True,
        "client_id": created["integration"]["id"],
        "sub": cli.environment["PRIVATE_INTEGRATIONS_ACCOUNT"],
        "token_type": "Bearer",
        "integration_id": created["integration"]["id"],
        "integration": "Verified by a program",
        "account": cli.environment["PRIVATE_INTEGRATIONS_ACCOUNT"],
        "scope": "contacts.readonly",
        "generation": 1,
        "role": "pending",
    }


def test_create_for_programs(cli):
    """`create --json` prints the issued token with the integration as on the wire, policy and all."""
    created = cli.create("For programs", "--description", "Nightly", "--every", "90d", "--overlap", "3d")
    integration = created.pop("integration")
    assert sorted(created) == ["fingerprint", "generation", "issued_at", "token"]
    assert integration["external_id"].startswith("cli/")
    assert (integration["description"], integration["last_generation"]) == ("Nightly", 1)
    declared = {
        "every_seconds": 90 * 86_400,
        "schedule": None,
        "timezone": None,
        "overlap_seconds": 3 * 86_400,
        "early_window_seconds": None,
        "enabled": True,
    }
    assert integration["rotation"] == declared
    assert integration["effective_rotation"] == {**declared, "early_window_seconds": 3_600}


def test_token_only_prints_nothing_else(cli):
    """With --token-only stdout is the token, ready for a pipeline."""
    created = cli("create", "For a pipeline", "--scope", "contacts.readonly", "--token-only")
    assert re.fullmatch(r"pit-[0-9a-f-]{36}\n", created.out)
    assert cli("verify", stdin=created.out).code == 0


def test_create_takes_the_only_account(cli):
    """Where no account is given and the key sees one sub-account, that one is taken."""
    account = cli.environment["PRIVATE_INTEGRATIONS_ACCOUNT"]
    bound = cli("keys", "create", "of-one", "--role", "deployer", "--account", account, "--key-only").out.strip()
    environment = {"PRIVATE_INTEGRATIONS_ACCOUNT": "", "PRIVATE_INTEGRATIONS_KEY": bound}
    created = cli("create", "Of the only one", "--scope", "contacts.readonly", "--json", **environment)
    assert created.json["integration"]["account"] == account


def test_list_shows_a_line_for_each(cli):
    """Piped, an integration is one line with nothing cut off, whatever the terminal's width is said to be."""
    integration = cli.create("Listed", "--scope", "contacts.write", "--every", "90d")["integration"]
    listed = cli.process("list", COLUMNS="40")
    assert listed.code == 0
    headings = ["ID", "NAME", "ACCOUNT", "SCOPES", "STATUS", "GENERATION", "LAST USED", "ROTATED", "NEXT ROTATION"]
    assert re.split(r"  +", listed.out.splitlines()[0]) == [*headings, "ROTATION", "MANAGED BY"]
    cells = _line_of(listed.out, integration["id"])
    assert cells[:6] == [integration["id"], "Listed", integration["account"], "2", "not used yet", "1"]
    assert cells[6] == "-"
    assert re.fullmatch(INSTANT, cells[7])
    assert re.fullmatch(INSTANT, cells[8])
    assert cells[9:] == ["every 90d, overlap 7d, early window 1h", "command line"]
    assert next(line for line in listed.out.splitlines() if integration["id"] in line).isascii()


def test_list_for_programs(cli):
    """`list --json` is an object like the service's, with the state of the tokens in each integration."""
    integration = cli.create("Listed for programs")["integration"]
    listed = cli("list", "--json").json["integrations"]
    found = next(each for each in listed if each["id"] == integration["id"])
    assert found.items() >= integration.items()
    assert (found["status"], found["next_rotation_at"]) == ("pending", None)
    assert [secret["generation"] for secret in found["tokens"]] == [1]


def test_list_of_a_service_without_integrations(cli_of_a_new_service):
    """Nothing to list is no error: stdout stays empty, and JSON has an empty list."""
    listed = cli_of_a_new_service("list")
    message = "private-integrations: there are no integrations yet; `private-integrations create` makes one\n"
    assert (listed.code, listed.out, listed.err) == (0, "", message)
    assert cli_of_a_new_service("list", "--json").json == {"integrations": []}


def test_show_has_the_integration_and_its_tokens(cli, use):
    """`show` says all that is known: the declaration, the state in words, and each token without its value."""
    created = cli.create("Shown", "--description", "First\nsecond", "--every", "90d")
    use(created)
    integration_id = created["integration"]["id"]
    shown = cli("show", integration_id)
    assert (shown.code, shown.err) == (0, "")
    facts, _, tokens = shown.out.partition("\n\n")
    assert "\nrotation       every 90d, overlap 7d, early window 1h\n" in facts
    assert "\nstatus         ok\nalarms         -\n" in facts
    assert "\nheld until     -\n" in facts
    assert "\nmanaged by     command line\n" in facts
    assert "\ndescription    First\n               second\n" in facts
    assert tokens.splitlines()[0].split() == ["GENERATION", "ROLE", "FINGERPRINT", "ISSUED", "UNTIL", "LAST", "USED"]
    assert _line_of(tokens, "1")[:3] == ["1", "current", created["fingerprint"]]
    assert cli("show", integration_id, "--json").json["tokens"][0]["fingerprint"] == created["fingerprint"]


def test_edit_changes_what_is_given(cli):
    """`edit` changes the fields that are named, and the token stays what it is."""
    created = cli.create("Before", "--description", "Kept")
    integration_id = created["integration"]["id"]
    edited = cli(
        "edit", integration_id, "--name", "After", "--scope", "locations.readonly", "--scope", "contacts.write"
    )
    assert (edited.code, edited.err) == (0, "")
    assert (edited.facts["name"], edited.facts["description"]) == (["After"], ["Kept"])
    assert edited.facts["scopes"] == ["contacts.write", "locations.readonly"]
    again = cli("edit", integration_id, "--description", "", "--json").json
    assert (again["name"], again["description"], again["last_generation"]) == ("After", "", 1)
    assert cli("verify", "--json", stdin=created["token"]).json["scope"] == "contacts.write locations.readonly"


def test_rotate_issues_the_next_generation(cli, use):
    """`rotate` prints a new token once; the declared overlap counts, and the old one works on."""
    created = cli.create("Rotated", "--every", "90d", "--overlap", "2d")
    use(created)
    integration_id = created["integration"]["id"]
    rotated = cli("rotate", integration_id)
    assert rotated.code == 0
    promise = "a token that is in use works on for 2d after the new one's first use"
    assert rotated.err == f"{STORE_IT}private-integrations: {promise}\n"
    assert rotated.facts["generation"] == ["2"]
    assert cli("verify", stdin=rotated.facts["token"][0]).code == 0
    assert cli("verify", stdin=created["token"]).code == 0


def test_rotate_with_an_overlap_of_its_own(cli, use):
    """An overlap given to `rotate` goes before the declared one; none at all ends the old token at once."""
    created = cli.create("Compromised", "--every", "90d")
    use(created)
    rotated = cli("rotate", created["integration"]["id"], "--overlap", "0s", "--json")
    assert rotated.err == f"{STORE_IT}private-integrations: every older token is dead\n"
    assert rotated.json["generation"] == 2
    assert rotated.json["integration"]["last_generation"] == 2
    assert cli("verify", stdin=created["token"]).code == 1


def test_the_overlap_is_shown_until_its_end(cli, use):
    """Once the new token is used, the old one has a deadline that `verify` and `list` tell."""
    created = cli.create("Overlapping")
    use(created)
    integration_id = created["integration"]["id"]
    use(cli("rotate", integration_id, "--overlap", "1h", "--json").json)
    verified = cli("verify", stdin=created["token"])
    assert verified.facts["role"] == ["previous: superseded by a newer one"]
    assert re.fullmatch(INSTANT, verified.facts["works until"][0])
    assert _line_of(cli("list").out, integration_id)[4] == "old token works"


def test_expire_ends_the_tokens_that_are_named(cli, use):
    """By role or by number: what is named opens nothing, the rest works on."""
    created = cli.create("Expiring")
    use(created)
    integration_id = created["integration"]["id"]
    rotated = cli("rotate", integration_id, "--json").json
    use(rotated)
    expired = cli("expire", integration_id, "--previous")
    assert (expired.code, expired.err) == (0, f"private-integrations: expired generation 1 of {integration_id}\n")
    assert _line_of(expired.out, "1")[1] == "ended"
    assert _line_of(expired.out, "2")[1] == "current"
    assert cli("verify", stdin=created["token"]).code == 1
    assert cli("verify", stdin=rotated["token"]).code == 0
    assert cli("expire", integration_id, "--generation", "2", "--json").json["tokens"][-1]["role"] == "ended"
    assert cli("verify", stdin=rotated["token"]).code == 1
    assert _line_of(cli("list").out, integration_id)[4] == "no token"


def test_expire_where_there_is_nothing_to_end(cli):
    """Nothing in the role that was named is no error, and nothing else is touched."""
    created = cli.create("Nothing to end")
    integration_id = created["integration"]["id"]
    for role in ("--current", "--previous"):
        expired = cli("expire", integration_id, role)
        message = f"private-integrations: nothing to expire: {integration_id} has no such token that works\n"
        assert (expired.code, expired.err) == (0, message)
    assert cli("expire", integration_id, "--all").code == 0
    assert cli("verify", stdin=created["token"]).code == 1


def test_delete_with_yes(cli):
    """`delete --yes` takes the integration and its tokens away."""
    created = cli.create("Deleted")
    integration_id = created["integration"]["id"]
    deleted = cli("delete", integration_id, "--yes")
    message = f"private-integrations: deleted {integration_id} (Deleted) with all its tokens\n"
    assert (deleted.code, deleted.out, deleted.err) == (0, "", message)
    assert cli("show", integration_id).code == 4
    assert cli("verify", stdin=created["token"]).code == 1


def test_accounts(cli):
    """`accounts` has the ids that other commands begin with."""
    listed = cli("accounts")
    assert (listed.code, listed.err) == (0, "")
    account = cli.environment["PRIVATE_INTEGRATIONS_ACCOUNT"]
    assert _line_of(listed.out, account) == [account, "Demo account", "sub-account"]
    found = cli("accounts", "--json").json["accounts"]
    assert [a["name"] for a in found if a["id"] == account] == ["Demo account"]


def test_only_the_issuing_command_prints_a_token(cli):
    """No other command shows a token or the key, in either form."""
    created = cli.create("Kept to itself")
    integration_id = created["integration"]["id"]
    commands = (
        ["list"],
        ["show", integration_id],
        ["edit", integration_id, "--name", "Still"],
        ["accounts"],
        ["keys", "list"],
        ["verify"],
    )
    for command in commands:
        for form in ([], ["--json"]):
            done = cli(*command, *form, stdin=created["token"])
            assert done.code == 0
            assert not SECRET.search(done.out + done.err)


# How it ends.


def test_verify_of_a_dead_token_is_a_no(cli):
    """1: a token that is not known opens nothing; the same for what isn't shaped like a token, which goes nowhere."""
    for given in (UNKNOWN_TOKEN, "hunter2", "ä" * 300):
        verified = cli("verify", stdin=given)
        assert verified.code == 1
        assert verified.out == "This token opens nothing: it is unknown here, has expired or was ended.\n"
        assert verified.err == ""
    refused = cli("verify", "--json", stdin=UNKNOWN_TOKEN)
    assert (refused.code, refused.json) == (1, {"active": False})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify"], "Invalid value: no token was given; pipe one in: private-integrations verify < file"),
        (["show"], "Missing argument 'ID'."),
        (["show", "a b"], """Invalid value for 'ID': "a b" is not an id: those have letters, digits, _ and - only"""),
        (
            ["create", "x", "--scope", "contacts.wirte"],
            'Invalid value for --scope: there is no scope "contacts.wirte"; '
            "did you mean contacts.write or contacts.readonly or conversations.write?",
        ),
        (["create", "x", "--scope", "zzzzzz"], 'Invalid value for --scope: there is no scope "zzzzzz"'),
        (
            ["create", "x", "--scope", "contacts.readonly", "--every", "90"],
            'Invalid value: every "90" has no unit: write "90d" for days',
        ),
        (
            ["create", "x", "--scope", "contacts.readonly", "--json", "--token-only"],
            "Invalid value: give --json or --token-only, not both",
        ),
        (
            ["rotate", "int_x", "--overlap", "soon"],
            'Invalid value for --overlap: "soon" is not a duration: write one like "90d", "12h" or "30m"',
        ),
        (["edit", "int_x"], "Invalid value: nothing to change; give at least one option"),
        (
            ["expire", "int_x"],
            "Invalid value: give --generation, --previous, --current or --all, one of them",
        ),
        (
            ["expire", "int_x", "--all", "--current"],
            "Invalid value: give --generation, --previous, --current or --all, one of them",
        ),
        (["delete", "int_x"], "Invalid value: nobody can be asked here; give --yes to delete"),
    ],
)
def test_wrong_usage_is_one_line(cli, arguments, message):
    """2: what can't be meant is refused before the service is asked, with where to read more."""
    done = cli(*arguments, stdin="  \n")
    advice = f"(see: private-integrations {arguments[0]} --help)"
    assert (done.code, done.out, done.err) == (2, "", f"private-integrations: {message} {advice}\n")


def test_an_unknown_command_is_wrong_usage(cli):
    """2: without a command, or with an unknown one, the help is named."""
    assert cli().err == "private-integrations: Missing command. (see: private-integrations --help)\n"
    assert cli("rotat").code == 2


def test_values_that_are_refused(cli):
    """2: values that no service takes, and those that this one refuses, are told alike."""
    blank = cli("create", " ", "--scope", "contacts.readonly")
    assert (blank.code, blank.err) == (2, "private-integrations: name: must not be blank\n")
    refused = cli("create", "x", "--scope", "contacts.readonly", "--scope", "companies.readonly")
    assert (refused.code, refused.err) == (
        2,
        "private-integrations: scope companies.readonly is for agencies only, not for sub-accounts\n",
    )


@pytest.mark.parametrize(
    ("unset", "message"),
    [
        (["URL"], "PRIVATE_INTEGRATIONS_URL must be set"),
        (["URL", "KEY"], "PRIVATE_INTEGRATIONS_URL and PRIVATE_INTEGRATIONS_KEY must be set"),
    ],
)
def test_missing_configuration(cli, unset, message):
    """2: what is not configured is named, with where to find it."""
    done = cli("list", **{f"PRIVATE_INTEGRATIONS_{name}": "" for name in unset})
    where = "the address that `private-integrations serve` prints, and the key that it wrote to admin.key"
    assert (done.code, done.err) == (2, f"private-integrations: {message}: {where}\n")


def test_a_wrong_key(cli):
    """3: a key that the service doesn't know, which is not repeated."""
    done = cli("list", PRIVATE_INTEGRATIONS_KEY="pmk-" + "0" * 64)
    assert (done.code, done.err) == (3, "private-integrations: this management key is not known here\n")


@pytest.mark.parametrize(
    "command",
    [
        ["show"],
        ["rotate"],
        ["cancel"],
        ["delete", "--yes"],
        ["expire", "--all"],
        ["edit", "--name", "x"],
        ["edit", "--every", "1d"],
    ],
)
def test_an_unknown_integration(cli, command):
    """4: there is no integration of this id, for every command that takes one."""
    done = cli(command[0], "int_nowhere", *command[1:])
    assert (done.code, done.out) == (4, "")
    assert done.err == "private-integrations: there is no integration int_nowhere\n"


def test_an_unknown_account(cli):
    """4: an account that isn't there is told from one without integrations."""
    done = cli("list", "--account", "nowhere")
    assert done.err == "private-integrations: there is no account nowhere; `private-integrations accounts` lists them\n"
    assert done.code == 4
    created = cli("create", "x", "--scope", "contacts.readonly", "--account", "nowhere")
    assert (created.code, created.err) == (4, "private-integrations: there is no account nowhere\n")


def test_a_rotation_that_somebody_else_has_open(cli):
    """5: while another's token waits for its first use, `rotate` changes nothing and says the way out, which works."""
    integration_id = cli.create("Open")["integration"]["id"]
    refused = cli("rotate", integration_id)
    assert (refused.code, refused.out) == (5, "")
    way_out = f"private-integrations rotate {integration_id} --replace-pending"
    assert refused.err.startswith("private-integrations: generation 1 was started by cli/")
    told = f" and is not in use yet; use its token, or cancel it: `{way_out}` ends it and issues another one\n"
    assert refused.err.endswith(told)
    assert cli(*way_out.split()[1:]).code == 0


def test_a_service_that_does_not_run(cli):
    """6: nobody listens, after a few tries."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        done = cli("list", PRIVATE_INTEGRATIONS_URL=url)
    message = f"private-integrations: {url} does not answer (no connection); is the service running?\n"
    assert (done.code, done.out, done.err) == (6, "", message)


def test_a_creation_without_a_token_is_not_silent(cli, without_issuing):
    """6: when the integration is there but its token could not be issued, both ways on are told, and work."""
    done = without_issuing("create", "Half done", "--scope", "contacts.readonly")
    assert (done.code, done.out) == (6, "")
    told, error = done.err.splitlines()
    integration_id = told.split()[1]
    assert told == (
        f"private-integrations: {integration_id} is created, but without a token that you know; go on with "
        f"`private-integrations rotate {integration_id}` or undo it with `private-integrations delete {integration_id}`"
    )
    assert error.endswith(" answers 503; try again later")
    assert cli("rotate", integration_id).code == 0


def test_a_rotation_without_an_answer_is_not_silent(cli, without_issuing):
    """6: when the answer to a rotation is lost, it is told where to look."""
    integration_id = cli.create("No answer")["integration"]["id"]
    done = without_issuing("rotate", integration_id)
    assert (done.code, done.out) == (6, "")
    told = f"private-integrations: whether generation 2 was issued, `private-integrations show {integration_id}` tells"
    assert done.err.splitlines()[0] == told


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a full device")
def test_a_token_that_can_not_be_printed_is_not_lost_in_silence(cli):
    """7: when stdout takes no token, the generation that nobody has seen is named with the way out."""
    with open("/dev/full", "w") as full:
        done = cli.process("create", "To a full disk", "--scope", "contacts.readonly", stdout=full.fileno())
    assert done.code == 7
    integration_id = re.findall("int_[A-Za-z0-9]+", done.err)[0]
    assert done.err == (
        "private-integrations: the output could not be written: No space left on device; nobody has seen the token "
        f"of generation 1, which works: end it with `private-integrations expire {integration_id} --generation 1`, "
        "then rotate again\n"
    )


def test_a_reader_that_goes_away(cli):
    """141: `| head` ends the command without a word, but a token that nobody read is told."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        listed = cli.process("list", "--json", stdout=writing)
        created = cli.process("create", "To nobody", "--scope", "contacts.readonly", stdout=writing)
    finally:
        os.close(writing)
    assert (listed.code, listed.err) == (141, "")
    assert created.code == 7
    assert created.err.startswith("private-integrations: the output could not be written: Broken pipe; nobody has seen")


def test_ctrl_c(cli):
    """130: an interruption is no traceback."""
    for arguments, question in (
        (["verify"], "Token: "),
        (["delete", cli.create("Kept")["integration"]["id"]], "[y/N]: "),
    ):
        interrupted = cli.on_terminal(*arguments, at=question, columns=200)
        assert interrupted.code == 130
        assert interrupted.out.endswith(f"{question}\n")


def test_a_secret_in_the_arguments_is_not_repeated(cli):
    """A token or key that was typed in the wrong place is in no error."""
    key = cli.environment["PRIVATE_INTEGRATIONS_KEY"]
    for arguments in (["verify", UNKNOWN_TOKEN], ["show", UNKNOWN_TOKEN], ["show", key], ["show", "x", UNKNOWN_TOKEN]):
        done = cli(*arguments)
        assert done.code in (2, 4)
        assert done.err
        assert not SECRET.search(done.out + done.err)


def test_every_error_has_its_exit_code():
    """Each kind of error ends with the documented code; a new kind has to be given one."""
    codes = {
        errors.PrivateIntegrationError: 2,
        errors.ConfigurationError: 2,
        errors.ServiceUnreachable: 6,
        errors.ServiceRefused: 2,
        errors.NotAuthorized: 3,
        errors.NotFound: 4,
        errors.Conflict: 5,
        errors.InvalidRequest: 2,
    }
    found = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert {kind: exit_code(kind) for kind in found} == codes


def test_the_exit_codes_are_in_the_help(capsys):
    """Who writes a script finds the codes in `--help`."""
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "Exit codes:\n    0    done\n    1    the answer is no: " in shown
    assert "\n    6    the service can't be reached\n" in shown


# On a terminal.


def test_delete_asks_on_a_terminal(cli):
    """A person is asked, and a no leaves everything as it was."""
    integration_id = cli.create("Asked about")["integration"]["id"]
    question = f"Delete {integration_id} (Asked about) with all its tokens? [y/N]: "
    kept = cli.on_terminal("delete", integration_id, at="[y/N]: ", do="n\n", columns=200)
    assert question in kept.out
    assert kept.out.endswith("private-integrations: nothing was deleted\n")
    assert kept.code == 1
    assert cli("show", integration_id).code == 0
    gone = cli.on_terminal("delete", integration_id, at="[y/N]: ", do="y\n", columns=200)
    assert gone.code == 0
    assert cli("show", integration_id).code == 4


def test_a_narrow_terminal_gets_five_lines_for_each(cli_of_a_new_service):
    """At 80 columns each integration is five lines, none longer than the terminal is wide."""
    cli = cli_of_a_new_service
    integration = cli.create("Narrow", "--every", "90d")["integration"]
    shown = cli.on_terminal("list", columns=80)
    lines = shown.out.splitlines()
    first = lines.index(f"{integration['id']}  Narrow")
    assert lines[first + 1] == f"  not used yet, scopes 1, account {integration['account']}, by command line"
    assert re.fullmatch(f"  generation 1, rotated {INSTANT}, next {INSTANT}", lines[first + 2])
    assert lines[first + 3 : first + 5] == ["  every 90d, overlap 7d, early window 1h", "  last used -"]
    assert max(map(len, lines[first : first + 5])) <= 80
    assert "ID  " in cli.on_terminal("list", columns=300, NO_COLOR="1").out


def test_no_terminal_is_too_narrow_for_a_token(cli):
    """A token is never broken into two lines, since it is copied from there."""
    shown = cli.on_terminal("create", "Narrow", "--scope", "contacts.readonly", columns=20, NO_COLOR="1").out
    assert re.search(r"^token       pit-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", shown, re.MULTILINE)


def test_colour_is_for_terminals_that_want_it(cli):
    """Bold headings appear on a terminal, and neither in a pipe nor with NO_COLOR."""
    assert "\x1b[1m" in cli.on_terminal("accounts").out
    assert "\x1b" not in cli.on_terminal("accounts", NO_COLOR="1").out
    assert "\x1b" not in cli.process("accounts", FORCE_COLOR="1").out


def test_a_token_typed_on_a_terminal_is_not_shown(cli):
    """`verify` asks for the token where nothing is piped in, and doesn't echo it."""
    token = cli.create("Typed")["token"]
    verified = cli.on_terminal("verify", at="Token: ", do=token + "\n", columns=200)
    assert verified.code == 0
    assert "Typed (int_" in verified.out
    assert token not in verified.out


# Around the commands.


@pytest.mark.parametrize(
    ("external_id", "owner"),
    [
        ("acme/crm/prod/crm-sync", "Pulumi crm/prod"),
        ("acme/crm/prod/a/b", "Pulumi crm/prod"),
        ("cli/0123", "command line"),
        ("terraform-7", "terraform-7"),
    ],
)
def test_who_manages_an_integration(external_id, owner):
    """The external id tells a Pulumi stack from the command line."""
    assert managed_by(external_id) == owner


def test_what_pulumi_declares_is_told(cli, service):
    """Rotating or editing by hand what a stack declares is possible, and says what the stack will do."""
    integration = _declared_by_a_stack(service)
    assert _line_of(cli("list").out, integration.id)[-1] == "Pulumi crm/prod"
    edited = cli("edit", integration.id, "--name", "By hand")
    told = "private-integrations: Pulumi crm/prod declares this integration and may change it back\n"
    assert (edited.code, edited.err) == (0, told)
    rotated = cli("rotate", integration.id)
    assert rotated.err.splitlines()[-1] == (
        "private-integrations: Pulumi crm/prod declares this integration: its next `pulumi up` rotates again, "
        "to hold a token it knows"
    )


def _declared_by_a_stack(service):
    from private_integrations.client import Client
    from private_integrations.connection import ServiceConnection
    from private_integrations.contract import IntegrationRequest

    request = IntegrationRequest(
        account=service.account, name="CRM", scopes=["contacts.readonly"], owner_nonce="of-a-stack"
    )
    return Client(ServiceConnection(service.url, service.key)).declare("acme/crm/prod/crm-sync", request)


def test_the_command_line_starts_without_pulumi():
    """Neither Pulumi nor what the service needs is loaded to start the command line."""
    program = (
        "import sys, private_integrations.cli; "
        "sys.exit(any(name in sys.modules for name in ('pulumi', 'sqlalchemy', 'httptools', 'rich')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_serve_without_its_extra_says_what_to_install():
    """Where the service's dependencies are missing, the one line to run is told."""
    program = (
        "import sys; sys.modules['httptools'] = None; sys.argv[1:] = ['serve']; "
        "from private_integrations.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    told = "private-integrations: the service is not installed; run: pip install 'private-integrations[service]'\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_serve_refuses_a_folder_in_use(cli, service):
    """Two servers on one folder would be two truths: the second one is told which process has it."""
    done = cli.process("serve", "--data-dir", str(service.data_dir), "--port", "0")
    assert done.code == 2
    assert done.err.startswith(f"private-integrations: data folder {service.data_dir} is in use by another server")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_in_peace(tmp_path, stop):
    """The service takes its folder from the environment, and ends with 0 when it is told to stop."""
    process = forked.Popen(
        [sys.executable, "-m", "private_integrations.cli", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"XDG_DATA_HOME": str(tmp_path)},
    )
    assert process.stdout is not None
    with process.stdout:
        said = [process.stdout.readline() for _ in range(4)]
        process.send_signal(stop)
        assert process.wait(timeout=20) == 0
    assert said[0] == f"created {tmp_path}/private-integrations/private-integrations.db\n"
    assert said[1] == f"management key in {tmp_path}/private-integrations/admin.key\n"
    assert said[3].startswith("listening on http://127.0.0.1:")
    assert not SECRET.search("".join(said))
