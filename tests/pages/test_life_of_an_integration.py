"""A private integration from its creation to its end, as an admin walks it in a real browser."""

from datetime import datetime
from zoneinfo import ZoneInfo

from chromium import PHONE
from private_integrations.contract import instant_text
from walking import LIST, answer, begin, choose, create, go, shown_token


def test_from_creation_to_deletion(screen, place):
    """Create, copy, use, rotate later, cancel, rotate, expire, delete: the data API follows each step at once."""
    screen.open(LIST)
    screen.look()
    begin(screen, "CRM sync", "Nightly export of contacts")
    screen.look()
    screen.page.get_by_role("button", name="Contacts into a warehouse, reading only").click()
    choose(screen, "businesses.readonly")
    screen.press("Next: token")
    screen.look()
    screen.press("Generate Access Token")
    screen.look()
    first = shown_token(screen)
    screen.page.get_by_role("button", name="Copy", exact=True).first.click()
    screen.page.get_by_text("Copied").wait_for()
    assert answer(screen, first, place.account) == 200
    screen.press("I have stored the new token")
    assert screen.pasted() == first
    screen.look()

    go(screen, "Back to CRM sync", "Rotate…")
    screen.look()
    screen.press("Rotate and expire later")
    second = shown_token(screen)
    assert second != first
    assert [answer(screen, token, place.account) for token in (first, second)] == [200, 200]

    screen.open(LIST)
    screen.look()
    go(screen, "CRM sync")
    screen.look()
    go(screen, "Cancel rotation…")
    screen.look()
    screen.press("Cancel rotation")
    screen.look()
    assert [answer(screen, token, place.account) for token in (first, second)] == [200, 401]

    go(screen, "Rotate…")
    screen.press("Rotate and expire later")
    third = shown_token(screen)
    screen.press("I have stored the new token")
    screen.look()
    go(screen, "Back to CRM sync")
    screen.page.get_by_role("link", name="Expire the old one now…").first.click()
    screen.look()
    screen.press("Expire now")
    assert [answer(screen, token, place.account) for token in (first, third)] == [401, 200]

    go(screen, "Delete CRM sync…")
    screen.page.get_by_label("Type its name").fill("CRM")
    screen.press("Delete")
    screen.look()
    assert answer(screen, third, place.account) == 200
    screen.page.get_by_label("Type its name").fill("CRM sync")
    screen.press("Delete")
    assert answer(screen, third, place.account) == 401
    assert screen.page.get_by_role("link", name="CRM sync").count() == 0
    screen.look()


def test_rotating_now_ends_the_old_token_at_once(screen, place):
    """Rotate and expire now: the new token works, the old one is dead before the page is there."""
    old = create(screen, "Form intake", "contacts.readonly")
    assert answer(screen, old, place.account) == 200
    screen.open(LIST)
    go(screen, "Form intake", "Rotate…")
    screen.press("Rotate and expire now")
    screen.look()
    assert [answer(screen, token, place.account) for token in (old, shown_token(screen))] == [401, 200]


def test_editing_issues_no_token(screen, place):
    """Name, description and scopes change; the token that works goes on, with the new scopes."""
    token = create(screen, "CRM sync", "contacts.readonly")
    assert answer(screen, token, place.account, "POST") == 401
    screen.open(LIST)
    go(screen, "CRM sync", "Edit name and description")
    screen.look()
    screen.page.get_by_label("Name").fill("CRM export")
    screen.page.get_by_label("Description").fill("Contacts, every night")
    screen.press("Save")
    assert "Contacts, every night" in screen.text()

    go(screen, "Edit scopes")
    screen.look()
    choose(screen, "contacts.write")
    screen.press("Review the change")
    screen.look()
    screen.press("Save the scopes")
    assert [answer(screen, token, place.account, method) for method in ("GET", "POST")] == [200, 201]


def test_when_it_is_rotated(screen):
    """A fault is said at its field, the review what the calendar means, and the integration's page what was saved."""
    create(screen, "CRM sync", "contacts.readonly")
    screen.open(LIST)
    go(screen, "CRM sync", "Edit rotation")
    screen.look()
    screen.page.get_by_label("By the calendar").first.check()
    screen.page.get_by_label("Cron expression").fill("0 3 * * MON#1")
    screen.page.get_by_label("Time zone").fill("Berlin")
    screen.press("Review the change")
    screen.look()
    screen.page.get_by_label("Time zone").fill("Europe/Berlin")
    screen.press("Review the change")
    screen.look()
    assert screen.page.locator("main code", has_text="Z").count() == 3
    screen.press("Save")
    assert 'schedule "0 3 * * MON#1" in Europe/Berlin' in screen.text()


def test_a_lost_token(screen, place):
    """A new one is shown, nothing stops, and the page says what remains to be done."""
    lost = create(screen, "CRM sync", "contacts.readonly")
    assert answer(screen, lost, place.account) == 200
    screen.open(LIST)
    go(screen, "CRM sync", "I lost the token")
    screen.look()
    screen.press("Get a new token")
    screen.look()
    assert [answer(screen, token, place.account) for token in (lost, shown_token(screen))] == [200, 200]
    screen.press("I have stored the new token")
    screen.look()


def test_a_leaked_token(screen, place):
    """It is dead at once, and the page names what else to look at."""
    leaked = create(screen, "CRM sync", "contacts.readonly")
    assert answer(screen, leaked, place.account) == 200
    screen.open(LIST)
    go(screen, "CRM sync", "The token leaked")
    screen.look()
    screen.press("Rotate and expire now")
    assert [answer(screen, token, place.account) for token in (leaked, shown_token(screen))] == [401, 200]
    screen.press("I have stored the new token")
    screen.look()
    assert "audit log" in screen.text()


def test_nothing_is_repeated_and_no_token_is_shown_twice(screen, place):
    """Reload, back and forward after the page with the token lead elsewhere, and issue nothing."""
    token = create(screen, "CRM sync", "contacts.readonly")
    page = screen.page
    for move in (page.reload, page.go_back, page.go_forward, page.reload):
        move()
        assert token not in page.content(), move
    answered = place.management.ask("GET", "/integrations", params={"account": place.account})
    assert [found["last_generation"] for found in answered.json()["integrations"]] == [1]


# Chromium itself sends a form once; other browsers need the script for it.
SENT_TWICE = """() => {
    const button = document.querySelector("main form button");
    let sent = 0;
    addEventListener("submit", (event) => {
        sent += !event.defaultPrevented;
        event.preventDefault();
    });
    button.form.requestSubmit(button);
    button.form.requestSubmit(button);
    return [sent, button.getAttribute("aria-busy")];
}"""


def test_a_form_is_sent_once(screen):
    """However often the button is pressed; it shows that it is at work, and is fresh on the next page."""
    begin(screen, "CRM sync")
    choose(screen, "contacts.readonly")
    screen.press("Next: token")
    assert screen.page.evaluate(SENT_TWICE) == [1, "true"]
    screen.page.reload()
    screen.press("Generate Access Token")
    assert shown_token(screen)


def test_times_are_the_readers(screen):
    """The text is the time in the reader's zone, and the instant in UTC is shown on hover and to screen readers."""
    create(screen, "CRM sync", "contacts.readonly")
    screen.open(LIST)
    go(screen, "CRM sync")
    created = screen.page.locator("dt", has_text="Created").locator("+ dd > time")
    instant = datetime.fromisoformat(created.get_attribute("datetime"))
    berlin = instant.astimezone(ZoneInfo("Europe/Berlin"))
    assert created.inner_text() == f"{berlin.day} {berlin:%b %Y, %H:%M}"
    assert created.get_attribute("title") == instant_text(instant.replace(microsecond=0)) + " (UTC)"
    issued = screen.page.locator("td[data-label=Issued] time")
    assert issued.get_attribute("title").endswith(f"Europe/Berlin, {issued.text_content().split('(')[1].rstrip(')')}")


HOSTILE = (
    '<script>document.title = "run"</script>',
    '"><img src=x onerror="document.title=1">',
    "{{ 7 * 7 }}{% raw %}",
    "x" * 100,
    "\u05d0\u05d1 evil name \U0001f4a9",
)


def test_hostile_names_are_only_read(screen, place):
    """Nothing of a name or description runs, and none breaks a page's layout."""
    first, *others = HOSTILE
    create(screen, first, "contacts.readonly", description=first)
    for name in others:
        place.management.integration(name=name, description=name * 5)
    screen.open(LIST)
    screen.look()
    assert sorted(screen.page.locator("tbody th a").all_inner_texts()) == sorted(HOSTILE)
    for name in HOSTILE:
        screen.open(LIST)
        go(screen, name)
        assert screen.page.locator("h1").inner_text() == name
        screen.fits()
        go(screen, "Rotate…")
        screen.fits()
    screen.look()


def test_on_a_phone(place, new_screen):
    """The whole way on a screen of 360 px, with a thumb."""
    screen = new_screen(place.admin, viewport=PHONE, has_touch=True, is_mobile=True)
    token = create(screen, "CRM sync", "contacts.readonly")
    assert answer(screen, token, place.account) == 200
    screen.open(LIST)
    go(screen, "CRM sync", "Rotate…")
    screen.press("Rotate and expire later")
    assert answer(screen, shown_token(screen), place.account) == 200
    assert screen.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_without_javascript(place, new_screen):
    """Everything works by plain links and forms."""
    screen = new_screen(place.admin, java_script_enabled=False)
    first = create(screen, "CRM sync", "contacts.readonly")
    assert answer(screen, first, place.account) == 200
    screen.open(LIST)
    go(screen, "CRM sync", "Rotate…")
    screen.press("Rotate and expire later")
    second = shown_token(screen)
    assert answer(screen, second, place.account) == 200
    screen.press("I have stored the new token")
    go(screen, "Back to CRM sync")
    screen.press("Expire the old one now…", role="link")
    screen.press("Expire now")
    assert [answer(screen, token, place.account) for token in (first, second)] == [401, 200]
    go(screen, "Delete CRM sync…")
    screen.page.get_by_label("Type its name").fill("CRM sync")
    screen.press("Delete")
    assert answer(screen, second, place.account) == 401
