"""Tags and followers of contacts, one contact at a time and many at once."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines import sqlite_only

INVALID = {"statusCode": 422, "error": "Unprocessable Entity", "reason": "invalid-request"}
SUCCEEDED = {"succeded": True, "succeeded": True}
BULK = "/contacts/bulk/tags/update"


@pytest.fixture(autouse=True)
def _writer(api, desk):
    """Every request here is sent with a token that may read and write contacts."""
    api.token = desk.token_with("contacts.readonly", "contacts.write")


@pytest.fixture
def tags_of(api):
    """The tags of the contact with this id."""
    return lambda contact_id: api.ask("GET", f"/contacts/{contact_id}").body["contact"]["tags"]


def test_tags(api, create, clock):
    """Adding answers 201 with all tags, removing 200 with those that are left; the contact has changed."""
    contact = create(tags=["a"])
    path = f"/contacts/{contact['id']}/tags"
    clock.move(minutes=1)
    answer = api.ask("POST", path, {"tags": ["b", "a", "B", "b"]})
    assert (answer.status, answer.body) == (201, {"tags": ["a", "b"]})
    answer = api.ask("DELETE", path, {"tags": ["A", "x"]})
    assert (answer.status, answer.body) == (200, {"tags": ["b"]})
    shown = api.ask("GET", f"/contacts/{contact['id']}").body["contact"]
    assert shown == {**contact, "tags": ["b"], "dateUpdated": "2026-11-20T12:01:00.000Z"}


def test_followers(api, create):
    """Adding and removing followers answers with all of them and with what that changed."""
    contact = create()
    path = f"/contacts/{contact['id']}/followers"
    answer = api.ask("POST", path, {"followers": ["u1", "u2", "u1"]})
    assert (answer.status, answer.body) == (201, {"followers": ["u1", "u2"], "followersAdded": ["u1", "u2"]})
    answer = api.ask("POST", path, {"followers": ["u2", "u3"]})
    assert (answer.status, answer.body) == (201, {"followers": ["u1", "u2", "u3"], "followersAdded": ["u3"]})
    answer = api.ask("DELETE", path, {"followers": ["u1", "u9"]})
    assert (answer.status, answer.body) == (200, {"followers": ["u2", "u3"], "followersRemoved": ["u1"]})
    assert api.ask("GET", f"/contacts/{contact['id']}").body["contact"]["followers"] == ["u2", "u3"]


@pytest.mark.parametrize("name", ["tags", "followers"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_invalid_lists(api, create, name, method):
    """An array of strings is required, and nothing else is taken."""
    contact_id = create(tags=["a"])["id"]
    path = f"/contacts/{contact_id}/{name}"
    for body, texts in (
        (None, [f"{name} must be an array"]),
        ({name: "a"}, [f"{name} must be an array"]),
        ({name: ["a", 1]}, [f"each value in {name} must be a string"]),
        ({name: ["a", "\ud800"]}, [f"each value in {name} must be a string"]),
        ({name: [], "x": 1}, ["property x should not exist"]),
    ):
        answer = api.ask(method, path, body)
        assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})
    shown = api.ask("GET", f"/contacts/{contact_id}").body["contact"]
    assert (shown["tags"], shown["followers"]) == (["a"], [])


_TAGS = st.lists(st.sampled_from("abcde"), max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    has=_TAGS,
    changes=st.lists(st.tuples(st.sampled_from(["POST", "DELETE", "add", "remove", "removeAll"]), _TAGS), max_size=5),
)
def test_tags_are_a_set(api, create, tags_of, accounts, has, changes):
    """Whatever is added and removed by either way, a contact has exactly the tags that a set would have, each once."""
    contact_id = create(tags=has)["id"]
    model = set(has)
    for change, tags in changes:
        if change in ("POST", "DELETE"):
            answer = api.ask(change, f"/contacts/{contact_id}/tags", {"tags": tags})
            shown = answer.body["tags"]
            model = model | set(tags) if change == "POST" else model - set(tags)
        else:
            everything = {"removeAllTags": True} if change == "removeAll" else {}
            body = {"contacts": [contact_id], "tags": tags, "locationId": accounts.location, **everything}
            (response,) = api.ask("POST", f"{BULK}/{change.removesuffix('All')}", body).body["responses"]
            before = model
            model = {"add": model | set(tags), "remove": model - set(tags), "removeAll": set()}[change]
            assert set(response["oldTags"]) == before
            assert (set(response["tagsAdded"]), set(response["tagsRemoved"])) == (model - before, before - model)
            shown = tags_of(contact_id)
        assert len(shown) == len(set(shown))
        assert set(shown) == set(tags_of(contact_id)) == model


def test_tags_of_many(api, create, tags_of, accounts, desk):
    """Each contact has its own response; those that aren't the location's are errors, all alike, and hold nobody up."""
    one, two = create(tags=["a", "b"])["id"], create()["id"]
    api.token = desk.token_with("contacts.readonly", "contacts.write", account=accounts.sister)
    foreign = api.ask("POST", "/contacts/", {"locationId": accounts.sister, "tags": ["a"]}).body["contact"]["id"]
    sister_token = api.token
    api.token = desk.token_with("contacts.readonly", "contacts.write")
    body = {"contacts": [one, foreign, "nobody", two], "tags": ["a", "c"], "locationId": accounts.location}
    error = {"message": "contact does not belong to location", "type": "error"}
    done = {"message": "Tags updated", "type": "success"}
    answer = api.ask("POST", f"{BULK}/add", body)
    assert (answer.status, answer.body) == (
        201,
        {
            **SUCCEEDED,
            "errorCount": 2,
            "responses": [
                {"contactId": one, **done, "oldTags": ["a", "b"], "tagsAdded": ["c"], "tagsRemoved": []},
                {"contactId": foreign, **error},
                {"contactId": "nobody", **error},
                {"contactId": two, **done, "oldTags": [], "tagsAdded": ["a", "c"], "tagsRemoved": []},
            ],
        },
    )
    answer = api.ask("POST", f"{BULK}/remove", {**body, "contacts": [one]})
    (response,) = answer.body["responses"]
    assert (answer.status, response["tagsRemoved"]) == (201, ["a", "c"])
    assert (tags_of(one), tags_of(two)) == (["b"], ["a", "c"])
    answer = api.ask("POST", f"{BULK}/remove", {**body, "contacts": [two, two], "tags": [], "removeAllTags": True})
    assert [response["tagsRemoved"] for response in answer.body["responses"]] == [["a", "c"], []]
    assert tags_of(two) == []
    api.token = sister_token
    assert tags_of(foreign) == ["a"]


def test_case_counts_in_no_way(api, create, tags_of, accounts):
    """Tags are kept in lower case and found in any, for one contact and for many."""
    contact_id = create(tags=["vip"])["id"]
    path = f"/contacts/{contact_id}/tags"
    assert api.ask("POST", path, {"tags": ["VIP", "Lead"]}).body == {"tags": ["vip", "lead"]}
    body = {"contacts": [contact_id], "locationId": accounts.location}
    (response,) = api.ask("POST", f"{BULK}/add", {**body, "tags": ["LEAD", "Hot", "hot"]}).body["responses"]
    assert response["tagsAdded"] == ["hot"]
    (response,) = api.ask("POST", f"{BULK}/remove", {**body, "tags": ["HOT"]}).body["responses"]
    assert response["tagsRemoved"] == ["hot"]
    assert api.ask("DELETE", path, {"tags": ["Lead"]}).body == {"tags": ["vip"]}
    assert tags_of(contact_id) == ["vip"]


@pytest.mark.parametrize(
    ("type_", "fields", "texts"),
    [
        (
            "add",
            {"contacts": None, "tags": None, "locationId": None},
            [
                "contacts must be an array",
                "tags must be an array",
                "locationId must be a string",
                "locationId should not be empty",
            ],
        ),
        ("add", {"contacts": ["x"] * 501}, ["contacts must contain no more than 500 elements"]),
        (
            "add",
            {"contacts": [1], "ids": []},
            ["property ids should not exist", "each value in contacts must be a string"],
        ),
        ("add", {"removeAllTags": True}, ["removeAllTags can only be used with remove type"]),
        ("remove", {"removeAllTags": "yes"}, ["removeAllTags must be a boolean value"]),
        ("%7Btype%7D", {}, ["type must be one of the following values: add, remove"]),
        ("Add", {}, ["type must be one of the following values: add, remove"]),
    ],
)
def test_invalid_tags_of_many(api, create, tags_of, accounts, type_, fields, texts):
    """Every fault is told in the validator's words, and no contact changes."""
    contact_id = create(tags=["a"])["id"]
    body = {"contacts": [contact_id], "tags": ["b"], "locationId": accounts.location, **fields}
    answer = api.ask("POST", f"{BULK}/{type_}", body)
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})
    assert tags_of(contact_id) == ["a"]


@sqlite_only
def test_tags_of_many_are_stored_together(api, create, tags_of, accounts, database, clock):
    """If the database stops in the middle, no contact has changed."""
    ids = [create(tags=["a"])["id"] for _ in range(3)]
    with database.write() as write:
        write.connection.exec_driver_sql(
            "CREATE TRIGGER stubborn BEFORE UPDATE ON contacts "
            f"WHEN OLD.id = '{ids[2]}' BEGIN SELECT RAISE(ABORT, 'not today'); END"
        )
    body = {"contacts": ids, "tags": ["b"], "locationId": accounts.location}
    answer = api.ask("POST", f"{BULK}/add", body)
    assert (answer.status, answer.body["reason"]) == (503, "storage-unavailable")
    assert [tags_of(contact_id) for contact_id in ids] == [["a"]] * 3
