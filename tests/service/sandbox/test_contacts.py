"""The sandbox's contacts: the platform's statuses, bodies and error texts."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from private_integrations_service.sandbox.contacts import seed

ID = re.compile(r"[A-Za-z0-9]{20}")
INVALID = {"statusCode": 422, "error": "Unprocessable Entity", "reason": "invalid-request"}
NOW = "2026-11-20T12:00:00.000Z"


@pytest.fixture(autouse=True)
def _writer(api, desk):
    """Every request here is sent with a token that may read and write contacts."""
    api.token = desk.token_with("contacts.readonly", "contacts.write")


def test_create(create, accounts, desk, api):
    """A contact is created with 201 and shown as single contacts are."""
    integration = desk.integration("contacts.write")
    api.token = desk.token(integration)
    contact = create(
        firstName="Rosan",
        lastName="Deo",
        email="Rosan@Deos.com",
        phone="+1 888-888-8888",
        dateOfBirth="1990-09-25",
        tags=["a", "b", "a"],
        dnd=True,
        customFields=[{"id": "f1", "field_value": "x"}, {"key": "k2", "fieldValue": [1, 2.5]}],
        companyName=None,
    )
    assert ID.fullmatch(contact.pop("id"))
    assert contact == {
        "locationId": accounts.location,
        "name": "Rosan Deo",
        "firstName": "Rosan",
        "lastName": "Deo",
        "email": "Rosan@Deos.com",
        "emailLowerCase": "rosan@deos.com",
        "phone": "+18888888888",
        "dateOfBirth": "1990-09-25T00:00:00.000Z",
        "dnd": True,
        "tags": ["a", "b"],
        "followers": [],
        "customFields": [{"id": "f1", "value": "x"}, {"id": "k2", "value": [1, 2.5]}],
        "type": "lead",
        "source": "public api",
        "dateAdded": NOW,
        "dateUpdated": NOW,
        "firstNameLowerCase": "rosan",
        "lastNameLowerCase": "deo",
        "fullNameLowerCase": "rosan deo",
        "additionalEmails": [],
        "additionalPhones": [],
        "createdBy": {
            "source": "INTEGRATION",
            "channel": "OAUTH",
            "sourceId": integration,
            "sourceName": "CRM sync",
            "timestamp": NOW,
        },
        "birthMonth": 9,
        "birthDay": 25,
        "deleted": False,
        "bounceEmail": False,
        "unsubscribeEmail": False,
        "offers": [],
        "products": [],
    }


def in_list(contact):
    """A contact as lists show it, from how it is shown alone."""
    only_alone = {"deleted", "bounceEmail", "unsubscribeEmail", "offers", "products", "birthMonth", "birthDay"}
    shown = {name: value for name, value in contact.items() if name not in only_alone}
    named = {"contactName": contact["name"]} if "name" in contact else {}
    return {**shown, **named, "attributions": []}


def test_a_change_keeps_who_created_a_contact(api, create, desk, clock):
    """A change by another integration doesn't change the creator of a contact."""
    contact = create(firstName="Ada")
    api.token = desk.token_with("contacts.readonly", "contacts.write")
    clock.move(minutes=1)
    changed = api.ask("PUT", f"/contacts/{contact['id']}", {"firstName": "ADA"}).body["contact"]
    assert changed["createdBy"] == contact["createdBy"]
    assert (changed["firstName"], changed["firstNameLowerCase"], changed["fullNameLowerCase"]) == ("ADA", "ada", "ada")
    answer = api.ask("PUT", f"/contacts/{contact['id']}", {"createdBy": {"source": "x"}})
    assert answer.body["message"] == ["property createdBy should not exist"]


def test_only_the_location_is_required(api, create):
    """A contact without any field is one, and is read back as it was answered."""
    contact = create()
    answer = api.ask("GET", f"/contacts/{contact['id']}")
    assert (answer.status, answer.body) == (200, {"contact": contact})
    assert api.ask("GET", f"/contacts/{contact['id']}/").body == {"contact": contact}


def test_a_name_and_its_parts(api, create):
    """The whole name gives the parts and the parts the whole name."""
    contact = create(name="Ada King Lovelace")
    assert (contact["firstName"], contact["lastName"]) == ("Ada", "King Lovelace")
    changed = api.ask("PUT", f"/contacts/{contact['id']}", {"lastName": "Byron"}).body["contact"]
    assert (changed["name"], changed["firstName"]) == ("Ada Byron", "Ada")


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"locationId": None}, ["locationId must be a string", "locationId should not be empty"]),
        ({"locationId": ""}, ["locationId should not be empty"]),
        ({"locationId": 5}, ["locationId must be a string"]),
        ({"nme": "x", "id": "y"}, ["property nme should not exist", "property id should not exist"]),
        ({"email": "nobody"}, ["email must be an email"]),
        ({"email": "a@b"}, ["email must be an email"]),
        ({"email": ["a@b.c"]}, ["email must be an email"]),
        ({"email": "a@b.c\r\nBcc: x@y.z"}, ["email must be an email"]),
        ({"email": "a" * 250 + "@b.co"}, ["email must be an email"]),
        ({"phone": 12345678}, ["phone must be a string"]),
        ({"phone": "call me"}, ["phone must be a valid phone number"]),
        ({"phone": "+" + "1" * 16}, ["phone must be a valid phone number"]),
        ({"firstName": 1, "city": {}}, ["firstName must be a string", "city must be a string"]),
        ({"firstName": "\ud800"}, ["firstName must be a string"]),
        ({"\udfff": 1}, ["property \udfff should not exist"]),
        ({"dnd": "yes"}, ["dnd must be a boolean value"]),
        ({"dndSettings": []}, ["dndSettings must be an object"]),
        ({"dndSettings": {"a": {}}}, ["dndSettings.property a should not exist"]),
        (
            {"dndSettings": {"Call": {"status": "on", "code": 5, "\ud800": 1}}},
            [
                "dndSettings.Call.property \ud800 should not exist",
                "dndSettings.Call.status must be one of the following values: active, inactive, permanent",
                "dndSettings.Call.code must be a string",
            ],
        ),
        (
            {"inboundDndSettings": {"all": {}}},
            ["inboundDndSettings.all.status must be one of the following values: active, inactive"],
        ),
        ({"customFields": [{"id": 5, "key": "k"}]}, ["customFields.0.id must be a string"]),
        ({"customFields": [{"id": "f", "key": 5}]}, ["customFields.0.key must be a string"]),
        ({"tags": "a"}, ["tags must be an array"]),
        ({"tags": ["a", 1]}, ["each value in tags must be a string"]),
        ({"dateOfBirth": "1990-02-30"}, ["dateOfBirth must be a valid ISO 8601 date string"]),
        ({"dateOfBirth": "25/09/1990"}, ["dateOfBirth must be a valid ISO 8601 date string"]),
        ({"customFields": {}}, ["customFields must be an array"]),
        ({"customFields": [1]}, ["each value in nested property customFields must be either object or array"]),
        (
            {"customFields": [{"value": 1}]},
            ["customFields.0.property value should not exist", "customFields.0.id must be a string"],
        ),
    ],
)
def test_invalid_fields(api, accounts, fields, texts):
    """Every fault is told in the validator's words, and nothing is stored."""
    answer = api.ask("POST", "/contacts/", {"locationId": accounts.location, **fields})
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})
    assert api.ask("GET", f"/contacts/?locationId={accounts.location}").body["count"] == 0


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 400, b"1" * 6000])
def test_numbers_that_nothing_carries(api, accounts, number):
    """A number beyond every double is the sender's mistake."""
    body = b'{"locationId":"%s","customFields":[{"id":"f","field_value":%s}]}' % (accounts.location.encode(), number)
    text = "customFields.0.field_value must be a string, a finite number, an array or an object"
    answer = api.ask("POST", "/contacts/", body)
    assert (answer.status, answer.body) == (422, {**INVALID, "message": [text]})


def test_values_nested_without_end(api, accounts):
    """A value deeper than twenty levels is refused while it can still be read."""
    value = b"[" * 200 + b"]" * 200
    body = b'{"locationId":"%s","customFields":[{"id":"f","field_value":%s}]}' % (accounts.location.encode(), value)
    answer = api.ask("POST", "/contacts/", body)
    text = "customFields.0.field_value must be a string, a finite number, an array or an object"
    assert (answer.status, answer.body) == (422, {**INVALID, "message": [text]})


@pytest.mark.parametrize("body", [b"", b"{}", b"  "])
def test_create_without_a_body(api, body):
    """Without a body everything required is missing."""
    answer = api.ask("POST", "/contacts/", body)
    texts = ["locationId must be a string", "locationId should not be empty"]
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Unexpected token in JSON at position 1"),
        (b'{"a":1}}', "Unexpected token in JSON at position 7"),
        (b'{"a":NaN}', "Unexpected token in JSON"),
        (b'{"a":"\xff"}', "Unexpected token in JSON"),
        (b"[" * 60_000, "Unexpected token in JSON"),
        (b"[]", "The body must be a JSON object"),
        (b"null", "The body must be a JSON object"),
        (b'"x"', "The body must be a JSON object"),
    ],
)
def test_bodies_that_are_no_json_object(api, body, message):
    """A body that can't be read is a 400, never a 500."""
    answer = api.ask("POST", "/contacts/", body)
    expected = {"statusCode": 400, "message": message, "error": "Bad Request", "reason": "body-malformed"}
    assert (answer.status, answer.body) == (400, expected)


def test_a_body_that_is_too_large(api):
    """A body beyond 100 KB is refused."""
    answer = api.ask("POST", "/contacts/", b" " * 102_401)
    assert (answer.status, answer.body) == (
        413,
        {
            "statusCode": 413,
            "message": "request entity too large",
            "error": "Payload Too Large",
            "reason": "body-too-large",
        },
    )


def test_a_foreign_location_in_the_body(api, accounts):
    """A location that the token doesn't reach is refused before the fields are judged."""
    answer = api.ask("POST", "/contacts/", {"locationId": accounts.sister, "email": "x"})
    assert (answer.status, answer.body) == (
        403,
        {
            "statusCode": 403,
            "message": "The token does not have access to this location.",
            "reason": "location-not-allowed",
        },
    )


def test_duplicates(api, create, accounts):
    """The same e-mail in other case or the same phone in another spelling is a duplicate; e-mail counts first."""
    first = create(name="Rosan Deo", email="rosan@deos.com")
    second = create(phone="(202) 555-0143")
    refused = {
        "statusCode": 400,
        "message": "This location does not allow duplicated contacts.",
        "reason": "duplicate-contact",
    }
    by_email = {"contactId": first["id"], "matchingField": "email", "contactName": "Rosan Deo"}
    by_phone = {"contactId": second["id"], "matchingField": "phone"}
    for fields, meta in (
        ({"email": "ROSAN@deos.com", "phone": "+12025550143"}, by_email),
        ({"phone": "001 202 555 0143"}, by_phone),
    ):
        answer = api.ask("POST", "/contacts/", {"locationId": accounts.location, **fields})
        assert (answer.status, answer.body) == (400, {**refused, "meta": meta})
    answer = api.ask("PUT", f"/contacts/{second['id']}", {"email": "Rosan@deos.com"})
    assert (answer.status, answer.body) == (400, {**refused, "meta": by_email})
    assert api.ask("PUT", f"/contacts/{first['id']}", {"email": "rosan@DEOS.com"}).status == 200


def test_update(api, create, clock):
    """What is given replaces what was, tags as a whole; null takes a field away."""
    contact = create(firstName="Rosan", email="rosan@deos.com", tags=["a", "b"], city="Berlin", phone="+12025550143")
    clock.move(minutes=1)
    answer = api.ask("PUT", f"/contacts/{contact['id']}", {"tags": ["c"], "city": None, "phone": "", "state": "AL"})
    del contact["city"], contact["phone"]
    changed = {**contact, "tags": ["c"], "state": "AL", "dateUpdated": "2026-11-20T12:01:00.000Z"}
    assert (answer.status, answer.body) == (200, {"succeded": True, "succeeded": True, "contact": changed})
    assert api.ask("GET", f"/contacts/{contact['id']}").body == {"contact": changed}


def test_upsert_creates_and_updates(api, accounts, clock):
    """Without a match a contact is new; with one what is given replaces what was, tags as a whole."""
    fields = {
        "locationId": accounts.location,
        "email": "rosan@deos.com",
        "name": "Rosan Deo",
        "tags": ["a"],
        "city": "x",
    }
    answer = api.ask("POST", "/contacts/upsert", fields)
    contact = answer.body["contact"]
    assert len(answer.body["traceId"]) == 36
    assert (answer.status, answer.body) == (200, {"new": True, "contact": contact, "traceId": answer.body["traceId"]})
    assert api.ask("GET", f"/contacts/{contact['id']}").body == {"contact": contact}
    clock.move(minutes=1)
    fields = {"locationId": accounts.location, "email": "ROSAN@deos.com", "tags": ["b"], "city": None}
    answer = api.ask("POST", "/contacts/upsert", {**fields, "createNewIfDuplicateAllowed": True})
    del contact["city"]
    contact |= {"email": "ROSAN@deos.com", "tags": ["b"], "dateUpdated": "2026-11-20T12:01:00.000Z"}
    assert (answer.status, answer.body["new"], answer.body["contact"]) == (200, False, contact)
    assert api.ask("GET", f"/contacts/{contact['id']}").body == {"contact": contact}


def test_upsert_matches_the_email_before_the_phone(api, create, accounts):
    """Of two contacts the one with the e-mail is updated, and the phone stays with the one that has it."""
    by_email, by_phone = create(email="rosan@deos.com"), create(phone="+12025550143")

    def upsert(**fields):
        answer = api.ask("POST", "/contacts/upsert", {"locationId": accounts.location, **fields})
        assert (answer.status, answer.body["new"]) == (200, False)
        return answer.body["contact"]

    both = {"email": "rosan@deos.com", "phone": "(202) 555-0143"}
    assert upsert(**both, city="Lyon") == {**by_email, "city": "Lyon"}
    assert api.ask("GET", f"/contacts/{by_phone['id']}").body == {"contact": by_phone}
    assert upsert(phone="(202) 555-0143", city="Lyon") == {**by_phone, "city": "Lyon"}
    moved = upsert(phone="2025550143", email="new@deos.com")
    assert (moved["id"], moved["email"]) == (by_phone["id"], "new@deos.com")
    assert upsert(email="rosan@deos.com", phone="+12025550199")["phone"] == "+12025550199"
    assert upsert(email="rosan@deos.com", phone="2025550143")["phone"] == "+12025550199"


def test_upsert_without_a_match_in_the_account(api, create, desk, accounts):
    """Another account's contact is no match, and a contact without e-mail and phone is always new."""
    create(email="rosan@deos.com")
    api.token = desk.token_with("contacts.readonly", "contacts.write", account=accounts.sister)
    for fields in ({"email": "rosan@deos.com"}, {}, {}):
        answer = api.ask("POST", "/contacts/upsert", {"locationId": accounts.sister, **fields})
        assert (answer.status, answer.body["new"]) == (200, True)
    assert api.ask("GET", f"/contacts/?locationId={accounts.sister}").body["count"] == 3


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"locationId": None}, ["locationId must be a string", "locationId should not be empty"]),
        (
            {"email": "x", "new": True, "createNewIfDuplicateAllowed": 1},
            [
                "property new should not exist",
                "email must be an email",
                "createNewIfDuplicateAllowed must be a boolean value",
            ],
        ),
    ],
)
def test_invalid_upserts(api, accounts, fields, texts):
    """An upsert is judged like a create, and nothing is stored."""
    answer = api.ask("POST", "/contacts/upsert", {"locationId": accounts.location, **fields})
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})
    assert api.ask("GET", f"/contacts/?locationId={accounts.location}").body["count"] == 0


def test_upsert_elsewhere(api, accounts):
    """A location that the token doesn't reach is refused."""
    answer = api.ask("POST", "/contacts/upsert", {"locationId": accounts.sister, "email": "x"})
    assert (answer.status, answer.body["reason"]) == (403, "location-not-allowed")


def test_update_takes_no_location(api, create, accounts):
    """A contact stays in its location: the field does not exist in an update."""
    answer = api.ask("PUT", f"/contacts/{create()['id']}", {"locationId": accounts.location})
    assert answer.body == {**INVALID, "message": ["property locationId should not exist"]}


def test_delete(api, create):
    """A deleted contact is gone, and deleting it once more says so."""
    contact = create()
    answer = api.ask("DELETE", f"/contacts/{contact['id']}", headers=(("content-type", "application/json"),))
    assert (answer.status, answer.body) == (200, {"succeded": True, "succeeded": True})
    missing = {
        "statusCode": 400,
        "message": f"Contact with id {contact['id']} not found",
        "reason": "contact-not-found",
    }
    for method, body in (("GET", None), ("PUT", {"city": "x"}), ("DELETE", b"{broken")):
        answer = api.ask(method, f"/contacts/{contact['id']}", body)
        assert (answer.status, answer.body) == (400, missing)


def test_another_accounts_contact_does_not_exist(api, create, desk, accounts):
    """To every other account a contact is not there, by id, in lists and as a duplicate."""
    contact = create(email="rosan@deos.com")
    api.token = desk.token_with("contacts.readonly", "contacts.write", account=accounts.sister)
    path = f"/contacts/{contact['id']}"
    for method, body in (("GET", None), ("PUT", {"city": "x"}), ("DELETE", None)):
        answer = api.ask(method, path, body)
        assert (answer.status, answer.body["reason"]) == (400, "contact-not-found")
    assert api.ask("GET", f"/contacts/?locationId={accounts.sister}").body["contacts"] == []
    own = api.ask("POST", "/contacts/", {"locationId": accounts.sister, "email": "rosan@deos.com"})
    assert own.status == 201


def test_odd_ids_are_not_found(api):
    """An id may be any text; what no store has is not found."""
    for sent, shown in (("%00", None), ("a%22%27--", "a\"'--"), ("%7BcontactId%7D", "{contactId}"), ("x" * 5000,) * 2):
        answer = api.ask("GET", f"/contacts/{sent}")
        if shown is None:
            assert (answer.status, answer.body["reason"]) == (404, "not-found")
        else:
            assert (answer.status, answer.body["message"]) == (400, f"Contact with id {shown} not found")


def test_texts_are_kept_as_they_are(api, create):
    """Quotes, line ends, emoji and NUL come back as they were sent."""
    text = 'O\'Hara "é" \U0001f600\n\x00end'
    contact = create(companyName=text)
    assert api.ask("GET", f"/contacts/{contact['id']}").body["contact"]["companyName"] == text


def test_the_list_pages_through_everything_once(api, create, clock, accounts):
    """Following `nextPageUrl` shows every contact once, newest first, those of one instant included."""
    created = []
    for number in range(7):
        created.append(create(name=f"No {number}", dateOfBirth="1990-09-25")["id"])
        clock.move(seconds=number % 2)
    target = f"/contacts/?locationId={accounts.location}&limit=3"
    found, pages = [], []
    while target:
        answer = api.ask("GET", target)
        assert answer.status == 200
        found += [contact["id"] for contact in answer.body["contacts"]]
        meta = answer.body["meta"]
        pages.append((answer.body["count"], meta["total"], meta["currentPage"], meta["nextPage"], meta["prevPage"]))
        target = (meta["nextPageUrl"] or "").removeprefix("http://crm.test")
    assert sorted(found) == sorted(created)
    assert len(set(found)) == 7
    assert pages == [(7, 7, 1, 2, None), (7, 7, 2, 3, 1), (7, 7, 3, None, 2)]


def test_one_page_exactly(api, create, accounts):
    """A list answers contacts, count, meta and traceId; there a date of birth is only a date."""
    contact = create(name="Ada Lovelace", dateOfBirth="1815-12-10T00:00:00Z")
    answer = api.ask("GET", f"/contacts?locationId={accounts.location}")
    assert len(answer.body.pop("traceId")) == 36
    assert answer.body == {
        "contacts": [{**in_list(contact), "dateOfBirth": "1815-12-10"}],
        "count": 1,
        "meta": {
            "total": 1,
            "nextPageUrl": None,
            "startAfterId": contact["id"],
            "startAfter": 1_795_176_000_000,
            "currentPage": 1,
            "nextPage": None,
            "prevPage": None,
        },
    }


def test_an_empty_list(api, accounts):
    """Without contacts there is nothing to start after."""
    answer = api.ask(
        "GET", f"/contacts/?locationId={accounts.location}", headers=(("content-type", "application/json"),)
    )
    del answer.body["traceId"]
    meta = dict.fromkeys(("nextPageUrl", "startAfterId", "startAfter", "nextPage", "prevPage"))
    assert answer.body == {"contacts": [], "count": 0, "meta": {"total": 0, "currentPage": 1, **meta}}


def test_the_cursor_as_repeated_keys(api, create, clock, accounts):
    """Some clients send the cursor as `startAfter=instant&startAfter=id`."""
    older = create()
    newer = create()
    older, newer = sorted((older, newer), key=lambda contact: contact["id"])
    target = f"/contacts/?locationId={accounts.location}&startAfter=1795176000000&startAfter={newer['id']}"
    assert [contact["id"] for contact in api.ask("GET", target).body["contacts"]] == [older["id"]]


@pytest.mark.parametrize(
    ("sorting", "expected"),
    [
        ("", "cba"),
        ("&sortBy=date_added", "cba"),
        ("&sortBy=date_added&order=asc", "abc"),
        ("&order=asc", "abc"),
        ("&sortBy=date_updated&order=desc", "acb"),
        ("&sortBy=dateUpdated", "acb"),
        ("&sortBy=date_updated&order=asc", "bca"),
    ],
)
def test_the_list_is_sorted_as_asked(api, create, clock, accounts, sorting, expected):
    """`sortBy` and `order` sort the list by when contacts were added or updated, and every page of it."""
    ids = {}
    for name in "abc":
        ids[name] = create(firstName=name)["id"]
        clock.move(seconds=1)
    assert api.ask("PUT", f"/contacts/{ids['a']}", {"city": "x"}).status == 200
    target, found = f"/contacts/?locationId={accounts.location}&limit=1{sorting}", ""
    while target:
        body = api.ask("GET", target).body
        assert body["meta"]["currentPage"] == len(found) + 1
        found += "".join(contact["firstName"] for contact in body["contacts"])
        target = (body["meta"]["nextPageUrl"] or "").removeprefix("http://crm.test")
    assert found == expected


def test_tags_are_kept_in_lower_case(api, create, accounts):
    """Create, update and upsert keep tags in lower case and each once, like the location's own."""
    contact = create(tags=["VIP", "vip", "Lead"], email="ada@example.com")
    assert contact["tags"] == ["vip", "lead"]
    changed = api.ask("PUT", f"/contacts/{contact['id']}", {"tags": ["Été", "ÉTÉ"]}).body["contact"]
    assert changed["tags"] == ["été"]
    upsert = {"locationId": accounts.location, "email": "ada@example.com", "tags": ["New", "NEW"]}
    assert api.ask("POST", "/contacts/upsert", upsert).body["contact"]["tags"] == ["new"]


def test_channels_of_dnd_settings_are_spelled_as_the_generation_does(api, create):
    """A setting given in one generation is shown in the spelling of the other, and each takes its own alone."""
    contact = create(dndSettings={"SMS": {"status": "active"}, "WhatsApp": {"status": "inactive", "message": "no"}})
    path = f"/contacts/{contact['id']}"
    shown = api.ask("GET", path, version="v3").body["contact"]["dndSettings"]
    assert shown == {"sms": {"status": "active"}, "whatsApp": {"status": "inactive", "message": "no"}}
    answer = api.ask("PUT", path, {"dndSettings": {"call": {"status": "permanent"}}}, version="v3")
    assert answer.body["contact"]["dndSettings"] == {"call": {"status": "permanent"}}
    assert api.ask("GET", path).body["contact"]["dndSettings"] == {"Call": {"status": "permanent"}}
    for version, channel in (("v3", "Call"), ("2021-07-28", "call")):
        body = {"dndSettings": {channel: {"status": "active"}}}
        answer = api.ask("PUT", path, body, version=version)
        assert (answer.status, answer.body["message"]) == (422, [f"dndSettings.property {channel} should not exist"])


@pytest.mark.parametrize("name", ["companyName", "gender", "locationId", "createNewIfDuplicateAllowed"])
def test_an_update_takes_no_field_of_create_or_upsert_alone(api, create, accounts, name):
    """An update refuses fields that only other operations of contacts take, and stores nothing."""
    contact = create()
    value = {"locationId": accounts.location, "createNewIfDuplicateAllowed": True}.get(name, "x")
    answer = api.ask("PUT", f"/contacts/{contact['id']}", {"city": "Berlin", name: value})
    assert (answer.status, answer.body["message"]) == (422, [f"property {name} should not exist"])
    assert api.ask("GET", f"/contacts/{contact['id']}").body == {"contact": contact}


def test_a_create_takes_no_field_of_upsert_alone(api, accounts):
    """Only an upsert may say what it does about duplicates."""
    body = {"locationId": accounts.location, "createNewIfDuplicateAllowed": True}
    answer = api.ask("POST", "/contacts/", body)
    assert answer.body["message"] == ["property createNewIfDuplicateAllowed should not exist"]


def test_search_in_the_list(api, database, accounts, clock):
    """`query` finds parts of names, e-mails, phones and companies in any case; wildcards mean themselves."""
    with database.write() as write:
        seed(write, accounts.location)

    def names(query):
        answer = api.ask("GET", f"/contacts/?locationId={accounts.location}&query={query}")
        return [contact["name"] for contact in answer.body["contacts"]]

    assert names("HADDAD") == ["Amira Haddad"]
    assert names("jonas@") == ["Jonas Lindqvist"]
    assert names("2025550112") == ["Grace Okafor"]
    assert names("fitness") == ["Mateo Ruiz"]
    assert names("%25") == names("_") == names("%27") == []
    assert len(names("")) == 5


def test_numbers_with_a_zero_behind_the_point(api, create, accounts):
    """Whole numbers may be sent as the client `gohighlevel-api` does."""
    contact = create()
    target = f"/contacts/?locationId={accounts.location}&limit=20.0"
    assert api.ask("GET", target).body["contacts"] == [in_list(contact)]
    assert api.ask("GET", f"{target}&startAfter=1795176000001.0").body["contacts"] == [in_list(contact)]
    assert api.ask("GET", f"{target}&startAfter=1795175999999.0").body["contacts"] == []


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("", ["locationId must be a string", "locationId should not be empty"]),
        ("locationId=", ["locationId should not be empty"]),
        ("{at}&limit=0", ["limit must not be less than 1"]),
        ("{at}&limit=101", ["limit must not be greater than 100"]),
        ("{at}&limit=" + "9" * 6000, ["limit must not be greater than 100"]),
        ("{at}&limit=-1", ["limit must be a number conforming to the specified constraints"]),
        ("{at}&limit=20.5", ["limit must be a number conforming to the specified constraints"]),
        ("{at}&limit=0.0", ["limit must not be less than 1"]),
        ("{at}&limit=%D9%A1", ["limit must be a number conforming to the specified constraints"]),
        ("{at}&startAfter=x", ["startAfter must be a number conforming to the specified constraints"]),
        ("{at}&startAfter=" + "9" * 30, ["startAfter must be a number conforming to the specified constraints"]),
        ("{at}&startAfterId=x", ["startAfter should not be empty"]),
        ("{at}&page=2", ["property page should not exist"]),
        (
            "{at}&sortBy=name&order=up",
            [
                "sortBy must be one of the following values: date_added, date_updated, dateAdded, dateUpdated",
                "order must be one of the following values: desc, asc",
            ],
        ),
        ("{at}&query=%00", ["query must be a string"]),
        ("{at}&query=" + "x" * 1001, ["query must be shorter than or equal to 1000 characters"]),
    ],
)
def test_invalid_list_queries(api, accounts, query, texts):
    """A list's query is validated like a body."""
    answer = api.ask("GET", "/contacts/?" + query.format(at=f"locationId={accounts.location}"))
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})


def test_seeded_contacts_pass_the_apis_own_rules(api, database, accounts, clock):
    """The demo contacts can be sent back as they are, and their times differ."""
    with database.write() as write:
        seed(write, accounts.location)
    contacts = api.ask("GET", f"/contacts/?locationId={accounts.location}").body["contacts"]
    assert len({contact["dateAdded"] for contact in contacts}) == 5
    for contact in contacts:
        assert (contact["contactName"], contact["createdBy"]["timestamp"]) == (contact["name"], contact["dateAdded"])
        same = {name: contact[name] for name in ("name", "email", "phone", "tags")}
        assert api.ask("PUT", f"/contacts/{contact['id']}", same).status == 200
        upsert = {**same, "companyName": contact["companyName"], "locationId": accounts.location}
        assert api.ask("POST", "/contacts/upsert", upsert).body["new"] is False


def test_what_the_sandbox_lacks(api, desk, accounts):
    """Operations of the catalogue that the sandbox lacks are 501, after authorization."""
    token = desk.token_with("calendars/groups.readonly")
    answer = api.ask("GET", f"/calendars/groups?locationId={accounts.location}", token=token)
    assert (answer.status, answer.body) == (
        501,
        {
            "statusCode": 501,
            "message": "The sandbox has no GET /calendars/groups",
            "reason": "not-implemented",
        },
    )


_ANY_TEXT = st.text(max_size=20) | st.text(st.characters(categories=["Cs", "Cc"]), max_size=2)
_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from(["name", "email", "phone", "tags", "customFields", "dnd", "dndSettings", "dateOfBirth", "x"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(_FIELDS, _ANY_JSON, max_size=4))
def test_any_fields_are_stored_or_refused(api, accounts, fields):
    """Whatever JSON is sent, the answer is a contact that reads back the same, or a 4xx; nothing raises."""
    answer = api.ask("POST", "/contacts/", {"locationId": accounts.location, **fields})
    if answer.status == 201:
        contact = answer.body["contact"]
        assert api.ask("GET", f"/contacts/{contact['id']}").body == {"contact": contact}
    else:
        assert answer.status in (400, 422), answer


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "get"]),
    path=st.lists(
        st.sampled_from(["contacts", "search", "%2F", "%ff", "%00", "..", "", "é", "x", "\U0001f600"]), max_size=4
    ),
    query=st.text(st.characters(codec="utf-8"), max_size=30),
    body=st.binary(max_size=30),
)
def test_any_request_is_answered(api, method, path, query, body):
    """Whatever path, query and body are sent, the answer is a JSON object and no error of ours."""
    answer = api.ask(method, "/" + "/".join(path) + "?" + query, body)
    assert answer.status < 500 or answer.status == 501, answer
