"""Show a person's own page: memberships, password and sessions."""

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Problem, Refused

from ..access.security_log import SecurityEvent
from ..operations import sign_in
from .page_requests import SIGN_IN, PageRequest, end_session, personal, start_session, when_to_repeat
from .sign_in import BY_PROVIDER, ME, note_refused_sign_in

_SHOWN_EVENTS = 20


def _show(asking: PageRequest) -> Response:
    return _page(asking, 200)


def _change_password(asking: PageRequest) -> Response | Refused:
    assert asking.session is not None
    if not asking.settings.password_sign_in:
        return Refused(Problem.SIGN_IN_REFUSED, BY_PROVIDER)
    present, new = asking.secret_field("present"), asking.secret_field("password")
    made = sign_in.change_password(
        asking.engine, asking.parts.passwords, asking.session, present, new, asking.browser, asking.now
    )
    if isinstance(made, Refused):
        note_refused_sign_in(asking, made, method="present password", user=asking.session.user.id)
        status = {Problem.SIGN_IN_THROTTLED: 429, Problem.SIGN_IN_BUSY: 503}.get(made.problem, 422)
        return when_to_repeat(_page(asking, status, fault=made.detail), made)
    asking.note(SecurityEvent.PASSWORD_CHANGED, user=asking.session.user.id)
    return start_session(asking, asking.to(ME, notice="password-changed"), made)


def _end_session(asking: PageRequest) -> Response:
    assert asking.session is not None
    sign_in.end_session(asking.engine, asking.session.user, asking.path["session_id"], actor=asking.actor)
    asking.note(SecurityEvent.SESSIONS_ENDED, user=asking.session.user.id, which="one")
    if asking.path["session_id"] == asking.session.id:
        return end_session(asking, asking.to(SIGN_IN, notice="signed-out"))
    return asking.to(ME, notice="session-ended")


def _sign_out_everywhere(asking: PageRequest) -> Response:
    assert asking.session is not None
    sign_in.sign_out_everywhere(asking.engine, asking.session.user, actor=asking.actor)
    asking.note(SecurityEvent.SESSIONS_ENDED, user=asking.session.user.id, which="all")
    return end_session(asking, asking.to(SIGN_IN, notice="signed-out-everywhere"))


def _end_others(asking: PageRequest) -> Response:
    assert asking.session is not None
    sign_in.end_other_sessions(asking.engine, asking.session, _up_to(asking), actor=asking.actor)
    asking.note(SecurityEvent.SESSIONS_ENDED, user=asking.session.user.id, which="others")
    return asking.to(ME, notice="other-sessions-ended")


def _confirm(asking: PageRequest) -> Response:
    assert asking.session is not None
    sign_in.confirm_events(asking.engine, asking.session.user, _up_to(asking))
    return asking.to(ME)


def _page(asking: PageRequest, status: int, *, fault: str | None = None) -> Response:
    assert asking.session is not None
    assert asking.person is not None
    sessions = sign_in.live_sessions(asking.engine, asking.session.user, asking.now)
    events = sign_in.latest_events(asking.engine, asking.session.user)
    by_id = {account.id: account for account in asking.person.accounts}
    return asking.page(
        "me.html",
        status=status,
        places=[(by_id[place.account_id], place) for place in asking.person.memberships],
        decided=[account for account in asking.person.accounts if asking.person.may_decide_in(account.id)],
        sessions=sessions,
        present=asking.session,
        events=events[:_SHOWN_EVENTS],
        news=sign_in.news_among(events, asking.session, asking.browser.known),
        up_to=events[0].id if events else 0,
        by_password=asking.settings.password_sign_in and asking.session.user.has_password,
        fault=fault,
    )


def _up_to(asking: PageRequest) -> int:
    """Return the last event that the page showed; the person hasn't seen later ones yet."""
    text = asking.field("up_to")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


ROUTES = [
    Route(ME, personal(_show), methods=["GET"]),
    Route(f"{ME}/password", personal(_change_password), methods=["POST"]),
    Route(f"{ME}/sessions/{{session_id}}/end", personal(_end_session), methods=["POST"]),
    Route(f"{ME}/end-other-sessions", personal(_end_others), methods=["POST"]),
    Route(f"{ME}/confirm-events", personal(_confirm), methods=["POST"]),
    Route(f"{ME}/sign-out-everywhere", personal(_sign_out_everywhere), methods=["POST"]),
]
