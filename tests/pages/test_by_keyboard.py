"""Creation and rotation with Tab, Enter and Space: every stop is seen, in order, and in sight."""

import pytest

from chromium import PHONE
from keyboard import Keyboard
from walking import LIST, answer, shown_token


@pytest.mark.parametrize("size", [{}, {"viewport": PHONE}], ids=["desktop", "phone"])
def test_creation_and_rotation(place, new_screen, size):
    """From the list over the token to a rotation and its end, no mouse is needed."""
    screen = new_screen(place.admin, **size)
    keyboard, page = Keyboard(screen), screen.page
    screen.open(LIST)
    keyboard.press("Create New Integration")
    keyboard.type("Name", "CRM sync")
    keyboard.type("Description", "Nightly")
    keyboard.press("Next: scopes")
    keyboard.type("Search by scope", "contacts.readonly")
    page.locator("#offered label").get_by_text("contacts.readonly").wait_for()
    keyboard.go_to("contacts.readonly")
    page.keyboard.press("Space")
    page.get_by_text("1 scope, only reads").wait_for()
    keyboard.press("Next: token")
    keyboard.press("Generate Access Token")
    first = shown_token(screen)
    keyboard.go_to("Copy")
    page.keyboard.press("Enter")
    page.get_by_text("Copied").wait_for()
    assert answer(screen, first, place.account) == 200
    keyboard.press("I have stored the new token", "Space")

    keyboard.press("Back to CRM sync")
    keyboard.press("Rotate…")
    keyboard.press("Rotate and expire later", "Space")
    second = shown_token(screen)
    keyboard.press("I have stored the new token")
    keyboard.press("Back to CRM sync")
    keyboard.press("Expire the old one now…")
    keyboard.press("Expire now")
    assert [answer(screen, token, place.account) for token in (first, second)] == [401, 200]


def test_a_menu_opens_and_closes(screen):
    """Enter opens it, its content is the next stop, and Escape closes it and leads back to it."""
    screen.open(LIST)
    keyboard, page = Keyboard(screen), screen.page
    keyboard.go_to("Signed in as")
    page.keyboard.press("Enter")
    keyboard.go_to("Password and sessions")
    page.keyboard.press("Escape")
    assert page.locator("details[open]").count() == 0
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
