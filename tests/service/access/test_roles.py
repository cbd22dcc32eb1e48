"""Roles & Permissions and Labs: who may manage, who decides that, and that it holds at once."""

import re
from itertools import product

import pytest
from sqlalchemy import select

from guests import OPERATOR, Guest, admitted, invited, pages_over, user_id
from private_integrations.contract import Account, MembershipEdit, Refused, UserRequest
from private_integrations_service.access import permissions
from private_integrations_service.access.permissions import Membership
from private_integrations_service.operations import users
from private_integrations_service.settings import Settings
from private_integrations_service.storage import tables
from private_integrations_service.storage import users as stored_users

AGENCY = Account(id="a", name="Agency", kind="agency")
SUB = Account(id="s", name="Sub", kind="sub_account", agency_id="a")
OTHER = Account(id="o", name="Other", kind="sub_account", agency_id="b")
ALL = (AGENCY, SUB, OTHER)
LIST = "/settings/private-integrations"
SETTINGS = (None, True, False)


# The rules, as docs/platform.md has them: written down here anew.


@pytest.mark.parametrize(
    ("role", "own", "sub"), list(product(("admin", "user"), (None, True, False), (None, True, False)))
)
def test_an_agencys_two_permissions(role, own, sub):
    """By default an admin has both and a user none; what is given or taken counts, each for itself."""
    place = Membership("a", role, own, sub)
    manages_own = own if own is not None else role == "admin"
    manages_sub = sub if sub is not None else role == "admin"
    expected = ({"a"} if manages_own else set()) | ({"s"} if manages_sub else set())
    assert permissions.managed_accounts([place], ALL) == expected
    assert permissions.managed_accounts([place], ALL, frozenset({"s"})) == expected - {"s"}


@pytest.mark.parametrize(("role", "own"), list(product(("admin", "user"), SETTINGS)))
def test_a_sub_accounts_permission(role, own):
    """The account itself and nothing above or beside it, whatever a permission for sub-accounts says there."""
    manages = own if own is not None else role == "admin"
    for sub in (None, True, False):
        managed = permissions.managed_accounts([Membership("s", role, own, sub)], ALL)
        assert managed == ({"s"} if manages else set())


@pytest.mark.parametrize(
    ("places", "account", "expected"),
    [
        ([Membership("s", "admin")], SUB, {"own"}),
        ([Membership("s", "admin", own=False)], SUB, set()),
        ([Membership("s", "user", own=True)], SUB, set()),
        ([Membership("a", "admin")], SUB, {"own"}),
        ([Membership("a", "admin", own=False)], SUB, {"own"}),
        ([Membership("a", "admin", sub_accounts=False)], SUB, set()),
        ([Membership("a", "user", sub_accounts=True)], SUB, set()),
        ([Membership("a", "admin")], AGENCY, {"own", "sub_accounts"}),
        ([Membership("a", "admin", own=False)], AGENCY, {"sub_accounts"}),
        ([Membership("a", "user", own=True, sub_accounts=True)], AGENCY, set()),
        ([Membership("s", "admin")], AGENCY, set()),
        ([Membership("s", "admin")], OTHER, set()),
        ([Membership("a", "admin")], OTHER, set()),
        ([], SUB, set()),
    ],
)
def test_what_may_be_given_and_taken(places, account, expected):
    """By admins, of their own account or of the agency above it, and only what they have themselves."""
    assert permissions.grantable(places, account) == expected
    assert permissions.administers(places, account) == (expected == permissions.permissions_of(account))


def test_nobody_gives_what_they_have_not():
    """Half an agency's admin decides half of it; roles are decided by whole ones."""
    half = [Membership("a", "admin", own=False)]
    user = Membership("a", "user")
    assert permissions.refuse_change(half, AGENCY, user, Membership("a", "user", sub_accounts=True)) is None
    assert permissions.refuse_change(half, AGENCY, user, Membership("a", "user", own=True)) is not None
    assert permissions.refuse_change(half, AGENCY, half[0], Membership("a", "admin")) is not None
    for before, after in ((user, Membership("a", "admin")), (None, user), (user, None)):
        assert permissions.refuse_change(half, AGENCY, before, after) is not None
        assert permissions.refuse_change([Membership("a", "admin")], AGENCY, before, after) is None
    sub = Membership("s", "user", sub_accounts=True)
    assert permissions.refuse_change([Membership("a", "admin")], SUB, Membership("s", "user"), sub) is not None


# The page.


@pytest.fixture
def app(database, catalogue, clock):
    """The pages over a fresh database."""
    return pages_over(database, catalogue, Settings())


@pytest.fixture
def enter(app, database, clock):
    """Makes a user with roles by account, signed in."""

    def entered(name, **roles):
        invited(database, clock(), f"{name}@example.com", **roles)
        return admitted(app, database, clock(), f"{name}@example.com")

    return entered


@pytest.fixture
def ada(enter, accounts):
    """An admin of the first location."""
    return enter("ada", **{accounts.location: "admin"})


def roles_page(account, name=None, action=""):
    """The page of an account, or what its forms are sent to."""
    return f"/settings/accounts/{account}/roles" + (f"/{name}" if name else "") + (f"/{action}" if action else "")


def test_an_admin_gives_and_takes_the_permission(ada, enter, database, accounts):
    """It holds from the next request on, and the page says where it comes from."""
    bob = enter("bob", **{accounts.location: "user"})
    form = roles_page(accounts.location, user_id(database, "bob@example.com"))
    assert bob.get(LIST).status == 403
    assert ada.post(form, role="user", own="given").notice == "roles-changed"
    assert bob.get(LIST).status == 200
    assert bob.get(roles_page(accounts.location)).status == 403
    page = ada.get(roles_page(accounts.location)).text
    assert "given" in re.sub(r"<option.*?</option>", "", page)
    assert ada.post(form, role="admin", own="taken").notice == "roles-changed"
    assert bob.get(LIST).status == 403
    assert bob.get(roles_page(accounts.location)).status == 403
    assert ada.post(form, own="default").notice == "roles-changed"
    assert bob.get(LIST).status == 200
    assert bob.get(roles_page(accounts.location)).status == 200


def test_the_last_one_locks_nobody_out(ada, enter, database, accounts, clock):
    """Neither by a role, nor by a permission, nor by leaving; with somebody above them they may."""
    me = user_id(database, "ada@example.com")
    for path, fields in (("", {"role": "user"}), ("", {"own": "taken"}), ("remove", {})):
        answer = ada.post(roles_page(accounts.location, me, path), **fields)
        assert answer.status == 409
        assert "Nobody would be left" in answer.alert
    enter("gus", **{accounts.agency: "admin"})
    users.disable(database, "gus@example.com", actor=OPERATOR)
    assert ada.post(roles_page(accounts.location, me, "remove")).status == 409
    users.enable(database, "gus@example.com", actor=OPERATOR)
    assert ada.post(roles_page(accounts.location, me, "remove")).location == LIST
    assert ada.get(roles_page(accounts.location)).status == 404


def test_an_invitation_is_shown_once_and_makes_a_user(ada, app, accounts):
    """Its link is in the answer to the form alone; whoever has it chooses the password."""
    made = ada.post(roles_page(accounts.location, "invite"), email="New@example.com", role="user")
    [link] = re.findall(r"http://[^<\"\s]+/settings/welcome/[\w-]+", made.text)
    assert link.startswith("http://127.0.0.1:8750/settings/welcome/")
    assert made.headers["cache-control"] == "no-store"
    code = link.rpartition("/")[2]
    assert code not in ada.get(roles_page(accounts.location)).text
    assert "new@example.com" in Guest(app).get(f"/settings/welcome/{code}").text
    again = ada.post(roles_page(accounts.location, "invite"), email="new@example.com", role="admin")
    assert (again.status, again.alert) == (409, "New@example.com belongs to this account already.")


def test_an_invitation_gives_nobody_somebody_elses_account(ada, enter, database, accounts, clock):
    """Who is a user elsewhere gets a place without a link; and no link is made for them by one of their admins."""
    enter("eve", **{accounts.stranger: "admin"})
    made = ada.post(roles_page(accounts.location, "invite"), email="eve@example.com", role="user")
    assert "<code" not in made.text
    assert "as they always do" in made.text
    eve = user_id(database, "eve@example.com")
    refused = ada.post(roles_page(accounts.location, eve, "link"))
    assert (refused.status, "other accounts" in refused.alert) == (403, True)
    with database.read() as connection:
        assert connection.execute(select(tables.one_time_codes)).all() == []
        assert {m.account_id for m in stored_users.memberships_of(connection, eve)} == {
            accounts.stranger,
            accounts.location,
        }
    assert ada.post(roles_page(accounts.location, eve, "remove")).notice == "person-removed"
    users.disable(database, "eve@example.com", actor=OPERATOR)
    again = ada.post(roles_page(accounts.location, "invite"), email="eve@example.com", role="user")
    assert again.status == 409
    assert "disabled" in again.alert


def test_a_new_link_for_ones_own_people(ada, enter, database, accounts, clock):
    """For a forgotten password; an agency's admin makes them for its sub-accounts' people too."""
    enter("bob", **{accounts.location: "user"})
    gus = enter("gus", **{accounts.agency: "admin"})
    bob = user_id(database, "bob@example.com")
    for guest in (ada, gus):
        assert "/settings/welcome/" in guest.post(roles_page(accounts.location, bob, "link")).text
    users.place(database, "bob@example.com", accounts.sister, MembershipEdit(role="user"), actor=OPERATOR)
    assert ada.post(roles_page(accounts.location, bob, "link")).status == 403
    assert "/settings/welcome/" in gus.post(roles_page(accounts.location, bob, "link")).text


def test_half_an_agencys_admin_decides_half(enter, database, accounts, clock):
    """Without the agency's own permission they give the one for sub-accounts, no role and no invitation."""
    enter("gus", **{accounts.agency: "admin"})
    half = enter("half", **{accounts.agency: "admin"})
    bob = enter("bob", **{accounts.agency: "user"})
    users.place(database, "half@example.com", accounts.agency, MembershipEdit(own="taken"), actor=OPERATOR)
    form = roles_page(accounts.agency, user_id(database, "bob@example.com"))
    assert half.post(form, own="given").status == 403
    assert half.post(form, role="admin").status == 403
    assert half.post(roles_page(accounts.agency, "invite"), email="x@example.com", role="user").status == 403
    assert bob.get(LIST).status == 403
    assert half.post(form, sub_accounts="given").notice == "roles-changed"
    assert bob.get(LIST).status == 200
    assert half.post(f"/settings/accounts/{accounts.agency}/labs", private_integrations="off").status == 403


@pytest.mark.parametrize("fields", [{"role": "owner"}, {"own": "yes"}, {"sub_accounts": "given"}])
def test_what_is_no_role_or_permission_changes_nothing(ada, enter, database, accounts, fields):
    """A form that no page of ours has."""
    enter("bob", **{accounts.location: "user"})
    bob = user_id(database, "bob@example.com")
    assert ada.post(roles_page(accounts.location, bob), **fields).status in (403, 422)
    with database.read() as connection:
        assert stored_users.memberships_of(connection, bob) == [Membership(accounts.location, "user")]


@pytest.mark.parametrize("fields", [{"email": "no address"}, {"email": "a/b@x"}, {"email": "a@b.c", "name": "x" * 101}])
def test_an_invitation_that_is_not_complete_makes_nobody(ada, database, accounts, fields):
    """It is said what is wrong; nothing is stored."""
    answer = ada.post(roles_page(accounts.location, "invite"), role="user", **fields)
    assert answer.status == 422
    assert answer.alert
    with database.read() as connection:
        assert [user.email for user in stored_users.all_users(connection)] == ["ada@example.com"]


def test_who_did_what_is_written_down(ada, enter, database, accounts):
    """In the account's audit log, with the person, from where, and what it is now; no code is in it."""
    enter("bob", **{accounts.location: "user"})
    bob = user_id(database, "bob@example.com")
    ada.post(roles_page(accounts.location, bob), own="given")
    link = ada.post(roles_page(accounts.location, bob, "link")).text
    ada.post(f"/settings/accounts/{accounts.location}/labs", private_integrations="off")
    with database.read() as connection:
        rows = connection.execute(select(tables.audit).order_by(tables.audit.c.id.desc()).limit(3)).all()
    person = f"person/ada@example.com/{user_id(database, 'ada@example.com')}"
    assert [(row.actor, row.action) for row in rows] == [
        (person, "switch labs off"),
        (person, "make sign-in link"),
        (person, "change role"),
    ]
    assert [row.account_id for row in rows] == [accounts.location, None, accounts.location]
    assert rows[2].detail == {
        "user": bob,
        "email": "bob@example.com",
        "role": "user",
        "own": "given",
        "sub_accounts": "default",
    }
    code = link.partition("/settings/welcome/")[2].partition("<")[0]
    assert code not in str(rows)


# Labs.


def test_labs_off_hides_and_cuts_nothing_off(ada, enter, desk, database, accounts, clock):
    """The account's people manage nothing, its tokens and keys work on; whoever switched it off switches it on."""
    integration = desk.integration("contacts.readonly")
    desk.token(integration)
    gus = enter("gus", **{accounts.agency: "admin"})
    page = f"/settings/accounts/{accounts.location}/labs"
    assert "1 private integration of this account goes on working" in " ".join(ada.get(page).text.split())
    assert ada.post(page, private_integrations="off").notice == "labs-off"
    assert "switched off in Labs" in ada.get(LIST).text
    assert "CRM sync" not in gus.get(LIST).text
    assert desk.secrets(integration) == {1: ("pending", None)}
    desk.edit(integration, "contacts.write")
    with database.read() as connection:
        person = users.person_of(connection, stored_users.user_by_email(connection, "ada@example.com"))
    assert person.actor("", "").accounts == frozenset()
    assert ada.get(page).status == 200
    assert ada.post(page, private_integrations="on").notice == "labs-on"
    assert "CRM sync" in ada.get(LIST).text


def test_labs_are_switched_by_those_who_decide(ada, enter, accounts):
    """Not by a user who was given the permission, nor by an admin from whom it was taken."""
    bob = enter("bob", **{accounts.location: "user"})
    page = f"/settings/accounts/{accounts.location}/labs"
    assert bob.post(page, private_integrations="off").status == 403
    assert ada.get(LIST).status == 200


# As operators have it.


def test_a_repetition_replaces_nothing(database, clock, accounts):
    """Inviting again what is there gives a new code as long as the first was not used; other places are refused."""

    def invite(account, role):
        request = UserRequest(memberships=[{"account": account, "role": role}])
        return users.invite(database, "bob@example.com", request, actor=OPERATOR)

    first, second = invite(accounts.location, "user"), invite(accounts.location, "user")
    assert first.code != second.code
    for account, role in ((accounts.location, "admin"), (accounts.stranger, "user")):
        assert invite(account, role).problem == "user-exists"
    users.disable(database, "bob@example.com", actor=OPERATOR)
    assert invite(accounts.location, "user").problem == "user-exists"
    with database.read() as connection:
        bob = stored_users.user_by_email(connection, "bob@example.com")
        assert bob.disabled_at is not None
        assert stored_users.memberships_of(connection, bob.id) == [Membership(accounts.location, "user")]


def test_the_permission_for_sub_accounts_is_one_of_agencies(database, clock, accounts):
    """Elsewhere it would say something that is not so."""
    invited(database, clock(), "bob@example.com", **{accounts.location: "user"})
    with database.write() as write:
        for name in (accounts.location, "nobody"):
            edit = MembershipEdit(sub_accounts="given")
            refused = users.place.step(write, "bob@example.com", name, edit, actor=OPERATOR)
            assert isinstance(refused, Refused)
