"""Hold a page request: the person, and the dependencies of their pages."""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qs, quote

from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from private_integrations.contract import Problem, Refused

from ..access.actors import Actor
from ..access.people import Session
from ..access.security_log import SecurityEvent, SecurityLog, path_of, who
from ..http.client_address import client_address, client_agent
from ..operations import sign_in, users
from ..operations.activity import ActivityStore
from ..operations.identity_provider import Provider
from ..operations.integrations import Rules
from ..operations.passwords import Passwords
from ..operations.sign_in import Browser
from ..operations.users import Person
from ..settings import Settings
from ..storage.engine import StorageEngine, StorageError
from . import browsers
from .navigation import Menu
from .rendering import HEADERS, NOTICES, html

Answer = TypeVar("Answer")

SIGN_IN = "/settings/sign-in"

# One page for both: a person can't tell what exists without the right to see it.
_NOT_THERE = frozenset(
    {
        Problem.INTEGRATION_UNKNOWN,
        Problem.ACCOUNT_UNKNOWN,
        Problem.USER_UNKNOWN,
        Problem.CODE_UNKNOWN,
        Problem.WEBHOOK_UNKNOWN,
    }
)
_READING = frozenset({"GET", "HEAD"})
_MOST_FIELDS = 1000

_OLD_FORM = "this form is from another session; nothing was changed; open the page again and repeat it"
_UNREADABLE = "this form can't be read; nothing was changed"


@dataclass(frozen=True)
class PageDependencies:
    """Hold the dependencies of the pages; `provider` is None without an identity provider."""

    engine: StorageEngine
    rules: Rules
    templates: Environment
    activity: ActivityStore
    passwords: Passwords
    provider: Provider | None
    security: SecurityLog


@dataclass(frozen=True)
class PageRequest:
    """Hold a page request, and build its response; before signing in, `session`, `person` and `actor` are blank."""

    parts: PageDependencies
    request: Request
    now: datetime
    form: Mapping[str, list[str]]
    session: Session | None
    person: Person | None
    actor: Actor

    @property
    def engine(self) -> StorageEngine:
        """Return the storage engine, which operations are called with."""
        return self.parts.engine

    @property
    def rules(self) -> Rules:
        """Return the catalogue of scopes and the limits in force."""
        return self.parts.rules

    @property
    def activity(self) -> ActivityStore:
        """Return the recorded activity."""
        return self.parts.activity

    @property
    def settings(self) -> Settings:
        """Return the service's settings."""
        return self.parts.rules.settings

    @property
    def path(self) -> Mapping[str, str]:
        """Return the path's parameters."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """Return the query's parameters, the last of each name."""
        return self.request.query_params

    @property
    def browser(self) -> Browser:
        """Return the browser of this request."""
        known = browsers.kept(self.request, "known", self.settings.public_url)
        return Browser(self.actor.address, self.actor.agent, self.session, known)

    def field(self, name: str) -> str:
        """Return a field of the form, without space around it; empty if it wasn't sent."""
        return self.secret_field(name).strip()

    def secret_field(self, name: str) -> str:
        """Return a field of the form as it was typed: space is part of a password."""
        return self.form.get(name, [""])[-1]

    def note(self, event: SecurityEvent, **fields: str | int | None) -> None:
        """Write an event of this request to the security log."""
        self.parts.security.note(event, self.now, address=self.actor.address, agent=self.actor.agent, **fields)

    def note_refused(self, problem: str) -> None:
        """Write to the security log that the person lacks the right, or can't find the object."""
        if self.session is not None:
            self.note(
                SecurityEvent.ACTION_REFUSED,
                by=who(self.actor),
                method=self.request.method,
                path=path_of(self.request.url.path, self.path),
                account=self.path.get("account_id"),
                problem=problem,
            )

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Render a page for this person."""
        common = {
            "now": self.now,
            "user": self.session and self.session.user,
            "form_key": self.session.form_key if self.session else "",
            "menu": self.person and Menu(self.person, self.actor),
            "notice": NOTICES.get(self.query.get("notice", "")),
        }
        return html(self.parts.templates, template, status, **common | values)

    def to(self, path: str, *, notice: str | None = None) -> RedirectResponse:
        """Redirect to another page, so that going back or reloading repeats nothing; that page shows the notice."""
        separator = "&" if "?" in path else "?"
        target = path if notice is None else f"{path}{separator}notice={notice}"
        return RedirectResponse(target, 303, headers=dict(HEADERS))

    def refusal(self, refused: Refused) -> Response:
        """Render the page of a refusal."""
        if refused.problem.status in (403, 404):
            self.note_refused(refused.problem)
        if refused.problem in _NOT_THERE:
            return self.page("not_found.html", status=404)
        response = self.page("refused.html", status=refused.problem.status, detail=refused.detail)
        return when_to_repeat(response, refused)


Handler = Callable[[PageRequest], Response | Refused]
_Endpoint = Callable[[Request], Any]


def signed_in(handler: Handler) -> _Endpoint:
    """Make a handler for people who manage private integrations, of the account in the path or of any account.

    Other members of the account get a page that names their admins; for other people the account doesn't exist. A
    person who has not signed in signs in first, and then comes back.
    """

    def handle(asking: PageRequest) -> Response | Refused:
        assert asking.person is not None
        account_id = asking.path.get("account_id")
        admission = asking.person.admission(account_id)
        if admission == "admitted":
            return handler(asking)
        return _page_of_no(asking, asking.person, admission, account_id)

    return personal(handle)


def for_administrators(handler: Handler) -> _Endpoint:
    """Make a handler for admins of the people of the account in the path, also with Labs off."""

    def handle(asking: PageRequest) -> Response | Refused:
        assert asking.person is not None
        account_id = asking.path["account_id"]
        if asking.person.may_decide_in(account_id):
            return handler(asking)
        admission = asking.person.admission(account_id)
        return _page_of_no(asking, asking.person, admission, account_id)

    return personal(handle)


def personal(handler: Handler) -> _Endpoint:
    """Make a handler for signed-in people, about themselves."""

    def handle(asking: PageRequest) -> Response | Refused:
        if asking.session is None:
            if asking.request.method not in _READING:
                return asking.to(SIGN_IN, notice="session-over")
            path, query = asking.request.scope["path"], asking.request.scope["query_string"].decode("latin-1")
            return asking.to(f"{SIGN_IN}?to={quote(path + (f'?{query}' if query else ''), safe='')}")
        sent = asking.field("form_key")
        if asking.request.method not in _READING and not hmac.compare_digest(
            sent.encode(), asking.session.form_key.encode()
        ):
            asking.note(
                SecurityEvent.FORM_REFUSED,
                user=asking.session.user.id,
                path=path_of(asking.request.url.path, asking.path),
            )
            return asking.page("refused.html", status=403, detail=_OLD_FORM)
        return handler(asking)

    return open_to_all(handle)


def open_to_all(handler: Handler) -> _Endpoint:
    """Make a handler for all visitors; a form must come from a page of this service."""

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answer, request, await request.body())

    def answer(request: Request, body: bytes) -> Response:
        form = _read_form(body)
        asking = _visit(request, form or {})
        if request.method not in _READING:
            why_not = browsers.refuse_form(request, asking.settings.public_url)
            if why_not is not None:
                path = path_of(request.url.path, asking.path)
                asking.note(
                    SecurityEvent.FORM_REFUSED,
                    user=None if asking.session is None else asking.session.user.id,
                    path=path,
                )
                return asking.page("refused.html", status=403, detail=why_not)
            if form is None:
                return asking.page("refused.html", status=400, detail=_UNREADABLE)
        answered = handler(asking)
        return asking.refusal(answered) if isinstance(answered, Refused) else answered

    return endpoint


def start_session(asking: PageRequest, response: Response, made: sign_in.SignedIn) -> Response:
    """Hand the secrets of a new session to the browser."""
    browsers.keep(response, asking.request, "session", made.secret, asking.settings.public_url)
    browsers.keep(response, asking.request, "known", made.known, asking.settings.public_url)
    return response


def end_session(asking: PageRequest, response: Response) -> Response:
    """Take the secret of the session away from the browser."""
    browsers.drop(response, asking.request, "session", asking.settings.public_url)
    return response


def when_to_repeat(response: Response, refused: Refused) -> Response:
    """Add the seconds to wait to the headers of a refusal."""
    if "retry_after" in refused.about:
        response.headers["Retry-After"] = str(refused.about["retry_after"])
    return response


def _page_of_no(asking: PageRequest, person: Person, admission: str, account_id: str | None) -> Response:
    """Explain why a person may not see a page of their own accounts, and who can change this; hide other accounts."""
    asking.note_refused(admission)
    if admission == "not-there":
        return asking.page("not_found.html", status=404)
    own = {place.account_id for place in person.memberships}
    asked = own if account_id is None else {account_id}
    meant = [account for account in person.accounts if account.id in asked]
    deciding = users.administrators_of(asking.engine, meant)
    return asking.page(
        "not_allowed.html",
        status=403,
        accounts=meant,
        switched_off=[account for account in meant if account.id in person.switched_off],
        deciding=deciding,
        decides=any(user.id == person.user.id for user in deciding),
    )


def _visit(request: Request, form: Mapping[str, list[str]]) -> PageRequest:
    parts: PageDependencies = request.app.state.parts
    now = parts.engine.now()
    address = client_address(request.scope, parts.rules.settings.trusted_proxies)
    agent = client_agent(request.scope)
    secret = browsers.kept(request, "session", parts.rules.settings.public_url)
    session, person, actor = None, None, Actor("nobody", frozenset(), address, agent)
    if secret is not None:
        signed_in = users.signed_in_by(parts.engine, secret, now)
        if signed_in is not None:
            session, person = signed_in
            actor = person.actor(address, agent)
            # A page that only reads is shown even if the storage is full.
            with suppress(StorageError):
                sign_in.note_use(parts.engine, session, now)
    return PageRequest(parts, request, now, form, session, person, actor)


def _read_form(body: bytes) -> dict[str, list[str]] | None:
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return None
