"""What people do on the settings pages with integrations, step by step in a browser."""

import requests

from chromium import Screen

LIST = "/settings/private-integrations"

TOKEN = "#token"


def begin(screen: Screen, name: str, description: str = "") -> None:
    """From the list to the choice of scopes."""
    screen.open(LIST)
    screen.press("Create New Integration", role="link")
    screen.page.get_by_label("Name").fill(name)
    screen.page.get_by_label("Description").fill(description)
    screen.press("Next: scopes")


def create(screen: Screen, name: str, *scopes: str, description: str = "") -> str:
    """Make an integration with these scopes; answers its token, which the page shows."""
    begin(screen, name, description)
    for scope in scopes:
        choose(screen, scope)
    screen.press("Next: token")
    screen.press("Generate Access Token")
    return shown_token(screen)


def choose(screen: Screen, scope: str) -> None:
    """Check (or uncheck) the box of a scope."""
    box = screen.page.locator(f'input[type=checkbox][value="{scope}"]')
    if not box.is_visible():
        screen.page.locator("details.area", has=box).locator("summary").first.click()
    box.click()


def shown_token(screen: Screen) -> str:
    """The token that the page shows."""
    return screen.page.locator(TOKEN).inner_text()


def go(screen: Screen, *links: str) -> None:
    """Follow links by their names, one after the other."""
    for link in links:
        screen.press(link, role="link")


def answer(screen: Screen, token: str, account: str, method: str = "GET", path: str = "/contacts/") -> int:
    """What the data API answers to a request with the token: 200 or 201, or why not."""
    headers = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
    if method == "GET":
        parts = {"params": {"locationId": account}}
    else:
        parts = {"json": {"locationId": account, "firstName": "Ada"}}
    return requests.request(method, screen.url + path, headers=headers, timeout=10, **parts).status_code
