"""The list of contacts: which page a request asks for, and where the next one begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from ..authorizer.replies import Refusal
from ..storage.contacts import Contact, Position
from ..storage.tables import from_milliseconds, to_milliseconds
from .bodies import invalid
from .instants import LAST_MILLISECOND
from .queries import last, location_faults, name_faults, number_faults, query_text, whole_number

_DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
"""Contacts in a page of a list."""
_NAMES = frozenset({"locationId", "limit", "startAfter", "startAfterId", "query"})


@dataclass(frozen=True)
class Page:
    """At most `limit` contacts behind `after`, those that contain `query`."""

    limit: int
    after: Position | None
    query: str


@dataclass(frozen=True)
class Found:
    """What the database holds: the page's contacts and one more if there is one, all and those behind the cursor."""

    contacts: Sequence[Contact]
    total: int
    behind: int


def read_page(query: Mapping[str, Sequence[str]]) -> Page | Refusal:
    """Read the query of `GET /contacts/`; the location itself was checked by the authorizer.

    `startAfter` (epoch milliseconds) and `startAfterId` name the last contact of the page before;
    some clients send both as `startAfter=1700000000000&startAfter=id`.
    """
    limit = whole_number(last(query, "limit"), _DEFAULT_LIMIT)
    after = _cursor(query)
    text = last(query, "query")
    faults = [*name_faults(query, _NAMES), *location_faults(query), *number_faults("limit", limit, 1, LARGEST_LIMIT)]
    faults += [*([after] if isinstance(after, str) else []), *query_text("query", text)]
    if faults or limit is None or isinstance(after, str):
        return invalid(faults)
    return Page(limit, after, text)


def meta(page: Page, found: Found, url: str, location_id: str) -> dict[str, object]:
    """The place of a page in the list: counted pages, and the cursor and URL of the next one."""
    shown = found.contacts[: page.limit]
    end = shown[-1] if shown else None
    more = len(found.contacts) > page.limit
    number = (found.total - found.behind) // page.limit + 1
    cursor = {} if end is None else {"startAfter": to_milliseconds(end.added_at), "startAfterId": end.id}
    asked = {"locationId": location_id, "limit": page.limit, **({"query": page.query} if page.query else {})}
    return {
        "total": found.total,
        "nextPageUrl": f"{url}?{urlencode({**asked, **cursor})}" if more else None,
        "startAfterId": cursor.get("startAfterId"),
        "startAfter": cursor.get("startAfter"),
        "currentPage": number,
        "nextPage": number + 1 if more else None,
        "prevPage": number - 1 if number > 1 else None,
    }


def _cursor(query: Mapping[str, Sequence[str]]) -> Position | str | None:
    """Behind which contact the page begins, wherever its id was sent, or what is wrong with that."""
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
