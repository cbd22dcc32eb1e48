"""Read the query of an opportunity search, in the names of v2 or v3, and return the cursor of the next page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from urllib.parse import urlencode

from ..authorizer.replies import PlatformError
from ..instants import to_milliseconds
from .bodies import invalid, one_of, searched
from .contact_list import read_cursor
from .instants import point_of
from .queries import LARGEST_SKIP, flag, last, number_faults, whole_number
from .requests import SandboxRequest
from .storage.contacts import Position
from .storage.opportunities import OpportunityFilter, OpportunityOrder, OpportunityWithContact

_DEFAULT_LIMIT = 20
_LARGEST_LIMIT = 100
_LARGEST_PAGE = LARGEST_SKIP // _LARGEST_LIMIT
# By the names of v3; the search of v2 is the one operation that writes them with `_`.
_NAMES = MappingProxyType(
    {
        "v2": MappingProxyType(
            {
                "locationId": "location_id",
                "pipelineId": "pipeline_id",
                "pipelineStageId": "pipeline_stage_id",
                "contactId": "contact_id",
                "assignedTo": "assigned_to",
            }
        ),
        "v3": MappingProxyType({}),
    }
)
_ORDERS = MappingProxyType(
    {
        "added_desc": OpportunityOrder(),
        "added_asc": OpportunityOrder(descending=False),
        "name_desc": OpportunityOrder(by_name=True),
        "name_asc": OpportunityOrder(by_name=True, descending=False),
    }
)
_DETAILS = ("getTasks", "getNotes", "getCalendarEvents")
_AMERICAN = re.compile(r"([0-9]{2})-([0-9]{2})-([0-9]{4})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_query_text = searched(75)


@dataclass(frozen=True)
class OpportunitySearch:
    """Hold the parameters of a query; `details` ask for more of the contact.

    `nothing` says that no opportunity of the sandbox can match. A cursor takes precedence over a page number.
    """

    selection: OpportunityFilter
    order: OpportunityOrder
    after: Position | None
    page: int
    limit: int
    details: frozenset[str]
    nothing: bool

    @property
    def skip(self) -> int:
        """Return how many opportunities the pages before this one have."""
        return 0 if self.after is not None else (self.page - 1) * self.limit


def read_search(request: SandboxRequest) -> OpportunitySearch | PlatformError:
    """Read the query of `GET /opportunities/search`; its location must be one that the token reaches."""
    query = request.query

    def value(name: str) -> str:
        return last(query, _NAMES[request.generation].get(name, name))

    faults = request.query_faults()
    page, limit = whole_number(value("page"), 1), whole_number(value("limit"), _DEFAULT_LIMIT)
    faults += [*number_faults("page", page, 1, _LARGEST_PAGE), *number_faults("limit", limit, 1, _LARGEST_LIMIT)]
    after = read_cursor(query)
    faults += [after] if isinstance(after, str) else []
    order = value("order") or "added_desc"
    faults += [*one_of("order", order, _ORDERS), *_query_text("q", value("q"))]
    status = value("status")
    faults += request.shapes.query.checks["status"]("status", status) if status else []
    faults += [f"{name} must be a boolean value" for name in _DETAILS if flag(value(name), default=False) is None]
    begin, end = _begin_of(value("date")), _end_of(value("endDate"))
    for name, found in (("date", begin), ("endDate", end)):
        faults += [f"{name} must be a date, such as 12-31-2026"] if value(name) and found is None else []
    if faults or page is None or limit is None or isinstance(after, str):
        return invalid(faults)
    selection = OpportunityFilter(
        account_id=request.account_id,
        text=value("q"),
        id=value("id") or None,
        pipeline_id=value("pipelineId") or None,
        stage_id=value("pipelineStageId") or None,
        contact_id=value("contactId") or None,
        status=None if status in ("", "all") else status,
        assigned_to=value("assignedTo") or None,
        country=value("country") or None,
        begin=begin,
        end=end,
    )
    details = frozenset(name for name in _DETAILS if flag(value(name), default=False))
    return OpportunitySearch(selection, _ORDERS[order], after, page, limit, details, nothing=bool(value("campaignId")))


def meta(
    request: SandboxRequest,
    search: OpportunitySearch,
    page: Sequence[OpportunityWithContact],
    *,
    more: bool,
    total: int,
    behind: int,
) -> dict[str, object]:
    """Say where a page is in the list: pages are counted, and the next one begins behind the last of this one."""
    before = search.skip if search.after is None else total - behind
    number = before // search.limit + 1
    place: dict[str, object] = {"startAfterId": None, "startAfter": None}
    if page:
        end = page[-1].opportunity
        place = {"startAfterId": end.id, "startAfter": to_milliseconds(end.added_at)}
    asked = {name: values[-1] for name, values in request.query.items() if name not in {"page", *place}}
    return {
        "total": total,
        "nextPageUrl": f"{request.base_url}/opportunities/search?{urlencode({**asked, **place})}" if more else None,
        **place,
        "currentPage": number,
        "nextPage": number + 1 if more else None,
        "prevPage": number - 1 if number > 1 else None,
    }


def _begin_of(text: str) -> datetime | None:
    """Return the first instant of a day, or the instant that the text means; None if it means none."""
    american = _AMERICAN.fullmatch(text)
    if american:
        month, day, year = american.groups()
        text = f"{year}-{month}-{day}"
    milliseconds = whole_number(text, 0) if text.isdecimal() else None
    return point_of(text if milliseconds is None else milliseconds)


def _end_of(text: str) -> datetime | None:
    """Return the first instant that is too late for an end: the next day, or the next millisecond."""
    begin = _begin_of(text)
    if begin is None or begin >= datetime.max.replace(tzinfo=UTC) - timedelta(days=1):
        return begin
    is_day = _AMERICAN.fullmatch(text) or _DAY.fullmatch(text)
    return begin + (timedelta(days=1) if is_day else timedelta(milliseconds=1))
