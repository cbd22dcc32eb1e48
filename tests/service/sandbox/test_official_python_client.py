"""The vendor's own Python client, PyPI gohighlevel-api-client, unmodified but for the base URL; it speaks v3."""

import asyncio
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from data_api import DataApi, token_of

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def vendor() -> ModuleType:
    """The client's package: its import takes seconds, which only the worker that runs these tests is to spend."""
    return import_module("highlevel")


@pytest.fixture
def call(vendor: ModuleType, data_api: DataApi) -> Iterator[Call]:
    """Call an operation of a service of the client, and wait for its answer."""
    client_class = type("Client", (vendor.HighLevel,), {"BASE_URL": data_api.url})

    with asyncio.Runner() as runner:
        client = client_class(private_integration_token=data_api.token, log_level="none")
        yield lambda service, operation, *given, **named: runner.run(
            getattr(getattr(client, service), operation)(*given, **named)
        )
        runner.run(client.http_client.aclose())


@pytest.fixture
def contact(call: Call, data_api: DataApi, unique: str) -> dict[str, Any]:
    """A contact made by the client."""
    body = {"locationId": data_api.account, "name": f"Ada {unique}", "email": f"{unique}@example.com"}
    return call("contacts", "create_contact", body)["contact"]


def test_contacts(call, data_api, contact, unique):
    """A contact is created, read, searched, updated, tagged and deleted."""
    assert call("contacts", "get_contact", contact["id"])["contact"] == contact
    search = {"locationId": data_api.account, "page": 1, "pageLimit": 10, "query": unique}
    assert [each["id"] for each in call("contacts", "search_contacts_advanced", search)["contacts"]] == [contact["id"]]
    assert call("contacts", "update_contact", contact["id"], {"city": "Turin"})["contact"]["city"] == "Turin"
    assert call("contacts", "add_tags", contact["id"], {"tags": ["vip"]})["tags"] == ["vip"]
    assert call("contacts", "create_note", contact["id"], {"body": "called"})["note"]["body"] == "called"
    assert call("contacts", "delete_contact", contact["id"])["succeded"] is True


def test_what_is_read_first(call, data_api):
    """Location, pipelines, campaigns, calendars and users of the location are there to choose from."""
    location = call("locations", "get_location", data_api.account)["location"]
    [pipeline] = call("opportunities", "get_pipelines", data_api.account)["pipelines"]
    assert pipeline["stages"][0]["name"] == "New Lead"
    assert [each["name"] for each in call("campaigns", "get_campaigns", data_api.account)["campaigns"]] == ["Welcome"]
    assert [each["name"] for each in call("calendars", "get_calendars", data_api.account)["calendars"]] == [
        "First Meeting"
    ]
    found = call("users", "search_users", company_id=location["companyId"], location_id=data_api.account)
    assert found["count"] == len(found["users"])


def test_opportunities(vendor, call, data_api, contact):
    """An opportunity is created, found by every filter, moved, won, read and deleted."""
    [pipeline] = call("opportunities", "get_pipelines", data_api.account)["pipelines"]
    first, second = (stage["id"] for stage in pipeline["stages"][:2])
    body = {"pipelineId": pipeline["id"], "locationId": data_api.account, "name": "Roof", "status": "open"}
    made = call("opportunities", "create_opportunity", {**body, "contactId": contact["id"], "monetaryValue": 12})
    opportunity = made["opportunity"]
    assert (opportunity["pipelineStageId"], opportunity["monetaryValue"]) == (first, 12)
    found = call(
        "opportunities",
        "search_opportunity",
        data_api.account,
        q="Roof",
        status="open",
        page=1,
        limit=20,
        get_notes=True,
        pipeline_id=pipeline["id"],
        pipeline_stage_id=first,
        contact_id=contact["id"],
    )
    assert [each["id"] for each in found["opportunities"]] == [opportunity["id"]]
    moved = call("opportunities", "update_opportunity", opportunity["id"], {"pipelineStageId": second})["opportunity"]
    assert moved["pipelineStageId"] == second
    assert call("opportunities", "update_opportunity_status", opportunity["id"], {"status": "won"})["succeded"] is True
    read = call("opportunities", "get_opportunity", opportunity["id"])["opportunity"]
    assert (read["status"], read["contact"]["email"]) == ("won", contact["email"])
    assert call("opportunities", "delete_opportunity", opportunity["id"])["succeded"] is True
    with pytest.raises(vendor.error.GHLError) as gone:
        call("opportunities", "get_opportunity", opportunity["id"])
    assert gone.value.status_code == 400


def test_refusals(vendor, serving, data_api):
    """A token without the scope is refused with the platform's status, and the client raises its own error."""
    client_class = type("Client", (vendor.HighLevel,), {"BASE_URL": data_api.url})
    token = token_of(serving, "contacts.readonly")

    async def ask() -> None:
        client = client_class(private_integration_token=token, log_level="none")
        try:
            await client.opportunities.get_pipelines(data_api.account)
        finally:
            await client.http_client.aclose()

    with pytest.raises(vendor.error.GHLError) as refused:
        asyncio.run(ask())
    assert refused.value.status_code == 401
