"""Serve the one route that needs no key: anyone who holds a leaked token may end it."""

import asyncio
import math
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from private_integrations.contract import LeakReceipt, LeakReport, Problem, ProblemDocument, Refused

from ..access.actors import Actor
from ..access.security_log import SecurityEvent
from ..http.client_address import client_address, client_agent
from ..http.problems import MEDIA_TYPE, ProblemError
from ..http.rate_limiter import RateLimiter
from ..operations import leaks
from .callers import ApiDependencies

router = APIRouter()

# A report costs a few milliseconds of a thread and names up to a hundred tokens. Counted for all reporters together,
# since addresses behind a proxy are one: a storm of reports delays other reports, and takes little from the rest.
PER_SECOND = 8
BURST = 24


async def _within_budget(request: Request) -> ApiDependencies:
    """Return the dependencies of a request within the rate limit; on the event loop, so a refusal takes no thread."""
    reports: RateLimiter = request.app.state.reports
    now = asyncio.get_running_loop().time()
    short = reports.wait(now)
    if short:
        seconds = math.ceil(short)
        detail = f"too many leak reports at the moment; send this one again in {seconds} s"
        raise ProblemError(Refused(Problem.REPORTS_TOO_MANY, detail, {"retry_after_seconds": seconds}))
    reports.take(now)
    parts: ApiDependencies = request.app.state.parts
    return parts


@router.post(
    "/leaked",
    responses={429: {"model": ProblemDocument, "description": "Too many reports", "content": {MEDIA_TYPE: {}}}},
)
def report_leaked(
    request: Request, body: LeakReport, parts: Annotated[ApiDependencies, Depends(_within_budget)]
) -> LeakReceipt:
    """End leaked tokens: none of them opens anything once this is answered with 200.

    It needs no key, because the holder of a token could use it as well. Unknown tokens are no error (RFC 7009, 2.2).
    """
    address = client_address(request.scope, parts.rules.settings.trusted_proxies)
    reporter = Actor("leak report", address=address, agent=client_agent(request.scope))
    receipt = leaks.report(parts.engine, body, actor=reporter)
    parts.security.note(
        SecurityEvent.LEAK_REPORTED,
        parts.engine.now(),
        address=reporter.address,
        agent=reporter.agent,
        received=receipt.received,
        ended=receipt.ended,
    )
    return receipt
