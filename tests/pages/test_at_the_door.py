"""What people meet before they are in, and where nothing is: in a real browser."""

import pytest

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import UserRequest
from visitors import PASSWORD

LIST = "/settings/private-integrations"


def sign_in(screen, email, password):
    """Fill in the form."""
    screen.page.get_by_label("Email").fill(email)
    screen.page.get_by_label("Password").fill(password)
    screen.press("Sign in")


def test_a_one_time_link_leads_in_and_the_password_too(service, place, new_screen):
    """A new person chooses a password, signs out, is refused with a wrong one, and signs in."""
    email = f"grace.{place.account}@example.com"
    request = UserRequest(memberships=[{"account": place.account, "role": "admin"}])
    code = Client(ServiceConnection(service.url, service.key)).invite_user(email, request).code

    screen = new_screen()
    assert screen.open(f"/settings/welcome/{code}") == 200
    screen.look()
    screen.page.get_by_label("New password").fill(PASSWORD)
    screen.press("Sign in")
    assert screen.path == LIST
    screen.page.get_by_text(email).first.click()
    screen.look()
    screen.press("Sign out")
    assert "You are signed out." in screen.text()
    screen.look()

    sign_in(screen, email, "not this one")
    assert "This email and password don't belong together." in screen.text()
    assert screen.page.get_by_label("Email").input_value() == email
    screen.look()
    sign_in(screen, email, PASSWORD)
    assert screen.path == LIST


def test_where_nothing_is(screen, new_screen):
    """A page that isn't there says so to everybody, and leads back."""
    for somebody in (screen, new_screen()):
        assert somebody.open("/settings/nothing-here") == 404
        assert somebody.page.title() == "Not found · Private Integrations"
        somebody.look()
    screen.press("To your private integrations", role="link")
    assert screen.path == LIST


def test_the_first_stop_of_a_keyboard_is_the_content(screen):
    """The skip link is seen when it has the focus, and leads past the navigation."""
    screen.open(LIST)
    screen.page.keyboard.press("Tab")
    skip = screen.page.get_by_role("link", name="Skip to the content")
    box = skip.bounding_box()
    assert box is not None
    assert box["y"] >= 0
    screen.page.keyboard.press("Enter")
    assert screen.page.evaluate("document.activeElement.id") == "main"


def test_what_a_page_may_not_do_is_noticed(screen):
    """A request elsewhere, style and script within the page, a script that breaks, a picture without words."""
    screen.open(LIST)
    screen.page.evaluate("""() => {
        const wrong = `<p style="color: red" onclick="x()">x</p><img src="/x">`;
        document.querySelector("main").insertAdjacentHTML("beforeend", wrong);
        fetch("https://example.com/").catch(() => null);
        setTimeout(() => { throw new Error("broken"); });
    }""")
    with pytest.raises(AssertionError, match="image-alt"):
        screen.look()
    kinds = sorted({fault.partition(":")[0] for fault in screen.faults})
    told = "\n".join(screen.faults)
    screen.faults.clear()
    assert kinds == ["console", "request", "script"], told
    assert "https://example.com/" in told
    assert "style-src" in told
    assert "script-src" in told
