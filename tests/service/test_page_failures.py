"""Pages for what no page could do, on a database that really fails."""

import asyncio
import re
from typing import Any

import pytest

from private_integrations_service.app import Application
from private_integrations_service.settings import Settings

SIGN_IN = "/settings/sign-in"


@pytest.fixture
def app(database, clock):
    """The application over the database."""
    made = Application(database, Settings(), clock)
    yield made
    made.close()


def ask(app, method, path):
    """Status, headers and text of the answer to a browser with a session."""
    received: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "server": ("localhost", 80),
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"cookie", b"session=anything")],
    }

    async def receive():
        return {"type": "http.request", "body": b""}

    async def send(message):
        received.append(message)

    asyncio.run(app(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in received[0]["headers"]}
    return received[0]["status"], headers, b"".join(part.get("body", b"") for part in received).decode()


def test_a_database_that_fails_is_said_in_words(app, database):
    """The page has the headers of all pages, and a link to try it again where nothing was sent."""
    with database.write(database.high_water) as write:
        write.connection.exec_driver_sql("DROP TABLE sessions")
    for method, again in (("GET", [SIGN_IN]), ("POST", [])):
        status, headers, text = ask(app, method, SIGN_IN)
        assert status == 503
        assert "The database does not answer; nothing was changed." in text
        assert re.findall(r'href="([^"]+)">Try it again', text) == again
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"


def test_a_method_that_a_page_does_not_have(app):
    """It is refused on a page, too."""
    status, _, text = ask(app, "PUT", SIGN_IN)
    assert status == 405
    assert "Method Not Allowed." in text
