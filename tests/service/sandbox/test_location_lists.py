"""Clients first read the calendars, campaigns and time zones of a location, to offer a choice."""

import zoneinfo

import pytest

from private_integrations_service.sandbox.storage.calendars import Calendar, add_calendar
from private_integrations_service.sandbox.storage.campaigns import Campaign, add_campaign


@pytest.fixture(autouse=True)
def _reader(api, desk):
    """Every request here is sent with a token that may read these lists."""
    api.token = desk.token_with("calendars.readonly", "campaigns.readonly", "locations.readonly")


@pytest.mark.parametrize("version", ["2021-04-15", "2021-07-28", "v3"])
def test_calendars_of_a_location(api, database, clock, accounts, version):
    """A location begins with a calendar; drafts are in the list unless they are not wanted, groups have none."""
    with database.write() as write:
        add_calendar(write.connection, Calendar("cal1", accounts.location, "A draft", active=False, fields={}))
        add_calendar(write.connection, Calendar("cal2", accounts.sister, "Sister's", active=True, fields={}))
    base = f"/calendars/?locationId={accounts.location}"
    for query, names in (
        ("", ["A draft", "First Meeting"]),
        ("&showDrafted=true", ["A draft", "First Meeting"]),
        ("&showDrafted=false", ["First Meeting"]),
        ("&groupId=g1", []),
    ):
        answer = api.ask("GET", base + query, version=version)
        assert (answer.status, [calendar["name"] for calendar in answer.body["calendars"]]) == (200, names)
    [calendar] = api.ask("GET", f"{base}&showDrafted=false", version=version).body["calendars"]
    assert (calendar["locationId"], calendar["isActive"], calendar["slotDuration"]) == (accounts.location, True, 30)


@pytest.mark.parametrize("version", ["2021-07-28", "v3"])
def test_campaigns_of_a_location(api, database, clock, accounts, version):
    """A location begins with a campaign, and a status leaves out the others."""
    with database.write() as write:
        add_campaign(write.connection, Campaign("camp1", accounts.location, "Autumn", "published"))
        add_campaign(write.connection, Campaign("camp2", accounts.sister, "Sister's", "published"))
    base = f"/campaigns/?locationId={accounts.location}"
    for query, names in (("", ["Autumn", "Welcome"]), ("&status=published", ["Autumn"]), ("&status=gone", [])):
        answer = api.ask("GET", base + query, version=version)
        assert (answer.status, [campaign["name"] for campaign in answer.body["campaigns"]]) == (200, names)
    [campaign] = api.ask("GET", f"{base}&status=published", version=version).body["campaigns"]
    assert campaign == {"id": "camp1", "name": "Autumn", "status": "published", "locationId": accounts.location}


@pytest.mark.parametrize("version", ["2021-07-28", "v3"])
def test_time_zones_of_a_location(api, accounts, version):
    """The zones are names of the IANA database, sorted, and each can be used as one."""
    answer = api.ask("GET", f"/locations/{accounts.location}/timezones", version=version)
    zones = answer.body["timeZones"]
    assert (answer.status, list(answer.body)) == (200, ["timeZones"])
    assert {"America/New_York", "Europe/London", "UTC"} <= set(zones)
    assert zones == sorted(set(zones))
    assert all(zoneinfo.ZoneInfo(zone) for zone in zones)


def test_lists_of_another_location_are_refused(api, accounts):
    """Each list refuses a location that the token doesn't reach."""
    for target in ("/calendars/?locationId={}", "/campaigns/?locationId={}", "/locations/{}/timezones"):
        answer = api.ask("GET", target.format(accounts.sister))
        assert (answer.status, answer.body["reason"]) == (403, "location-not-allowed")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/calendars/", "locationId should not be empty"),
        ("/calendars/?locationId={}&showDrafted=maybe", "showDrafted must be a boolean value"),
        ("/campaigns/", "locationId should not be empty"),
        ("/campaigns/?locationId={}&name=x", "property name should not exist"),
        ("/locations/{}/timezones?x=1", "property x should not exist"),
    ],
)
def test_invalid_requests_for_lists(api, accounts, target, text):
    """A fault of a query is a 422 that names the parameter."""
    answer = api.ask("GET", target.format(accounts.location))
    assert (answer.status, answer.body["message"][-1]) == (422, text)


def test_each_list_needs_its_own_scope(api, desk, accounts):
    """The scope is the catalogue's: none of the three opens another list."""
    scopes = {
        f"/calendars/?locationId={accounts.location}": "calendars.readonly",
        f"/campaigns/?locationId={accounts.location}": "campaigns.readonly",
        f"/locations/{accounts.location}/timezones": "locations.readonly",
    }
    for target, scope in scopes.items():
        token = desk.token_with(*(other for other in scopes.values() if other != scope))
        answer = api.ask("GET", target, token=token)
        assert (answer.status, answer.body.get("requiredScope")) == (401, scope)
