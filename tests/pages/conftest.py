"""People of an account of their own, before a real Chromium."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser

from chromium import DESKTOP, Screen, running_chromium
from management import Management
from throwaway import Service
from visitors import Visitor, new_visitor

_USUAL = {"viewport": DESKTOP, "timezone_id": "Europe/Berlin", "locale": "en-GB"}

NewScreen = Callable[..., Screen]


@dataclass(frozen=True)
class Place:
    """A sub-account that no other test knows, the agency above it, and an admin of the sub-account."""

    account: str
    agency: str
    admin: Visitor
    management: Management


# Not for the session: Playwright's event loop is the thread's running one as long as it lives, in which no other test
# could run a loop of its own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a module; each has a context of its own."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def place(service: Service) -> Place:
    """A new account and its admin."""
    agency, account = uuid.uuid4().hex[:20], uuid.uuid4().hex[:20]
    management = Management(service.url, service.key, account)
    for account_id, body in (
        (agency, {"name": "Northwind Agency", "kind": "agency"}),
        (account, {"name": "Aurora Dental", "agency_id": agency}),
    ):
        answer = management.ask("PUT", f"/accounts/{account_id}", body)
        assert answer.status_code < 300, answer.text
    return Place(account, agency, new_visitor(service.url, service.key, account), management)


@pytest.fixture
def new_screen(service: Service, chromium: Browser) -> Iterator[NewScreen]:
    """Open a browser's window, for a visitor who has signed in or for nobody; options are the context's.

    Afterwards none of them may have failed a script, broken the content security policy, or asked anybody but the
    service's settings pages for anything.
    """
    screens: list[Screen] = []

    def opened(visitor: Visitor | None = None, **options: Any) -> Screen:
        context = chromium.new_context(**_USUAL | options)
        if visitor is not None:
            cookies = [{"name": name, "value": value, "url": service.url} for name, value in visitor.cookies.items()]
            context.add_cookies(cookies)
        screens.append(Screen(context.new_page(), service.url))
        return screens[-1]

    yield opened
    for screen in screens:
        screen.page.context.close()
    assert [fault for screen in screens for fault in screen.faults] == []


@pytest.fixture
def screen(place: Place, new_screen: NewScreen) -> Screen:
    """The window of the account's admin."""
    return new_screen(place.admin)
