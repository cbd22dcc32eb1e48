"""Who asks, by which key, and what their request works with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from private_integrations.contract import API

from ..access import actor_of, identify, refuse_administration, refuse_method
from ..actor import Actor
from ..authorizer.recording import Recorder
from ..domain import Refused
from ..operations.integrations import Rules
from ..origins import client_address, client_agent
from ..problems import ProblemError
from ..storage.activity import Activity
from ..storage.database import Database
from ..storage.keys import ManagementKey

Clock = Callable[[], datetime]
Value = TypeVar("Value")
_bearer = HTTPBearer(auto_error=False, description="A management key (pmk-…)")


@dataclass(frozen=True)
class Parts:
    """What the API was made from."""

    database: Database
    rules: Rules
    clock: Clock
    activity: Activity
    recorder: Recorder


@dataclass(frozen=True)
class Caller:
    """Who asks and when, and what their request works with."""

    key: ManagementKey
    actor: Actor
    now: datetime
    database: Database
    rules: Rules
    activity: Activity
    recorder: Recorder


def unless_refused(answer: Value | Refused) -> Value:
    """The answer of an operation; raises ProblemError if it is a refusal."""
    if isinstance(answer, Refused):
        raise ProblemError(answer)
    return answer


def _caller(request: Request, presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    if len(request.headers.getlist("authorization")) > 1:
        raise ProblemError(Refused("key-repeated", "send one Authorization header, with one management key"))
    parts: Parts = request.app.state.parts
    now = max(parts.clock(), parts.database.high_water)
    with parts.database.read() as connection:
        key = unless_refused(identify(connection, presented.credentials if presented else None, now))
    # Introspection asks by POST, so that the token is in no URL, but changes nothing.
    refused = None if request.url.path == f"{API}/introspect" else refuse_method(key, request.method)
    if refused is not None:
        raise ProblemError(refused)
    address = client_address(request.scope, parts.rules.settings.trusted_proxies)
    actor = actor_of(key, address, client_agent(request.scope))
    return Caller(key, actor, now, parts.database, parts.rules, parts.activity, parts.recorder)


Asking = Annotated[Caller, Depends(_caller)]


def administrator(of: str) -> Callable[[Caller], Caller]:
    """A dependency that lets only an admin's key through; `of` are the things that it manages."""

    def admitted(asking: Asking) -> Caller:
        refused = refuse_administration(asking.key, of)
        if refused is not None:
            raise ProblemError(refused)
        return asking

    return admitted
