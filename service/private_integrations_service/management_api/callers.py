"""Authenticate the caller of a route, and hold the context of its request."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from private_integrations.contract import API, Problem, Refused, digest_of

from ..access.actors import Actor
from ..access.principals import ManagementKey, ManagementPrincipal, refuse_administration, refuse_method
from ..access.security_log import SecurityEvent, SecurityLog, path_of, who
from ..http.client_address import client_address, client_agent
from ..http.problems import ProblemError, problem_response
from ..operations.accounts import PrepareLocation
from ..operations.activity import ActivityStore
from ..operations.authentication import identify, refuse_ended
from ..operations.integrations import Rules
from ..operations.recording import Recorder
from ..storage.engine import StorageEngine
from .respond_async import engine_of

Value = TypeVar("Value")
_KEY = "private_integrations.management_key"
_bearer = HTTPBearer(auto_error=False, description="A management key (pmk-…)")


@dataclass(frozen=True)
class ApiDependencies:
    """Hold the dependencies of the API."""

    engine: StorageEngine
    rules: Rules
    activity: ActivityStore
    recorder: Recorder
    security: SecurityLog
    prepare_location: PrepareLocation


@dataclass(frozen=True)
class RequestContext:
    """Hold the caller, the instant and the dependencies of a request."""

    principal: ManagementPrincipal
    actor: Actor
    now: datetime
    engine: StorageEngine
    rules: Rules
    activity: ActivityStore
    recorder: Recorder
    security: SecurityLog
    prepare_location: PrepareLocation

    def note(self, event: SecurityEvent, **fields: str | int | None) -> None:
        """Write an event of this request to the security log."""
        self.security.note(event, self.now, address=self.actor.address, agent=self.actor.agent, **fields)


def note_key(scope: Scope, key: ManagementKey, since: int) -> None:
    """Note the key of a request, looked up after the epoch `since`: its route need not ask again if that is the same.

    On PostgreSQL this saves three round trips. The route runs after the body has come, so it compares the epoch.
    """
    scope[_KEY] = key, since


def _identified(scope: Scope, presented: str | None, engine: StorageEngine, now: datetime) -> ManagementKey | Refused:
    key, since = scope.get(_KEY, (None, 1))
    # Odd: there is no lease, or a change is being committed.
    is_current = since % 2 == 0 and engine.epoch.value == since
    if key is not None and is_current and presented and key.digest == digest_of(presented):
        return refuse_ended(key, now)
    return identify(engine, presented, now)


def unless_refused(answer: Value | Refused) -> Value:
    """Return the answer of an operation; raises ProblemError if it is a refusal."""
    if isinstance(answer, Refused):
        raise ProblemError(answer)
    return answer


def _caller(
    request: Request, presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> RequestContext:
    if len(request.headers.getlist("authorization")) > 1:
        raise ProblemError(Refused(Problem.KEY_REPEATED, "send one Authorization header, with one management key"))
    parts: ApiDependencies = request.app.state.parts
    now = parts.engine.now()
    key = unless_refused(_identified(request.scope, presented.credentials if presented else None, parts.engine, now))
    # Introspection asks by POST, so that the token is in no URL, but changes nothing.
    address = client_address(request.scope, parts.rules.settings.trusted_proxies)
    actor = key.actor(address, client_agent(request.scope))
    request.state.actor = actor
    refused = None if request.url.path == f"{API}/introspect" else refuse_method(key, request.method)
    if refused is not None:
        raise ProblemError(refused)
    return RequestContext(
        key,
        actor,
        now,
        engine_of(request, parts.engine),
        parts.rules,
        parts.activity,
        parts.recorder,
        parts.security,
        parts.prepare_location,
    )


async def on_problem(request: Request, error: ProblemError) -> JSONResponse:
    """Answer a refusal of a route; write unknown keys and missing rights to the security log."""
    parts: ApiDependencies = request.app.state.parts
    actor: Actor | None = getattr(request.state, "actor", None)
    now = parts.engine.now()
    refused = error.refused
    address = client_address(request.scope, parts.rules.settings.trusted_proxies)
    note = partial(parts.security.note, now=now, address=address, agent=client_agent(request.scope))
    if refused.problem == Problem.KEY_UNKNOWN:
        note(SecurityEvent.KEY_UNKNOWN)
    elif refused.problem == Problem.KEY_ENDED:
        note(SecurityEvent.KEY_ENDED, by=f"key/{refused.about.get('key')}")
    # A key that reaches every account just didn't find the object.
    elif actor is not None and (
        refused.problem.status == 403 or (refused.problem.status == 404 and actor.accounts is not None)
    ):
        note(
            SecurityEvent.ACTION_REFUSED,
            by=who(actor),
            method=request.method,
            path=path_of(request.url.path, request.path_params),
            account=request.path_params.get("account_id"),
            problem=refused.problem,
        )
    return problem_response(refused)


Asking = Annotated[RequestContext, Depends(_caller)]


def administrator(of: str) -> Callable[[RequestContext], RequestContext]:
    """Make a dependency that lets only an admin's key through; `of` names the objects that it manages."""

    def admitted(asking: Asking) -> RequestContext:
        refused = refuse_administration(asking.principal, of)
        if refused is not None:
            raise ProblemError(refused)
        return asking

    return admitted
