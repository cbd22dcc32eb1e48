"""Locations: the sub-accounts, as the API shows them."""

from private_integrations.contract import Account

from ..authorizer.replies import Refusal, Reply
from ..storage.accounts import account_by_id
from .requests import Request


def read_location(request: Request) -> Reply | Refusal:
    """Answer `GET /locations/{locationId}`; the authorizer has checked that the token reaches it."""
    location_id = request.parameter("locationId")
    with request.database.read() as connection:
        location = account_by_id(connection, location_id)
    if location is None or location.kind != "sub_account":
        return Refusal(400, "location-not-found", f"Location with id {location_id} not found")
    return Reply(200, {"location": _shown(location)})


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
