"""Pages for what no page could do, on a database that really fails."""

import re

import pytest

from guests import Guest, admitted, invited
from private_integrations_service.server.application import Application
from private_integrations_service.settings import Settings

SIGN_IN = "/settings/sign-in"


@pytest.fixture
def guest(database, clock):
    """Somebody with the cookie of a session before the application."""
    app = Application(database, Settings())
    yield Guest(app, cookies={"session": "anything"})
    app.close()


def test_a_database_that_fails_is_said_in_words(guest, database):
    """The page has the headers of all pages, and a link to try it again where nothing was sent."""
    with database.write() as write:
        write.connection.exec_driver_sql("DROP TABLE sessions")
    asked = SIGN_IN + "?to=x"
    for answer, again in ((guest.get(asked), [asked]), (guest.post(SIGN_IN), [])):
        assert answer.status == 503
        assert "The database does not answer; nothing was changed." in answer.text
        assert re.findall(r'href="([^"]+)">Try it again', answer.text) == again
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["cache-control"] == "no-store"


def test_a_method_that_a_page_does_not_have(guest):
    """It is refused on a page, too."""
    answer = guest.ask("PUT", SIGN_IN, {})
    assert answer.status == 405
    assert "Method Not Allowed." in answer.text


def test_a_page_that_breaks(database, clock, desk, accounts):
    """Who sees it is told no more than that; the server gets the error for its log."""
    app, errors = Application(database, Settings()), []

    async def as_served(scope, receive, send):
        try:
            await app(scope, receive, send)
        except Exception as error:
            errors.append(error)

    desk.integration("contacts.readonly")
    with database.write() as write:
        write.connection.exec_driver_sql("UPDATE integrations SET scopes = 'no JSON'")
    invited(database, clock(), "ada@example.com", **{accounts.location: "admin"})
    answer = admitted(as_served, database, clock(), "ada@example.com").get("/settings/private-integrations")
    app.close()
    assert answer.status == 500
    assert "This page broke, which is a fault of the service; its log says why." in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert len(errors) == 1
