"""Every page as everybody: a stranger, a plain user, admins elsewhere and above, somebody disabled; with Labs off.

The pages are those of the settings pages' own table: one that is added is walked too, and fails here as long as nobody
has said what its parameters name.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from described import DOCUMENT
from guests import OPERATOR, Guest, admitted, invited, pages_over, user_id
from management import API
from private_integrations.contract import (
    GenerationRequest,
    IntegrationRequest,
    MembershipEdit,
    WebhookRequest,
    new_sealing_key,
    new_webhook_secret,
)
from private_integrations_service.management_api import management_api
from private_integrations_service.operations import generations, integrations, users, webhooks
from private_integrations_service.operations.integrations import Rules
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.sealing import Sealer
from private_integrations_service.settings import Settings
from private_integrations_service.settings_pages import PAGES
from private_integrations_service.storage import tables
from private_integrations_service.storage import users as stored_users
from private_integrations_service.storage.columns import metadata

ROUTES = sorted((method, route.path) for page in PAGES for route in page.ROUTES for method in route.methods - {"HEAD"})
# What needs no signing in, and what everybody has who did.
OPEN = {
    "/settings/sign-in",
    "/settings/sign-in/provider",
    "/settings/sign-in/provider/back",
    "/settings/welcome/{code}",
}
OWN = re.compile(r"/settings/me(/.*)?|/settings/sign-out")
# Pages for those who decide about an account's people; with Labs off they are the way back.
DECIDING = re.compile(r"/settings/accounts/\{account_id\}/(roles|labs)(/.*)?")

GUARDED = [route for route in ROUTES if route[1] not in OPEN and not OWN.fullmatch(route[1])]
READ = [route for route in GUARDED if route[0] == "GET"]
# Those that ask for a key; which don't, test_tenants.py says.
SERVICE_ROUTES = [
    (method.upper(), path)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if operation.get("security")
]

# A page, or one that leads on, or a later step that says what is to be chosen before.
REACHED = {200, 303, 409, 422}
NAMED = re.compile(r"\{(\w+)\}")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MISSING = {
    "account_id": "nobody",
    "integration_id": "int_nothing",
    "user_id": "usr_nothing",
    "session_id": "ses_nothing",
    "webhook_id": "whk_nothing",
    "generation": "2147483647",
}


@dataclass
class House:
    """An account with an integration and its people, all of them signed in, and what path parameters name there."""

    app: object
    database: object
    names: dict[str, str]
    guests: dict[str, Guest]
    homes: dict[str, str]
    """The accounts that some of them manage."""

    def ask(self, who, method, path, names=None):
        """One request; a form says the same of accounts as the path."""
        guest, names = self.guests[who], names or self.names
        target = _filled(path, names)
        if method == "GET":
            return guest.get(target)
        return guest.post(target, account=names["account_id"], account_id=names["account_id"], role="admin")

    def rows(self):
        """All that is stored, but for what a visit itself leaves."""
        with self.database.read() as connection:
            return {
                table.name: sorted(map(str, connection.execute(select(table))))
                for table in metadata.sorted_tables
                if table.name not in ("sessions", "clock", "audit")
            }


@pytest.fixture(scope="module")
def database(under_test, tmp_path_factory, fresh_folder):
    """A new database with the accounts."""
    opened = under_test.open(under_test.copy(fresh_folder, tmp_path_factory.mktemp("house") / "data"), lambda: NOON)
    yield opened
    opened.close()


def _integration(database, catalogue, account):
    """An integration with a token."""
    request = IntegrationRequest(account=account, name="Mine alone", scopes=["contacts.readonly"], owner_nonce="c")
    with database.write() as write:
        declared = integrations.declare.step(
            write, "organization/project/dev/crm", request, Rules(catalogue, Settings()), actor=OPERATOR
        )
        asked = GenerationRequest(issuer="us", run="r", attempt=1, overlap_seconds=0)
        generations.issue_beside_others.step(write, declared.integration.id, 1, asked, 3, actor=OPERATOR)
    return declared.integration.id


def _webhook(database, account):
    """A webhook of the account."""
    sealer = Sealer([new_sealing_key()])
    request = WebhookRequest(account=account, url="https://hooks.example.com/mine", secret=new_webhook_secret())
    made = webhooks.make(database, request, sealer, Settings().destinations, actor=OPERATOR)
    return made.endpoint.id


@pytest.fixture(scope="module")
def house(database, catalogue, accounts):
    """Everybody who may come to an account, a sub-account of an agency."""
    app = pages_over(database, catalogue, Settings())
    integration = _integration(database, catalogue, accounts.location)
    people = {
        "admin": {accounts.location: "admin"},
        "plain": {accounts.location: "user"},
        "elsewhere": {accounts.stranger: "admin"},
        "sister": {accounts.sister: "admin"},
        "agency": {accounts.agency: "admin"},
        "half": {accounts.agency: "admin"},
        "worker": {accounts.agency: "user"},
        "disabled": {accounts.location: "admin"},
    }
    guests = {"nobody": Guest(app)}
    for name, roles in people.items():
        invited(database, NOON, f"{name}@example.com", **roles)
        guests[name] = admitted(app, database, NOON, f"{name}@example.com")
    with database.write() as write:
        users.place.step(
            write, "half@example.com", accounts.agency, MembershipEdit(sub_accounts="taken"), actor=OPERATOR
        )
        users.disable.step(write, "disabled@example.com", actor=OPERATOR)
    with database.read() as connection:
        session = connection.execute(
            select(tables.sessions.c.id).where(tables.sessions.c.user_id == user_id(database, "admin@example.com"))
        ).scalar_one()
    names = {
        "account_id": accounts.location,
        "integration_id": integration,
        "user_id": user_id(database, "plain@example.com"),
        "session_id": session,
        "webhook_id": _webhook(database, accounts.location),
        "generation": "1",
    }
    homes = {"elsewhere": accounts.stranger, "sister": accounts.sister, "half": accounts.agency}
    return House(app, database, names, guests, homes)


@pytest.fixture
def labs_off(house):
    """Labs of the account are off for the test."""
    with house.database.write() as write:
        stored_users.switch_off(write.connection, house.names["account_id"], write.now)
    yield
    with house.database.write() as write:
        stored_users.switch_on(write.connection, house.names["account_id"])


def _filled(path, names):
    """The path with its parameters; one of which nobody has said what it names is a gap in this matrix."""
    for name in NAMED.findall(path):
        assert name in names, f"say in `names` and MISSING what {name} names in {path}"
        path = path.replace(f"{{{name}}}", names[name])
    return path


def _told(answer, path, names):
    """What was answered, without the ids that were asked for."""
    text = re.sub(r'name="form_key" value="[^"]*"', "", answer.text + answer.headers.get("location", ""))
    for name in NAMED.findall(path):
        text = text.replace(f"/{names[name]}", "/…")
    return answer.status, text


def test_the_table_is_whole():
    """There are pages to walk, and what is named open or one's own exists."""
    assert {"/settings/private-integrations", "/settings/accounts/{account_id}/roles"} <= {path for _, path in GUARDED}
    assert {path for _, path in ROUTES} >= OPEN
    assert [path for _, path in ROUTES if OWN.fullmatch(path)]


@pytest.mark.parametrize("who", ["nobody", "disabled"])
def test_whoever_has_not_signed_in_is_asked_to(house, who):
    """Every page but the open ones leads to the sign-in and does nothing, also for somebody disabled meanwhile."""
    before = house.rows()
    for method, path in ROUTES:
        if path not in OPEN:
            assert house.ask(who, method, path).location.startswith("/settings/sign-in?"), (method, path)
    assert house.rows() == before


def test_a_plain_user_sees_nothing_and_hears_who_decides(house):
    """No page of private integrations is theirs; each says who can change that."""
    before = house.rows()
    for method, path in GUARDED:
        answer = house.ask("plain", method, path)
        assert answer.status == 403, (method, path)
        assert "<h1>Not allowed</h1>" in answer.text
        assert "admin@example.com" in answer.text
        assert "agency@example.com" in answer.text
        assert "disabled@example.com" not in answer.text
        assert house.names["integration_id"] not in answer.text
    assert house.rows() == before


@pytest.mark.parametrize("who", ["elsewhere", "sister", "worker"])
def test_what_is_anothers_is_not_there(house, who):
    """An admin of another account, of a sister, or a plain user above is told of what exists as of what doesn't."""
    before = house.rows()
    missing = house.names | MISSING
    for method, path in GUARDED:
        if "{" not in path:
            continue
        there, nowhere = house.ask(who, method, path), house.ask(who, method, path, missing)
        assert _told(there, path, house.names) == _told(nowhere, path, missing), (method, path)
        # A plain user manages nothing; where no account is named they hear that of their own one.
        assert there.status == (403 if who == "worker" and "{account_id}" not in path else 404), (method, path)
    assert house.rows() == before


@pytest.mark.parametrize("who", ["elsewhere", "sister", "half"])
def test_what_is_anothers_is_not_there_below_ones_own_account_either(house, who):
    """An address of one's own account with somebody else's id in it opens nothing of theirs."""
    before = house.rows()
    own = house.names | {"account_id": house.homes[who]}
    missing = own | {name: value for name, value in MISSING.items() if name != "account_id"}
    for method, path in GUARDED:
        if "{account_id}" in path and len(NAMED.findall(path)) > 1:
            there, nowhere = house.ask(who, method, path, own), house.ask(who, method, path, missing)
            assert _told(there, path, own) == _told(nowhere, path, missing), (method, path)
            # Half an agency's admin invites nobody, whoever is meant.
            assert there.status in ((403, 404) if who == "half" else (404,)), (method, path)
    assert house.rows() == before


@pytest.mark.parametrize("who", ["elsewhere", "sister"])
def test_no_page_of_ones_own_has_anything_foreign(house, who):
    """Lists, forms and whatever names no account show nothing of another one, and change nothing there."""
    before = house.rows()
    foreign = [house.names["account_id"], house.names["integration_id"], "plain@example.com", "admin@example.com"]
    for method, path in GUARDED:
        if "{" in path:
            continue
        queries = ("", f"?account={house.names['account_id']}") if method == "GET" else ("",)
        for query in queries:
            answer = house.ask(who, method, path + query)
            assert answer.status < 500
            # What somebody asked for may be repeated to them.
            shown = answer.text.replace(query, "").replace(f'value="{house.names["account_id"]}"', "")
            assert not [text for text in foreign if text in shown and text not in query], (method, path + query)
    assert house.rows() == before


def test_the_accounts_admin_sees_every_page(house):
    """So that the others' refusals mean something."""
    for method, path in READ:
        assert house.ask("admin", method, path).status in REACHED, (method, path)


def test_an_agencys_admin_sees_those_of_its_sub_accounts(house):
    """By the permission for sub-accounts, which admins have by default."""
    for method, path in READ:
        assert house.ask("agency", method, path).status in REACHED, (method, path)
    assert "Mine alone" in house.guests["agency"].get("/settings/private-integrations").text


def test_an_agencys_admin_without_that_permission_sees_none_of_them(house):
    """The account is no secret to them, what is in it is: pages say who decides; ids open nothing."""
    before = house.rows()
    for method, path in GUARDED:
        answer = house.ask("half", method, path)
        if "{account_id}" in path:
            assert answer.status == 403, (method, path)
            assert "agency@example.com" in answer.text
        elif "{" in path:
            assert answer.status == 404, (method, path)
        assert house.names["integration_id"] not in answer.text
    assert house.rows() == before


def test_with_labs_off_nobody_manages_the_account(house, labs_off):
    """Its admin hears that it is switched off, and who switches it on; the agency's admin finds nothing in it."""
    before = house.rows()
    for method, path in GUARDED:
        if DECIDING.fullmatch(path):
            continue
        answer = house.ask("admin", method, path)
        assert answer.status == 403, (method, path)
        assert "switched off in Labs" in answer.text
        assert f"/settings/accounts/{house.names['account_id']}/labs" in answer.text
        if "{" in path:
            above = house.ask("agency", method, path)
            assert above.status == (403 if "{account_id}" in path else 404), (method, path)
    assert house.rows() == before
    for method, path in READ:
        if DECIDING.fullmatch(path):
            assert house.ask("admin", method, path).status == 200
    assert "Mine alone" not in house.guests["agency"].get("/settings/private-integrations").text


def test_ones_own_pages_are_ones_own(house):
    """Whoever has signed in has them, also without any permission; others' sessions are not in them."""
    for who in ("plain", "worker", "admin"):
        page = house.guests[who].get("/settings/me")
        assert page.status == 200
        assert (house.names["session_id"] in page.text) == (who == "admin")
    house.ask("plain", "POST", "/settings/me/sessions/{session_id}/end")
    assert house.guests["admin"].get("/settings/me").status == 200


def test_a_session_opens_no_route_of_the_management_api(house, catalogue):
    """Keys do; a browser's cookie is none, whosever it is."""
    api = management_api(house.database, catalogue, Settings(), None, None, furnish)
    before = house.rows()
    for who in ("agency", "admin", "plain"):
        browser = Guest(api, cookies=house.guests[who].cookies)
        for method, path in SERVICE_ROUTES:
            answer = browser.ask(method, NAMED.sub("x", path), {"content-type": "application/json"}, b"{}")
            assert answer.status == 401, (method, path)
            assert "urn:private-integrations:problem:key-missing" in answer.text
    assert house.rows() == before


def test_keys_are_no_sessions(house):
    """And a management key opens no page."""
    guest = house.guests["nobody"]
    assert guest.get("/settings/me", authorization="Bearer pmk-" + "0" * 64).status == 303
    assert API not in "".join(path for _, path in ROUTES)
