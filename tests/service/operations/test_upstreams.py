"""Upstream credentials by the real operations over a real database: sealed, audited, found at once, never in clear."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, update

from private_integrations.contract import Account, AccountRequest, Problem, Refused, Verification, new_sealing_key
from private_integrations_service.access.actors import Actor
from private_integrations_service.operations import accounts as managed
from private_integrations_service.operations import upstreams
from private_integrations_service.operations.upstreams import Credentials
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.sealing import SealBroken, Sealer
from private_integrations_service.storage import tables
from private_integrations_service.storage.sqlite.engine import FILE_NAME

ANNA = Actor("key/anna/key_1")
OLD, NEW = new_sealing_key(), new_sealing_key()
SECRET = "pit-" + "5ec2e700-0000-4000-8000-00000000cafe"


@pytest.fixture
def sealer():
    """Seals with the old key."""
    return Sealer([OLD])


@pytest.fixture
def credentials(database, sealer):
    """What the gateway asks."""
    made = Credentials(database, sealer)
    yield made
    made.close()


def put(database, clock, sealer, account, credential=SECRET, **more):
    """Set an account's credential."""
    return upstreams.put(database, account, credential, sealer, actor=ANNA, **more)


def remove(database, clock, account):
    """Remove an account's credential."""
    return upstreams.remove(database, account, actor=ANNA)


def listed(database, sealer, actor=ANNA):
    """The list, by account."""
    return {known.account: known for known in upstreams.listed(database, sealer, actor=actor)}


def audited(database):
    """Action, account and detail of every audit row, the oldest first."""
    with database.read() as connection:
        query = select(tables.audit.c.action, tables.audit.c.account_id, tables.audit.c.detail)
        return [tuple(row) for row in connection.execute(query.order_by(tables.audit.c.id))]


def test_a_credential_is_set_and_found(database, clock, sealer, credentials, accounts):
    """Who set it when is told, the value only to the gateway, and only the account's own."""
    shown = put(database, clock, sealer, accounts.location)
    assert (shown.account, shown.set_at, shown.set_by) == (accounts.location, clock(), "key/anna/key_1")
    assert (shown.sealed_with, shown.readable, shown.verification) == (sealer.first_key, True, None)
    assert listed(database, sealer) == {accounts.location: shown}
    assert asyncio.run(credentials.of(accounts.location)) == SECRET
    assert asyncio.run(credentials.of(accounts.sister)) is None
    assert asyncio.run(credentials.of("nobody")) is None


def test_a_change_holds_at_the_next_question(database, clock, sealer, credentials, accounts):
    """Set, set again and removed: each is what the next request meets, over what is kept in memory."""
    assert asyncio.run(credentials.of(accounts.location)) is None
    put(database, clock, sealer, accounts.location, "first")
    assert [asyncio.run(credentials.of(accounts.location)) for _ in range(2)] == ["first", "first"]
    put(database, clock, sealer, accounts.location, "second")
    assert asyncio.run(credentials.of(accounts.location)) == "second"
    assert remove(database, clock, accounts.location) is True
    assert asyncio.run(credentials.of(accounts.location)) is None
    assert remove(database, clock, accounts.location) is False


def test_nothing_is_kept_while_a_change_commits(database, clock, sealer, credentials, accounts):
    """While the epoch is odd, here for a writer that died, a read is answered and not kept."""
    put(database, clock, sealer, accounts.location, "first")
    killed = database.epoch.changing([accounts.location])
    killed.__enter__()
    assert asyncio.run(credentials.of(accounts.location)) == "first"
    upstreams.put(database, accounts.location, "second", sealer, actor=ANNA)
    assert asyncio.run(credentials.of(accounts.location)) == "second"


def test_rows_that_were_swapped_open_nothing(database, clock, sealer, credentials, accounts):
    """Whoever writes to the database can't send one account's requests with another's credential."""
    put(database, clock, sealer, accounts.location, "of the first")
    put(database, clock, sealer, accounts.stranger, "of the stranger")
    rows = tables.upstream_credentials
    with database.write() as write:
        found = write.connection.execute(select(rows.c.account_id, rows.c.sealed))
        sealed = {row.account_id: row.sealed for row in found}
        for to, of in ((accounts.location, accounts.stranger), (accounts.stranger, accounts.location)):
            write.connection.execute(update(rows).where(rows.c.account_id == to).values(sealed=sealed[of]))
    for account in (accounts.location, accounts.stranger):
        with pytest.raises(SealBroken):
            asyncio.run(credentials.of(account))
        assert listed(database, sealer)[account].readable is False


def test_a_key_that_is_missing_breaks_nothing_else(database, clock, sealer, accounts):
    """After a start with fewer keys the old rows say so; the others work, and a new credential repairs."""
    put(database, clock, sealer, accounts.location, "old")
    fewer = Sealer([NEW])
    put(database, clock, fewer, accounts.sister, "new")
    credentials = Credentials(database, fewer)
    with pytest.raises(SealBroken, match=f"key {sealer.first_key}, which is not among the sealing keys"):
        asyncio.run(credentials.of(accounts.location))
    assert asyncio.run(credentials.of(accounts.sister)) == "new"
    known = listed(database, fewer)
    assert [known[account].readable for account in (accounts.location, accounts.sister)] == [False, True]
    assert known[accounts.location].sealed_with == sealer.first_key
    put(database, clock, fewer, accounts.location, "again")
    assert asyncio.run(credentials.of(accounts.location)) == "again"
    credentials.close()


def test_reseal(database, clock, sealer, accounts):
    """Every row is sealed with the first key, what nobody can open is left and named, and the old key may go."""
    put(database, clock, sealer, accounts.location, "one")
    put(database, clock, sealer, accounts.sister, "two")
    put(database, clock, Sealer([new_sealing_key()]), accounts.stranger, "lost")
    both = Sealer([NEW, OLD])
    put(database, clock, both, accounts.agency, "three")
    for resealed in (2, 0):
        done = upstreams.reseal(database, both, actor=ANNA)
        assert (done.resealed, done.unchanged) == (resealed, 3 - resealed)
        assert (done.sealed_with, done.unreadable) == (both.first_key, [accounts.stranger])
    credentials = Credentials(database, Sealer([NEW]))
    assert [
        asyncio.run(credentials.of(account)) for account in (accounts.location, accounts.sister, accounts.agency)
    ] == [
        "one",
        "two",
        "three",
    ]
    credentials.close()
    assert listed(database, both)[accounts.location].set_at == clock()


def test_this_services_own_secrets_are_no_credentials(database, clock, sealer, desk, accounts):
    """A token that was issued here, a management key and a sealing key would only leak to the platform."""
    own = desk.token_with("contacts.readonly")
    problem = "credential-not-upstreams"
    of_a_token = Refused(problem, "this is a token of this service, not the platform's")
    assert put(database, clock, sealer, accounts.location, own) == of_a_token
    for key in ("pmk-" + "0" * 64, NEW):
        refused = put(database, clock, sealer, accounts.location, key)
        assert refused == Refused(problem, "this is a key of this service, not the platform's token")
    assert listed(database, sealer) == {}
    unknown = Refused(Problem.ACCOUNT_UNKNOWN, "there is no account nobody")
    assert put(database, clock, sealer, "nobody") == unknown
    assert remove(database, clock, "nobody") == unknown


def test_a_key_sees_its_own_accounts(database, clock, sealer, accounts):
    """The list is as long as the key reaches."""
    for account in (accounts.location, accounts.stranger):
        put(database, clock, sealer, account)
    assert list(listed(database, sealer, Actor("ci", frozenset({accounts.location})))) == [accounts.location]


def test_a_verification_is_of_the_credential_that_was_asked_with(database, clock, sealer, accounts):
    """Its result stays until another credential is set; one that comes too late is stored nowhere."""
    put(database, clock, sealer, accounts.location)
    opened = upstreams.open_credential(database, accounts.location, sealer)
    assert (opened.value, SECRET in repr(opened)) == (SECRET, False)

    def note(result):
        return upstreams.note_verification(database, opened, result, sealer, actor=ANNA)

    accepted = Verification(at=clock(), outcome="accepted", status=200)
    assert note(accepted).verification == accepted
    assert listed(database, sealer)[accounts.location].verification == accepted
    clock.move(seconds=1)
    put(database, clock, sealer, accounts.location, "another")
    assert listed(database, sealer)[accounts.location].verification is None
    assert note(accepted).problem == "credential-replaced"
    assert listed(database, sealer)[accounts.location].verification is None


def test_nothing_to_open(database, clock, sealer, accounts):
    """An account without a credential, an unknown one, and one that can't be opened are three answers."""
    put(database, clock, Sealer([NEW]), accounts.sister)
    found = [
        upstreams.open_credential(database, account, sealer).problem
        for account in (accounts.location, "nobody", accounts.sister)
    ]
    assert found == ["credential-missing", "account-unknown", "credential-unreadable"]


def test_every_change_is_audited_and_no_credential_is_in_the_files(under_test, tmp_path, clock, sealer):
    """Who did what to which account is written down; the value, and any digest of it, is nowhere on disk."""
    database = under_test.open(tmp_path, clock)
    with database.write() as write:
        managed.put.step(write, "comp1", AccountRequest(name="Agency", kind="agency"), furnish, actor=ANNA)
        managed.put.step(write, "loc1", AccountRequest(name="Shop", agency_id="comp1"), furnish, actor=ANNA)
    put(database, clock, sealer, "loc1")
    both = Sealer([NEW, OLD])
    upstreams.reseal(database, both, actor=ANNA)
    opened = upstreams.open_credential(database, "loc1", both)
    with database.write() as write:
        refused = Verification(at=clock(), outcome="refused", status=401)
        upstreams.note_verification.step(write, opened, refused, both, actor=ANNA)
    remove(database, clock, "loc1")
    keys = {"sealed_with": sealer.first_key}
    assert audited(database) == [
        ("add account", "comp1", {"name": "Agency", "kind": "agency", "agency_id": None}),
        ("add account", "loc1", {"name": "Shop", "kind": "sub_account", "agency_id": "comp1"}),
        ("set upstream credential", "loc1", keys),
        ("reseal upstream credential", "loc1", {"before": sealer.first_key, "sealed_with": both.first_key}),
        ("verify upstream credential", "loc1", {"outcome": "refused", "status": 401}),
        ("remove upstream credential", "loc1", {}),
    ]
    database.close()
    assert_nowhere(tmp_path, SECRET, OLD, NEW)


def assert_nowhere(folder: Path, *secrets: str) -> None:
    """None of the database's files has one of these secrets, or its bytes, in it."""
    content = b"".join(file.read_bytes() for file in folder.glob(f"{FILE_NAME}*"))
    for secret in secrets:
        text = secret[4:]
        assert text.encode() not in content
        assert bytes.fromhex(text.replace("-", "")) not in content


# Accounts.


def test_accounts_have_the_platforms_ids(database, clock, accounts):
    """An account is made once; the same request again changes nothing, another name only that."""

    def ask(account_id, **fields):
        return managed.put(database, account_id, AccountRequest(**fields), furnish, actor=ANNA)

    shop = {"name": "Shop", "agency_id": accounts.agency}
    made = Account(id="loc-1", kind="sub_account", **shop)
    assert ask("loc-1", **shop) == managed.RegisteredAccount(made, created=True)
    assert ask("loc-1", **shop) == managed.RegisteredAccount(made, created=False)
    assert ask("loc-1", **shop | {"name": "Store"}).account.name == "Store"
    assert [action for action, account, _ in audited(database) if account == "loc-1"] == [
        "add account",
        "rename account",
    ]
    fixed = f"loc-1 is a sub-account of agency {accounts.agency}, and that never changes"
    for other in ({"name": "Shop", "kind": "agency"}, shop | {"agency_id": accounts.other_agency}):
        assert ask("loc-1", **other) == Refused(Problem.ACCOUNT_FIXED, fixed)
    assert ask(accounts.agency, **shop).detail == f"{accounts.agency} is an agency, and that never changes"
    for nobody in ("nobody", accounts.location):
        unknown = Refused(Problem.ACCOUNT_UNKNOWN, f"there is no agency {nobody}")
        assert ask("loc-2", name="Shop", agency_id=nobody) == unknown
