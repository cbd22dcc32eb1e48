"""The settings pages asked in-process, under a clock that tests move: requests and cookies as browsers have them."""

import asyncio
import re
from dataclasses import dataclass, field, replace
from html import unescape
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

from argon2 import Parameters, Type

from private_integrations.contract import UserRequest
from private_integrations_service.access.actors import Actor
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.operations import sign_in, users
from private_integrations_service.operations.passwords import Passwords
from private_integrations_service.settings import Settings
from private_integrations_service.settings_pages import settings_pages
from private_integrations_service.storage import users as stored_users
from private_integrations_service.storage.sqlite.engine import SQLiteEngine

HOST = "127.0.0.1:8750"
HOME = "/settings/private-integrations"
PASSWORD = "seven quiet harbours"
CHEAP = Parameters(Type.ID, 19, salt_len=16, hash_len=32, time_cost=1, memory_cost=64, parallelism=1)
"""A hash at a price that a test can pay often."""
OPERATOR = Actor("key/test/key_1")


@dataclass(frozen=True)
class Shown:
    """A page, or whatever was answered."""

    status: int
    headers: dict[str, str]
    text: str
    set_cookies: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        assert self.status == 303, self
        return self.headers["location"]

    @property
    def notice(self) -> str:
        """What the redirect's address says was done."""
        return self.location.partition("notice=")[2]

    @property
    def alert(self) -> str:
        """What the page says went wrong."""
        found = re.search(r'role="alert"[^>]*>([^<]*)<', self.text)
        return unescape(found[1]).strip() if found else ""


@dataclass
class Guest:
    """Somebody with a browser: it keeps cookies, follows no redirect, and says where its forms are from."""

    app: Any
    host: str = HOST
    address: str = "192.0.2.7"
    origin: str | None = None
    cookies: dict[str, str] = field(default_factory=dict)
    form_key: str = ""

    def get(self, target: str, **headers: str) -> Shown:
        """Open a page."""
        return self.ask("GET", target, headers)

    def post(self, target: str, *, headers: dict[str, str] | None = None, **fields: object) -> Shown:
        """Send a form of the page that was opened last."""
        sent = {"origin": self.origin or f"http://{self.host}", "sec-fetch-site": "same-origin"}
        content = urlencode({"form_key": self.form_key} | fields, doseq=True).encode()
        return self.ask("POST", target, sent if headers is None else headers, content)

    def ask(self, method: str, target: str, headers: dict[str, str], content: bytes = b"") -> Shown:
        """One request."""
        path, _, query = target.partition("?")
        sent = {"host": self.host, "user-agent": "Test browser"} | headers
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": (self.address, 4711),
            "server": ("127.0.0.1", 8750),
        }
        shown = asyncio.run(_ask(self.app, scope, content))
        self._keep(shown)
        found = re.search(r'name="form_key" value="([^"]+)"', shown.text)
        if found:
            self.form_key = found[1]
        return shown

    def _keep(self, shown: Shown) -> None:
        for line in shown.set_cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


async def _ask(app: Any, scope: dict[str, Any], content: bytes) -> Shown:
    received: list[dict[str, Any]] = []

    waiting = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not waiting:
            # A browser that waits for the whole answer says nothing more.
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: dict[str, Any]) -> None:
        received.append(message)

    await app(scope, receive, send)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in received[0]["headers"]]
    body = b"".join(message.get("body", b"") for message in received[1:])
    cookies = tuple(value for name, value in headers if name == "set-cookie")
    return Shown(received[0]["status"], dict(headers), body.decode(), cookies)


def pages_over(database: SQLiteEngine, catalogue: Catalogue, settings: Settings) -> Any:
    """The settings pages over a database, with an empty activity beside it."""
    return settings_pages(database, catalogue, settings, database.activity())


def cheap_pages(database: SQLiteEngine, catalogue: Catalogue, clock: Any, settings: Settings | None = None) -> Any:
    """Pages whose passwords are hashed cheaply."""
    made = pages_over(database, catalogue, settings or Settings())
    made.state.parts = replace(made.state.parts, passwords=Passwords(CHEAP))
    return made


def try_to_sign_in(browser: Guest, password: str, email: str = "ada@example.com", **more: object) -> Shown:
    """Send the form of the sign-in page."""
    return browser.post("/settings/sign-in", email=email, password=password, **more)


def invited(database: SQLiteEngine, now: Any, email: str, **roles: str) -> str:
    """Make a user with these roles by account; answers the one-time code."""
    places = [{"account": account, "role": role} for account, role in roles.items()]
    made = users.invite(database, email, UserRequest(memberships=places), actor=OPERATOR)
    assert made.code is not None
    return made.code


def admitted(app: Any, database: SQLiteEngine, now: Any, email: str) -> Guest:
    """A browser in which this user is signed in, as a provider would have it: no password is hashed."""
    claims = sign_in.Claims("https://login.test", email, email)
    made = sign_in.sign_in_by_provider(database, claims, sign_in.Browser("192.0.2.7", "Test browser"), now)
    assert isinstance(made, sign_in.SignedIn), made
    return Guest(app, cookies={"session": made.secret}, form_key=made.session.form_key)


def user_id(database: SQLiteEngine, email: str) -> str:
    """The id of a user."""
    with database.read() as connection:
        found = stored_users.user_by_email(connection, email)
    assert found is not None
    return found.id


def path_of(url: str) -> str:
    """The path and query of an address."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
