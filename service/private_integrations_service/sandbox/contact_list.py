"""The list of contacts: which page a request asks for, and where the next one begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from ..authorizer.replies import Refusal
from ..storage.contacts import Contact, Position
from ..storage.tables import from_milliseconds, to_milliseconds
from .bodies import invalid, required_text

_DEFAULT_LIMIT = 20
_LARGEST_LIMIT = 100
_LAST_INSTANT = 253_402_300_799_999  # 9999-12-31 in milliseconds, the last one that a datetime holds
# A pattern of more than 50,000 bytes is an error to SQLite.
_LONGEST_QUERY = 1000
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
    faults = [f"property {name} should not exist" for name in query if name not in _NAMES]
    faults += required_text("locationId", next(iter(query.get("locationId", ())), None))
    limit = _number(_last(query, "limit"), _DEFAULT_LIMIT)
    after = _cursor(query)
    text = _last(query, "query")
    faults += [*_limit_faults(limit), *([after] if isinstance(after, str) else []), *_text_faults(text)]
    if faults or limit is None or isinstance(after, str):
        return invalid(faults)
    return Page(limit, after, text)


def meta(page: Page, found: Found, url: str, location_id: str) -> dict[str, object]:
    """The place of a page in the list: counted pages, and the cursor and URL of the next one."""
    shown = found.contacts[: page.limit]
    last = shown[-1] if shown else None
    more = len(found.contacts) > page.limit
    number = (found.total - found.behind) // page.limit + 1
    cursor = {} if last is None else {"startAfter": to_milliseconds(last.added_at), "startAfterId": last.id}
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
    milliseconds = _number(instants[-1], 0)
    if milliseconds is None or milliseconds > _LAST_INSTANT:
        return "startAfter must be a number conforming to the specified constraints"
    return Position(from_milliseconds(milliseconds), ids[0] if ids else "")


def _limit_faults(limit: int | None) -> list[str]:
    if limit is None:
        return ["limit must be a number conforming to the specified constraints"]
    if limit > _LARGEST_LIMIT:
        return [f"limit must not be greater than {_LARGEST_LIMIT}"]
    return ["limit must not be less than 1"] if limit < 1 else []


def _text_faults(text: str) -> list[str]:
    # SQLite's LIKE would end the pattern at a NUL, and find everything.
    faults = ["query must be a string"] if "\x00" in text else []
    if len(text) > _LONGEST_QUERY:
        faults.append(f"query must be shorter than or equal to {_LONGEST_QUERY} characters")
    return faults


def _number(digits: str, default: int) -> int | None:
    """A whole number; one too long to be meant is only "very large"."""
    if not digits:
        return default
    if not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if len(digits) <= 18 else 10**18


def _last(query: Mapping[str, Sequence[str]], name: str) -> str:
    return query.get(name, ("",))[-1]
