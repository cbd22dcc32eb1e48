"""Serve the routes of the audit log."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AwareDatetime

from private_integrations.contract import AUDIT_CURSOR, AccountId, AuditPage, Identifier

from ..access.audit_search import AuditSearch
from ..access.principals import refuse_administration
from ..http.problems import ProblemError
from ..operations import audit
from .callers import Asking

router = APIRouter()

_LINES = "application/jsonl"

_Place = Annotated[int | None, Query(ge=0, le=2**63 - 1)]
_Text = Annotated[str | None, Query(min_length=1, max_length=400)]
_JSON_LINES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A row a line; the header asks for those behind them",
        "content": {_LINES: {"schema": {"type": "string"}}},
        "headers": {AUDIT_CURSOR: {"schema": {"type": "integer"}}},
    }
}


def _reached(asking: Asking, account: AccountId | None = None, own: bool = False) -> AuditSearch:
    """Select an account's rows, with `own` those of no account, otherwise all that the key reaches."""
    refused = refuse_administration(asking.principal, "the service's own audit log")
    if own and account is None:
        if refused is not None:
            raise ProblemError(refused)
        return AuditSearch(accounts=(), own=True)
    return audit.within(AuditSearch(own=refused is None), asking.actor, account)


_Reached = Annotated[AuditSearch, Depends(_reached)]


@router.get("/audit")
def list_audit(
    asking: Asking,
    reached: _Reached,
    integration: Identifier | None = None,
    actor: _Text = None,
    action: _Text = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    cursor: _Place = None,
) -> AuditPage:
    """List rows of the audit log, the newest first; `actor` is an actor, the beginning of one, or `deployment`."""
    search = replace(reached, integration=integration, actor=actor, action=action, since=since, until=until)
    return audit.listed(asking.engine, search, before=cursor)


@router.get("/audit/export", response_class=Response, responses=_JSON_LINES)
def export_audit(asking: Asking, reached: _Reached, cursor: _Place = None) -> Response:
    """Export rows of the audit log as lines of JSON, the oldest first, each with its hash; empty at the end."""
    page = audit.exported(asking.engine, reached, after=cursor or 0)
    body = "".join(f"{line}\n" for line in page.lines)
    return Response(body, media_type=_LINES, headers={AUDIT_CURSOR: str(page.cursor)})
