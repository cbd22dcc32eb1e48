"""Sign in and out, with a password or an identity provider, and redeem the one-time link for a password."""

import base64
import re
import secrets

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from private_integrations.contract import Problem, Refused

from ..access.security_log import SecurityEvent
from ..operations import sign_in
from ..operations.identity_provider import SignInAttempt
from . import browsers
from .page_requests import SIGN_IN, PageRequest, end_session, open_to_all, personal, start_session, when_to_repeat
from .rendering import HEADERS

HOME = "/settings/private-integrations"
ME = "/settings/me"
BACK = "/settings/sign-in/provider/back"
BY_PROVIDER = "here people sign in by the identity provider"

# Visible ASCII without a backslash, which browsers read as a slash: a path of ours and nothing else.
_PAGE = re.compile(r"/settings/[!-\[\]-~]*")


def _ask(asking: PageRequest) -> Response:
    return _form(asking, 200, to=_back_to(asking.query.get("to", "")))


def _sign_in(asking: PageRequest) -> Response | Refused:
    if not asking.settings.password_sign_in:
        return Refused(Problem.SIGN_IN_REFUSED, BY_PROVIDER)
    email, to = asking.field("email"), _back_to(asking.field("to"))
    password = asking.secret_field("password")
    made = sign_in.sign_in(asking.engine, asking.parts.passwords, email, password, asking.browser, asking.now)
    if isinstance(made, Refused):
        note_refused_sign_in(asking, made, method="password", user=_user_id(asking, email))
        status = {Problem.SIGN_IN_THROTTLED: 429, Problem.SIGN_IN_BUSY: 503}.get(made.problem, 401)
        return when_to_repeat(_form(asking, status, to=to, email=email, fault=made.detail), made)
    _note_sign_in(asking, made, "password")
    return start_session(asking, asking.to(to), made)


def _sign_out(asking: PageRequest) -> Response:
    assert asking.session is not None
    sign_in.sign_out(asking.engine, asking.session)
    return end_session(asking, asking.to(SIGN_IN, notice="signed-out"))


def _to_provider(asking: PageRequest) -> Response | Refused:
    if asking.parts.provider is None:
        return asking.page("not_found.html", status=404)
    attempt, to = SignInAttempt(secrets.token_urlsafe(32)), _back_to(asking.query.get("to", ""))
    address = asking.parts.provider.address(attempt, asking.now)
    if isinstance(address, Refused):
        return address
    response = RedirectResponse(address, 303, headers=dict(HEADERS))
    kept = f"{attempt.secret}.{base64.urlsafe_b64encode(to.encode()).decode().rstrip('=')}"
    browsers.keep(response, asking.request, "provider", kept, asking.settings.public_url)
    return response


def _from_provider(asking: PageRequest) -> Response | Refused:
    if asking.parts.provider is None:
        return asking.page("not_found.html", status=404)
    kept = browsers.kept(asking.request, "provider", asking.settings.public_url) or ""
    secret, _, encoded = kept.partition(".")
    if not secret:
        return _begin_again(asking, "this browser has no sign-in under way, or it took too long; begin again", 400)
    claims = asking.parts.provider.claims(SignInAttempt(secret), asking.query, asking.now)
    if not isinstance(claims, Refused):
        made = sign_in.sign_in_by_provider(asking.engine, claims, asking.browser, asking.now)
        if not isinstance(made, Refused):
            _note_sign_in(asking, made, "provider")
            # If the person had a password or a session before, their own page says that it has ended.
            is_told = made.ended is not None and (made.ended.password or made.ended.sessions > 0)
            response = start_session(asking, asking.to(ME if is_told else _back_to(_decoded(encoded))), made)
            browsers.drop(response, asking.request, "provider", asking.settings.public_url)
            return response
        claims = made
    note_refused_sign_in(asking, claims, method="provider")
    return _begin_again(
        asking, claims.detail, {Problem.SIGN_IN_LOST: 400, Problem.PROVIDER_FAILED: 502}.get(claims.problem, 403)
    )


def _greet(asking: PageRequest) -> Response | Refused:
    recipient = sign_in.recipient_of(asking.engine, asking.path["code"], asking.now)
    if isinstance(recipient, Refused):
        asking.note(SecurityEvent.LINK_UNKNOWN)
        return asking.page("link_over.html", status=404)
    return asking.page("welcome.html", email=recipient.email, fault=None)


def _welcome(asking: PageRequest) -> Response | Refused:
    if not asking.settings.password_sign_in:
        return Refused(Problem.SIGN_IN_REFUSED, BY_PROVIDER)
    password, code = asking.secret_field("password"), asking.path["code"]
    made = sign_in.welcome(asking.engine, asking.parts.passwords, code, password, asking.browser, asking.now)
    if not isinstance(made, Refused):
        asking.note(SecurityEvent.LINK_REDEEMED, user=made.session.user.id)
        _note_sign_in(asking, made, "link")
        return start_session(asking, asking.to(HOME), made)
    if made.problem == Problem.CODE_UNKNOWN:
        asking.note(SecurityEvent.LINK_UNKNOWN)
    if made.problem != Problem.PASSWORD_WEAK:
        return asking.page("link_over.html", status=404) if made.problem == Problem.CODE_UNKNOWN else made
    recipient = sign_in.recipient_of(asking.engine, code, asking.now)
    email = "" if isinstance(recipient, Refused) else recipient.email
    return asking.page("welcome.html", status=422, email=email, fault=made.detail)


def note_refused_sign_in(asking: PageRequest, refused: Refused, *, method: str, user: str | None = None) -> None:
    """Write to the security log why a sign-in wasn't taken."""
    if refused.problem == Problem.SIGN_IN_THROTTLED:
        asking.note(SecurityEvent.SIGN_IN_THROTTLED, user=user, method=method)
    elif refused.problem == Problem.SIGN_IN_BUSY:
        asking.note(SecurityEvent.SIGN_IN_BUSY, user=user, method=method)
    elif refused.problem != Problem.PASSWORD_WEAK:
        asking.note(SecurityEvent.SIGN_IN_FAILED, user=user, method=method, problem=refused.problem)


def _note_sign_in(asking: PageRequest, made: sign_in.SignedIn, method: str) -> None:
    user = made.session.user.id
    if made.ended is not None:
        removed, ended = int(made.ended.password), made.ended.sessions
        asking.note(SecurityEvent.IDENTITY_LINKED, user=user, password_removed=removed, sessions_ended=ended)
    event = SecurityEvent.SIGNED_IN_NEW_BROWSER if made.is_new_browser else SecurityEvent.SIGNED_IN
    asking.note(event, user=user, method=method)


def _user_id(asking: PageRequest, email: str) -> str | None:
    """Find the user that a try was for; the text that was typed may be a password, and is never written."""
    user = sign_in.user_with(asking.engine, email)
    return None if user is None else user.id


def _begin_again(asking: PageRequest, fault: str, status: int) -> Response:
    response = _form(asking, status, to=HOME, fault=fault)
    browsers.drop(response, asking.request, "provider", asking.settings.public_url)
    return response


def _form(asking: PageRequest, status: int, *, to: str, email: str = "", fault: str | None = None) -> Response:
    return asking.page(
        "sign_in.html",
        status=status,
        to=to,
        email=email,
        fault=fault,
        by_password=asking.settings.password_sign_in,
        by_provider=asking.parts.provider is not None,
        plain_http=browsers.seems_plain(asking.request, asking.settings.public_url),
    )


def _back_to(path: str) -> str:
    """Return the page that a person wanted before signing in, or the list."""
    return path if _PAGE.fullmatch(path) else HOME


def _decoded(encoded: str) -> str:
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return ""


ROUTES = [
    Route(SIGN_IN, open_to_all(_ask), methods=["GET"]),
    Route(SIGN_IN, open_to_all(_sign_in), methods=["POST"]),
    Route("/settings/sign-in/provider", open_to_all(_to_provider), methods=["GET"]),
    Route(BACK, open_to_all(_from_provider), methods=["GET"]),
    Route("/settings/sign-out", personal(_sign_out), methods=["POST"]),
    Route("/settings/welcome/{code}", open_to_all(_greet), methods=["GET"]),
    Route("/settings/welcome/{code}", open_to_all(_welcome), methods=["POST"]),
]
