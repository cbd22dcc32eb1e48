"""The sandbox's tags of a location."""

import re

import pytest

from private_integrations_service.sandbox.storage.location_tags import list_tags, note_tags

ID = re.compile(r"[A-Za-z0-9]{20}")
SUCCEEDED = {"succeded": True, "succeeded": True}
SCOPES = ("locations/tags.readonly", "locations/tags.write")


@pytest.fixture
def tags(api, desk, accounts):
    """The path of the location's tags, asked for with a token that may read and write them."""
    api.token = desk.token_with(*SCOPES)
    return f"/locations/{accounts.location}/tags"


@pytest.fixture
def create(api, tags):
    """Create a tag; answers it."""

    def created(name):
        answer = api.ask("POST", tags, {"name": name})
        assert (answer.status, list(answer.body)) == (200, ["tag"]), answer
        return answer.body["tag"]

    return created


def test_create_and_read(api, tags, create, accounts):
    """A tag is created with 200, in lower case, and is read back and listed as it was answered."""
    tag = create("GRÖßE 7")
    assert ID.fullmatch(tag["id"])
    assert tag == {"id": tag["id"], "name": "größe 7", "locationId": accounts.location}
    answer = api.ask("GET", f"{tags}/{tag['id']}")
    assert (answer.status, answer.body) == (200, {"tag": tag})
    other = create("a")
    assert api.ask("GET", f"{tags}/").body == {"tags": [other, tag]}


def test_update(api, tags, create):
    """An update gives the tag another name, or the same again."""
    tag = create("lead")
    for name in ("customer", "Customer"):
        answer = api.ask("PUT", f"{tags}/{tag['id']}", {"name": name})
        assert (answer.status, answer.body) == (200, {"tag": {**tag, "name": "customer"}})
    assert api.ask("GET", tags).body == {"tags": [{**tag, "name": "customer"}]}


def test_delete(api, tags, create):
    """A deleted tag is gone, and its name is free again."""
    tag, kept = create("lead"), create("kept")
    answer = api.ask("DELETE", f"{tags}/{tag['id']}")
    assert (answer.status, answer.body) == (200, SUCCEEDED)
    assert api.ask("GET", tags).body == {"tags": [kept]}
    assert api.ask("DELETE", f"{tags}/{tag['id']}").status == 400
    assert create("lead")["id"] != tag["id"]


def test_names_are_unique(api, tags, create):
    """A location has no two tags of one name, neither by create nor by update; case makes no other name."""
    tag, other = create("lead"), create("cold")
    expected = {
        "statusCode": 400,
        "message": "This location does not allow duplicated tags.",
        "reason": "duplicate-tag",
    }
    for name in ("lead", "Lead"):
        answer = api.ask("POST", tags, {"name": name})
        assert (answer.status, answer.body) == (400, expected)
        answer = api.ask("PUT", f"{tags}/{other['id']}", {"name": name})
        assert (answer.status, answer.body) == (400, expected)
    assert api.ask("GET", tags).body == {"tags": [other, tag]}


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ({}, ["name must be a string", "name should not be empty"]),
        ({"name": ""}, ["name should not be empty"]),
        ({"name": 5}, ["name must be a string"]),
        ({"name": "\ud800"}, ["name must be a string"]),
        ({"name": "a", "color": "red"}, ["property color should not exist"]),
    ],
)
def test_invalid_bodies(api, tags, create, body, texts):
    """Every fault is told in the validator's words, and nothing changes."""
    tag = create("lead")
    for method, path in (("POST", tags), ("PUT", f"{tags}/{tag['id']}")):
        answer = api.ask(method, path, body)
        assert (answer.status, answer.body["message"]) == (422, texts)
    assert api.ask("GET", tags).body == {"tags": [tag]}


def test_a_tag_that_is_not_there(api, desk, tags, accounts):
    """A tag of another location is like one that never was, for every operation, and stays as it is."""
    own = api.ask("POST", tags, {"name": "lead"}).body["tag"]
    foreign = f"/locations/{accounts.sister}/tags"
    token = desk.token_with(*SCOPES, account=accounts.sister)
    for tag_id in (own["id"], "never"):
        for method, body in (("GET", None), ("PUT", {"name": "stolen"}), ("DELETE", None)):
            answer = api.ask(method, f"{foreign}/{tag_id}", body, token=token)
            assert (answer.status, answer.body) == (
                400,
                {"statusCode": 400, "message": f"Tag with id {tag_id} not found", "reason": "tag-not-found"},
            )
    assert api.ask("GET", foreign, token=token).body == {"tags": []}
    assert api.ask("POST", foreign, {"name": "lead"}, token=token).status == 200
    assert api.ask("GET", tags).body == {"tags": [own]}


def test_a_foreign_location_is_refused(api, tags, accounts):
    """A token doesn't reach the tags of another location."""
    answer = api.ask("GET", f"/locations/{accounts.sister}/tags")
    assert (answer.status, answer.body["reason"]) == (403, "location-not-allowed")


def test_names_that_contacts_bring(database, clock, tags, create, accounts):
    """Noted names become tags of the location once; what is one already stays what it is."""
    tag = create("lead")
    for _ in range(2):
        with database.write() as write:
            note_tags(write.connection, accounts.location, ["vip", "lead", "vip"])
    with database.read() as connection:
        listed = list_tags(connection, accounts.location)
        assert list_tags(connection, accounts.sister) == []
    assert [(found.name, found.id == tag["id"]) for found in listed] == [("lead", True), ("vip", False)]
    many = {f"tag {number}" for number in range(1200)}
    with database.write() as write:
        note_tags(write.connection, accounts.location, [*many, "lead"])
        assert {found.name for found in list_tags(write.connection, accounts.location)} == many | {"lead", "vip"}


def test_tags_of_contacts_are_the_locations(api, desk, accounts):
    """Whatever way a contact gets a tag, the location has it then."""
    api.token = desk.token_with(*SCOPES, "contacts.readonly", "contacts.write")
    made = api.ask("POST", "/contacts/", {"locationId": accounts.location, "tags": ["created"]})
    contact_id = made.body["contact"]["id"]
    api.ask("PUT", f"/contacts/{contact_id}", {"tags": ["updated"]})
    api.ask("POST", f"/contacts/{contact_id}/tags", {"tags": ["added"]})
    listed = api.ask("GET", f"/locations/{accounts.location}/tags").body["tags"]
    assert [tag["name"] for tag in listed] == ["added", "created", "updated"]
