"""Answer the management API's refusals as problem details (RFC 9457)."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from private_integrations.contract import PROBLEM_PREFIX, fault_message

from ..tokens.format import scrubbed, without_secrets
from ..tokens.lifecycle import Refused

MEDIA_TYPE = "application/problem+json"

_STATUS = {
    "account-fixed": 409,
    "account-unknown": 404,
    "account-without-admin": 409,
    "attempt-stale": 409,
    "body-malformed": 400,
    "body-too-large": 413,
    "body-too-slow": 408,
    "cancel-too-late": 409,
    "claim-old": 409,
    "claim-used": 409,
    "code-unknown": 404,
    "credential-missing": 404,
    "credential-not-accepted": 422,
    "credential-not-upstreams": 422,
    "credential-replaced": 409,
    "credential-unreadable": 409,
    "cursor-unknown": 422,
    "data-webhooks-of-platform": 409,
    "email-unverified": 403,
    "external-id-taken": 409,
    "fingerprint-unknown": 409,
    "generation-ended": 409,
    "generation-unknown": 422,
    "generation-used": 409,
    "identity-other": 403,
    "integration-unknown": 404,
    "invalid-request": 422,
    "key-ended": 401,
    "key-last-admin": 409,
    "key-missing": 401,
    "key-name-taken": 409,
    "key-not-allowed": 403,
    "key-not-found": 404,
    "key-repeated": 400,
    "key-unknown": 401,
    "key-used": 409,
    "password-weak": 422,
    "permission-not-there": 422,
    "permission-not-yours": 403,
    "provider-failed": 502,
    "reports-too-many": 429,
    "request-malformed": 400,
    "requests-too-many": 429,
    "rotation-not-allowed": 422,
    "rotation-open": 409,
    "route-unknown": 404,
    "scope-not-allowed": 422,
    "sealing-keys-missing": 409,
    "sign-in-busy": 503,
    "sign-in-lost": 400,
    "sign-in-refused": 401,
    "sign-in-throttled": 429,
    "storage-busy": 503,
    "storage-full": 507,
    "storage-unavailable": 503,
    "too-many-live-tokens": 409,
    "upstream-missing": 409,
    "user-disabled": 409,
    "user-exists": 409,
    "user-not-invited": 403,
    "user-unknown": 404,
    "version-old": 412,
    "webhook-disabled": 409,
    "webhook-event-unknown": 422,
    "webhook-limit": 409,
    "webhook-not-agency": 422,
    "webhook-not-service": 409,
    "webhook-secret-used": 409,
    "webhook-sub-accounts": 403,
    "webhook-unknown": 404,
    "webhook-url-not-allowed": 422,
}


class ProblemError(Exception):
    """The request is refused; the management API answers with a problem document."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.detail)
        self.refused = refused


def status_of(refused: Refused) -> int:
    """The HTTP status that says so."""
    return _STATUS[refused.problem]


def problem_response(refused: Refused, *, status: int | None = None) -> JSONResponse:
    """Return the answer for a refusal; everything in it that looks like a token or key is removed."""
    code = status or status_of(refused)
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
    return problem_response(Refused("invalid-request", detail, {"errors": faults}))


async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
    """Answer an unknown route, a wrong method or a body that isn't JSON."""
    if error.status_code == 404:
        return problem_response(Refused("route-unknown", f"there is no {request.method} {request.url.path}"))
    return problem_response(Refused("invalid-request", str(error.detail)), status=error.status_code)


def _field(location: Sequence[Any]) -> str:
    return ".".join(_known_name(part) for part in location[1:]) or str(location[0])


def _known_name(part: object) -> str:
    """Return a part of a field's name, or `…` for one that no field has: it may be a secret in the wrong place."""
    return str(part) if re.fullmatch("[a-z_-]{1,40}|[0-9]{1,9}", str(part)) else "…"
