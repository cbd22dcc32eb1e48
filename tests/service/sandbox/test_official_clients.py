"""Clients that people use with the platform, unmodified but for the base URL: PyPI gohighlevel-api, npm api-client.

Every test takes a `data_api`: an address, a token and its account. So the same suite runs over all that serves the API.
"""

import importlib
import json
import os
import pkgutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

import gohighlevel_api.api
import pytest
from gohighlevel_api import AuthenticatedClient, models
from gohighlevel_api.errors import UnexpectedStatus
from gohighlevel_api.types import Response

from data_api import DataApi, token_of
from forked import running_service
from private_integrations_service.catalogue.endpoints import Catalogue
from throwaway import REPOSITORY

SCRIPT = REPOSITORY / "tests" / "javascript" / "client.mjs"
MODULES = REPOSITORY / ".venv" / "javascript"


# PyPI gohighlevel-api.


class Python:
    """The Python client."""

    def __init__(self, client: AuthenticatedClient) -> None:
        self.client = client

    def __call__(self, operation: str, *path: str, **given: Any) -> Response:
        """Call an operation, "group.operation"."""
        module = importlib.import_module(f"gohighlevel_api.api.{operation}")
        version = get_type_hints(module.sync_detailed)["version"]("2021-07-28")
        return module.sync_detailed(*path, client=self.client, version=version, **given)


@pytest.fixture
def call(data_api: DataApi) -> Iterator[Python]:
    """The Python client, which raises on each status but the documented one."""
    with AuthenticatedClient(data_api.url, data_api.token, raise_on_unexpected_status=True) as client:
        yield Python(client)


def refusal(call: Python, operation: str, *path: str, **given: Any) -> tuple[int, Any]:
    """The status that the client did not expect, and the message that came with it."""
    with pytest.raises(UnexpectedStatus) as refused:
        call(operation, *path, **given)
    return refused.value.status_code, json.loads(refused.value.content)["message"]


@pytest.fixture
def contact(call: Python, data_api: DataApi, unique: str) -> dict[str, Any]:
    """A contact made by the Python client."""
    body = models.CreateContactDto(
        location_id=data_api.account, first_name="Ada", last_name=unique, email=f"{unique}@example.com", tags=["lead"]
    )
    return call("contacts.create_contact", body=body).parsed.contact.to_dict()


def test_python_contacts(call, data_api, contact, unique):
    """A contact is created, read, listed, updated and deleted; a missing one is an unexpected status."""
    assert (contact["email"], contact["tags"]) == (f"{unique}@example.com", ["lead"])
    read = call("contacts.get_contact", contact["id"]).parsed.contact
    assert (read.first_name, read.last_name, read.location_id) == ("Ada", unique, data_api.account)
    listed = call("contacts.get_contacts", location_id=data_api.account, query=unique).parsed
    assert ([found.id for found in listed.contacts], listed.count) == ([contact["id"]], 1)
    change = models.UpdateContactDto(city="London", tags=["a", "b"])
    updated = call("contacts.update_contact", contact["id"], body=change).parsed
    assert (updated.succeded, updated.contact.city, updated.contact.tags) == (True, "London", ["a", "b"])
    assert call("contacts.delete_contact", contact["id"]).parsed.succeded is True
    assert refusal(call, "contacts.get_contact", contact["id"]) == (400, f"Contact with id {contact['id']} not found")


def test_python_upsert(call, data_api, contact, unique):
    """An upsert finds the contact with the e-mail or makes one, and says which."""
    body = models.UpsertContactDto(location_id=data_api.account, email=f"{unique}@example.com", city="Paris")
    found = call("contacts.upsert_contact", body=body).parsed
    assert (found.new, found.contact.id, found.contact.city) == (False, contact["id"], "Paris")
    body = models.UpsertContactDto(location_id=data_api.account, email=f"other.{unique}@example.com")
    made = call("contacts.upsert_contact", body=body).parsed
    assert made.new is True
    assert made.contact.id != contact["id"]


def test_python_search(call, data_api, contact, unique):
    """Search and duplicate find the contact; the client leaves the reading to its caller."""
    body = models.SearchBodyV2DTO()
    body.additional_properties = {"locationId": data_api.account, "page": 1, "pageLimit": 20, "query": unique}
    searched = json.loads(call("search.search_contacts_advanced", body=body).content)
    assert ([found["id"] for found in searched["contacts"]], searched["total"]) == ([contact["id"]], 1)
    address = {"location_id": data_api.account, "email": f"{unique}@example.com"}
    duplicate = json.loads(call("search.get_duplicate_contact", **address).content)
    assert duplicate["contact"]["id"] == contact["id"]
    nobody = {"location_id": data_api.account, "email": f"nobody.{unique}@example.com"}
    assert json.loads(call("search.get_duplicate_contact", **nobody).content)["contact"] is None


def test_python_notes(call, contact):
    """Notes of a contact are created, read, listed, updated and deleted."""
    note = call("notes.create_note", contact["id"], body=models.NotesDTO(body="called")).parsed.note
    assert (note.body, note.contact_id) == ("called", contact["id"])
    assert call("notes.get_note", contact["id"], note.id).parsed.note.body == "called"
    changed = call("notes.update_note", contact["id"], note.id, body=models.NotesDTO(body="called twice")).parsed.note
    assert (changed.id, changed.body) == (note.id, "called twice")
    listed = call("notes.get_all_notes", contact["id"]).parsed.notes
    assert [(found.id, found.body) for found in listed] == [(note.id, "called twice")]
    assert call("notes.delete_note", contact["id"], note.id).parsed.succeded is True
    assert call("notes.get_all_notes", contact["id"]).parsed.notes == []


def test_python_tasks(call, contact):
    """Tasks of a contact are created, read, listed, updated, completed and deleted."""
    body = models.CreateTaskParams(title="call", due_date="2026-12-01T10:00:00.000Z", completed=False)
    task = call("tasks.create_task", contact["id"], body=body).parsed.task
    assert (task.title, task.completed, task.contact_id) == ("call", False, contact["id"])
    assert call("tasks.get_task", contact["id"], task.id).parsed.task.title == "call"
    updated = call("tasks.update_task", contact["id"], task.id, body=models.UpdateTaskBody(title="write")).parsed.task
    assert updated.title == "write"
    done = models.UpdateTaskStatusParams(completed=True)
    assert call("tasks.update_task_completed", contact["id"], task.id, body=done).parsed.task.completed is True
    listed = call("tasks.get_all_tasks", contact["id"]).parsed.tasks
    assert [(found.id, found.title, found.completed) for found in listed] == [(task.id, "write", True)]
    assert call("tasks.delete_task", contact["id"], task.id).parsed.succeded is True
    assert call("tasks.get_all_tasks", contact["id"]).parsed.tasks == []


def test_python_tags_and_followers(call, contact):
    """Tags and followers are added to a contact and taken away again."""
    tags = call("tags.add_tags", contact["id"], body=models.TagsDTO(tags=["vip"])).parsed.tags
    assert tags == ["lead", "vip"]
    tags = call("tags.remove_tags", contact["id"], body=models.TagsDTO(tags=["lead"])).parsed.tags
    assert tags == ["vip"]
    followers = models.FollowersDTO(followers=["sx6wyHhbFdRXh302Lunr"])
    added = call("followers.add_followers_contact", contact["id"], body=followers).parsed
    assert (added.followers, added.followers_added) == (followers.followers, followers.followers)
    removed = call("followers.remove_followers_contact", contact["id"], body=followers).parsed
    assert (removed.followers, removed.followers_removed) == ([], followers.followers)


def test_python_bulk(call, data_api, contact, unique):
    """Tags and a business are given to several contacts at once, and the business's contacts are listed."""
    for kind, expected in (("add", ["lead", "bulk"]), ("remove", ["lead"])):
        body = models.UpdateTagsDTO(contacts=[contact["id"]], tags=["bulk"], location_id=data_api.account)
        done = call("bulk.create_association", models.CreateAssociationType(kind), body=body).parsed
        assert (done.succeded, done.error_count) == (True, 0)
        assert call("contacts.get_contact", contact["id"]).parsed.contact.tags == expected
    business = call.client.get_httpx_client().post(
        "/businesses/", json={"name": unique, "locationId": data_api.account}, headers={"Version": "2021-07-28"}
    )
    business_id = business.json()["buiseness"]["id"]
    for given, members in ((business_id, [contact["id"]]), (None, [])):
        body = models.ContactsBusinessUpdate(business_id=given, ids=[contact["id"]], location_id=data_api.account)
        done = call("bulk.add_remove_contact_from_business", body=body).parsed
        assert (done.success, done.ids) == (True, [contact["id"]])
        found = call("contacts.get_contacts_by_business_id", business_id, location_id=data_api.account).parsed
        assert [member.id for member in found.contacts] == members


def test_python_campaigns_workflows_and_appointments(call, contact):
    """Campaigns and workflows take a contact and let it go; it has no appointments."""
    campaign, workflow = "sx6wyHhbFdRXh302Lunr", "6d3a7f6a-7b5e-4a5f-9c55-000000000000"
    body = models.AddContactToCampaignDto()
    assert call("campaigns.add_contact_to_campaign", contact["id"], campaign, body=body).parsed.succeded is True
    assert call("campaigns.remove_contact_from_campaign", contact["id"], campaign).parsed.succeded is True
    assert call("campaigns.remove_contact_from_every_campaign", contact["id"]).parsed.succeded is True
    body = models.CreateWorkflowDto(event_start_time="2026-12-01T10:00:00+01:00")
    for operation in ("workflow.add_contact_to_workflow", "workflow.delete_contact_from_workflow"):
        assert call(operation, contact["id"], workflow, body=body).parsed.succeded is True
    assert call("appointments.get_appointments_for_contact", contact["id"]).parsed.events == []


def test_python_custom_fields(call, data_api, unique):
    """Fields of custom objects, in folders, are created, read, listed by object, updated and deleted."""
    pet = f"custom_objects.{unique}"
    body = models.CreateFolder(location_id=data_api.account, name="About", object_key=pet)
    folder = call("custom_fields_v2.create_custom_field_folder", body=body).parsed
    assert (folder.name, folder.object_key, folder.location_id) == ("About", pet, data_api.account)
    body = models.UpdateFolder(location_id=data_api.account, name="More")
    assert call("custom_fields_v2.update_custom_field_folder", folder.id, body=body).parsed.name == "More"
    body = models.CreateCustomFieldsDTO(
        data_type=models.CreateCustomFieldsDTODataType.SINGLE_OPTIONS,
        field_key=f"{pet}.kind",
        location_id=data_api.account,
        object_key=pet,
        parent_id=folder.id,
        show_in_forms=True,
        name="Kind",
        options=[models.OptionDTO(key="cat", label="Cat")],
    )
    field = call("custom_fields_v2.create_custom_field", body=body).parsed.field
    assert (field.name, field.field_key, field.parent_id) == ("Kind", f"{pet}.kind", folder.id)
    assert call("custom_fields_v2.get_custom_field_by_id", field.id).parsed.field == field
    body = models.UpdateCustomFieldsDTO(location_id=data_api.account, show_in_forms=False, name="Species")
    changed = call("custom_fields_v2.update_custom_field", field.id, body=body).parsed.field
    assert (changed.name, changed.show_in_forms, changed.options) == ("Species", False, field.options)
    listed = call("custom_fields_v2.get_custom_fields_by_object_key", pet, location_id=data_api.account).parsed
    assert (listed.fields, [found.id for found in listed.folders]) == ([changed], [folder.id])
    assert call("custom_fields_v2.delete_custom_field", field.id).status_code == 200
    gone = call("custom_fields_v2.delete_custom_field_folder", folder.id, location_id=data_api.account).parsed
    assert (gone.succeded, gone.id) == (True, folder.id)


def test_python_refusals(call, data_api):
    """What is refused reaches the caller with the platform's status and words."""
    body = models.CreateContactDto(location_id=data_api.account, email="nobody")
    assert refusal(call, "contacts.create_contact", body=body) == (422, ["email must be an email"])
    body = models.CreateContactDto(location_id="another")
    expected = (403, "The token does not have access to this location.")
    assert refusal(call, "contacts.create_contact", body=body) == expected


def test_every_operation_of_the_python_client_is_called():
    """The suite leaves out no operation that the client has."""
    groups = gohighlevel_api.api
    operations = {
        f"{group.name}.{operation.name}"
        for group in pkgutil.iter_modules(groups.__path__)
        for operation in pkgutil.iter_modules([f"{groups.__path__[0]}/{group.name}"])
    }
    assert len(operations) == 40
    suite = Path(__file__).read_text()
    assert {operation for operation in operations if f'"{operation}"' not in suite} == set()


# npm @gohighlevel/api-client.


class Javascript:
    """The JavaScript client in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def answer(self, service: str, operation: str, *given: Any) -> dict[str, Any]:
        """Call an operation; answers its result or its error."""
        sent = {"service": service, "operation": operation, "given": given}
        self._process.stdin.write(json.dumps(sent) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __call__(self, service: str, operation: str, *given: Any) -> Any:
        """Call an operation that must succeed; answers its result."""
        answer = self.answer(service, operation, *given)
        assert "result" in answer, answer
        return answer["result"]


@contextmanager
def javascript_client(data_api: DataApi, **options: Any) -> Iterator[Javascript]:
    """The JavaScript client with these options."""
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_API_URL": data_api.url,
        "DATA_API_TOKEN": data_api.token,
        "CLIENT_OPTIONS": json.dumps(options),
        "CLIENT_MODULES": str(MODULES),
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(["node", str(SCRIPT)], env=environment, **pipes) as process:
        yield Javascript(process)
        process.stdin.close()


@pytest.fixture(scope="module")
def js(data_api: DataApi) -> Iterator[Javascript]:
    """The JavaScript client as it is made without options."""
    with javascript_client(data_api) as client:
        yield client


@pytest.fixture
def js_contact(js: Javascript, data_api: DataApi, unique: str) -> dict[str, Any]:
    """A contact made by the JavaScript client."""
    given = {"locationId": data_api.account, "name": f"Ada {unique}", "email": f"{unique}@example.com"}
    return js("contacts", "createContact", {**given, "tags": ["lead"]})["contact"]


def test_javascript_contacts(js, data_api, js_contact, unique):
    """A contact is created, read, listed, searched, updated, upserted and deleted."""
    its = {"contactId": js_contact["id"]}
    assert js("contacts", "getContact", its)["contact"] == js_contact
    listed = js("contacts", "getContacts", {"locationId": data_api.account, "query": unique, "limit": 1})
    assert [found["id"] for found in listed["contacts"]] == [js_contact["id"]]
    search = {"locationId": data_api.account, "page": 1, "pageLimit": 10, "query": unique}
    found = js("contacts", "searchContactsAdvanced", search)
    assert ([each["id"] for each in found["contacts"]], found["total"]) == ([js_contact["id"]], 1)
    same = {"locationId": data_api.account, "email": js_contact["email"]}
    assert js("contacts", "getDuplicateContact", same)["contact"]["id"] == js_contact["id"]
    assert js("contacts", "updateContact", its, {"city": "Turin"})["contact"]["city"] == "Turin"
    upserted = js("contacts", "upsertContact", {**same, "city": "Rome"})
    assert (upserted["new"], upserted["contact"]["id"], upserted["contact"]["city"]) == (
        False,
        js_contact["id"],
        "Rome",
    )
    assert js("contacts", "deleteContact", its)["succeded"] is True
    gone = js.answer("contacts", "getContact", its)["error"]
    assert (gone["class"], gone["code"], gone["statusCode"]) == ("GHLValidationError", "VALIDATION", 400)
    assert gone["message"] == f"Contact with id {js_contact['id']} not found"


def test_javascript_pages(js, data_api, unique):
    """The next page of a list begins where the client is told that it does, over all of them."""
    made = [
        js("contacts", "createContact", {"locationId": data_api.account, "name": f"{unique} {number}"})["contact"]["id"]
        for number in range(3)
    ]
    seen, cursor = [], {}
    while True:
        asked = {"locationId": data_api.account, "query": unique, "limit": 2, **cursor}
        page = js("contacts", "getContacts", asked)
        seen += [contact["id"] for contact in page["contacts"]]
        if page["meta"]["nextPage"] is None:
            break
        cursor = {name: page["meta"][name] for name in ("startAfter", "startAfterId")}
    assert (sorted(seen), len(seen)) == (sorted(made), 3)


def test_javascript_notes_and_tasks(js, js_contact):
    """Notes and tasks of a contact are created, read, listed, updated and deleted."""
    its = {"contactId": js_contact["id"]}
    note = js("contacts", "createNote", its, {"body": "called"})["note"]
    one = {**its, "id": note["id"]}
    assert js("contacts", "getNote", one)["note"] == note
    assert js("contacts", "updateNote", one, {"body": "twice"})["note"]["body"] == "twice"
    assert [found["body"] for found in js("contacts", "getAllNotes", its)["notes"]] == ["twice"]
    assert js("contacts", "deleteNote", one)["succeded"] is True
    due = {"title": "call", "dueDate": "2026-12-01T10:00:00.000Z", "completed": False}
    task = js("contacts", "createTask", its, due)["task"]
    one = {**its, "taskId": task["id"]}
    assert js("contacts", "getTask", one)["task"] == task
    assert js("contacts", "updateTask", one, {"title": "write"})["task"]["title"] == "write"
    assert js("contacts", "updateTaskCompleted", one, {"completed": True})["task"]["completed"] is True
    assert [found["id"] for found in js("contacts", "getAllTasks", its)["tasks"]] == [task["id"]]
    assert js("contacts", "deleteTask", one)["succeded"] is True
    assert js("contacts", "getAllTasks", its)["tasks"] == []


def test_javascript_tags_followers_campaigns_workflows(js, data_api, js_contact):
    """What else hangs on a contact is added and removed, bodies of DELETE included."""
    its = {"contactId": js_contact["id"]}
    assert js("contacts", "addTags", its, {"tags": ["vip"]})["tags"] == ["lead", "vip"]
    assert js("contacts", "removeTags", its, {"tags": ["vip"]})["tags"] == ["lead"]
    followers = ["sx6wyHhbFdRXh302Lunr"]
    assert js("contacts", "addFollowersContact", its, {"followers": followers})["followersAdded"] == followers
    assert js("contacts", "removeFollowersContact", its, {"followers": followers})["followersRemoved"] == followers
    bulk = {"contacts": [js_contact["id"]], "tags": ["bulk"], "locationId": data_api.account}
    for kind in ("add", "remove"):
        assert js("contacts", "createAssociation", {"type": kind}, bulk)["succeded"] is True
    campaign = {**its, "campaignId": "sx6wyHhbFdRXh302Lunr"}
    assert js("contacts", "addContactToCampaign", campaign, {})["succeded"] is True
    assert js("contacts", "removeContactFromCampaign", campaign)["succeded"] is True
    assert js("contacts", "removeContactFromEveryCampaign", its)["succeded"] is True
    workflow, start = {**its, "workflowId": "w1"}, {"eventStartTime": "2026-12-01T10:00:00+01:00"}
    assert js("contacts", "addContactToWorkflow", workflow, start)["succeded"] is True
    assert js("contacts", "deleteContactFromWorkflow", workflow, start)["succeded"] is True
    assert js("contacts", "getAppointmentsForContact", its) == {"events": []}


def test_javascript_businesses(js, data_api, js_contact, unique):
    """A business is created, read, listed, updated and deleted, and contacts are put into it and taken out."""
    business = js("businesses", "createBusiness", {"name": unique, "locationId": data_api.account})["buiseness"]
    its = {"businessId": business["id"]}
    assert js("businesses", "getBusiness", its)["business"] == business
    updated = js("businesses", "updateBusiness", its, {"city": "Oslo"})
    assert (updated["success"], updated["buiseness"]["city"]) == (True, "Oslo")
    listed = js("businesses", "getBusinessesByLocation", {"locationId": data_api.account})["businesses"]
    assert business["id"] in [found["id"] for found in listed]
    given = {"locationId": data_api.account, "ids": [js_contact["id"]]}
    for business_id, members in ((business["id"], [js_contact["id"]]), (None, [])):
        done = js("contacts", "addRemoveContactFromBusiness", {**given, "businessId": business_id})
        assert (done["success"], done["ids"]) == (True, [js_contact["id"]])
        found = js("contacts", "getContactsByBusinessId", {**its, "locationId": data_api.account})
        assert [contact["id"] for contact in found["contacts"]] == members
    assert js("businesses", "deleteBusiness", its)["success"] is True
    assert js.answer("businesses", "getBusiness", its)["error"]["statusCode"] in (400, 404)


def test_javascript_locations(js, data_api):
    """A location's token finds and reads its own location, and asks for no other agency's."""
    its = {"locationId": data_api.account}
    (found,) = js("locations", "searchLocations", {"limit": 10, "skip": 0, "order": "asc"})["locations"]
    location = js("locations", "getLocation", its)["location"]
    assert (found["id"], location["id"]) == (data_api.account, data_api.account)
    assert found["name"] == location["name"]
    other = js.answer("locations", "searchLocations", {"companyId": "another"})["error"]
    assert (other["statusCode"], other["message"]) == (403, "The token does not have access to this location.")


def test_javascript_location_tags(js, data_api, unique):
    """A tag of the location is created, read, listed, renamed and deleted."""
    its = {"locationId": data_api.account}
    tag = js("locations", "createTag", its, {"name": unique})["tag"]
    assert (tag["name"], tag["locationId"]) == (unique, data_api.account)
    one = {**its, "tagId": tag["id"]}
    assert js("locations", "getTagById", one)["tag"] == tag
    renamed = js("locations", "updateTag", one, {"name": f"{unique}!"})["tag"]
    assert renamed == {**tag, "name": f"{unique}!"}
    assert renamed in js("locations", "getLocationTags", its)["tags"]
    assert js("locations", "deleteTag", one)["succeded"] is True
    assert renamed not in js("locations", "getLocationTags", its)["tags"]


def test_javascript_custom_fields(js, data_api, unique):
    """A custom field is created, read by id and by key, listed by model, updated and deleted."""
    its = {"locationId": data_api.account}
    given = {"name": f"Pin {unique}", "dataType": "TEXT", "model": "contact", "position": 1}
    field = js("locations", "createCustomField", its, given)["customField"]
    assert field["fieldKey"] == f"contact.pin_{unique}"
    for name in (field["id"], field["fieldKey"]):
        assert js("locations", "getCustomField", {**its, "id": name})["customField"] == field
    one = {**its, "id": field["id"]}
    updated = js("locations", "updateCustomField", one, {"name": "Pin", "placeholder": "0000"})["customField"]
    assert updated == {**field, "name": "Pin", "placeholder": "0000"}
    for model, listed in (("contact", True), ("all", True), ("opportunity", False)):
        fields = js("locations", "getCustomFields", {**its, "model": model})["customFields"]
        assert (updated in fields) == listed
    assert js("locations", "deleteCustomField", one)["succeded"] is True


def test_javascript_custom_values(js, data_api, unique):
    """A custom value is created, read, listed, updated and deleted."""
    its = {"locationId": data_api.account}
    value = js("locations", "createCustomValue", its, {"name": unique, "value": "9-5"})["customValue"]
    assert (value["fieldKey"], value["value"]) == (f"{{{{ custom_values.{unique} }}}}", "9-5")
    one = {**its, "id": value["id"]}
    assert js("locations", "getCustomValue", one)["customValue"] == value
    updated = js("locations", "updateCustomValue", one, {"name": unique, "value": "8-4"})["customValue"]
    assert updated == {**value, "value": "8-4"}
    assert updated in js("locations", "getCustomValues", its)["customValues"]
    assert js("locations", "deleteCustomValue", one)["succeded"] is True


def test_javascript_opportunities(js, data_api, js_contact, unique):
    """An opportunity is created, found in the names of v2, updated, won, read and deleted."""
    [pipeline] = js("opportunities", "getPipelines", {"locationId": data_api.account})["pipelines"]
    placed = {"locationId": data_api.account, "pipelineId": pipeline["id"], "contactId": js_contact["id"]}
    made = js("opportunities", "createOpportunity", {**placed, "name": unique, "status": "open"})["opportunity"]
    one = {"id": made["id"]}
    search = {"locationId": data_api.account, "pipelineId": pipeline["id"], "contactId": js_contact["id"], "limit": 5}
    found = js("opportunities", "searchOpportunity", {**search, "q": unique, "status": "open"})
    assert ([each["id"] for each in found["opportunities"]], found["meta"]["total"]) == ([made["id"]], 1)
    assert js("opportunities", "updateOpportunity", one, {"monetaryValue": 9})["opportunity"]["monetaryValue"] == 9
    assert js("opportunities", "updateOpportunityStatus", one, {"status": "won"})["succeded"] is True
    assert js("opportunities", "getOpportunity", one)["opportunity"]["status"] == "won"
    assert js("opportunities", "deleteOpportunity", one)["succeded"] is True


def test_javascript_first_calls(js, serving, data_api):
    """The lists that clients read to offer a choice exist: users, campaigns, calendars and time zones."""
    its = {"locationId": data_api.account}
    assert [each["name"] for each in js("campaigns", "getCampaigns", its)["campaigns"]] == ["Welcome"]
    assert [each["name"] for each in js("calendars", "getCalendars", its)["calendars"]] == ["First Meeting"]
    assert "UTC" in js("locations", "getTimezones", its)["timeZones"]
    company = js("locations", "getLocation", its)["location"]["companyId"]
    users = js("users", "getUserByLocation", its)["users"]
    assert js("users", "searchUsers", {"companyId": company, **its})["count"] == len(users)


def test_javascript_files_need_their_scope(js, serving, data_api):
    """A file is asked for with `files.readonly`; the sandbox has none and says so, once authorized."""
    error = js.answer("files", "getFileBySlug", {"slug": "a"})["error"]
    assert (error["statusCode"], error["response"]["reason"]) == (501, "not-implemented")
    with javascript_client(DataApi(serving.url, token_of(serving, "contacts.readonly"), serving.account)) as client:
        refused = client.answer("files", "getFileBySlug", {"slug": "a"})["error"]
    assert (refused["statusCode"], refused["response"]["requiredScope"]) == (401, "files.readonly")


def told(answer: dict[str, Any]) -> tuple[Any, ...]:
    """What a caller of the JavaScript client sees of an error, and the reason that came with it."""
    error = answer["error"]
    return error["class"], error["code"], error["statusCode"], error["message"], error["response"]["reason"]


def test_javascript_errors(js, serving, data_api):
    """Each refusal is the error class that the client has for it, with the platform's words and our reason."""
    assert told(js.answer("contacts", "createContact", {"locationId": data_api.account, "email": "x"})) == (
        "GHLValidationError",
        "VALIDATION",
        422,
        "email must be an email",
        "invalid-request",
    )
    assert told(js.answer("contacts", "getContacts", {"locationId": "another"})) == (
        "GHLForbiddenError",
        "FORBIDDEN",
        403,
        "The token does not have access to this location.",
        "location-not-allowed",
    )
    for token, message, reason in (
        ("pit-" + "00000000-0000-0000-0000-000000000000", "Invalid Private Integration token", "token-unknown"),
        (token_of(serving, "locations.readonly"), "The token is not authorized for this scope.", "scope-missing"),
    ):
        with javascript_client(DataApi(serving.url, token, serving.account)) as client:
            answer = client.answer("contacts", "getContacts", {"locationId": serving.account})
        assert told(answer) == ("GHLAuthenticationError", "AUTHENTICATION", 401, message, reason)


@pytest.fixture
def limited(tmp_path: Path, catalogue: Catalogue) -> Iterator[DataApi]:
    """A service of its own that takes two requests a second, and three a day."""
    limits = {"RATE_LIMIT": "2", "RATE_INTERVAL": "1s", "DAILY_RATE_LIMIT": "3"}
    settings = {f"PRIVATE_INTEGRATIONS_{name}": value for name, value in limits.items()}
    with running_service(tmp_path, **settings) as service:
        yield DataApi(service.url, token_of(service, "contacts.readonly"), service.account)


def test_javascript_rate_limits(limited):
    """The client knows a burst, which it waits out if it was told to, from a day, for which it does not wait."""
    its = {"locationId": limited.account}
    with javascript_client(limited) as client, javascript_client(limited, rateLimitRetry=True) as patient:
        # Two of three requests are in one window, or the third is in the next: then that is the day's last.
        for _ in range(2):
            assert "result" in client.answer("contacts", "getContacts", its)
        burst = client.answer("contacts", "getContacts", its)
        if "error" in burst:
            assert told(burst) == (
                "GHLRateLimitError",
                "RATE_LIMIT",
                429,
                "Too Many Requests",
                "rate-limit-burst",
            )
            assert burst["error"]["rateLimit"] == {
                "scope": "burst",
                "intervalMs": 1000,
                "max": 2,
                "remaining": 0,
                "dailyLimit": 3,
                "dailyRemaining": 1,
            }
            assert "result" in patient.answer("contacts", "getContacts", its)
        for each in (client, patient):
            daily = each.answer("contacts", "getContacts", its)["error"]
            assert (daily["rateLimit"]["scope"], daily["response"]["reason"]) == ("daily", "rate-limit-daily")
