"""Lists of a location that clients read to offer a choice: calendars, campaigns and time zones."""

import zoneinfo
from functools import cache
from types import MappingProxyType

from ..authorizer.replies import PlatformError, Reply
from .bodies import invalid
from .queries import flag, last
from .requests import SandboxRequest
from .storage.calendars import Calendar, list_calendars
from .storage.campaigns import list_campaigns


def read_calendars(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /calendars/`: by name; the sandbox has no groups, so none of them has a calendar."""
    drafts = flag(last(request.query, "showDrafted"), default=True)
    faults = request.query_faults()
    if drafts is None:
        faults.append("showDrafted must be a boolean value")
    if faults or drafts is None:
        return invalid(faults)
    if last(request.query, "groupId"):
        return Reply(200, {"calendars": []})
    with request.read() as connection:
        found = list_calendars(connection, request.account_id, drafts=drafts)
    return Reply(200, {"calendars": [_shown(calendar) for calendar in found]})


def read_campaigns(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /campaigns/`: by name, only those with the `status` if one is sent."""
    faults = request.query_faults()
    if faults:
        return invalid(faults)
    with request.read() as connection:
        found = list_campaigns(connection, request.account_id, status=last(request.query, "status"))
    shown = [
        {"id": campaign.id, "name": campaign.name, "status": campaign.status, "locationId": campaign.account_id}
        for campaign in found
    ]
    return Reply(200, {"campaigns": shown})


def read_time_zones(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/{locationId}/timezones`; the authorizer has checked that the token reaches it."""
    faults = request.query_faults()
    return invalid(faults) if faults else Reply(200, {"timeZones": _time_zones()})


@cache
def _time_zones() -> tuple[str, ...]:
    """List the zones of the IANA database that name a place, and UTC."""
    areas = ("Africa/", "America/", "Antarctica/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return tuple(sorted(name for name in zoneinfo.available_timezones() if name.startswith(areas) or name == "UTC"))


def _shown(calendar: Calendar) -> dict[str, object]:
    return {
        "id": calendar.id,
        "locationId": calendar.account_id,
        "name": calendar.name,
        "isActive": calendar.active,
        "teamMembers": [],
        "notifications": [],
        **calendar.fields,
    }


HANDLERS = MappingProxyType(
    {
        ("GET", "/calendars/"): read_calendars,
        ("GET", "/campaigns/"): read_campaigns,
        ("GET", "/locations/{locationId}/timezones"): read_time_zones,
    }
)
