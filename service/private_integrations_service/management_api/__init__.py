"""Serve the management API, which the provider and the command line call.

A module per noun has its routes. A route authenticates the caller, calls one operation and returns a wire model of
`contract`; a refusal becomes a problem document. For example: `GET /private-integrations/v1/integrations/{id}` calls
`read_integration`.
"""

from functools import cache

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from private_integrations.contract import API, ProblemDocument

from ..access.security_log import SecurityLog, unwritten
from ..catalogue.endpoints import Catalogue
from ..http import problems
from ..http.rate_limiter import RateLimiter
from ..operations.accounts import PrepareLocation
from ..operations.activity import ActivityStore
from ..operations.integrations import Rules
from ..operations.recording import Recorder
from ..settings import Settings
from ..storage.engine import StorageEngine, StorageError
from . import (
    accounts,
    activity,
    audit,
    data_webhooks,
    generations,
    health,
    integrations,
    keys,
    leaked,
    replicas,
    upstreams,
    users,
    webhooks,
)
from .callers import ApiDependencies, on_problem
from .respond_async import RespondAsync
from .storage_errors import on_storage_error

__all__ = ["DOCUMENT", "REPORT", "document", "management_api"]

DOCUMENT = f"{API}/openapi.json"
"""Serve the API's description (OpenAPI) at this path."""
REPORT = f"{API}/leaked"
"""Take reports of leaked tokens at this path, which needs no key and has a rate limit of its own."""

_PROBLEMS: dict[int | str, str] = {
    400: "The request or its body can't be read, or it has two keys",
    401: "No management key, or one that is not known here",
    403: "The key's role forbids this",
    404: "There is no such thing",
    408: "The body did not arrive in time",
    409: "Somebody else got there first",
    412: "The version given is old",
    413: "The body is too large",
    422: "The values are not acceptable",
    429: "Too many requests without a known management key, or too many at once with this one",
    503: "The database does not answer, or too many changes are waiting; nothing was changed",
    507: "The disk is full; nothing was changed",
}


# By its name, which a response of the module `leaked` defines: FastAPI would make a schema of a model for every status
# of every route, with the first request after a start.
_PROBLEM_DOCUMENT = {problems.MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}}


def management_api(
    engine: StorageEngine,
    catalogue: Catalogue,
    settings: Settings,
    recorded: ActivityStore,
    recorder: Recorder,
    prepare_location: PrepareLocation,
    security: SecurityLog | None = None,
) -> FastAPI:
    """Build the management API over this storage engine.

    The `recorder` notes questions about live tokens, and the `security` log notes refusals.
    """
    api = FastAPI(
        title="Private integrations",
        version="1",
        summary="Declare private integrations, rotate their tokens, see their state.",
        openapi_url=DOCUMENT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            problems.ProblemError: on_problem,
            RequestValidationError: problems.on_invalid_request,
            HTTPException: problems.on_http_error,
            StorageError: on_storage_error,
        },
        responses={code: {"description": text, "content": _PROBLEM_DOCUMENT} for code, text in _PROBLEMS.items()},
    )
    api.add_middleware(RespondAsync, engine=engine)
    api.state.reports = RateLimiter(leaked.PER_SECOND, leaked.BURST)
    api.state.parts = ApiDependencies(
        engine, Rules(catalogue, settings), recorded, recorder, security or unwritten(), prepare_location
    )
    for part in (
        accounts,
        upstreams,
        integrations,
        generations,
        activity,
        webhooks,
        data_webhooks,
        keys,
        users,
        audit,
        health,
        replicas,
        leaked,
    ):
        api.include_router(part.router, prefix=API)
    return api


def document(api: FastAPI) -> ASGIApp:
    """Serve the API's description, whose bytes are made once; methods other than GET are the API's own."""

    @cache
    def answer() -> JSONResponse:
        return JSONResponse(api.openapi())

    async def described(scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = answer() if scope["method"] == "GET" else api
        await app(scope, receive, send)

    return described
