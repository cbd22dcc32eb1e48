"""Businesses, and the contacts that belong to them."""

import re

import pytest

from engines import sqlite_only

ID = re.compile(r"[0-9a-f]{24}")
INVALID = {"statusCode": 422, "error": "Unprocessable Entity", "reason": "invalid-request"}
NOW = "2026-11-20T12:00:00.000Z"
SCOPES = ("businesses.readonly", "businesses.write", "contacts.readonly", "contacts.write")
FIELDS = {
    "name": "Microsoft",
    "phone": "+18832327657",
    "email": "abc@microsoft.com",
    "website": "microsoft.com",
    "address": "street",
    "city": "new york",
    "postalCode": "12312312",
    "state": "new york",
    "country": "us",
    "description": "business description",
}


@pytest.fixture(autouse=True)
def _writer(api, desk):
    """Every request here is sent with a token that may read and write contacts and businesses."""
    api.token = desk.token_with(*SCOPES)


@pytest.fixture
def found_business(api, accounts):
    """Create a business with these fields; answers it."""

    def created(**fields):
        answer = api.ask("POST", "/businesses/", {"locationId": accounts.location, "name": "Roux", **fields})
        assert answer.status == 201, answer
        return answer.body["business"]

    return created


@pytest.fixture
def move(api, accounts):
    """Let contacts belong to a business, or with None to none."""

    def moved(business_id, *ids):
        body = {"locationId": accounts.location, "ids": list(ids), "businessId": business_id}
        return api.ask("POST", "/contacts/bulk/business", body)

    return moved


@pytest.fixture
def business_of(api):
    """The business of the contact with this id."""
    return lambda contact_id: api.ask("GET", f"/contacts/{contact_id}").body["contact"].get("businessId")


def absent(noun, id_):
    """The answer about what isn't there."""
    return {"statusCode": 400, "message": f"{noun} with id {id_} not found", "reason": f"{noun.lower()}-not-found"}


def test_a_businesss_life(api, accounts, clock, desk):
    """Created with 201 under both spellings, read, listed, changed in part and deleted, and shown with who did it."""
    integration = desk.integration(*SCOPES)
    api.token = desk.token(integration)
    author = {
        "source": "INTEGRATION",
        "channel": "OAUTH",
        "sourceId": integration,
        "sourceName": "CRM sync",
        "timestamp": NOW,
    }
    answer = api.ask("POST", "/businesses/", {"locationId": accounts.location, **FIELDS})
    business = answer.body["buiseness"]
    assert ID.fullmatch(business["id"])
    assert business == {
        "id": business["id"],
        "locationId": accounts.location,
        **FIELDS,
        "createdBy": author,
        "updatedBy": author,
        "createdAt": NOW,
        "updatedAt": NOW,
    }
    assert (answer.status, answer.body) == (201, {"success": True, "buiseness": business, "business": business})
    path = f"/businesses/{business['id']}"
    answer = api.ask("GET", path)
    assert (answer.status, answer.body) == (200, {"business": business})
    clock.move(minutes=1)
    answer = api.ask("PUT", path, {"city": "Lyon", "phone": None, "name": None})
    del business["phone"]
    later = "2026-11-20T12:01:00.000Z"
    business.update(city="Lyon", updatedAt=later, updatedBy={**author, "timestamp": later})
    assert (answer.status, answer.body) == (200, {"success": True, "buiseness": business, "business": business})
    answer = api.ask("GET", f"/businesses/?locationId={accounts.location}")
    assert (answer.status, answer.body) == (200, {"businesses": [business]})
    answer = api.ask("DELETE", path, headers=(("content-type", "application/json"),))
    assert (answer.status, answer.body) == (200, {"success": True})
    assert api.ask("GET", f"/businesses?locationId={accounts.location}").body == {"businesses": []}


@pytest.mark.parametrize(
    ("method", "fields", "texts"),
    [
        (
            "POST",
            {"name": None, "locationId": None},
            [
                "name must be a string",
                "name should not be empty",
                "locationId must be a string",
                "locationId should not be empty",
            ],
        ),
        ("POST", {"name": "", "city": 1}, ["name should not be empty", "city must be a string"]),
        ("POST", {"id": "x"}, ["property id should not exist"]),
        ("PUT", {"name": ""}, ["name should not be empty"]),
        ("PUT", {"locationId": "x", "phone": []}, ["property locationId should not exist", "phone must be a string"]),
    ],
)
def test_invalid_fields(api, accounts, found_business, method, fields, texts):
    """Every fault is told in the validator's words, and nothing is stored or changed."""
    business = found_business()
    target = "/businesses/" + (business["id"] if method == "PUT" else "")
    required = {"name": "x", "locationId": accounts.location} if method == "POST" else {}
    answer = api.ask(method, target, {**required, **fields})
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})
    assert api.ask("GET", f"/businesses/?locationId={accounts.location}").body == {"businesses": [business]}


def test_what_is_not_there(api, accounts, create, move, business_of):
    """A missing business is a 400 wherever it is named."""
    contact_id = create()["id"]
    expected = (400, absent("Business", "nowhere"))
    for method, path, body in (
        ("GET", "/businesses/nowhere", None),
        ("PUT", "/businesses/nowhere", {}),
        ("DELETE", "/businesses/nowhere", b"{broken"),
        ("GET", f"/contacts/business/nowhere?locationId={accounts.location}", None),
    ):
        answer = api.ask(method, path, body)
        assert (answer.status, answer.body) == expected
    answer = move("nowhere", contact_id)
    assert (answer.status, answer.body) == expected
    assert business_of(contact_id) is None


def test_another_accounts_business_does_not_exist(api, found_business, create, desk, accounts, move, business_of):
    """To another account a business is not there, by id, in lists, and for its contacts."""
    business = found_business()
    contact_id = create()["id"]
    move(business["id"], contact_id)
    api.token = desk.token_with(*SCOPES, account=accounts.sister)
    own = api.ask("POST", "/contacts/", {"locationId": accounts.sister}).body["contact"]["id"]
    path = f"/businesses/{business['id']}"
    bulk = {"locationId": accounts.sister, "ids": [own], "businessId": business["id"]}
    for method, target, body in (
        ("GET", path, None),
        ("PUT", path, {"city": "x"}),
        ("DELETE", path, None),
        ("GET", f"/contacts/business/{business['id']}?locationId={accounts.sister}", None),
        ("POST", "/contacts/bulk/business", bulk),
    ):
        answer = api.ask(method, target, body)
        assert (answer.status, answer.body) == (400, absent("Business", business["id"]))
    assert api.ask("GET", f"/businesses/?locationId={accounts.sister}").body == {"businesses": []}
    answer = api.ask("GET", f"/contacts/business/{business['id']}?locationId={accounts.location}")
    assert answer.status == 403
    for target in ("/contacts/bulk/business", "/businesses/"):
        assert api.ask("POST", target, {"locationId": accounts.location}).status == 403
    api.token = desk.token_with(*SCOPES)
    assert api.ask("GET", path).body == {"business": business}
    assert business_of(contact_id) == business["id"]


def test_contacts_move_together(create, found_business, move, business_of, api, clock):
    """All named contacts belong to the business, with null to none; one that isn't there leaves all as they were."""
    ids = [create()["id"] for _ in range(3)]
    business = found_business()
    answer = move(business["id"], *ids[:2], ids[0])
    assert (answer.status, answer.body) == (200, {"success": True, "ids": [*ids[:2], ids[0]]})
    assert [business_of(id_) for id_ in ids] == [business["id"], business["id"], None]
    clock.move(minutes=1)
    answer = move(None, *ids, "nobody")
    assert (answer.status, answer.body) == (400, absent("Contact", "nobody"))
    assert [business_of(id_) for id_ in ids] == [business["id"], business["id"], None]
    assert api.ask("GET", f"/contacts/{ids[0]}").body["contact"]["dateUpdated"] == NOW
    assert move(None, ids[0]).status == 200
    assert [business_of(id_) for id_ in ids] == [None, business["id"], None]


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        ({"ids": "x", "businessId": 1}, ["ids must be an array", "businessId must be a string"]),
        ({"ids": None, "businessId": None}, ["ids must be an array"]),
        ({"ids": ["x"] * 51, "businessId": None}, ["ids must contain no more than 50 elements"]),
        ({"ids": [], "x": 1, "businessId": None}, ["property x should not exist"]),
        ({"ids": []}, ["businessId must be a string"]),
    ],
)
def test_invalid_moves(api, accounts, fields, texts):
    """Contacts and the business must be named; leaving a business is said by null, not by silence."""
    answer = api.ask("POST", "/contacts/bulk/business", {"locationId": accounts.location, **fields})
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})


def test_a_deleted_business_has_no_contacts(api, create, found_business, move, business_of, clock):
    """The contacts of a deleted business stay and belong to none; those of another business don't notice."""
    ids = [create()["id"] for _ in range(3)]
    gone, other = found_business()["id"], found_business()["id"]
    move(gone, *ids[:2])
    move(other, ids[2])
    clock.move(minutes=1)
    assert api.ask("DELETE", f"/businesses/{gone}").body == {"success": True}
    assert [business_of(id_) for id_ in ids] == [None, None, other]
    updated = [api.ask("GET", f"/contacts/{id_}").body["contact"]["dateUpdated"] for id_ in ids]
    assert updated == ["2026-11-20T12:01:00.000Z"] * 2 + [NOW]


@sqlite_only
def test_a_business_is_deleted_whole_or_not_at_all(api, create, found_business, move, business_of, database, clock):
    """If a business can't be removed, its contacts still belong to it."""
    contact_id, business_id = create()["id"], found_business()["id"]
    move(business_id, contact_id)
    with database.write() as write:
        write.connection.exec_driver_sql(
            "CREATE TRIGGER stubborn BEFORE DELETE ON businesses BEGIN SELECT RAISE(ABORT, 'not today'); END"
        )
    answer = api.ask("DELETE", f"/businesses/{business_id}")
    assert (answer.status, answer.body["reason"]) == (503, "storage-unavailable")
    assert business_of(contact_id) == business_id


def test_the_contacts_of_a_business(api, create, found_business, move, accounts, clock):
    """They come newest first, 25 at once unless asked otherwise, each on one page; the query narrows them."""
    business_id = found_business()["id"]
    ids = []
    for number in range(27):
        ids.append(create(name=f"No {number}", dateOfBirth="1990-09-25")["id"])
        clock.move(seconds=number % 2)
    create(name="Stranger")
    move(business_id, *ids)

    def asked(**query):
        pairs = "".join(f"&{name}={value}" for name, value in query.items())
        answer = api.ask("GET", f"/contacts/business/{business_id}?locationId={accounts.location}{pairs}")
        assert (answer.status, list(answer.body)) == (200, ["contacts", "count"])
        return answer.body

    first = asked()
    assert (len(first["contacts"]), first["count"]) == (25, 27)
    assert first["contacts"][0]["dateOfBirth"] == "1990-09-25"
    found = [contact["id"] for skip in range(0, 30, 10) for contact in asked(limit=10, skip=skip)["contacts"]]
    assert found[:25] == [contact["id"] for contact in first["contacts"]]
    assert sorted(found) == sorted(ids)
    assert {found[0]} <= set(ids[-2:])
    narrowed = asked(query="no%2025")
    assert ([contact["name"] for contact in narrowed["contacts"]], narrowed["count"]) == (["No 25"], 1)


@pytest.mark.parametrize(
    ("path", "largest"), [("/contacts/business/{business}", 100), ("/businesses/", 100)], ids=["contacts", "businesses"]
)
def test_invalid_list_queries(api, accounts, found_business, path, largest):
    """A list's query is validated like a body."""
    target = path.format(business=found_business()["id"])
    location = f"locationId={accounts.location}"
    for query, texts in (
        ("", ["locationId must be a string", "locationId should not be empty"]),
        (location + "&limit=0", ["limit must not be less than 1"]),
        (location + "&limit=101", [f"limit must not be greater than {largest}"]),
        (location + "&skip=-1", ["skip must be a number conforming to the specified constraints"]),
        (location + "&skip=" + "9" * 5000, ["skip must not be greater than 1000000000"]),
        (location + "&page=1", ["property page should not exist"]),
    ):
        answer = api.ask("GET", f"{target}?{query}")
        assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})


def test_businesses_are_listed_once_each(api, accounts, found_business, clock):
    """Newest first; paging by skip and limit shows every business once, those of one instant included."""
    made = []
    for number in range(7):
        made.append(found_business(name=f"No {number}")["id"])
        clock.move(seconds=number % 2)
    found: list[str] = []
    for skip in range(0, 9, 3):
        answer = api.ask("GET", f"/businesses/?locationId={accounts.location}&skip={skip}&limit=3")
        found += [business["id"] for business in answer.body["businesses"]]
    assert sorted(found) == sorted(made)
    assert (found[0], set(found[1:3])) == (made[6], {made[4], made[5]})
