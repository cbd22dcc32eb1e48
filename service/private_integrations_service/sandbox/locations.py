"""Show sub-accounts as the API does: as locations."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from private_integrations.contract import Account

from ..authorizer.replies import PlatformError, Reply
from ..operations.accounts import account_by_id
from .answers import not_found
from .bodies import invalid, one_of
from .queries import LARGEST_SKIP, last, number_faults, whole_number
from .requests import SandboxRequest
from .storage.locations import LocationSearch, find_locations

_DEFAULT_LIMIT = 10
_LARGEST_LIMIT = 1000
# Of the fields that a single location has, those that a search shows (GetLocationSchema of apps/locations.json).
_FOUND_NAMES = (
    *("id", "name", "phone", "email", "address", "city", "state"),
    *("country", "postalCode", "website", "timezone", "settings", "social"),
)
_SOCIAL = (
    *("facebookUrl", "googlePlus", "linkedIn", "foursquare", "twitter", "yelp", "instagram", "youtube", "pinterest"),
    *("blogRss", "googlePlacesId"),
)
_SETTINGS = (
    "allowDuplicateContact",
    "allowDuplicateOpportunity",
    "allowFacebookNameMerge",
    "disableContactTimezone",
)


def read_location(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/{locationId}`; the authorizer has checked that the token reaches it."""
    location_id = request.parameter("locationId")
    location = account_by_id(request.engine, location_id)
    if location is None or not location.kind.belongs_to_agency:
        return not_found("Location", location_id)
    return Reply(200, {"location": _shown(location)})


def search_locations(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/search`: the locations that the token reaches, by name."""
    search = _read_search(request.account_id, request.query, request.query_faults())
    if isinstance(search, PlatformError):
        return search
    if last(request.query, "email"):
        # The sandbox knows no location's address.
        return Reply(200, {"locations": []})
    with request.read() as connection:
        found = [_shown(location) for location in find_locations(connection, search)]
    return Reply(200, {"locations": [{name: shown[name] for name in _FOUND_NAMES} for shown in found]})


def _read_search(
    account_id: str, query: Mapping[str, Sequence[str]], known: Sequence[str]
) -> LocationSearch | PlatformError:
    skip = whole_number(last(query, "skip"), 0)
    limit = whole_number(last(query, "limit"), _DEFAULT_LIMIT)
    order = last(query, "order") or "asc"
    faults = [*known, *number_faults("skip", skip, 0, LARGEST_SKIP)]
    faults += [*number_faults("limit", limit, 1, _LARGEST_LIMIT), *one_of("order", order, ("asc", "desc"))]
    if faults or skip is None or limit is None:
        return invalid(faults)
    return LocationSearch(account_id, last(query, "companyId") or None, skip, limit, descending=order == "desc")


def _shown(location: Account) -> dict[str, object]:
    """Return every documented field, so that strict clients find them; the sandbox has values for the first three."""
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
        "business": {
            "name": location.name,
            **dict.fromkeys(("address", "city", "state", "postalCode", "website", "logoUrl"), ""),
            "country": "US",
            "timezone": "UTC",
        },
        "social": dict.fromkeys(_SOCIAL, ""),
        "settings": dict.fromkeys(_SETTINGS, False),
        "reseller": {},
    }


HANDLERS = MappingProxyType(
    {
        ("GET", "/locations/search"): search_locations,
        ("GET", "/locations/{locationId}"): read_location,
    }
)
