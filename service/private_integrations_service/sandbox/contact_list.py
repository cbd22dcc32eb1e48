"""Read which page of the list of contacts a request asks for, and tell where the next page begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlencode

from ..authorizer.replies import PlatformError
from ..instants import from_milliseconds, to_milliseconds
from .bodies import invalid, one_of
from .instants import LAST_MILLISECOND
from .queries import last, number_faults, query_text, whole_number
from .storage.contacts import NEWEST_FIRST, Contact, ListOrder, Position

_DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
"""Limit a page of a list to so many contacts."""
SORTING = ("sortBy", "order")
"""List parameters that clients send to the platform although its specification lacks them."""
_INSTANTS: Mapping[str, Literal["added_at", "updated_at"]] = MappingProxyType(
    {"date_added": "added_at", "date_updated": "updated_at", "dateAdded": "added_at", "dateUpdated": "updated_at"}
)
_DIRECTIONS = ("desc", "asc")


@dataclass(frozen=True)
class Page:
    """Ask for `limit` contacts behind `after` that contain `query`; `sorting` is in the client's own words."""

    limit: int
    after: Position | None
    query: str
    order: ListOrder = NEWEST_FIRST
    sorting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ContactPage:
    """Hold the page's contacts and one more if it exists, and count all contacts and those behind the cursor."""

    contacts: Sequence[Contact]
    total: int
    behind: int


def read_page(query: Mapping[str, Sequence[str]], faults: Sequence[str]) -> Page | PlatformError:
    """Read the query of `GET /contacts/`; `faults` are those found before.

    `startAfter` (epoch milliseconds) and `startAfterId` name the last contact of the page before;
    some clients send both as `startAfter=1700000000000&startAfter=id`.
    """
    limit = whole_number(last(query, "limit"), _DEFAULT_LIMIT)
    after = read_cursor(query)
    text = last(query, "query")
    sorting = {name: last(query, name) for name in SORTING if last(query, name)}
    by, direction = sorting.get("sortBy", "date_added"), sorting.get("order", "desc")
    found = [*faults, *number_faults("limit", limit, 1, LARGEST_LIMIT)]
    found += [*([after] if isinstance(after, str) else []), *query_text("query", text)]
    found += [*one_of("sortBy", by, _INSTANTS), *one_of("order", direction, _DIRECTIONS)]
    if found or limit is None or isinstance(after, str):
        return invalid(found)
    return Page(limit, after, text, ListOrder(_INSTANTS[by], descending=direction == "desc"), sorting)


def meta(page: Page, found: ContactPage, url: str, location_id: str) -> dict[str, object]:
    """Return the place of a page in the list: page numbers, and the cursor and URL of the next page."""
    shown = found.contacts[: page.limit]
    end = shown[-1] if shown else None
    more = len(found.contacts) > page.limit
    number = (found.total - found.behind) // page.limit + 1
    instant = None if end is None else to_milliseconds(getattr(end, page.order.by))
    cursor = {} if end is None else {"startAfter": instant, "startAfterId": end.id}
    asked = {"locationId": location_id, "limit": page.limit, **({"query": page.query} if page.query else {})}
    asked |= page.sorting
    return {
        "total": found.total,
        "nextPageUrl": f"{url}?{urlencode({**asked, **cursor})}" if more else None,
        "startAfterId": cursor.get("startAfterId"),
        "startAfter": cursor.get("startAfter"),
        "currentPage": number,
        "nextPage": number + 1 if more else None,
        "prevPage": number - 1 if number > 1 else None,
    }


def read_cursor(query: Mapping[str, Sequence[str]]) -> Position | str | None:
    """Find the contact after which a page begins, in any parameter that the client used, or name the fault."""
    instants = [value for value in query.get("startAfter", ()) if value]
    ids = [value for value in query.get("startAfterId", ()) if value]
    if len(instants) == 2 and not ids:
        ids = [instants.pop()]
    if not instants:
        return "startAfter should not be empty" if ids else None
    milliseconds = whole_number(instants[-1], 0)
    if milliseconds is None or milliseconds > LAST_MILLISECOND:
        return "startAfter must be a number conforming to the specified constraints"
    return Position(from_milliseconds(milliseconds), ids[0] if ids else "")
