"""Roles & Permissions, Labs, the audit log and one's own page, in a real browser."""

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import UserRequest
from visitors import PASSWORD, new_account, new_visitor
from walking import LIST, create, go

ME = "/settings/me"


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
    client = Client(ServiceConnection(service.url, service.key))
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
    go(screen, "Inactive tokens")
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


def test_a_person_is_asked_about_a_new_browser(service, place, screen, new_screen):
    """Their page names it; they confirm it, or end every other session and stay signed in."""
    email = f"grace.{place.account}@example.com"
    first = new_visitor(service.url, service.key, place.account, email=email)
    page = new_screen(first)
    page.open(ME)
    assert "Was this you?" not in page.text()
    page.look()
    for button, ends in (("I know about this", False), ("End all other sessions", True)):
        other = new_screen()
        other.open("/settings/sign-in")
        other.page.get_by_label("Email").fill(email)
        other.page.get_by_label("Password").fill(PASSWORD)
        other.press("Sign in")
        page.open(ME)
        news = page.page.get_by_role("region", name="Was this you?")
        assert "Sign-in with a new browser" in news.inner_text()
        page.look()
        with page.page.expect_event("load"):
            news.get_by_role("button", name=button).click()
        assert "Was this you?" not in page.text()
        page.look()
        other.open(ME)
        assert other.path.startswith("/settings/sign-in") == ends
    page.open(ME)
    assert page.path == ME


def test_a_password_that_is_easy_to_guess_is_refused_at_its_field(service, place, new_screen):
    """With the reason and what to take in its place; the next one is taken."""
    email = f"grace.{place.account}@example.com"
    request = UserRequest(memberships=[{"account": place.account, "role": "admin"}])
    code = Client(ServiceConnection(service.url, service.key)).invite_user(email, request).code
    screen = new_screen()
    screen.open(f"/settings/welcome/{code}")
    for password, why in (("Welcome2026!", "what others use, too"), ("Aurora-Dental-26", "your address, your name")):
        screen.page.get_by_label("New password").fill(password)
        screen.press("Sign in")
        assert why in screen.text()
        screen.look()
    screen.page.get_by_label("New password").fill(PASSWORD)
    screen.press("Sign in")
    assert screen.path == LIST


def test_a_password_of_another_admins_link_is_not_trusted_elsewhere(service, place, screen, new_screen):
    """The page says why a place is refused, and that a password ended with a new role."""
    client = Client(ServiceConnection(service.url, service.key))
    sister, email = new_account(service.url, service.key, agency=place.agency), f"bob.{place.account}@example.com"
    zoe = new_screen(new_visitor(service.url, service.key, sister))
    second = f"second.{place.account}@example.com"
    admin = new_visitor(service.url, service.key, place.account, email=second)
    link = invitation(new_screen(admin), place.account, email)
    bob = new_screen()
    bob.open(link)
    bob.page.get_by_label("New password").fill(PASSWORD)
    bob.press("Sign in")
    zoe.open(f"/settings/accounts/{sister}/roles")
    zoe.page.get_by_label("Email").fill(email)
    zoe.press("Invite")
    assert "who may know it" in zoe.text()
    zoe.look()
    client.remove_membership(second, place.account)
    screen.open(f"/settings/accounts/{place.account}/roles")
    row = screen.page.get_by_role("row", name=email)
    row.get_by_text("Change").click()
    row.get_by_label("Role of").select_option("admin")
    with screen.page.expect_event("load"):
        row.get_by_role("button", name="Save").click()
    assert "Their password has ended" in screen.text()
    screen.look()
    bob.open(ME)
    assert bob.path.startswith("/settings/sign-in")


def invitation(screen, account, email):
    """Invite a person; answers the path of the link."""
    screen.open(f"/settings/accounts/{account}/roles")
    screen.page.get_by_label("Email").fill(email)
    screen.press("Invite")
    return screen.page.locator("#link").inner_text().removeprefix(screen.url)


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
