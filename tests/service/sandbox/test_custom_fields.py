"""The sandbox's custom fields of a location."""

import re

import pytest

ID = re.compile(r"[A-Za-z0-9]{20}")
SUCCEEDED = {"succeded": True, "succeeded": True}
SCOPES = ("locations/customFields.readonly", "locations/customFields.write")


@pytest.fixture
def fields(api, desk, accounts):
    """The path of the location's custom fields, asked for with a token that may read and write them."""
    api.token = desk.token_with(*SCOPES)
    return f"/locations/{accounts.location}/customFields"


@pytest.fixture
def create(api, fields):
    """Create a custom field; answers it."""

    def created(name="Pin code", dataType="TEXT", **others):
        answer = api.ask("POST", fields, {"name": name, "dataType": dataType, **others})
        assert (answer.status, list(answer.body)) == (201, ["customField"]), answer
        return answer.body["customField"]

    return created


def test_create(create, accounts):
    """A custom field is created with 201, for contacts, with a key made of its name and every documented field."""
    field = create()
    assert ID.fullmatch(field["id"])
    assert field == {
        "id": field["id"],
        "name": "Pin code",
        "fieldKey": "contact.pin_code",
        "placeholder": "",
        "dataType": "TEXT",
        "position": 0,
        "picklistOptions": [],
        "picklistImageOptions": [],
        "isAllowedCustomOption": False,
        "isMultiFileAllowed": False,
        "locationId": accounts.location,
        "model": "contact",
    }


def test_create_with_everything(api, fields, create):
    """All that may be written is kept, under the names by which it is shown."""
    field = create(
        placeholder="Choose",
        acceptedFormat=[".pdf"],
        isMultipleFile=True,
        maxNumberOfFiles=2,
        textBoxListOptions=[{"label": "First", "prefillValue": ""}, {"label": "Second"}],
        position=3.5,
        model="opportunity",
    )
    expected = {
        "fieldKey": "opportunity.pin_code",
        "placeholder": "Choose",
        "acceptedFormat": [".pdf"],
        "isMultiFileAllowed": True,
        "maxFileLimit": 2,
        "picklistOptions": ["First", "Second"],
        "position": 3.5,
        "model": "opportunity",
    }
    assert {name: field.get(name) for name in expected} == expected
    assert api.ask("GET", f"{fields}/{field['id']}").body == {"customField": field}


def test_create_takes_a_folder_a_key_and_a_description(api, fields, create):
    """A custom field may say its folder, its key and what it is for, and is read back with them."""
    field = create("Body state", parentId="folder1", fieldKey="bii_body_state", description="How a body is")
    expected = ("contact.bii_body_state", "folder1", "How a body is")
    assert (field["fieldKey"], field["parentId"], field["description"]) == expected
    assert api.ask("GET", f"{fields}/contact.bii_body_state").body == {"customField": field}
    whole = create("Price", fieldKey="opportunity.Asking Price", model="opportunity")
    assert whole["fieldKey"] == "opportunity.asking_price"
    answer = api.ask("POST", fields, {"name": "x", "dataType": "TEXT", "fieldKey": "Bii body-state"})
    assert (answer.status, answer.body["reason"]) == (400, "duplicate-custom-field")


@pytest.mark.parametrize("data_type", ["RADIO", "CHECKBOX", "SINGLE_OPTIONS", "MULTIPLE_OPTIONS"])
def test_fields_to_choose_from_have_options(api, fields, create, data_type):
    """A field of which one chooses is created with options, and read back with them as `picklistOptions`."""
    field = create(dataType=data_type, options=["a", "b"])
    assert field["picklistOptions"] == ["a", "b"]
    assert "options" not in field
    assert api.ask("GET", f"{fields}/{field['id']}").body == {"customField": field}
    for missing in ({}, {"options": []}, {"options": None}, {"textBoxListOptions": [{"label": "a"}]}):
        answer = api.ask("POST", fields, {"name": "other", "dataType": data_type, **missing})
        assert (answer.status, answer.body) == (
            400,
            {
                "statusCode": 400,
                "message": "Either options or picklistOptionsImage should exists and should not be empty",
                "error": "Bad Request",
                "reason": "options-missing",
            },
        )
    pictured = create("Pictured", dataType=data_type, picklistOptionsImage=["https://example.com/a.png"])
    assert pictured["picklistImageOptions"] == ["https://example.com/a.png"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dataType": "EMAILS"}, None),
        ({"dataType": "text"}, None),
        ({"dataType": 5}, "dataType must be a string"),
        ({"options": "a"}, "options must be an array"),
        ({"options": [{"key": "a", "label": "A"}]}, "each value in options must be a string"),
        ({"parentId": 1}, "parentId must be a string"),
        ({"description": []}, "description must be a string"),
        ({"fieldKey": "?"}, "fieldKey must contain a letter or a digit"),
    ],
)
def test_what_create_takes_is_checked(api, fields, change, text):
    """An unknown type, and a wrong one of what the specification doesn't name, are refused; nothing is stored."""
    answer = api.ask("POST", fields, {"name": "x", "dataType": "TEXT", **change})
    assert answer.status == 422
    (message,) = answer.body["message"]
    assert message == text or message.startswith("dataType must be one of the following values: TEXT, LARGE_TEXT, ")
    assert api.ask("GET", fields).body == {"customFields": []}


@pytest.mark.parametrize("name", ["parentId", "fieldKey", "description", "options", "picklistOptionsImage", "dataType"])
def test_an_update_takes_no_field_of_create_alone(api, fields, create, name):
    """An update refuses fields that only create takes."""
    field = create()
    answer = api.ask("PUT", f"{fields}/{field['id']}", {"name": "x", name: ["a"] if "ptions" in name else "TEXT"})
    assert (answer.status, answer.body["message"]) == (422, [f"property {name} should not exist"])
    assert api.ask("GET", fields).body == {"customFields": [field]}


def test_read_by_id_or_key(api, fields, create):
    """A custom field is read by its id and by its key."""
    field = create()
    for name in (field["id"], "contact.pin_code"):
        answer = api.ask("GET", f"{fields}/{name}")
        assert (answer.status, answer.body) == (200, {"customField": field})


def test_list_by_model(api, fields, create, clock):
    """A list holds the fields of one model or of all, in the order in which they were made."""
    made = []
    for name, model in (("b", "contact"), ("a", "opportunity"), ("c", "contact")):
        made.append(create(name, model=model))
        clock.move(seconds=1)
    for query, expected in (
        ("", made),
        ("?model=", made),
        ("?model=all", made),
        ("?model=contact", [made[0], made[2]]),
        ("?model=opportunity", [made[1]]),
    ):
        answer = api.ask("GET", fields + query)
        assert (answer.status, answer.body) == (200, {"customFields": expected})


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("model=business", "model must be one of the following values: contact, opportunity, all"),
        ("limit=5", "property limit should not exist"),
    ],
)
def test_a_list_that_makes_no_sense(api, fields, query, text):
    """What the query may not say is told in the validator's words."""
    answer = api.ask("GET", f"{fields}?{query}")
    assert (answer.status, answer.body["message"]) == (422, [text])


def test_update(api, fields, create):
    """What is given replaces what was, null takes it away; key, model and type stay."""
    field = create(placeholder="Choose", position=3)
    change = {"name": "Post code", "placeholder": None, "textBoxListOptions": [{"label": "x"}], "model": "contact"}
    answer = api.ask("PUT", f"{fields}/{field['id']}", change)
    expected = {**field, "name": "Post code", "placeholder": "", "picklistOptions": ["x"]}
    assert (answer.status, answer.body) == (200, {"customField": expected})
    assert api.ask("GET", fields).body == {"customFields": [expected]}
    emptied = {**expected, "picklistOptions": []}
    answer = api.ask("PUT", f"{fields}/{field['id']}", {"name": "Post code", "textBoxListOptions": None})
    assert answer.body == {"customField": emptied}


def test_a_field_does_not_change_its_model(api, fields, create):
    """A contact's field doesn't become an opportunity's: its key would name another thing."""
    field = create()
    answer = api.ask("PUT", f"{fields}/{field['id']}", {"name": "x", "model": "opportunity"})
    assert (answer.status, answer.body["message"]) == (422, ["model must be equal to contact"])
    assert api.ask("GET", fields).body == {"customFields": [field]}


def test_delete(api, fields, create):
    """A deleted custom field is gone, and its key is free again."""
    field, kept = create(), create("kept")
    answer = api.ask("DELETE", f"{fields}/{field['id']}")
    assert (answer.status, answer.body) == (200, SUCCEEDED)
    assert api.ask("GET", fields).body == {"customFields": [kept]}
    assert api.ask("DELETE", f"{fields}/{field['id']}").status == 400
    create()


def test_keys_are_unique(api, fields, create):
    """Names that would make the same key are refused; another model is another key."""
    field = create()
    answer = api.ask("POST", fields, {"name": "PIN-Code", "dataType": "DATE"})
    assert (answer.status, answer.body) == (
        400,
        {
            "statusCode": 400,
            "message": "This location does not allow duplicated custom fields.",
            "reason": "duplicate-custom-field",
        },
    )
    assert api.ask("GET", fields).body == {"customFields": [field]}
    create(model="opportunity")


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"name": ""}, ["name should not be empty"]),
        ({"name": "…"}, ["name must contain a letter or a digit"]),
        ({"name": None}, ["name must be a string", "name should not be empty"]),
        ({"placeholder": 1}, ["placeholder must be a string"]),
        ({"acceptedFormat": ".pdf"}, ["acceptedFormat must be an array"]),
        ({"isMultipleFile": "yes"}, ["isMultipleFile must be a boolean value"]),
        ({"maxNumberOfFiles": True}, ["maxNumberOfFiles must be a number conforming to the specified constraints"]),
        ({"position": "1"}, ["position must be a number conforming to the specified constraints"]),
        ({"model": "all"}, ["model must be one of the following values: contact, opportunity"]),
        ({"model": []}, ["model must be one of the following values: contact, opportunity"]),
        ({"textBoxListOptions": {}}, ["textBoxListOptions must be an array"]),
        (
            {"textBoxListOptions": ["x"]},
            ["each value in nested property textBoxListOptions must be either object or array"],
        ),
        (
            {"textBoxListOptions": [{"label": 1, "id": "x"}]},
            [
                "textBoxListOptions.0.property id should not exist",
                "textBoxListOptions.0.label must be a string",
            ],
        ),
        ({"objectKey": "contact"}, ["property objectKey should not exist"]),
    ],
)
def test_invalid_bodies(api, fields, create, change, texts):
    """Every fault is told in the validator's words, and nothing changes."""
    field = create("kept")
    for method, path, body in (
        ("POST", fields, {"name": "a", "dataType": "TEXT", **change}),
        ("PUT", f"{fields}/{field['id']}", {"name": "a", **change}),
    ):
        answer = api.ask(method, path, body)
        assert (answer.status, answer.body["message"]) == (422, texts)
    assert api.ask("GET", fields).body == {"customFields": [field]}


def test_a_number_that_nothing_carries(api, fields):
    """A position beyond every double is the sender's mistake."""
    answer = api.ask("POST", fields, b'{"name":"a","dataType":"TEXT","position":1e999}')
    text = "position must be a number conforming to the specified constraints"
    assert (answer.status, answer.body["message"]) == (422, [text])


def test_the_type_is_for_create_alone(api, fields, create):
    """A custom field is created with a type, and doesn't change it."""
    answer = api.ask("POST", fields, {"name": "a"})
    assert (answer.status, answer.body["message"]) == (
        422,
        ["dataType must be a string", "dataType should not be empty"],
    )
    answer = api.ask("PUT", f"{fields}/{create()['id']}", {"name": "a", "dataType": "DATE"})
    assert (answer.status, answer.body["message"]) == (422, ["property dataType should not exist"])


def test_a_custom_field_that_is_not_there(api, desk, fields, create, accounts):
    """A custom field of another location is like one that never was, by id and by key, and stays as it is."""
    own = create()
    foreign = f"/locations/{accounts.sister}/customFields"
    token = desk.token_with(*SCOPES, account=accounts.sister)
    for field_id in (own["id"], own["fieldKey"], "never"):
        for method, body in (("GET", None), ("PUT", {"name": "stolen"}), ("DELETE", None)):
            answer = api.ask(method, f"{foreign}/{field_id}", body, token=token)
            assert (answer.status, answer.body) == (
                400,
                {
                    "statusCode": 400,
                    "message": f"Custom field with id {field_id} not found",
                    "reason": "custom-field-not-found",
                },
            )
    assert api.ask("GET", foreign, token=token).body == {"customFields": []}
    assert api.ask("POST", foreign, {"name": "Pin code", "dataType": "TEXT"}, token=token).status == 201
    assert api.ask("GET", fields).body == {"customFields": [own]}
