"""Sign in, sign out, and the one-time link by which a person chooses a password."""

from starlette.responses import Response
from starlette.routing import Route

from ..domain import Refused
from ..operations import users
from .visits import SIGN_IN, Visit, anybody, end_session, signed_in, start_session

HOME = "/settings/private-integrations"


def _ask(visit: Visit) -> Response:
    return visit.page("sign_in.html", to=_back_to(visit.query.get("to", "")), email="", fault=None)


def _sign_in(visit: Visit) -> Response:
    email, to = visit.field("email"), _back_to(visit.field("to"))
    with visit.database.write(visit.now, verdicts=False) as write:
        made = users.sign_in(write, email, visit.form.get("password", [""])[-1])
    if isinstance(made, Refused):
        return visit.page("sign_in.html", status=401, to=to, email=email, fault=made.detail)
    return start_session(visit.to(to), visit.request, made.secret)


def _sign_out(visit: Visit) -> Response:
    assert visit.session is not None
    with visit.database.write(visit.now, verdicts=False) as write:
        users.sign_out(write, visit.session)
    return end_session(visit.to(SIGN_IN, notice="signed-out"), visit.request)


def _greet(visit: Visit) -> Response:
    return visit.page("welcome.html", fault=None)


def _welcome(visit: Visit) -> Response | Refused:
    password = visit.form.get("password", [""])[-1]
    with visit.database.write(visit.now, verdicts=False) as write:
        made = users.welcome(write, visit.path["code"], password, address=visit.actor.address, agent=visit.actor.agent)
    if isinstance(made, Refused):
        if made.problem == "password-weak":
            return visit.page("welcome.html", status=422, fault=made.detail)
        return made
    return start_session(visit.to(HOME), visit.request, made.secret)


def _back_to(path: str) -> str:
    """Where somebody was going: a page of ours, or the list."""
    return path if path.startswith("/settings/") and "\\" not in path else HOME


ROUTES = [
    Route(SIGN_IN, anybody(_ask), methods=["GET"]),
    Route(SIGN_IN, anybody(_sign_in), methods=["POST"]),
    Route("/settings/sign-out", signed_in(_sign_out), methods=["POST"]),
    Route("/settings/welcome/{code}", anybody(_greet), methods=["GET"]),
    Route("/settings/welcome/{code}", anybody(_welcome), methods=["POST"]),
]
