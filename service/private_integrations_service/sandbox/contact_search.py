"""Search contacts, and find the duplicate of a new one."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from private_integrations.contract import Reason

from ..authorizer.replies import PlatformError, Reply, new_trace_id
from .bodies import Check, invalid, required_text, searched, text, whole_number
from .contact_fields import shown_alone, shown_in_list
from .contact_filters import LONGEST_TEXT, filter_faults, group_of, orders, orders_of, unknown_field
from .contacts import contact_alike
from .queries import last
from .requests import SandboxRequest
from .shapes import Generation
from .storage.contact_search import ContactSearch, Hit, count_found, search_contacts
from .storage.contacts import ContactFilter

_LARGEST_LIMIT = 500
_LAST_CONTACT = 10_000  # in counted pages; behind it the place of the last contact leads on
_LARGEST_NUMBER = 10**15
_NUMBERED = frozenset({"dnd", "dateAdded", "dateUpdated"})
_NEWEST_FIRST = ({"field": "dateAdded", "direction": "desc"},)


def search(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/search`: newest first unless `sort` is given; `total` is the number of all matches."""
    given = request.body_fields(also=_CHECKS, also_required=("locationId", "pageLimit"))
    if isinstance(given, PlatformError):
        return given
    refusal = _refuse_filters(given.get("filters") or [])
    if refusal is not None:
        return refusal
    asked = _asked(request.account_id, given)
    refusal = _refuse_place(given, asked)
    if refusal is not None:
        return refusal
    limit, page = given["pageLimit"], given.get("page") or 1
    with request.read() as connection:
        after = given.get("searchAfter") or ()
        hits = search_contacts(connection, asked, after=after, skip=(page - 1) * limit, limit=limit)
        total = count_found(connection, asked)
    return Reply(
        200, {"contacts": [_shown(hit, request.generation) for hit in hits], "total": total, "traceId": new_trace_id()}
    )


def find_duplicate(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /contacts/search/duplicate`: the contact with this e-mail, or else with this number, or null."""
    query = request.query
    faults = request.query_faults()
    if faults:
        return invalid(faults)
    with request.read() as connection:
        found = contact_alike(connection, request.account_id, last(query, "email"), last(query, "number"))
    return Reply(200, {"contact": None if found is None else shown_alone(found.contact, request.generation)})


def _array(name: str, value: object) -> list[str]:
    return [] if isinstance(value, list) else [f"{name} must be an array"]


_CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "locationId": required_text,
        "page": whole_number(1, _LAST_CONTACT),
        "pageLimit": whole_number(1, _LARGEST_LIMIT),
        "searchAfter": _array,
        "query": searched(LONGEST_TEXT),
        "filters": _array,
        "sort": orders,
    }
)


def _refuse_filters(given: Sequence[Any]) -> PlatformError | None:
    """Refuse filters; the platform looks at their fields before it looks at operators and values."""
    unknown = unknown_field(given)
    if unknown is not None:
        return PlatformError(
            400, Reason.FILTER_UNKNOWN, f"Invalid field {unknown}", {"error": "Bad Request"}, traced=True
        )
    faults = filter_faults("filters", given)
    return invalid(faults) if faults else None


def _asked(account_id: str, given: Mapping[str, Any]) -> ContactSearch:
    selection = ContactFilter(account_id, given.get("query") or "")
    return ContactSearch(selection, group_of(given.get("filters") or []), orders_of(given.get("sort") or _NEWEST_FIRST))


def _refuse_place(given: Mapping[str, Any], asked: ContactSearch) -> PlatformError | None:
    """Refuse a search that begins behind the last counted page, or at a place that this order lacks."""
    page, place = given.get("page") or 1, given.get("searchAfter")
    faults = []
    if page * given["pageLimit"] > _LAST_CONTACT:
        faults.append(f"page must not be greater than {_LAST_CONTACT // given['pageLimit']}")
    if place:
        faults += _place_faults(place, asked)
        if page > 1:
            faults.append("page must not be used with searchAfter")
    return invalid(faults) if faults else None


def _place_faults(place: Sequence[object], asked: ContactSearch) -> list[str]:
    if len(place) != len(asked.orders) + 1:
        return [f"searchAfter must contain {len(asked.orders) + 1} elements"]
    faults = []
    for position, (value, order) in enumerate(zip(place, [*asked.orders, None], strict=True)):
        name = f"searchAfter.{position}"
        if order is not None and order.field in _NUMBERED:
            faults += whole_number(0, _LARGEST_NUMBER)(name, value)
        else:
            faults += text(name, value)
    return faults


def _shown(hit: Hit, generation: Generation) -> dict[str, object]:
    """Show a contact as searches do: the street has another name, and the place leads to the next page."""
    fields = shown_in_list(hit.contact, generation)
    street = fields.pop("address1", None)
    known: dict[str, object] = {
        **fields,
        "address": street,
        "businessName": hit.business_name,
        "opportunities": [],
        "searchAfter": list(hit.place),
    }
    return {name: value for name, value in known.items() if value is not None}


HANDLERS = MappingProxyType(
    {
        ("POST", "/contacts/search"): search,
        ("GET", "/contacts/search/duplicate"): find_duplicate,
    }
)
