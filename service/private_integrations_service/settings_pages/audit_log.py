"""Show, filter and export the audit log of an account."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from private_integrations.contract import Refused

from ..access.audit_search import AuditSearch
from ..operations import accounts, audit
from .fields import whole_number
from .page_requests import PageRequest, signed_in
from .rendering import HEADERS

_KINDS = ("person", "key", "deployment")
# Fewer than the largest number that the database knows has.
_CURSOR_DIGITS = 18


@dataclass(frozen=True)
class _Filter:
    """Hold the fields of the page's form, as they were typed."""

    who: str
    action: str
    integration: str
    since: str
    until: str

    @property
    def search(self) -> AuditSearch:
        """Return the search; `until` is a day, and included. Raises ValueError for a malformed day."""
        return AuditSearch(
            actor=self.who or None,
            action=self.action or None,
            integration=self.integration or None,
            since=_day(self.since),
            until=_day(self.until, timedelta(days=1)),
        )

    def address(self, path: str, **more: str) -> str:
        """Return the address of a page with this filter."""
        given = {name: value for name, value in vars(self).items() if value}
        return f"{path}?{urlencode(given | more)}"


def _show(asking: PageRequest) -> Response | Refused:
    chosen = _Filter(*(asking.query.get(name, "").strip()[:200] for name in _Filter.__dataclass_fields__))
    account_id, fault, search = asking.path["account_id"], None, AuditSearch()
    try:
        search = chosen.search
    except (ValueError, OverflowError):
        fault = "a day is written like 2026-11-21"
    account = accounts.found(asking.engine, account_id, actor=asking.actor)
    if isinstance(account, Refused):
        return account
    within = audit.within(search, asking.actor, account_id)
    page = audit.listed(asking.engine, within, before=_cursor(asking.query.get("cursor", "")))
    last = audit.head(asking.engine, account_id)
    path = _path(account_id)
    older = page.cursor and chosen.address(path, cursor=page.cursor)
    return asking.page(
        "audit_log.html",
        status=200 if fault is None else 422,
        account=account,
        entries=[] if fault else page.entries,
        older=None if fault else older,
        filter=chosen,
        kinds=_KINDS,
        fault=fault,
        head=last,
        path=path,
    )


def _export(asking: PageRequest) -> Response | Refused:
    account_id = asking.path["account_id"]
    lines = audit.whole_log(asking.engine, account_id, actor=asking.actor)
    if isinstance(lines, Refused):
        return lines
    attached = {"Content-Disposition": f'attachment; filename="audit-{account_id}.jsonl"'}
    return StreamingResponse(
        (f"{line}\n" for line in lines), media_type="application/jsonl", headers=dict(HEADERS) | attached
    )


def _path(account_id: str) -> str:
    return f"/settings/accounts/{account_id}/audit"


def _day(text: str, later: timedelta = timedelta(0)) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) + later if text else None


def _cursor(text: str) -> int | None:
    """Read a place in the log from an address; a malformed one is the newest."""
    return whole_number(text, _CURSOR_DIGITS)


ROUTES = [
    Route(_path("{account_id}"), signed_in(_show), methods=["GET"]),
    Route(_path("{account_id}") + "/export", signed_in(_export), methods=["GET"]),
]
