"""Show a person's own page: memberships, password and sessions."""

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Problem, Refused

from ..access.security_log import SecurityEvent
from ..operations import sign_in
from .sign_in import BY_PROVIDER, ME, note_refused_sign_in
from .visits import SIGN_IN, Visit, end_session, personal, start_session, when_to_repeat

_SHOWN_EVENTS = 20


def _show(visit: Visit) -> Response:
    return _page(visit, 200)


def _change_password(visit: Visit) -> Response | Refused:
    assert visit.session is not None
    if not visit.settings.password_sign_in:
        return Refused(Problem.SIGN_IN_REFUSED, BY_PROVIDER)
    present, new = visit.secret_field("present"), visit.secret_field("password")
    made = sign_in.change_password(
        visit.engine, visit.parts.passwords, visit.session, present, new, visit.browser, visit.now
    )
    if isinstance(made, Refused):
        note_refused_sign_in(visit, made, method="present password", user=visit.session.user.id)
        status = {Problem.SIGN_IN_THROTTLED: 429, Problem.SIGN_IN_BUSY: 503}.get(made.problem, 422)
        return when_to_repeat(_page(visit, status, fault=made.detail), made)
    visit.note(SecurityEvent.PASSWORD_CHANGED, user=visit.session.user.id)
    return start_session(visit, visit.to(ME, notice="password-changed"), made)


def _end_session(visit: Visit) -> Response:
    assert visit.session is not None
    sign_in.end_session(visit.engine, visit.session.user, visit.path["session_id"], actor=visit.actor)
    visit.note(SecurityEvent.SESSIONS_ENDED, user=visit.session.user.id, which="one")
    if visit.path["session_id"] == visit.session.id:
        return end_session(visit, visit.to(SIGN_IN, notice="signed-out"))
    return visit.to(ME, notice="session-ended")


def _sign_out_everywhere(visit: Visit) -> Response:
    assert visit.session is not None
    sign_in.sign_out_everywhere(visit.engine, visit.session.user, actor=visit.actor)
    visit.note(SecurityEvent.SESSIONS_ENDED, user=visit.session.user.id, which="all")
    return end_session(visit, visit.to(SIGN_IN, notice="signed-out-everywhere"))


def _end_others(visit: Visit) -> Response:
    assert visit.session is not None
    sign_in.end_other_sessions(visit.engine, visit.session, _up_to(visit), actor=visit.actor)
    visit.note(SecurityEvent.SESSIONS_ENDED, user=visit.session.user.id, which="others")
    return visit.to(ME, notice="other-sessions-ended")


def _confirm(visit: Visit) -> Response:
    assert visit.session is not None
    sign_in.confirm_events(visit.engine, visit.session.user, _up_to(visit))
    return visit.to(ME)


def _page(visit: Visit, status: int, *, fault: str | None = None) -> Response:
    assert visit.session is not None
    assert visit.person is not None
    sessions = sign_in.live_sessions(visit.engine, visit.session.user, visit.now)
    events = sign_in.latest_events(visit.engine, visit.session.user)
    by_id = {account.id: account for account in visit.person.accounts}
    return visit.page(
        "me.html",
        status=status,
        places=[(by_id[place.account_id], place) for place in visit.person.memberships],
        decided=[account for account in visit.person.accounts if visit.person.may_decide_in(account.id)],
        sessions=sessions,
        present=visit.session,
        events=events[:_SHOWN_EVENTS],
        news=sign_in.news_among(events, visit.session, visit.browser.known),
        up_to=events[0].id if events else 0,
        by_password=visit.settings.password_sign_in and visit.session.user.has_password,
        fault=fault,
    )


def _up_to(visit: Visit) -> int:
    """Return the last event that the page showed; the person hasn't seen later ones yet."""
    text = visit.field("up_to")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else 0


ROUTES = [
    Route(ME, personal(_show), methods=["GET"]),
    Route(f"{ME}/password", personal(_change_password), methods=["POST"]),
    Route(f"{ME}/sessions/{{session_id}}/end", personal(_end_session), methods=["POST"]),
    Route(f"{ME}/end-other-sessions", personal(_end_others), methods=["POST"]),
    Route(f"{ME}/confirm-events", personal(_confirm), methods=["POST"]),
    Route(f"{ME}/sign-out-everywhere", personal(_sign_out_everywhere), methods=["POST"]),
]
