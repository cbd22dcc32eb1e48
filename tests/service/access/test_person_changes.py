"""Changes of a person's rights or ways to sign in end links, sessions, the password or remembered browsers."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import func, select

import private_integrations_service
from guests import HOME, OPERATOR, PASSWORD, Guest, cheap_pages, invited, try_to_sign_in, user_id
from private_integrations.contract import KeyRequest, MembershipEdit, Refused, digest_of
from private_integrations_service.access.actors import Actor
from private_integrations_service.access.permissions import Membership
from private_integrations_service.operations import keys, passwords, person_changes, sign_in, users
from private_integrations_service.operations.person_changes import ENDS, Held, PersonChange
from private_integrations_service.settings import Settings
from private_integrations_service.storage import tables
from private_integrations_service.storage import users as stored_users

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
CODE = Path(private_integrations_service.__file__).parent
BROWSER = sign_in.Browser("192.0.2.7", "Test browser")
EMAIL = "ada@example.com"
ISSUER = "https://login.test"
OTHER = "nine loud mountains"


@pytest.fixture
def app(database, catalogue, clock):
    """The pages over a fresh database."""
    return cheap_pages(database, catalogue, clock, Settings())


@dataclass
class House:
    """A database with its pages, and what people do in it."""

    app: object
    database: object
    clock: object
    accounts: object

    def person(self, email, password=PASSWORD, **roles):
        """A browser of a person who has chosen a password with an operator's link."""
        return self.welcomed(invited(self.database, self.clock(), email, **roles), password)

    def welcomed(self, code, password=PASSWORD):
        """A browser in which a password was chosen with this code."""
        browser = Guest(self.app)
        assert browser.post(f"/settings/welcome/{code}", password=password).location == HOME
        browser.get("/settings/me")
        return browser

    def roles(self, account, email=None, action=""):
        """The path of an account's people, or of one of them."""
        path = f"/settings/accounts/{account}/roles"
        return path + (f"/{user_id(self.database, email)}" if email else "") + (f"/{action}" if action else "")

    def link(self, editor, account, email):
        """The code of a link that an admin made in the pages."""
        return code_in(editor.post(self.roles(account, email, "link")))

    def invite(self, editor, account, email, role="user"):
        """The code of an invitation that an admin made in the pages, or None."""
        return code_in(editor.post(self.roles(account, action="invite"), email=email, role=role))

    def run(self, operation, *arguments, **more):
        """One operation in a transaction of its own."""
        return operation(self.database, *arguments, **more)

    def grant(self, email, account, **edit):
        """Give a place in an account, as by `users grant`."""
        made = self.run(users.place, email, account, MembershipEdit(**edit), actor=OPERATOR)
        assert not isinstance(made, Refused), made

    def opens(self, code):
        """Tell whether a link is valid."""
        status = Guest(self.app).get(f"/settings/welcome/{code}").status
        assert status in (200, 404)
        return status == 200


def code_in(shown):
    """The one-time code on a page."""
    found = re.search(r"/settings/welcome/([\w-]+)", shown.text)
    return found[1] if found else None


@pytest.fixture
def house(app, database, clock, accounts):
    """The fixture of every test here."""
    return House(app, database, clock, accounts)


# The table.


def test_every_change_is_in_the_table_of_the_documentation():
    """docs/security.md says of each change what ends, in the order of the columns, and of no other one."""
    lines = PAGE.read_text().partition("| when | ")[2].partition("\n\n")[0].splitlines()
    columns = [Held(name.strip()) for name in lines[0].strip(" |").split("|")]
    assert sorted(columns) == sorted(Held)
    told = {}
    for line in lines[2:]:
        change, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert set(cells) <= {"ends", "stays"}
        told[PersonChange(change)] = {held for held, cell in zip(columns, cells, strict=True) if cell == "ends"}
    assert told == {change: set(ENDS[change]) for change in PersonChange}


WRITES = {
    "save_membership",
    "remove_membership",
    "set_password",
    "set_password_maker",
    "remove_password",
    "set_disabled",
    "add_identity",
    "remove_identities",
    "add_code",
    "remove_codes_of",
    "remove_codes_made_by",
    "remove_browsers_of",
    "remove_sessions_of",
}


def test_only_one_module_changes_who_a_person_is():
    """A place, password, identity or code that was written elsewhere could forget what it must end."""
    users_of = {}
    for file in sorted(CODE.rglob("*.py")):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in WRITES:
                users_of.setdefault(node.attr, set()).add(file.relative_to(CODE).as_posix())
    assert users_of == {name: {"operations/person_changes.py"} for name in WRITES}


# Each change, and what is left after it.


@dataclass
class Left:
    """Hold the credentials of a person, to try which of them still work."""

    house: House
    email: str
    link: str
    link_made: str
    sessions: list
    browser: Guest

    def ended(self):
        """Everything that ended."""
        user = user_id(self.house.database, self.email)
        with self.house.database.read() as connection:
            password = stored_users.password_of(connection, user)
            browsers = connection.execute(
                select(func.count()).select_from(tables.known_browsers).where(tables.known_browsers.c.user_id == user)
            ).scalar_one()
            live = [
                sign_in.session_of.step(connection, guest.cookies["session"], self.house.clock())
                for guest in self.sessions
            ]
            held = {
                Held.LINKS: person_changes.recipient_of(connection, self.link, self.house.clock()),
                Held.LINKS_MADE: person_changes.recipient_of(connection, self.link_made, self.house.clock()),
                Held.PASSWORD: password,
                Held.BROWSERS: browsers or None,
            }
        held[Held.PRESENT_SESSION], held[Held.OTHER_SESSIONS] = live
        return {what for what, value in held.items() if value is None}


def before(house):
    """Bob, an admin who administers with ada, who has everything that can end."""
    accounts = house.accounts
    house.person("ada@example.com", **{accounts.location: "admin", accounts.sister: "admin"})
    bob = house.person("bob@example.com", **{accounts.location: "admin", accounts.sister: "user"})
    other = Guest(house.app)
    assert try_to_sign_in(other, PASSWORD, "bob@example.com").location == HOME
    made = house.invite(bob, accounts.location, "cat@example.com")
    link = house.run(users.link, "bob@example.com", actor=OPERATOR).code
    return Left(house, "bob@example.com", link, made, [bob, other], bob)


def place(house, **edit):
    """Change bob's place in the sister account."""
    house.grant("bob@example.com", house.accounts.sister, **edit)


def revoke_a_key(house, left):
    """Make a key, have it make both links, and revoke it."""
    request = KeyRequest(role="admin", digest=digest_of("pmk-x").hex())
    made = house.run(keys.make, "second", request, actor=OPERATOR)
    house.run(keys.make, "first", KeyRequest(role="admin", digest=digest_of("pmk-y").hex()), actor=OPERATOR)
    actor = Actor(f"key/second/{made.key.id}")
    left.link_made = house.run(users.link, "cat@example.com", actor=actor).code
    assert Held.LINKS_MADE not in left.ended()
    house.run(keys.revoke, made.key.id, actor=OPERATOR)


def lose_the_voucher(house, left):
    """Bob's password was chosen with a link of ada's, who has no say in the account that he gets a place in."""
    with house.database.write() as write:
        ada = user_id(house.database, "ada@example.com")
        stored_users.set_password_maker(write.connection, user_id(house.database, left.email), ada)
    house.grant("bob@example.com", house.accounts.stranger, role="user")


CAUSES = {
    PersonChange.PLACE_ADDED: lambda house, left: house.grant("bob@example.com", house.accounts.stranger, role="user"),
    PersonChange.PLACE_WIDENED: lambda house, left: place(house, own="given"),
    PersonChange.RIGHTS_NOT_VOUCHED_FOR: lose_the_voucher,
    PersonChange.PLACE_NARROWED: lambda house, left: house.grant(
        "bob@example.com", house.accounts.location, role="user"
    ),
    PersonChange.PLACE_REMOVED: lambda house, left: house.run(
        users.displace, "bob@example.com", house.accounts.sister, actor=OPERATOR
    ),
    PersonChange.DISABLED: lambda house, left: house.run(users.disable, "bob@example.com", actor=OPERATOR),
    PersonChange.ENABLED: lambda house, left: [
        house.run(change, "bob@example.com", actor=OPERATOR) for change in (users.disable, users.enable)
    ],
    PersonChange.LINK_MADE: lambda house, left: house.run(users.link, "bob@example.com", actor=OPERATOR),
    PersonChange.PASSWORD_CHOSEN: lambda house, left: Guest(house.app).post(
        f"/settings/welcome/{left.link}", password=PASSWORD + "!"
    ),
    PersonChange.PASSWORD_CHANGED: lambda house, left: left.browser.post(
        "/settings/me/password", present=PASSWORD, password=OTHER
    ),
    PersonChange.IDENTITY_LINKED: lambda house, left: sign_in.sign_in_by_provider(
        house.database, sign_in.Claims(ISSUER, "bob", "bob@example.com"), BROWSER, house.clock()
    ),
    PersonChange.IDENTITIES_FORGOTTEN: lambda house, left: house.run(
        users.forget_identities, "bob@example.com", actor=OPERATOR
    ),
    PersonChange.SIGNED_OUT_EVERYWHERE: lambda house, left: left.browser.post("/settings/me/sign-out-everywhere"),
    PersonChange.OTHER_SESSIONS_ENDED: lambda house, left: left.browser.post(
        "/settings/me/end-other-sessions", up_to="0"
    ),
    PersonChange.KEY_REVOKED: revoke_a_key,
}


@pytest.mark.parametrize("change", PersonChange)
def test_a_change_ends_what_the_table_says_and_no_more(house, change):
    """Every change, caused as people and operators cause it: what the table names is worth nothing afterwards."""
    left = before(house)
    assert left.ended() == set()
    sessions = [dict(guest.cookies) for guest in left.sessions]
    CAUSES[change](house, left)
    for guest, cookies in zip(left.sessions, sessions, strict=True):
        guest.cookies = cookies
    expected = set(ENDS[change])
    ended = left.ended()
    # The browser in which the change was made is remembered anew.
    if change in (PersonChange.PASSWORD_CHOSEN, PersonChange.IDENTITY_LINKED):
        expected.discard(Held.BROWSERS)
    assert ended == expected


# One-time links (the first fault of the review).


def test_a_link_ends_when_its_person_gets_a_place_elsewhere(house):
    """Made by an admin of one account, it never opens another: neither after an invitation there nor a grant."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    eve = house.person("eve@example.com", **{accounts.stranger: "admin"})
    for number, give in enumerate(
        (
            lambda email: house.invite(eve, accounts.stranger, email),
            lambda email: house.grant(email, accounts.stranger, role="admin"),
            lambda email: house.grant(email, accounts.agency, role="user"),
        )
    ):
        email = f"bob{number}@example.com"
        code = house.invite(ada, accounts.location, email)
        assert house.opens(code)
        give(email)
        assert not house.opens(code)
        assert Guest(house.app).post(f"/settings/welcome/{code}", password=PASSWORD).status == 404


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"role": "user"}, {"role": "admin"}),
        ({"role": "user"}, {"own": "given"}),
        ({"role": "admin", "own": "taken"}, {"own": "default"}),
        ({"role": "admin", "own": "taken"}, {"own": "given"}),
        ({"role": "user", "own": "given"}, {"role": "admin", "own": "taken"}),
        ({"role": "admin"}, {"role": "user"}),
    ],
)
def test_a_link_is_for_the_rights_that_its_person_had(house, first, then):
    """Each change of a place ends it: the link was made for another one."""
    account = house.accounts.location
    invited(house.database, house.clock(), EMAIL, **{account: "user"})
    house.grant(EMAIL, account, **first)
    code = house.run(users.link, EMAIL, actor=OPERATOR).code
    assert house.opens(code)
    house.grant(EMAIL, account, **first)
    assert house.opens(code), "nothing has changed"
    house.grant(EMAIL, account, **then)
    assert not house.opens(code)


def test_the_page_says_that_a_link_has_ended(house):
    """So that the person is not left with one that opens nothing."""
    account = house.accounts.location
    ada = house.person("ada@example.com", **{account: "admin"})
    code = house.invite(ada, account, "bob@example.com")
    form = house.roles(account, "bob@example.com")
    assert ada.post(form, role="user").notice == "roles-changed"
    assert house.opens(code)
    assert ada.post(form, own="given").notice == "roles-changed-link-ended"
    assert not house.opens(code)
    assert ada.post(form, role="admin").notice == "roles-changed"


def test_a_link_whose_places_changed_behind_the_operations_opens_nothing(house):
    """The places are compared when it is used, also if another program wrote them."""
    accounts = house.accounts
    code = invited(house.database, house.clock(), EMAIL, **{accounts.location: "user"})
    with house.database.write() as write:
        user = user_id(house.database, EMAIL)
        stored_users.save_membership(write.connection, user, Membership(accounts.stranger, "admin"))
    assert not house.opens(code)


def test_a_link_that_ends_while_the_password_is_hashed_is_not_used(house, monkeypatch):
    """The places are compared in the transaction that stores the password."""
    code = invited(house.database, house.clock(), EMAIL, **{house.accounts.location: "user"})
    made = passwords.PasswordHasher.hash

    def granting(hasher, password):
        house.grant(EMAIL, house.accounts.stranger, role="admin")
        return made(hasher, password)

    with monkeypatch.context() as patched:
        patched.setattr(passwords.PasswordHasher, "hash", granting)
        assert Guest(house.app).post(f"/settings/welcome/{code}", password=PASSWORD).status == 404
    assert try_to_sign_in(Guest(house.app), PASSWORD).status == 401


def test_of_two_links_the_older_one_is_worth_nothing(house):
    """Also if another person made it; and the newer one works once."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    older = house.invite(ada, accounts.location, "bob@example.com")
    newer = house.run(users.link, "bob@example.com", actor=OPERATOR).code
    assert (house.opens(older), house.opens(newer)) == (False, True)
    house.welcomed(newer)
    assert not house.opens(newer)


@pytest.mark.parametrize("how", ["demoted", "permission", "removed", "disabled", "sub-accounts"])
def test_a_link_ends_with_the_rights_of_the_admin_who_made_it(house, how):
    """A former admin chooses no person's password, not even with a link from before."""
    accounts = house.accounts
    house.person("gus@example.com", **{accounts.agency: "admin"})
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    code = house.invite(ada, accounts.location, "bob@example.com")
    if how == "demoted":
        house.grant("ada@example.com", accounts.location, role="user")
    elif how == "permission":
        house.grant("ada@example.com", accounts.location, own="taken")
    elif how == "removed":
        house.run(users.displace, "ada@example.com", accounts.location, actor=OPERATOR)
    elif how == "disabled":
        house.run(users.disable, "ada@example.com", actor=OPERATOR)
    else:
        above = Guest(house.app)
        try_to_sign_in(above, PASSWORD, "gus@example.com")
        above.get("/settings/me")
        code = house.link(above, accounts.location, "bob@example.com")
        assert house.opens(code)
        house.grant("gus@example.com", accounts.agency, sub_accounts="taken")
    assert not house.opens(code)


def test_a_link_of_an_admin_who_lost_their_rights_behind_the_operations_opens_nothing(house):
    """When a link is used, the rights of its maker are checked again."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    code = house.invite(ada, accounts.location, "bob@example.com")
    with house.database.write() as write:
        user = user_id(house.database, "ada@example.com")
        stored_users.save_membership(write.connection, user, Membership(accounts.location, "user"))
    assert not house.opens(code)


def test_no_admin_makes_a_link_for_a_person_with_rights_that_they_have_not(house):
    """Not in the account below an agency, not beside another account, and not with a permission taken."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    for account, role in ((accounts.agency, "user"), (accounts.sister, "user"), (accounts.stranger, "admin")):
        email = f"with.{account}@example.com".lower()
        house.person(email, **{accounts.location: "user", account: role})
        assert ada.post(house.roles(accounts.location, email, "link")).status == 403
    house.person("bob@example.com", **{accounts.location: "user"})
    assert house.link(ada, accounts.location, "bob@example.com")
    house.grant("ada@example.com", accounts.location, own="taken")
    assert ada.post(house.roles(accounts.location, "bob@example.com", "link")).status in (403, 404)


def test_a_key_bound_to_accounts_reaches_no_person_beyond_them(house):
    """It can't make a link for, or change, a person with a place elsewhere; the answer is as for an unknown one."""
    accounts = house.accounts
    house.person("bob@example.com", **{accounts.location: "user", accounts.stranger: "user"})
    bound = Actor("key/bound/key_2", frozenset({accounts.location}))
    for operation in (users.link, users.disable, users.enable, users.forget_identities):
        assert house.run(operation, "bob@example.com", actor=bound).problem == "user-unknown"
    edit = MembershipEdit(role="admin")
    assert house.run(users.place, "bob@example.com", accounts.stranger, edit, actor=bound).problem == "account-unknown"
    assert house.run(users.displace, "bob@example.com", accounts.stranger, actor=bound).problem == "account-unknown"


# Passwords that were chosen with an admin's link.


def test_a_password_of_an_admins_link_opens_no_account_beyond_that_admin(house):
    """The admin may have used the link themselves: with a grant elsewhere, password and sessions end."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    thief = house.welcomed(house.invite(ada, accounts.location, "bob@example.com"))
    assert thief.get("/settings/me").status == 200
    house.grant("bob@example.com", accounts.location, role="admin")
    assert thief.get("/settings/me").status == 200
    house.grant("bob@example.com", accounts.stranger, role="user")
    assert thief.get("/settings/me").location.startswith("/settings/sign-in")
    assert try_to_sign_in(Guest(house.app), PASSWORD, "bob@example.com").status == 401
    assert try_to_sign_in(thief, PASSWORD, "bob@example.com").status == 401
    house.welcomed(house.run(users.link, "bob@example.com", actor=OPERATOR).code, OTHER)
    house.grant("bob@example.com", accounts.sister, role="user")
    assert try_to_sign_in(Guest(house.app), OTHER, "bob@example.com").location == HOME


def test_an_admin_of_another_account_gives_no_place_to_such_a_password(house):
    """The page names the people who can; the agency's admin, who administers both accounts, makes a link at once."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    sam = house.person("sam@example.com", **{accounts.sister: "admin"})
    gus = house.person("gus@example.com", **{accounts.agency: "admin"})
    thief = house.welcomed(house.invite(ada, accounts.location, "bob@example.com"))
    refused = sam.post(house.roles(accounts.sister, action="invite"), email="bob@example.com", role="user")
    assert (refused.status, "may know it" in refused.alert) == (403, True)
    assert thief.get("/settings/me").status == 200
    code = house.invite(gus, accounts.sister, "bob@example.com")
    assert thief.get("/settings/me").location.startswith("/settings/sign-in")
    house.welcomed(code, OTHER)
    assert try_to_sign_in(Guest(house.app), PASSWORD, "bob@example.com").status == 401
    house.grant("bob@example.com", accounts.sister, role="admin")
    assert try_to_sign_in(Guest(house.app), OTHER, "bob@example.com").location == HOME


def test_a_promotion_ends_a_password_that_a_former_admin_may_know(house):
    """And the page says that a new link is needed."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    zoe = house.person("zoe@example.com", **{accounts.location: "admin"})
    house.welcomed(house.invite(ada, accounts.location, "bob@example.com"))
    house.run(users.displace, "ada@example.com", accounts.location, actor=OPERATOR)
    assert try_to_sign_in(Guest(house.app), PASSWORD, "bob@example.com").location == HOME
    form = house.roles(accounts.location, "bob@example.com")
    assert zoe.post(form, role="admin").notice == "roles-changed-password-ended"
    assert try_to_sign_in(Guest(house.app), PASSWORD, "bob@example.com").status == 401
    house.welcomed(house.link(zoe, accounts.location, "bob@example.com"), OTHER)


def test_a_link_for_oneself_vouches_for_nothing(house):
    """A thief of an admin's session could make one, and be trusted elsewhere by it."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    bob = house.welcomed(house.invite(ada, accounts.location, "bob@example.com", "admin"))
    house.welcomed(house.link(bob, accounts.location, "bob@example.com"), OTHER)
    house.grant("bob@example.com", accounts.stranger, role="user")
    assert try_to_sign_in(Guest(house.app), OTHER, "bob@example.com").status == 401


# Identities (the second fault of the review).


def by_provider(house, email, subject="subject", known=None):
    """Sign in by the provider; answers a browser."""
    claims = sign_in.Claims(ISSUER, subject, email)
    made = sign_in.sign_in_by_provider(house.database, claims, BROWSER, house.clock())
    assert isinstance(made, sign_in.SignedIn), made
    return Guest(house.app, cookies={"session": made.secret, "known": made.known}, form_key=made.session.form_key)


def test_who_used_the_invitation_before_is_out_once_the_identity_is_linked(house):
    """Password, sessions, links and remembered browsers of before open nothing; the person reads what was ended."""
    accounts = house.accounts
    ada = house.person("ada@example.com", **{accounts.location: "admin"})
    thief = house.welcomed(house.invite(ada, accounts.location, "bob@example.com", "admin"))
    made = house.invite(thief, accounts.location, "cat@example.com")
    own = house.link(thief, accounts.location, "bob@example.com")
    bob = by_provider(house, "bob@example.com")
    assert thief.get("/settings/me").location.startswith("/settings/sign-in")
    assert try_to_sign_in(thief, PASSWORD, "bob@example.com").status == 401
    assert not house.opens(own)
    assert not house.opens(made)
    page = bob.get("/settings/me").text
    assert "Was this you?" in page
    assert "the password that it had was removed; 1 session ended" in page
    bob.post("/settings/me/confirm-events", up_to=re.search(r'name="up_to" value="(\d+)"', page)[1])
    assert "Was this you?" not in bob.get("/settings/me").text
    again = by_provider(house, "bob@example.com")
    assert bob.get("/settings/me").status == again.get("/settings/me").status == 200


def test_another_identity_ends_what_the_first_one_opened(house):
    """After an operator forgot the first: its sessions end, and a password that was chosen meanwhile."""
    house.person("bob@example.com", **{house.accounts.location: "user"})
    first = by_provider(house, "bob@example.com", "first")
    house.run(users.forget_identities, "bob@example.com", actor=OPERATOR)
    assert first.get("/settings/me").location.startswith("/settings/sign-in")
    thief = house.welcomed(house.run(users.link, "bob@example.com", actor=OPERATOR).code)
    by_provider(house, "bob@example.com", "second")
    assert thief.get("/settings/me").location.startswith("/settings/sign-in")
    assert try_to_sign_in(Guest(house.app), PASSWORD, "bob@example.com").status == 401


# The pages that people see.


def test_a_person_sees_their_sign_ins_and_is_asked_about_a_new_browser(house):
    """When, from where and with what; the browser before them is not asked about itself, nor one that is known."""
    bob = house.person("bob@example.com", **{house.accounts.location: "admin"})
    page = bob.get("/settings/me").text
    assert "Was this you?" not in page
    assert "A password was chosen with a sign-in link" in page
    assert "management key test" in page
    bob.post("/settings/sign-out")
    assert try_to_sign_in(bob, PASSWORD, "bob@example.com").location == HOME
    assert "Was this you?" not in bob.get("/settings/me").text
    house.clock.move(hours=1)
    other = Guest(house.app, address="198.51.100.3")
    try_to_sign_in(other, PASSWORD, "bob@example.com")
    page = bob.get("/settings/me").text
    news = page.partition("Was this you?")[2].partition("</section>")[0]
    assert news.count("<li>") == 1
    assert "Sign-in with a new browser" in news
    assert "198.51.100.3" in news
    assert "Test browser" in news


def test_other_sessions_are_ended_from_the_page(house):
    """The present one stays; what was asked about is answered by it."""
    bob = house.person("bob@example.com", **{house.accounts.location: "admin"})
    other = Guest(house.app, address="198.51.100.3")
    try_to_sign_in(other, PASSWORD, "bob@example.com")
    up_to = re.search(r'name="up_to" value="(\d+)"', bob.get("/settings/me").text)[1]
    assert bob.post("/settings/me/end-other-sessions", up_to=up_to).notice == "other-sessions-ended"
    assert bob.get("/settings/me").status == 200
    assert "Was this you?" not in bob.get("/settings/me").text
    assert other.get("/settings/me").location.startswith("/settings/sign-in")


def test_a_confirmation_is_of_what_was_shown(house):
    """A sign-in that came after the page was opened is asked about all the same; nonsense confirms nothing."""
    bob = house.person("bob@example.com", **{house.accounts.location: "admin"})
    try_to_sign_in(Guest(house.app, address="198.51.100.3"), PASSWORD, "bob@example.com")
    up_to = re.search(r'name="up_to" value="(\d+)"', bob.get("/settings/me").text)[1]
    try_to_sign_in(Guest(house.app, address="198.51.100.4"), PASSWORD, "bob@example.com")
    for nonsense in ("", "-1", "x", "9" * 40, "\u0663"):
        bob.post("/settings/me/confirm-events", up_to=nonsense)
    assert bob.get("/settings/me").text.partition("Was this you?")[2].partition("</section>")[0].count("<li>") == 2
    bob.post("/settings/me/confirm-events", up_to=up_to)
    news = bob.get("/settings/me").text.partition("Was this you?")[2].partition("</section>")[0]
    assert "198.51.100.4" in news
    assert "198.51.100.3" not in news


def test_the_latest_fifty_events_are_kept_of_each_person(house):
    """Frequent sign-ins fill no disk."""
    house.person("bob@example.com", **{house.accounts.location: "admin"})
    by_provider(house, "bob@example.com")
    for _ in range(60):
        by_provider(house, "bob@example.com")
    house.person("cat@example.com", **{house.accounts.location: "admin"})
    with house.database.read() as connection:
        of = tables.person_events.c.user_id
        rows = connection.execute(select(of, func.count()).group_by(of)).all()
    assert sorted(count for _, count in rows) == [3, 50]
