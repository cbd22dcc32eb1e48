"""A visit: one request of a person, who they are, and what their pages work with."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ..actor import Actor
from ..domain import Refused
from ..operations import users
from ..operations.integrations import Rules
from ..problems import status_of
from ..storage.database import Database
from ..storage.users import Session
from .rendering import HEADERS, NOTICES, html

Clock = Callable[[], datetime]

SIGN_IN = "/settings/sign-in"

# Of these there is nothing: what a person may not see and what doesn't exist are the same page.
_NOT_THERE = frozenset({"integration-unknown", "account-unknown"})


@dataclass(frozen=True)
class Parts:
    """What the pages were made from."""

    database: Database
    rules: Rules
    clock: Clock
    templates: Environment


@dataclass(frozen=True)
class Visit:
    """A request and what it is answered with; `session` and `actor` are those of nobody before signing in."""

    parts: Parts
    request: Request
    now: datetime
    form: Mapping[str, list[str]]
    session: Session | None
    actor: Actor

    @property
    def database(self) -> Database:
        """The database."""
        return self.parts.database

    @property
    def rules(self) -> Rules:
        """The catalogue of scopes and the limits in force."""
        return self.parts.rules

    @property
    def path(self) -> Mapping[str, str]:
        """The path's parameters."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters, the last of each name."""
        return self.request.query_params

    def field(self, name: str) -> str:
        """A field of the form, without space around it; empty if it wasn't sent."""
        return self.form.get(name, [""])[-1].strip()

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page for this visitor."""
        common = {
            "now": self.now,
            "user": self.session and self.session.user,
            "form_key": self.session.form_key if self.session else "",
            "notice": NOTICES.get(self.query.get("notice", "")),
        }
        return html(self.parts.templates, template, status, **common | values)

    def to(self, path: str, *, notice: str | None = None) -> RedirectResponse:
        """On to another page, so that going back or reloading repeats nothing; there the notice is read."""
        separator = "&" if "?" in path else "?"
        target = path if notice is None else f"{path}{separator}notice={notice}"
        return RedirectResponse(target, 303, headers=dict(HEADERS))

    def refusal(self, refused: Refused) -> Response:
        """The page that says no."""
        if refused.problem in _NOT_THERE:
            return self.page("not_found.html", status=404)
        return self.page("refused.html", status=status_of(refused), detail=refused.detail)


Handler = Callable[[Visit], Response | Refused]


def signed_in(handler: Handler) -> Callable[[Request], Any]:
    """An endpoint for those who have signed in; others are asked to, and come back."""

    def handle(visit: Visit) -> Response | Refused:
        if visit.session is None:
            if visit.request.method != "GET":
                return visit.to(SIGN_IN)
            url = visit.request.url
            return visit.to(f"{SIGN_IN}?to={quote(url.path + (f'?{url.query}' if url.query else ''), safe='')}")
        sent = visit.field("form_key")
        if visit.request.method != "GET" and not hmac.compare_digest(sent.encode(), visit.session.form_key.encode()):
            return visit.page("refused.html", status=403, detail=_OLD_FORM)
        return handler(visit)

    return anybody(handle)


_OLD_FORM = "this form is from another session; nothing was changed; open the page again and repeat it"


def anybody(handler: Handler) -> Callable[[Request], Any]:
    """An endpoint for everybody, as long as a form was sent by a page of ours."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000)
        return await run_in_threadpool(answer, request, form)

    def answer(request: Request, form: dict[str, list[str]]) -> Response:
        visit = _visit(request, form)
        if request.method != "GET" and not _is_own(request):
            return visit.page("refused.html", status=403, detail="this form was sent by another site; nothing was done")
        answered = handler(visit)
        return visit.refusal(answered) if isinstance(answered, Refused) else answered

    return endpoint


def start_session(response: Response, request: Request, secret: str) -> Response:
    """Hand the secret of a new session to the browser."""
    secure = _is_secure(request)
    response.set_cookie(
        _cookie_name(secure), secret, path="/", secure=secure, httponly=True, samesite="lax", max_age=None
    )
    return response


def end_session(response: Response, request: Request) -> Response:
    """Take the secret away from the browser."""
    secure = _is_secure(request)
    response.delete_cookie(_cookie_name(secure), path="/", secure=secure, httponly=True, samesite="lax")
    return response


def _visit(request: Request, form: Mapping[str, list[str]]) -> Visit:
    parts: Parts = request.app.state.parts
    now = max(parts.clock(), parts.database.high_water)
    address = request.client.host if request.client else ""
    agent = request.headers.get("user-agent", "")[:200]
    secret = request.cookies.get(_cookie_name(_is_secure(request)))
    session, actor = None, Actor("nobody", frozenset(), address, agent)
    if secret is not None:
        with parts.database.read() as connection:
            session = users.session_of(connection, secret, now)
            if session is not None:
                actor = users.person(connection, session.user, address, agent)
    return Visit(parts, request, now, form, session, actor)


def _is_own(request: Request) -> bool:
    """Whether a page of this very site sent the form, as browsers say it."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _is_secure(request: Request) -> bool:
    """Whether cookies are for TLS only: always, except on this machine, where browsers of all kinds must work."""
    return not _is_loopback(request.url.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _cookie_name(secure: bool) -> str:
    # Browsers take a cookie of this name only over TLS and for this very host.
    return "__Host-session" if secure else "session"
