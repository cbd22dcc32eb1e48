"""Answer the management API's refusals as problem details (RFC 9457)."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from private_integrations.contract import PROBLEM_PREFIX, Problem, Refused, fault_message

from ..tokens.format import scrubbed, without_secrets

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """The request is refused; the management API answers with a problem document."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.detail)
        self.refused = refused


def problem_response(refused: Refused, *, status: int | None = None) -> JSONResponse:
    """Return the answer for a refusal; everything in it that looks like a token or key is removed."""
    code = status or refused.problem.status
    body = {
        "type": PROBLEM_PREFIX + refused.problem,
        "title": HTTPStatus(code).phrase,
        "status": code,
        "detail": without_secrets(refused.detail),
        **scrubbed(refused.about),
    }
    headers = {"WWW-Authenticate": 'Bearer realm="private-integrations"'} if code == 401 else {}
    if "retry_after_seconds" in refused.about:
        headers["Retry-After"] = str(refused.about["retry_after_seconds"])
    return JSONResponse(body, status_code=code, headers=headers, media_type=MEDIA_TYPE)


async def on_problem(_: Request, error: ProblemError) -> JSONResponse:
    """Answer a refusal that a route raised."""
    return problem_response(error.refused)


async def on_invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
    """Answer values that don't match the contract; the answer names each field and never repeats its value."""
    faults = [{"field": _field(fault["loc"]), "reason": fault_message(fault)} for fault in error.errors()]
    detail = "; ".join(f"{fault['field']}: {fault['reason']}" for fault in faults)
    return problem_response(Refused(Problem.INVALID_REQUEST, detail, {"errors": faults}))


async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
    """Answer an unknown route, a wrong method or a body that isn't JSON."""
    if error.status_code == 404:
        return problem_response(Refused(Problem.ROUTE_UNKNOWN, f"there is no {request.method} {request.url.path}"))
    return problem_response(Refused(Problem.INVALID_REQUEST, str(error.detail)), status=error.status_code)


def _field(location: Sequence[Any]) -> str:
    return ".".join(_known_name(part) for part in location[1:]) or str(location[0])


def _known_name(part: object) -> str:
    """Return a part of a field's name, or `…` for one that no field has: it may be a secret in the wrong place."""
    return str(part) if re.fullmatch("[a-z_-]{1,40}|[0-9]{1,9}", str(part)) else "…"
