"""The sandbox's fields of custom objects, and their folders."""

import re

import pytest

ID = re.compile(r"[A-Za-z0-9]{20}")
SCOPES = ("locations/customFields.readonly", "locations/customFields.write")
PET = "custom_objects.pet"
NOW = "2026-11-20T12:00:00.000Z"


@pytest.fixture(autouse=True)
def _writer(api, desk):
    """Every request here is sent with a token that may read and write custom fields."""
    api.token = desk.token_with(*SCOPES)


@pytest.fixture
def folder(api, accounts):
    """A folder of pets."""
    answer = api.ask(
        "POST", "/custom-fields/folder", {"locationId": accounts.location, "objectKey": PET, "name": "About"}
    )
    assert answer.status == 201
    return answer.body


@pytest.fixture
def given(accounts, folder):
    """The body of a field with only what is required."""
    return {
        "locationId": accounts.location,
        "dataType": "TEXT",
        "fieldKey": f"{PET}.name",
        "objectKey": PET,
        "parentId": folder["id"],
        "showInForms": True,
    }


@pytest.fixture
def field(api, given):
    """A field of pets."""
    answer = api.ask("POST", "/custom-fields/", given)
    assert answer.status == 201, answer
    return answer.body["field"]


@pytest.fixture
def listed(api, accounts):
    """What there is of pets."""

    def found():
        answer = api.ask("GET", f"/custom-fields/object-key/{PET}?locationId={accounts.location}")
        assert (answer.status, list(answer.body)) == (200, ["fields", "folders"])
        return answer.body["fields"], [each["id"] for each in answer.body["folders"]]

    return found


def test_a_folder(api, accounts, folder, listed):
    """A folder is answered without an envelope, gets another name, and is deleted while it is empty."""
    assert ID.fullmatch(folder["id"])
    assert folder == {"id": folder["id"], "objectKey": PET, "locationId": accounts.location, "name": "About"}
    path = f"/custom-fields/folder/{folder['id']}"
    answer = api.ask("PUT", path, {"locationId": accounts.location, "name": "More"})
    assert (answer.status, answer.body) == (200, {**folder, "name": "More"})
    assert listed() == ([], [folder["id"]])
    answer = api.ask("DELETE", f"{path}?locationId={accounts.location}")
    expected = {"succeded": True, "succeeded": True, "id": folder["id"], "key": f"{PET}.folder.about"}
    assert (answer.status, answer.body) == (200, expected)
    assert listed() == ([], [])


def test_a_field(api, given, field, listed, folder):
    """A field is created with 201, read by its id, listed with its object, and deleted."""
    assert field == {**given, "id": field["id"], "dateAdded": NOW, "dateUpdated": NOW}
    path = f"/custom-fields/{field['id']}"
    assert api.ask("GET", path).body == {"field": field}
    assert listed() == ([field], [folder["id"]])
    answer = api.ask("DELETE", path)
    expected = {"succeded": True, "succeeded": True, "id": field["id"], "key": f"{PET}.name"}
    assert (answer.status, answer.body) == (200, expected)
    assert listed() == ([], [folder["id"]])


def test_update(api, accounts, field, listed, folder, clock):
    """What is given replaces what was, null takes it away, and what is not given stays."""
    clock.move(seconds=1)
    change = {
        "locationId": accounts.location,
        "showInForms": False,
        "name": "Name",
        "options": [{"key": "a", "label": "A"}],
        "placeholder": None,
        "acceptedFormats": ".pdf",
        "maxFileLimit": 2,
    }
    answer = api.ask("PUT", f"/custom-fields/{field['id']}", change)
    expected = {**field, **change, "dateUpdated": "2026-11-20T12:00:01.000Z"}
    del expected["placeholder"]
    assert (answer.status, answer.body) == (200, {"field": expected})
    assert listed() == ([expected], [folder["id"]])


def test_a_folder_with_fields_stays(api, accounts, folder, field, listed):
    """A folder that holds fields isn't deleted."""
    answer = api.ask("DELETE", f"/custom-fields/folder/{folder['id']}?locationId={accounts.location}")
    assert (answer.status, answer.body) == (
        400,
        {
            "statusCode": 400,
            "message": f"Folder with id {folder['id']} is not empty",
            "reason": "folder-not-empty",
        },
    )
    assert listed() == ([field], [folder["id"]])


def test_keys_are_unique(api, accounts, given, folder, field):
    """A key that is taken is refused; a folder stands in no field's way."""
    same_folder = {"locationId": accounts.location, "objectKey": PET, "name": "about"}
    for path, body in (("/custom-fields/", given), ("/custom-fields/folder", same_folder)):
        answer = api.ask("POST", path, body)
        assert (answer.status, answer.body["reason"]) == (400, "duplicate-custom-field")
    assert api.ask("POST", "/custom-fields/", {**given, "fieldKey": f"{PET}.about"}).status == 201


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"dataType": "text"}, "dataType must be one of the following values: TEXT, "),
        ({"fieldKey": "name"}, f"fieldKey must be {PET}. and a name of lower-case letters, digits and _"),
        ({"fieldKey": f"{PET}.Name"}, f"fieldKey must be {PET}. and a name of lower-case letters, digits and _"),
        ({"fieldKey": f"{PET}.folder.a"}, f"fieldKey must be {PET}. and a name of lower-case letters, digits and _"),
        ({"objectKey": "pet"}, "objectKey must be business or a custom object's key, as custom_objects.pet"),
        ({"parentId": ""}, "parentId should not be empty"),
        ({"showInForms": 1}, "showInForms must be a boolean value"),
        ({"acceptedFormats": [".pdf"]}, "acceptedFormats must be one of the following values: .pdf, "),
        ({"options": {}}, "options must be an array"),
        ({"options": [[]]}, "each value in nested property options must be either object or array"),
        ({"options": [{"key": "a"}]}, "options.0.label must be a string"),
        ({"options": [{"key": "a", "label": "b", "id": 1}]}, "options.0.property id should not exist"),
        ({"maxFileLimit": "2"}, "maxFileLimit must be a number conforming to the specified constraints"),
        ({"id": "x"}, "property id should not exist"),
    ],
)
def test_invalid_bodies(api, given, listed, change, texts):
    """A fault is told in the validator's words, and nothing is stored."""
    answer = api.ask("POST", "/custom-fields/", {**given, **change})
    assert answer.status == 422
    (text,) = answer.body["message"]
    assert text.startswith(texts)
    assert listed()[0] == []


def test_a_list_needs_its_location(api, folder):
    """The location is part of the query of a list and of a folder's deletion."""
    for method, path in (
        ("GET", f"/custom-fields/object-key/{PET}"),
        ("DELETE", f"/custom-fields/folder/{folder['id']}"),
    ):
        answer = api.ask(method, path)
        assert (answer.status, answer.body["reason"]) == (422, "invalid-request")


def test_a_folder_of_another_object_holds_nothing(api, given, folder, accounts):
    """A field goes into a folder of its own object, and not into a field."""
    other = {**given, "objectKey": "business", "fieldKey": "business.size"}
    answer = api.ask("POST", "/custom-fields/", other)
    assert (answer.status, answer.body["message"]) == (400, f"Folder with id {folder['id']} not found")
    field = api.ask("POST", "/custom-fields/", given).body["field"]
    answer = api.ask("POST", "/custom-fields/", {**given, "fieldKey": f"{PET}.b", "parentId": field["id"]})
    assert (answer.status, answer.body["reason"]) == (400, "folder-not-found")


def test_another_account_sees_nothing(api, desk, accounts, given, folder, field, listed):
    """Fields and folders of another location are like ones that never were, for every operation, and stay."""
    own = listed()
    token = desk.token_with(*SCOPES, account=accounts.sister)
    sister = {"locationId": accounts.sister}
    path, folder_path = f"/custom-fields/{field['id']}", f"/custom-fields/folder/{folder['id']}"
    for method, target, body in (
        ("GET", path, None),
        ("PUT", path, {**sister, "showInForms": False}),
        ("DELETE", path, None),
        ("PUT", folder_path, {**sister, "name": "stolen"}),
        ("DELETE", f"{folder_path}?locationId={accounts.sister}", None),
        ("POST", "/custom-fields/", {**given, **sister}),
    ):
        answer = api.ask(method, target, body, token=token)
        assert (answer.status, answer.body["message"].split()[-1]) == (400, "found"), answer
    answer = api.ask("GET", f"/custom-fields/object-key/{PET}?locationId={accounts.sister}", token=token)
    assert answer.body == {"fields": [], "folders": []}
    answer = api.ask("PUT", path, {"locationId": accounts.location, "showInForms": False}, token=token)
    assert (answer.status, answer.body["reason"]) == (403, "location-not-allowed")
    assert listed() == own
