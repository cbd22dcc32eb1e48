"""The sandbox's custom values of a location."""

import re

import pytest

ID = re.compile(r"[A-Za-z0-9]{20}")
SUCCEEDED = {"succeded": True, "succeeded": True}
SCOPES = ("locations/customValues.readonly", "locations/customValues.write")


@pytest.fixture
def values(api, desk, accounts):
    """The path of the location's custom values, asked for with a token that may read and write them."""
    api.token = desk.token_with(*SCOPES)
    return f"/locations/{accounts.location}/customValues"


@pytest.fixture
def create(api, values):
    """Create a custom value; answers it."""

    def created(name, value="text"):
        answer = api.ask("POST", values, {"name": name, "value": value})
        assert (answer.status, list(answer.body)) == (201, ["customValue"]), answer
        return answer.body["customValue"]

    return created


def test_create_and_read(api, values, create, accounts):
    """A custom value is created with 201 and a key made of its name, and is read back as it was answered."""
    value = create("Opening  hours (Größe)!", "9-5")
    assert ID.fullmatch(value["id"])
    assert value == {
        "id": value["id"],
        "name": "Opening  hours (Größe)!",
        "fieldKey": "{{ custom_values.opening_hours_größe }}",
        "value": "9-5",
        "locationId": accounts.location,
    }
    answer = api.ask("GET", f"{values}/{value['id']}")
    assert (answer.status, answer.body) == (200, {"customValue": value})
    other = create("Address", "")
    assert api.ask("GET", values).body == {"customValues": [other, value]}


def test_update_leaves_the_key(api, values, create):
    """An update changes name and value; the key stays, since templates name it."""
    value = create("hours")
    answer = api.ask("PUT", f"{values}/{value['id']}", {"name": "times", "value": "8-4"})
    expected = {**value, "name": "times", "value": "8-4"}
    assert (answer.status, answer.body) == (200, {"customValue": expected})
    assert api.ask("GET", values).body == {"customValues": [expected]}


def test_delete(api, values, create):
    """A deleted custom value is gone, and its key is free again."""
    value, kept = create("hours"), create("kept")
    answer = api.ask("DELETE", f"{values}/{value['id']}")
    assert (answer.status, answer.body) == (200, SUCCEEDED)
    assert api.ask("GET", values).body == {"customValues": [kept]}
    assert api.ask("DELETE", f"{values}/{value['id']}").status == 400
    create("hours")


def test_keys_are_unique(api, values, create):
    """Names that would make the same key are refused, and what was there stays."""
    value = create("My hours")
    answer = api.ask("POST", values, {"name": "my-hours", "value": ""})
    assert (answer.status, answer.body) == (
        400,
        {
            "statusCode": 400,
            "message": "This location does not allow duplicated custom values.",
            "reason": "duplicate-custom-value",
        },
    )
    assert api.ask("GET", values).body == {"customValues": [value]}


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ({}, ["name must be a string", "name should not be empty", "value must be a string"]),
        ({"name": "", "value": ""}, ["name should not be empty"]),
        ({"name": "?!_", "value": ""}, ["name must contain a letter or a digit"]),
        ({"name": "a", "value": 5}, ["value must be a string"]),
        ({"name": "a", "value": None}, ["value must be a string"]),
        ({"name": "a", "value": "b", "id": "c"}, ["property id should not exist"]),
    ],
)
def test_invalid_bodies(api, values, create, body, texts):
    """Every fault is told in the validator's words, and nothing changes."""
    value = create("hours")
    for method, path in (("POST", values), ("PUT", f"{values}/{value['id']}")):
        answer = api.ask(method, path, body)
        assert (answer.status, answer.body["message"]) == (422, texts)
    assert api.ask("GET", values).body == {"customValues": [value]}


def test_a_custom_value_that_is_not_there(api, desk, values, create, accounts):
    """A custom value of another location is like one that never was, for every operation, and stays as it is."""
    own = create("hours")
    foreign = f"/locations/{accounts.sister}/customValues"
    token = desk.token_with(*SCOPES, account=accounts.sister)
    for value_id in (own["id"], "never"):
        for method, body in (("GET", None), ("PUT", {"name": "stolen", "value": ""}), ("DELETE", None)):
            answer = api.ask(method, f"{foreign}/{value_id}", body, token=token)
            assert (answer.status, answer.body) == (
                400,
                {
                    "statusCode": 400,
                    "message": f"Custom value with id {value_id} not found",
                    "reason": "custom-value-not-found",
                },
            )
    assert api.ask("GET", foreign, token=token).body == {"customValues": []}
    assert api.ask("POST", foreign, {"name": "hours", "value": ""}, token=token).status == 201
    assert api.ask("GET", values).body == {"customValues": [own]}
