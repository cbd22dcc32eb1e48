"""`doctor` says what a deployment would run into, before it does."""

import uuid

import pytest

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationRequest, KeyRequest, digest_of, new_management_key


def results(finished):
    """The result of each check, by its name."""
    return {check["check"]: check["result"] for check in finished.json["checks"]}


def details(finished):
    """Map the names of the checks to their details."""
    return {check["check"]: check["detail"] for check in finished.json["checks"]}


@pytest.fixture
def client(service):
    """The management API, with the admin's key."""
    return Client(ServiceConnection(service.url, service.key))


def make_key(client, role, accounts=(), **more):
    """A key of this role."""
    key = new_management_key()
    request = KeyRequest(role=role, accounts=list(accounts), digest=digest_of(key).hex(), **more)
    client.make_key(f"doctor-{uuid.uuid4().hex}", request)
    return key


def test_a_working_setup(cli, service):
    """Everything is there: each check says so, and the command ends with 0."""
    done = cli("doctor", "--json")
    assert done.code == 0
    assert results(done) == {"service": "ok", "key": "ok", "role": "ok", "account": "ok"}
    assert service.account in details(done)["account"]
    assert "location scopes" in details(done)["account"]
    table = cli("doctor").out.splitlines()
    assert [line.split()[:2] for line in table] == [
        ["CHECK", "RESULT"],
        ["service", "ok"],
        ["key", "ok"],
        ["role", "ok"],
        ["account", "ok"],
    ]


def test_what_is_missing_is_the_last_check(cli):
    """Without an address, without an answer and with a wrong key, the failed check says what to do; no traceback."""
    done = cli("doctor", "--json", PRIVATE_INTEGRATIONS_URL="")
    assert (done.code, results(done)) == (1, {"settings": "failed"})
    assert "PRIVATE_INTEGRATIONS_URL" in details(done)["settings"]
    wrong = new_management_key()
    done = cli("doctor", "--json", PRIVATE_INTEGRATIONS_KEY=wrong)
    assert (done.code, results(done)) == (1, {"service": "ok", "key": "failed"})
    assert wrong not in done.out
    done = cli("doctor", "--json", PRIVATE_INTEGRATIONS_URL="http://127.0.0.1:9")
    assert (done.code, results(done)) == (1, {"service": "failed"})


def test_roles_and_ends(cli, client, service):
    """A viewer's key can preview only, an introspector's not even that, and a key that ends soon is a warning."""
    viewer = cli("doctor", "--json", PRIVATE_INTEGRATIONS_KEY=make_key(client, "viewer"))
    assert (viewer.code, results(viewer)["role"]) == (0, "warning")
    soon = make_key(client, "deployer", [service.account], lifetime_seconds=86_400)
    deployer = cli("doctor", "--json", PRIVATE_INTEGRATIONS_KEY=soon)
    assert (deployer.code, results(deployer)["key"], results(deployer)["role"]) == (0, "warning", "ok")
    assert "works until 20" in details(deployer)["key"]


def test_accounts(cli, client, service):
    """An account that the key doesn't reach is a failure, an agency says which scopes it holds, none is a warning."""
    agency = next(account.id for account in client.accounts() if account.kind == "agency")
    assert "agency scopes" in details(cli("doctor", "--json", "--account", agency))["account"]
    bound = make_key(client, "deployer", [service.account])
    done = cli("doctor", "--json", "--account", agency, PRIVATE_INTEGRATIONS_KEY=bound)
    assert (done.code, results(done)["account"]) == (1, "failed")
    assert service.account in details(done)["account"]
    assert results(cli("doctor", "--json", PRIVATE_INTEGRATIONS_ACCOUNT=""))["account"] == "warning"


def test_taken_names(cli, client, service):
    """The names that a stack's integrations hold are listed: a new state of that stack would be refused them."""
    stack = f"organization/p{uuid.uuid4().hex}/dev"
    assert "free" in details(cli("doctor", "--under", stack, "--json"))["names"]
    request = IntegrationRequest(
        account=service.account, name="A", scopes=["contacts.readonly"], owner_nonce=uuid.uuid4().hex
    )
    made = client.declare(f"{stack}/crm", request)
    done = cli("doctor", "--under", stack, "--json")
    assert (done.code, results(done)["names"]) == (0, "warning")
    assert f"crm ({made.id})" in details(done)["names"]


def test_room_for_tokens(cli, client, service):
    """An integration whose next rotation the service would refuse is named, with the service's own reason."""
    stack = f"organization/p{uuid.uuid4().hex}/dev"
    request = IntegrationRequest(
        account=service.account, name="A", scopes=["contacts.readonly"], owner_nonce=uuid.uuid4().hex
    )
    made = client.declare(f"{stack}/crm", request)
    done = cli("doctor", "--under", stack, "--json")
    assert (results(done)["tokens"], details(done)["tokens"]) == (
        "ok",
        "each of the 1 integrations has room for another token",
    )
    client.issue(made.id, 1, issuer="cli/anna", holding=None, overlap_seconds=0, reason="")
    done = cli("doctor", "--under", stack, "--json")
    assert results(done)["tokens"] == "warning"
    said = f"the next rotation of {made.id} is refused: generation 1 was started by cli/anna at 20"
    assert details(done)["tokens"].startswith(said)
