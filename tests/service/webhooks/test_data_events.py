"""Data webhooks: what happens to an account's data is stored, in the platform's envelope, for who may read it."""

import json
import re
from dataclasses import replace
from importlib import resources

import pytest
from sqlalchemy import select

from private_integrations.contract import AccountRequest
from private_integrations_service.access.actors import Actor
from private_integrations_service.operations import accounts as account_operations
from private_integrations_service.operations.data_events import DATA_EVENTS, app_id, publish, version_id
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.storage import tables
from private_integrations_service.storage import webhooks as stored_webhooks
from private_integrations_service.storage.integrations import integration_by_id
from private_integrations_service.storage.webhooks import add_endpoint
from private_integrations_service.tokens.format import new_id
from private_integrations_service.webhooks.endpoints import WebhookEndpoint

UUID4 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TASK = {"title": "Call", "dueDate": "2026-12-01T09:00:00.000Z", "completed": False}
READS = "contacts.readonly"


@pytest.fixture
def listen(database, clock):
    """Give an integration a data endpoint; answers its id."""

    def listening(integration, **changed):
        with database.write() as write:
            found = integration_by_id(write.connection, integration)
            endpoint = WebhookEndpoint(
                id=new_id("whk_"),
                account_id=found.account,
                kind="data",
                url="https://receiver.example/",
                created_at=write.now,
                created_by="test",
                integration_id=integration,
            )
            add_endpoint(write.connection, replace(endpoint, **changed))
        return endpoint.id

    return listening


@pytest.fixture
def told(database):
    """What waits for an endpoint, oldest first: each event's name and its body."""

    def waiting(endpoint):
        deliveries = tables.webhook_deliveries
        query = select(deliveries).where(deliveries.c.endpoint_id == endpoint).order_by(deliveries.c.id)
        with database.read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            body = json.loads(row.body)
            assert (row.message_id, row.event, row.state) == (body["webhookId"], body["type"], "waiting")
            assert row.headers == {"content-type": "application/json"}
            assert row.body.decode() == json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return [(row.event, json.loads(row.body)) for row in rows]

    return waiting


@pytest.fixture
def reader(desk):
    """An integration that reads and writes contacts; `api` acts with its token."""
    return desk.integration(READS, "contacts.write")


@pytest.fixture
def endpoint(api, desk, reader, listen):
    """Its data endpoint."""
    api.token = desk.token(reader)
    return listen(reader)


@pytest.fixture
def names(told, endpoint):
    """The names of the events that wait for it since the last look."""
    seen = 0

    def new():
        nonlocal seen
        found = [name for name, _ in told(endpoint)]
        fresh, seen = found[seen:], len(found)
        return fresh

    return new


def test_every_event_is_the_catalogues():
    """Names, scopes and classes are those of the catalogue, and an event's type is its name."""
    text = resources.files("private_integrations_service").joinpath("catalogue/data/scopes.json").read_text("utf-8")
    known = {event["event"]: event for event in json.loads(text)["webhook_events"]}
    for name, event in DATA_EVENTS.items():
        assert (known[name]["type"], known[name]["scope"]) == (name, event.scope)
        assert known[name].get("agency_only", False) == event.of_agency


def test_the_envelope(accounts, reader, endpoint, create, told):
    """Flat, in the platform's order, with ids of the platform's shapes; the contact is as the API shows it."""
    contact = create(firstName="Zoë", email="zoe@example.com", dateOfBirth="1990-01-31")
    [(name, body)] = told(endpoint)
    assert name == "ContactCreate"
    assert list(body)[:5] == ["type", "locationId", "versionId", "appId", "id"]
    assert list(body)[-2:] == ["timestamp", "webhookId"]
    assert (body["locationId"], body["appId"], body["versionId"]) == (
        accounts.location,
        app_id(reader),
        version_id(reader),
    )
    assert re.fullmatch("[0-9a-f]{24}", body["appId"])
    assert re.fullmatch("[0-9a-f]{24}", body["versionId"])
    assert body["appId"] != body["versionId"]
    assert body["timestamp"] == "2026-11-20T12:00:00.000Z"
    assert UUID4.fullmatch(body["webhookId"])
    assert contact.pop("type") == "lead"  # the envelope has a type of its own
    assert {key: body[key] for key in contact} == contact
    assert set(body) - set(contact) == {"type", "versionId", "appId", "timestamp", "webhookId"}


def test_contacts(api, accounts, create, names, told, endpoint):
    """Each change of a contact is told by what changed; a change of nothing, and a refused one, is told by nothing."""
    contact = create(email="ada@example.com")["id"]
    assert names() == ["ContactCreate"]
    path = f"/contacts/{contact}"
    for change, expected in (
        ({"firstName": "Ada"}, ["ContactUpdate"]),
        ({"firstName": "Ada"}, []),
        ({"tags": ["vip"]}, ["ContactTagUpdate"]),
        ({"dnd": True}, ["ContactDndUpdate"]),
        ({"city": "Paris", "tags": [], "dnd": False}, ["ContactUpdate", "ContactTagUpdate", "ContactDndUpdate"]),
    ):
        assert api.ask("PUT", path, change).status == 200
        assert names() == expected
    upsert = {"locationId": accounts.location, "email": "ada@example.com", "city": "Rome"}
    assert api.ask("POST", "/contacts/upsert", upsert).body["new"] is False
    assert api.ask("POST", "/contacts/upsert", upsert | {"email": "new@example.com"}).body["new"] is True
    assert names() == ["ContactUpdate", "ContactCreate"]
    assert api.ask("POST", f"{path}/tags", {"tags": ["new"]}).status == 201
    assert api.ask("DELETE", f"{path}/tags", {"tags": ["new"]}).status == 200
    assert api.ask("POST", f"{path}/followers", {"followers": ["u1"]}).status == 201
    assert names() == ["ContactTagUpdate", "ContactTagUpdate", "ContactUpdate"]
    tagging = {"contacts": [contact, "nobody"], "tags": ["bulk"], "locationId": accounts.location}
    assert api.ask("POST", "/contacts/bulk/tags/update/add", tagging).body["errorCount"] == 1
    assert names() == ["ContactTagUpdate"]
    duplicate = {"locationId": accounts.location, "email": "ada@example.com"}
    assert api.ask("POST", "/contacts/", duplicate).status == 400
    assert api.ask("DELETE", "/contacts/nobody").status == 400
    assert names() == []
    assert api.ask("DELETE", path).status == 200
    assert names() == ["ContactDelete"]
    assert told(endpoint)[-1][1]["tags"] == ["bulk"]


def test_contacts_and_their_business(api, accounts, desk, create, names):
    """A contact that is given to a business has changed."""
    contact = create()["id"]
    token = desk.token_with("businesses.write")
    named = {"locationId": accounts.location, "name": "Acme"}
    business = api.ask("POST", "/businesses/", named, token=token).body["business"]["id"]
    moved = {"locationId": accounts.location, "ids": [contact], "businessId": business}
    assert api.ask("POST", "/contacts/bulk/business", moved).status == 200
    assert names() == ["ContactCreate", "ContactUpdate"]


def test_notes(api, accounts, create, names, told, endpoint):
    """Notes are told of with their contact."""
    contact = create()["id"]
    notes = f"/contacts/{contact}/notes"
    note = api.ask("POST", notes, {"body": "first"}).body["note"]
    api.ask("PUT", f"{notes}/{note['id']}", {"body": "second"})
    api.ask("PUT", f"{notes}/{note['id']}", {"body": "second"})
    api.ask("DELETE", f"{notes}/{note['id']}")
    assert names() == ["ContactCreate", "NoteCreate", "NoteUpdate", "NoteDelete"]
    created, updated, deleted = (body for _, body in told(endpoint)[1:])
    assert list(created) == [
        *("type", "locationId", "versionId", "appId", "id", "contactId", "dateAdded", "pinned", "body"),
        *("timestamp", "webhookId"),
    ]
    assert {key: created[key] for key in note} == note
    assert (created["locationId"], created["contactId"]) == (accounts.location, contact)
    assert [body["body"] for body in (created, updated, deleted)] == ["first", "second", "second"]
    assert len({body["webhookId"] for body in (created, updated, deleted)}) == 3


def test_tasks(api, create, names):
    """A task is told of when it is made, done and deleted; the platform has no event for its other changes."""
    contact = create()["id"]
    tasks = f"/contacts/{contact}/tasks"
    task = f"{tasks}/{api.ask('POST', tasks, TASK).body['task']['id']}"
    assert names() == ["ContactCreate", "TaskCreate"]
    api.ask("PUT", task, {"title": "Write"})
    assert names() == []
    api.ask("PUT", f"{task}/completed", {"completed": True})
    api.ask("PUT", f"{task}/completed", {"completed": True})
    assert names() == ["TaskComplete"]
    api.ask("PUT", task, {"completed": False})
    api.ask("PUT", task, {"completed": True})
    assert names() == ["TaskComplete"]
    api.ask("DELETE", task)
    assert names() == ["TaskDelete"]


def test_locations(database, clock, desk, accounts, listen, told):
    """An agency is told of its new and renamed locations, with `companyId` where others have `locationId`."""
    mine, others = (
        listen(desk.integration("locations.readonly", account=agency))
        for agency in (accounts.agency, accounts.other_agency)
    )
    of_location = listen(desk.integration("locations.readonly"))
    for name in ("Main Street", "Main Street", "High Street"):
        with database.write() as write:
            request = AccountRequest(name=name, agency_id=accounts.agency)
            account_operations.put.step(write, "newLocationAAAAAAAAA", request, furnish, actor=Actor("test"))
    assert (told(others), told(of_location)) == ([], [])
    assert [(name, body["name"]) for name, body in told(mine)] == [
        ("LocationCreate", "Main Street"),
        ("LocationUpdate", "High Street"),
    ]
    [(_, created), _] = told(mine)
    assert list(created) == ["type", "companyId", "versionId", "appId", "id", "name", "timestamp", "webhookId"]
    assert (created["companyId"], created["id"]) == (accounts.agency, "newLocationAAAAAAAAA")


def test_a_scope_taken_away_ends_it(desk, reader, endpoint, create, told):
    """Without the scope nothing more is told, and what waited or could be sent again is gone; with it again, anew."""
    create()
    assert [name for name, _ in told(endpoint)] == ["ContactCreate"]
    desk.edit(reader, "contacts.write")
    assert told(endpoint) == []
    create()
    assert told(endpoint) == []
    desk.edit(reader, "contacts.write", READS)
    create()
    assert [name for name, _ in told(endpoint)] == ["ContactCreate"]


def test_an_edit_that_keeps_the_scope_keeps_what_waits(desk, reader, endpoint, create, told):
    """What waits is forgotten for a scope that is gone, not for every edit."""
    create()
    desk.edit(reader, READS, "contacts.write", "locations.readonly")
    assert [name for name, _ in told(endpoint)] == ["ContactCreate"]


def test_only_those_who_hold_the_scope_are_told(desk, endpoint, listen, create, told):
    """Two integrations of one account: the one without the scope hears nothing; the same event has the same id."""
    without, other = listen(desk.integration("locations.readonly")), listen(desk.integration(READS))
    create()
    assert told(without) == []
    [(_, mine)], [(_, others)] = told(endpoint), told(other)
    assert mine["webhookId"] == others["webhookId"]
    assert mine["appId"] != others["appId"]


def test_another_account_is_never_told(desk, accounts, endpoint, listen, create, told):
    """Neither a sister location nor the agency hears of a location's contacts, whatever its endpoint says."""
    sisters = listen(desk.integration(READS, account=accounts.sister))
    agencys = listen(desk.integration("locations.readonly", account=accounts.agency), sub_accounts=True)
    # An endpoint that somebody wrote into the database for another account's integration.
    planted = listen(desk.integration(READS, account=accounts.stranger), account_id=accounts.location)
    create()
    assert len(told(endpoint)) == 1
    assert (told(sisters), told(agencys), told(planted)) == ([], [], [])


def test_an_endpoint_hears_what_it_asked_for(reader, listen, api, desk, create, told):
    """An endpoint that names events is sent these only."""
    api.token = desk.token(reader)
    chosen = listen(reader, events=("ContactDelete",))
    contact = create()["id"]
    api.ask("DELETE", f"/contacts/{contact}")
    assert [name for name, _ in told(chosen)] == ["ContactDelete"]


def test_an_event_is_stored_with_the_change_or_not_at_all(database, clock, accounts, reader, endpoint, told):
    """What is rolled back was never told."""

    def change_that_fails():
        with database.write() as write:
            publish(write, "ContactCreate", accounts.location, {"id": "c"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_that_fails()
    assert told(endpoint) == []


def test_a_deleted_integration_listens_no_more(database, desk, reader, endpoint, create):
    """Its endpoints go with it, and all that waited for them."""
    create()
    desk.delete(reader)
    with database.read() as connection:
        assert stored_webhooks.all_endpoints(connection) == []
        assert connection.execute(select(tables.webhook_deliveries)).all() == []
