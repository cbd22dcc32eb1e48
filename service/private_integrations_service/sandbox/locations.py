"""Locations: the sub-accounts, as the API shows them."""

from collections.abc import Mapping, Sequence

from private_integrations.contract import Account

from ..authorizer.replies import Refusal, Reply
from ..storage.accounts import account_by_id
from ..storage.locations import LocationSearch, find_locations
from .bodies import invalid
from .requests import Request

_DEFAULT_LIMIT = 10
_LARGEST_LIMIT = 1000
# Nobody has more locations, and SQLite counts no further than 2**63.
_LARGEST_SKIP = 10**9
_SEARCH_NAMES = frozenset({"companyId", "skip", "limit", "order", "email", "locationId"})
# Of the fields that a single location has, those that a search shows (GetLocationSchema of apps/locations.json).
_FOUND_NAMES = (
    *("id", "name", "phone", "email", "address", "city", "state"),
    *("country", "postalCode", "website", "timezone", "settings", "social"),
)


def read_location(request: Request) -> Reply | Refusal:
    """Answer `GET /locations/{locationId}`; the authorizer has checked that the token reaches it."""
    location_id = request.parameter("locationId")
    with request.database.read() as connection:
        location = account_by_id(connection, location_id)
    if location is None or location.kind != "sub_account":
        return Refusal(400, "location-not-found", f"Location with id {location_id} not found")
    return Reply(200, {"location": _shown(location)})


def search_locations(request: Request) -> Reply | Refusal:
    """Answer `GET /locations/search`: the locations that the token reaches, by name."""
    search = _read_search(request.account_id, request.query)
    if isinstance(search, Refusal):
        return search
    if _last(request.query, "email"):
        # The sandbox knows no location's address.
        return Reply(200, {"locations": []})
    with request.database.read() as connection:
        found = [_shown(location) for location in find_locations(connection, search)]
    return Reply(200, {"locations": [{name: shown[name] for name in _FOUND_NAMES} for shown in found]})


def _read_search(account_id: str, query: Mapping[str, Sequence[str]]) -> LocationSearch | Refusal:
    faults = [f"property {name} should not exist" for name in query if name not in _SEARCH_NAMES]
    skip = _whole_number("skip", _last(query, "skip"), 0, range(_LARGEST_SKIP + 1))
    limit = _whole_number("limit", _last(query, "limit"), _DEFAULT_LIMIT, range(1, _LARGEST_LIMIT + 1))
    order = _last(query, "order") or "asc"
    faults += [fault for fault in (skip, limit) if isinstance(fault, str)]
    if order not in ("asc", "desc"):
        faults.append("order must be one of the following values: asc, desc")
    if faults or isinstance(skip, str) or isinstance(limit, str):
        return invalid(faults)
    return LocationSearch(account_id, _last(query, "companyId") or None, skip, limit, descending=order == "desc")


def _whole_number(name: str, digits: str, default: int, accepted: range) -> int | str:
    """The number, or what is wrong with it in the words of the platform's validator."""
    if not digits:
        return default
    if not (digits.isascii() and digits.isdigit()):
        return f"{name} must be a number conforming to the specified constraints"
    # One too long to be meant is only "very large".
    number = int(digits) if len(digits) <= 18 else accepted.stop
    if number < accepted.start:
        return f"{name} must not be less than {accepted.start}"
    return number if number in accepted else f"{name} must not be greater than {accepted.stop - 1}"


def _last(query: Mapping[str, Sequence[str]], name: str) -> str:
    return query.get(name, ("",))[-1]


def _shown(location: Account) -> dict[str, object]:
    """Every documented field, so that strict clients find them; the sandbox knows the first three."""
    unknown = ("domain", "address", "city", "state", "postalCode", "logoUrl", "website")
    person = ("firstName", "lastName", "email", "phone")
    return {
        "id": location.id,
        "companyId": location.agency_id,
        "name": location.name,
        **dict.fromkeys(unknown, ""),
        "country": "US",
        "timezone": "UTC",
        **dict.fromkeys(person, ""),
        "business": {"name": location.name},
        "social": {},
        "settings": {},
        "reseller": {},
    }
