"""An MCP server that people give to their agents, npm ghl-mcp-server, unmodified: its tools work on the sandbox."""

from collections.abc import Iterator

import pytest

from data_api import DataApi, token_of
from mcp_client import MODULES, Tools, mcp_server

SERVER = MODULES / "node_modules" / "ghl-mcp-server" / "dist" / "server.js"


def settings_of(data_api: DataApi) -> dict[str, str]:
    """The settings that the server documents."""
    return {"GHL_API_KEY": data_api.token, "GHL_BASE_URL": data_api.url, "GHL_LOCATION_ID": data_api.account}


@pytest.fixture(scope="module")
def call(data_api: DataApi) -> Iterator[Tools]:
    """The server's tools, with a token that opens all that they ask for."""
    with mcp_server(SERVER, settings_of(data_api)) as tools:
        yield tools


def test_its_tools_are_offered(call):
    """The server starts and lists its tools."""
    assert {"search_contacts", "search_opportunities", "get_pipelines", "get_calendars"} <= set(call.names())


def test_what_an_agent_reads_first(call, data_api):
    """Location, pipelines, calendars and time zones are there."""
    found = call("get_location", locationId=data_api.account)
    assert found["location"]["id"] == data_api.account
    [pipeline] = call("get_pipelines")["pipelines"]
    assert [stage["name"] for stage in pipeline["stages"]][:2] == ["New Lead", "Contacted"]
    assert [calendar["name"] for calendar in call("get_calendars")["calendars"]] == ["First Meeting"]
    # It looks for an array where n8n's node finds `timeZones`, and takes the object for an empty list.
    assert call("get_timezones", locationId=data_api.account)["success"] is True


def test_an_agent_works_with_contacts(call, unique):
    """A contact is created, found, changed, tagged, given a note and a task, and deleted."""
    contact = call("create_contact", firstName="Ada", lastName=unique, email=f"{unique}@example.com")
    assert [each["id"] for each in call("search_contacts", query=unique)["contacts"]] == [contact["id"]]
    assert call("update_contact", contactId=contact["id"], lastName="Byron")["lastName"] == "Byron"
    assert call("add_contact_tags", contactId=contact["id"], tags=["vip"])["tags"] == ["vip"]
    assert call("create_contact_note", contactId=contact["id"], body="called")["body"] == "called"
    call("delete_contact", contactId=contact["id"])
    assert "not found" in call.answer("get_contact", contactId=contact["id"])["error"]


def test_an_agent_works_with_opportunities(call, unique):
    """An opportunity is created, found, moved, won and deleted."""
    contact = call("create_contact", firstName="Ada", email=f"{unique}@example.com")
    [pipeline] = call("get_pipelines")["pipelines"]
    made = call("create_opportunity", name=unique, pipelineId=pipeline["id"], contactId=contact["id"])["opportunity"]
    assert (made["name"], made["status"]) == (unique, "open")
    found = call("search_opportunities", query=unique, pipelineId=pipeline["id"], status="open", limit=5)
    assert ([each["id"] for each in found["opportunities"]], found["meta"]["total"]) == ([made["id"]], 1)
    stage = pipeline["stages"][1]["id"]
    moved = call("update_opportunity", opportunityId=made["id"], pipelineStageId=stage, monetaryValue=500)
    assert (moved["opportunity"]["pipelineStageId"], moved["opportunity"]["monetaryValue"]) == (stage, 500)
    call("update_opportunity_status", opportunityId=made["id"], status="won")
    assert call("get_opportunity", opportunityId=made["id"])["opportunity"]["status"] == "won"
    call("delete_opportunity", opportunityId=made["id"])
    assert call("search_opportunities", query=unique)["opportunities"] == []


def test_a_refusal_reaches_the_agent_in_the_platforms_words(serving, data_api):
    """A token without the scope is refused, and the tool says why as far as the server passes it on."""
    token = token_of(serving, "contacts.readonly")
    with mcp_server(SERVER, settings_of(DataApi(data_api.url, token, data_api.account))) as call:
        refused = call.answer("get_pipelines")["error"]
    assert "(401)" in refused
    assert "The token is not authorized for this scope." in refused
