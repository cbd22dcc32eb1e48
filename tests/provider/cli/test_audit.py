"""The audit log on the command line: looked at, taken away, and found whole or not."""

import pytest

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import AuditEntry, IntegrationEdit, IntegrationRequest


@pytest.fixture(scope="module")
def changed(service):
    """An integration of the demo account that was created and edited, and its export, as lines."""
    client = Client(ServiceConnection(service.url, service.key))
    request = IntegrationRequest(
        account=service.account, name="Audited", scopes=["contacts.readonly"], owner_nonce="audited"
    )
    made = client.declare("organization/audited/dev/crm", request)
    client.edit(made.id, IntegrationEdit(scopes=["contacts.readonly", "contacts.write"]))
    return made.id, list(client.audit_log(account=service.account))


def test_changes_are_listed_with_who_and_from_where(cli, changed):
    """The latest first: who, what, from which address and program; searched by each of them."""
    integration, _ = changed
    listed = cli("audit", "list", "--integration", integration, "--json").json["entries"]
    assert [entry["action"] for entry in listed] == ["edit", "create"]
    assert listed[0]["actor"].startswith("key/admin/key_")
    assert listed[0]["address"] == "127.0.0.1"
    assert listed[0]["agent"].startswith("private-integrations/")
    assert listed[0]["detail"] == {
        "name": "Audited",
        "changed": ["scopes"],
        "scopes": ["contacts.readonly", "contacts.write"],
    }
    shown = cli("audit", "list", "--integration", integration, "--action", "edit", "--actor", "key/admin")
    assert shown.out.splitlines()[0].split() == ["WHEN", "WHO", "WHAT", "INTEGRATION", "ACCOUNT", "FROM", "DETAIL"]
    assert shown.out.endswith("changed scopes, scopes contacts.readonly contacts.write\n")
    nothing = cli("audit", "list", "--integration", integration, "--until", "2026-01-01")
    assert (nothing.code, nothing.out) == (0, "")
    assert nothing.err == "private-integrations: nothing of this kind is in the audit log\n"


def test_what_is_exported_is_verified(cli, changed, tmp_path):
    """A file and the service have the same head; it holds later too, and what was changed in a file is named."""
    _, lines = changed
    exported = cli("audit", "export")
    assert exported.out.encode().splitlines()[: len(lines)] == lines
    file = tmp_path / "log"
    file.write_text(exported.out)
    told = cli("audit", "verify", str(file), "--json").json
    [chain] = told["chains"]
    assert told["whole"]
    assert chain["rows"] == len(exported.out.splitlines())
    assert cli("audit", "verify", "--head", chain["head"]).code == 0
    ours = chain["head"].partition(":")[2]
    cut = cli(
        "audit",
        "verify",
        "-",
        "--account",
        chain["account"],
        "--head",
        ours,
        stdin=exported.out[:-1].rpartition("\n")[0],
    )
    assert cut.code == 1
    assert cut.err == (
        f"private-integrations: stdin: row {chain['rows']} of account {chain['account']} was noted, "
        f"but the log ends with row {chain['rows'] - 1}\n"
    )
    file.write_text(exported.out.replace('"action":"edit"', '"action":"read"', 1))
    number = next(n for n, line in enumerate(exported.out.splitlines(), 1) if '"action":"edit"' in line)
    named = cli("audit", "verify", str(file))
    assert (named.code, named.out) == (1, "")
    assert named.err == (
        f"private-integrations: {file}, line {number}: row {number} of account {chain['account']} was changed: "
        "its hash is another one\n"
    )


def test_the_services_own_log_is_one_of_its_own(cli, changed, viewer_key):
    """Keys and users are in no account's log; an admin verifies both."""
    told = cli("audit", "verify", "--own", "--json").json
    assert [chain["account"] for chain in told["chains"]] == [None]
    everything = cli("audit", "verify", PRIVATE_INTEGRATIONS_ACCOUNT="")
    assert everything.code == 0
    assert everything.out.splitlines()[0].split() == ["ACCOUNT", "ROWS", "HEAD"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["verify", "--head", "12"], 2, '"12" is no head; write one as `audit verify` prints it'),
        (["verify", "nothing.jsonl"], 2, "nothing.jsonl can't be read: No such file or directory"),
        (
            ["export", "--account", "nobody"],
            4,
            "there is no account nobody; `private-integrations accounts` lists them",
        ),
        (["list", "--since", "yesterday"], 2, '"yesterday" is no instant; write one like 2026-11-21 or'),
    ],
)
def test_what_cannot_be_asked(cli, arguments, code, said):
    """One line that says what is wrong, and the exit code of its kind."""
    done = cli("audit", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_detail_is_one_line():
    """Whatever a detail holds is shown without brackets, quotes and line breaks."""
    row = dict.fromkeys(("at", "actor", "address", "agent", "action", "previous", "hash"), "")
    entry = AuditEntry(
        **row, account=None, integration_id=None, sequence=1, detail={"a": [1, None], "b": "x\ny", "c": {"d": []}}
    )
    assert entry.in_words == "a 1 -, b x y, c d -"
