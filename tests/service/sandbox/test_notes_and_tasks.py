"""Notes and tasks of contacts."""

import re

import pytest
from sqlalchemy import select

from engines import sqlite_only
from private_integrations_service.sandbox.storage import tables as sandbox_tables

TRACE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ID = re.compile(r"[A-Za-z0-9]{20}")
INVALID = {"statusCode": 422, "error": "Unprocessable Entity", "reason": "invalid-request"}
NOW = "2026-11-20T12:00:00.000Z"
DUE = "2026-12-01T09:30:00.000Z"
SUCCEEDED = {"succeded": True, "succeeded": True}
CREATED = {
    "notes": {"body": "Called back", "userId": "user1", "title": "Call", "color": "#fff", "pinned": True},
    "tasks": {"title": "Call", "body": "Ask", "dueDate": DUE, "completed": False, "assignedTo": "user1"},
}
KINDS = [("notes", "note"), ("tasks", "task")]


@pytest.fixture(autouse=True)
def _writer(api, desk):
    """Every request here is sent with a token that may read and write contacts."""
    api.token = desk.token_with("contacts.readonly", "contacts.write")


@pytest.fixture
def contact(create):
    """The path of a contact."""
    return f"/contacts/{create(name='Rosan Deo')['id']}"


def absent(noun, id_):
    """The answer about what isn't there."""
    return {"statusCode": 400, "message": f"{noun} with id {id_} not found", "reason": f"{noun.lower()}-not-found"}


def test_a_notes_life(api, contact, clock):
    """A note is created with 201, read, listed, changed in part and deleted."""
    answer = api.ask("POST", f"{contact}/notes", CREATED["notes"])
    note = answer.body["note"]
    assert ID.fullmatch(note["id"])
    expected = {**CREATED["notes"], "id": note["id"], "contactId": contact.removeprefix("/contacts/"), "dateAdded": NOW}
    assert (answer.status, answer.body) == (201, {"note": expected})
    path = f"{contact}/notes/{note['id']}"
    assert api.ask("GET", path).body == {"note": note}
    clock.move(minutes=1)
    answer = api.ask("PUT", path, {"body": "Called twice", "title": None, "pinned": False})
    del note["title"]
    changed = {**note, "body": "Called twice", "pinned": False}
    assert (answer.status, answer.body) == (200, {"note": changed})
    answer = api.ask("GET", f"{contact}/notes/")
    assert (answer.status, answer.body) == (200, {"notes": [changed]})
    answer = api.ask("DELETE", path, headers=(("content-type", "application/json"),))
    assert (answer.status, answer.body) == (200, SUCCEEDED)
    assert api.ask("GET", f"{contact}/notes").body == {"notes": []}


def test_only_a_notes_body_is_required(api, contact):
    """A note that only has a body isn't pinned, and has no field without a value."""
    note = api.ask("POST", f"{contact}/notes", {"body": "x", "userId": None}).body["note"]
    assert note.keys() == {"id", "contactId", "dateAdded", "body", "pinned"}
    assert note["pinned"] is False


def test_a_tasks_life(api, contact):
    """A task is created with 201, read, listed, changed in part, completed and deleted; due instants are in UTC."""
    given = {**CREATED["tasks"], "dueDate": "2026-12-01T10:30:00+01:00"}
    answer = api.ask("POST", f"{contact}/tasks", given)
    task = answer.body["task"]
    assert ID.fullmatch(task["id"])
    expected = {**CREATED["tasks"], "id": task["id"], "contactId": contact.removeprefix("/contacts/")}
    assert TRACE_ID.fullmatch(answer.body.pop("traceId"))
    assert (answer.status, answer.body) == (201, {"task": expected})
    path = f"{contact}/tasks/{task['id']}"
    assert api.ask("GET", path).body == {"task": task}
    answer = api.ask("PUT", path, {"title": "Visit", "assignedTo": None, "dueDate": "2026-12-02", "completed": None})
    del task["assignedTo"]
    changed = {**task, "title": "Visit", "dueDate": "2026-12-02T00:00:00.000Z"}
    assert (answer.status, answer.body) == (200, {"task": changed})
    answer = api.ask("PUT", f"{path}/completed", {"completed": True})
    changed["completed"] = True
    assert (answer.status, answer.body) == (200, {"task": changed})
    answer = api.ask("GET", f"{contact}/tasks")
    assert (answer.status, answer.body) == (200, {"tasks": [changed]})
    assert api.ask("DELETE", path).body == SUCCEEDED
    assert api.ask("GET", f"{contact}/tasks").body == {"tasks": []}


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_lists_are_newest_first_and_stable(api, contact, create, clock, kind, name):
    """A list has what the contact has and no other, newest first, twice the same though some are of one instant."""
    other = f"/contacts/{create()['id']}"
    assert api.ask("POST", f"{other}/{kind}", CREATED[kind]).status == 201
    made = []
    for number in range(6):
        made.append(api.ask("POST", f"{contact}/{kind}", CREATED[kind]).body[name]["id"])
        clock.move(seconds=number % 2)
    first = [item["id"] for item in api.ask("GET", f"{contact}/{kind}").body[kind]]
    assert [item["id"] for item in api.ask("GET", f"{contact}/{kind}").body[kind]] == first
    assert sorted(first) == sorted(made)
    # Made in pairs, each pair of one instant.
    assert [set(first[:2]), set(first[2:4]), set(first[4:])] == [set(made[4:]), set(made[2:4]), set(made[:2])]


@pytest.mark.parametrize(
    ("method", "path", "body", "texts"),
    [
        ("POST", "notes", {}, ["body must be a string", "body should not be empty"]),
        ("POST", "notes", {"body": ""}, ["body should not be empty"]),
        ("POST", "notes", {"body": 5, "pinned": "yes"}, ["body must be a string", "pinned must be a boolean value"]),
        ("POST", "notes", {"body": "x", "contactId": "y"}, ["property contactId should not exist"]),
        ("PUT", "notes/{id}", {"body": "", "title": 1}, ["body should not be empty", "title must be a string"]),
        ("PUT", "notes/{id}", {"dateAdded": NOW}, ["property dateAdded should not exist"]),
        (
            "POST",
            "tasks",
            {},
            [
                "title must be a string",
                "title should not be empty",
                "dueDate must be a valid ISO 8601 date string",
                "completed must be a boolean value",
            ],
        ),
        (
            "POST",
            "tasks",
            {"title": "x", "dueDate": "soon", "completed": 1, "due": 1},
            [
                "property due should not exist",
                "dueDate must be a valid ISO 8601 date string",
                "completed must be a boolean value",
            ],
        ),
        ("PUT", "tasks/{id}", {"dueDate": 5}, ["dueDate must be a valid ISO 8601 date string"]),
        (
            "PUT",
            "tasks/{id}",
            {"dueDate": "0001-01-01T00:00:00+14:00"},
            ["dueDate must be a valid ISO 8601 date string"],
        ),
        ("PUT", "tasks/{id}/completed", {}, ["completed must be a boolean value"]),
        ("PUT", "tasks/{id}/completed", {"title": "x", "completed": True}, ["property title should not exist"]),
    ],
)
def test_invalid_fields(api, contact, method, path, body, texts):
    """Every fault is told in the validator's words, and nothing is stored or changed."""
    kind = path.split("/")[0]
    item = api.ask("POST", f"{contact}/{kind}", CREATED[kind]).body[kind.removesuffix("s")]
    before = api.ask("GET", f"{contact}/{kind}").body
    answer = api.ask(method, f"{contact}/{path.format(id=item['id'])}", body)
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})
    assert api.ask("GET", f"{contact}/{kind}").body == before


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_what_is_not_there(api, contact, create, kind, name):
    """A missing contact is told before a missing item; another contact's item is missing."""
    item = api.ask("POST", f"{contact}/{kind}", CREATED[kind]).body[name]
    other = f"/contacts/{create()['id']}"
    requests = [("GET", None), ("PUT", {}), ("DELETE", b"{broken")]
    for method, body in requests:
        answer = api.ask(method, f"{other}/{kind}/{item['id']}", body)
        assert (answer.status, answer.body) == (400, absent(name.capitalize(), item["id"]))
        answer = api.ask(method, f"/contacts/nobody/{kind}/{item['id']}", body)
        assert (answer.status, answer.body) == (400, absent("Contact", "nobody"))
    for method, body in (("GET", None), ("POST", CREATED[kind])):
        answer = api.ask(method, f"/contacts/nobody/{kind}", body)
        assert (answer.status, answer.body) == (400, absent("Contact", "nobody"))
    assert api.ask("GET", f"{contact}/{kind}").body == {kind: [item]}


def rows(database):
    """How many notes and tasks are stored."""
    with database.read() as connection:
        return [
            len(connection.execute(select(table.c.id)).all()) for table in (sandbox_tables.notes, sandbox_tables.tasks)
        ]


def test_a_deleted_contact_takes_its_notes_and_tasks_along(api, contact, create, database):
    """What belonged to a deleted contact is gone from the database; what belongs to others stays."""
    other = f"/contacts/{create()['id']}"
    for path in (contact, other):
        for kind in ("notes", "tasks"):
            api.ask("POST", f"{path}/{kind}", CREATED[kind])
    assert rows(database) == [2, 2]
    assert api.ask("DELETE", contact).body == SUCCEEDED
    assert rows(database) == [1, 1]
    assert len(api.ask("GET", f"{other}/notes").body["notes"]) == 1


@sqlite_only
def test_a_contact_is_deleted_whole_or_not_at_all(api, contact, database, clock):
    """If a task can't be removed, the contact stays with everything that it has."""
    for kind in ("notes", "tasks"):
        api.ask("POST", f"{contact}/{kind}", CREATED[kind])
    with database.write() as write:
        write.connection.exec_driver_sql(
            "CREATE TRIGGER stubborn BEFORE DELETE ON tasks BEGIN SELECT RAISE(ABORT, 'not today'); END"
        )
    answer = api.ask("DELETE", contact)
    assert (answer.status, answer.body["reason"]) == (503, "storage-unavailable")
    assert api.ask("GET", contact).status == 200
    assert rows(database) == [1, 1]
