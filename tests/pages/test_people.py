"""Roles & Permissions, Labs, the audit log and one's own page, in a real browser."""

from private_integrations.client import Client
from private_integrations.connection import Connection
from private_integrations.contract import UserRequest
from visitors import PASSWORD, new_visitor
from walking import LIST, create, go


def test_a_permission_is_given_and_taken(service, place, screen, new_screen):
    """A plain user is told who decides; an admin gives them the permission and takes it away again."""
    email = f"grace.{place.account}@example.com"
    grace = new_screen(new_visitor(service.url, service.key, place.account, role="user", email=email))
    assert grace.open(LIST) == 403
    assert "You may not manage private integrations of Aurora Dental." in grace.text()
    grace.look()

    screen.open(LIST)
    go(screen, "Roles & Permissions")
    screen.look()
    for choice, status in (("given", 200), ("as the role has it", 403)):
        row = screen.page.get_by_role("row", name=email)
        row.get_by_text("Change").click()
        row.get_by_label("Private integrations of").select_option(choice)
        if choice == "given":
            screen.look()
        with screen.page.expect_event("load"):
            row.get_by_role("button", name="Save").click()
        assert "Saved." in screen.text()
        assert grace.open(LIST) == status


def test_a_hundred_people(service, place, screen):
    """They are shown page by page, and no page is heavy."""
    client = Client(Connection(service.url, service.key))
    for number in range(60):
        request = UserRequest(name="<" * 100, memberships=[{"account": place.account, "role": "user"}])
        client.invite_user(f"{number}.{place.account}@example.com", request)
    screen.open(f"/settings/accounts/{place.account}/roles")
    assert "Page 1 of 3, 61 people" in screen.text()
    screen.fits()
    for page in (1, 2, 3):
        answer = screen.page.request.get(f"{screen.url}/settings/accounts/{place.account}/roles?page={page}")
        assert len(answer.body()) < 100_000
    go(screen, "Next")
    assert "Page 2 of 3" in screen.text()


def test_somebody_is_invited(place, screen, new_screen):
    """The link is shown once, can be copied, and lets one person in."""
    email = f"new.{place.account}@example.com"
    screen.open(f"/settings/accounts/{place.account}/roles")
    screen.page.get_by_label("Email").fill(email)
    screen.page.locator("#role").select_option("admin")
    screen.press("Invite")
    screen.look()
    screen.page.get_by_role("button", name="Copy").click()
    link = screen.pasted()
    guest = new_screen()
    guest.open(link.removeprefix(screen.url))
    guest.page.get_by_label("New password").fill(PASSWORD)
    guest.press("Sign in")
    assert guest.path == LIST
    again = new_screen()
    assert again.open(link.removeprefix(screen.url)) == 404
    again.look()


def test_labs_switch_the_pages_off_and_on(place, screen):
    """Switched off, the pages of integrations say so; what people decide stays in reach."""
    screen.open(f"/settings/accounts/{place.account}/labs")
    screen.look()
    screen.press("Switch off")
    screen.look()
    assert screen.open(LIST) == 403
    assert "switched off in Labs" in screen.text()
    screen.look()
    go(screen, "Labs of Aurora Dental")
    screen.press("Switch on")
    assert screen.open(LIST) == 200


def test_tokens_that_nobody_uses(place, screen):
    """The account's own time for them, with a fault on the way."""
    screen.open(f"/settings/accounts/{place.account}/labs")
    go(screen, "Tokens that nobody uses")
    screen.look()
    screen.page.get_by_label("After a time").check()
    screen.page.get_by_label("Days", exact=True).fill("1")
    screen.press("Save")
    screen.look()
    screen.page.get_by_label("Days", exact=True).fill("30")
    screen.press("Save")
    assert "Ended after 30 days without use" in screen.text()


def test_the_audit_log_says_who_did_it(place, screen):
    """A creation is in the log with the person; a filter that fits nothing says so."""
    create(screen, "CRM sync", "contacts.readonly")
    go(screen, "Audit log")
    screen.look()
    assert "create" in screen.text()
    screen.page.get_by_label("What").fill("nothing like this")
    screen.press("Show")
    screen.look()
    assert "Nothing of this kind is in the log" in screen.text()


def test_ones_own_page(screen):
    """Password and sessions: a wrong password changes nothing, and signing out everywhere ends this session too."""
    screen.open(LIST)
    screen.page.locator("details.person summary").click()
    go(screen, "Password and sessions")
    screen.look()
    screen.page.get_by_label("Present password").fill("not this one")
    screen.page.get_by_label("New password").fill(PASSWORD + "!")
    screen.press("Change password")
    screen.look()
    screen.press("Sign out everywhere")
    assert screen.path.startswith("/settings/sign-in")
    screen.open(LIST)
    assert screen.path.startswith("/settings/sign-in")


def test_an_agency_goes_from_account_to_account(service, place, new_screen):
    """Its admin sees all accounts at first, chooses one, and stays in the same section in the next."""
    screen = new_screen(new_visitor(service.url, service.key, place.agency))
    screen.open(LIST)
    switcher = screen.page.locator(".top details.menu:not(.person) > summary")
    assert switcher.inner_text().endswith("All accounts")
    switcher.click()
    screen.look()
    go(screen, "Aurora Dental")
    assert screen.path == f"{LIST}?account={place.account}"
    go(screen, "Roles & Permissions")
    switcher.click()
    screen.press("Northwind Agency agency", role="link")
    assert screen.path == f"/settings/accounts/{place.agency}/roles"
    screen.look()
