"""Searching contacts: filters, order and paging, and the search for duplicates."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# These fields are only in answers with a single contact.
ONLY_ALONE = {"deleted", "bounceEmail", "unsubscribeEmail", "offers", "products"}
INVALID = {"statusCode": 422, "error": "Unprocessable Entity", "reason": "invalid-request"}


@pytest.fixture(autouse=True)
def _writer(api, desk):
    """Every request here is sent with a token that may read and write contacts and businesses."""
    api.token = desk.token_with("contacts.readonly", "contacts.write", "businesses.write")


@pytest.fixture
def search(api, accounts):
    """Search with these fields; answers the body."""

    def searched(*filters, **fields):
        asked = {"locationId": accounts.location, "pageLimit": 100, "filters": list(filters), **fields}
        answer = api.ask("POST", "/contacts/search", asked)
        assert answer.status == 200, answer
        return answer.body

    return searched


@pytest.fixture
def names(search):
    """Search with these filters; answers the first names that are found, sorted."""

    def found(*filters, **fields):
        body = search(*filters, **fields)
        assert body["total"] == len(body["contacts"])
        return sorted(contact["firstName"] for contact in body["contacts"])

    return found


@pytest.fixture
def people(api, create, clock, accounts):
    """Three contacts whose fields differ."""
    business = api.ask("POST", "/businesses/", {"locationId": accounts.location, "name": "Åkeri 100%"}).body["business"]
    ada = create(
        name="Ada King",
        email="Ada@King.example.com",
        phone="+12025550143",
        tags=["vip", "lead-hot"],
        city="London",
        address1="12 St James's Square",
        customFields=[{"id": "cf1", "field_value": "Gold"}, {"id": "cf2", "field_value": 7}],
    )
    clock.move(minutes=1)
    elodie = create(name="Élodie Roux", tags=["vip"], dnd=True, source="form", city="Lyon")
    clock.move(minutes=1)
    create(name="Zoe Okafor", email="zoe@example.org", country="US", companyName="Roux_Bakery")
    api.ask("POST", f"/contacts/{ada['id']}/followers", {"followers": ["user1"]})
    moved = {"locationId": accounts.location, "ids": [elodie["id"]], "businessId": business["id"]}
    assert api.ask("POST", "/contacts/bulk/business", moved).status == 200
    return {"Ada": ada, "Élodie": elodie, "business": business}


def test_a_contact_as_searches_show_it(search, people, accounts):
    """The street is called `address`, names come in lower case too, and `searchAfter` is the contact's place."""
    ada = people["Ada"]
    body = search({"field": "id", "operator": "eq", "value": ada["id"]})
    assert len(body.pop("traceId")) == 36
    assert body == {
        "contacts": [
            {
                **{name: value for name, value in ada.items() if name not in {"address1", *ONLY_ALONE}},
                "contactName": "Ada King",
                "attributions": [],
                "dateUpdated": "2026-11-20T12:02:00.000Z",
                "followers": ["user1"],
                "address": "12 St James's Square",
                "firstNameLowerCase": "ada",
                "lastNameLowerCase": "king",
                "additionalEmails": [],
                "additionalPhones": [],
                "opportunities": [],
                "searchAfter": [1_795_176_000_000, ada["id"]],
            }
        ],
        "total": 1,
    }
    (elodie,) = search({"field": "dnd", "operator": "eq", "value": True})["contacts"]
    assert (elodie["businessId"], elodie["businessName"]) == (people["business"]["id"], "Åkeri 100%")


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (("firstNameLowerCase", "eq", "ÉLODIE"), ["Élodie"]),
        (("firstNameLowerCase", "contains", "o"), ["Zoe", "Élodie"]),
        (("lastNameLowerCase", "not_contains", "ou"), ["Ada", "Zoe"]),
        (("contactName", "eq", "Ada King"), ["Ada"]),
        (("contactName", "not_eq", "Ada King"), ["Zoe", "Élodie"]),
        (("email", "eq", "ADA@king.EXAMPLE.com"), ["Ada"]),
        (("email", "not_exists", None), ["Élodie"]),
        (("phone", "eq", "(202) 555-0143"), ["Ada"]),
        (("phone", "contains", "5550"), ["Ada"]),
        (("phone", "exists", None), ["Ada"]),
        (("address", "contains", "james's"), ["Ada"]),
        (("city", "eq", ["London", "Lyon"]), ["Ada", "Élodie"]),
        (("city", "not_eq", ["London", "Lyon"]), ["Zoe"]),
        (("companyName", "contains", "x_b"), ["Zoe"]),
        (("companyName", "contains", "x%b"), []),
        (("businessName", "contains", "100%"), ["Élodie"]),
        (("businessName", "not_exists", None), ["Ada", "Zoe"]),
        (("source", "eq", "public api"), ["Ada", "Zoe"]),
        (("dnd", "eq", False), ["Ada", "Zoe"]),
        (("dnd", "not_eq", False), ["Élodie"]),
        (("dnd", "exists", None), ["Ada", "Zoe", "Élodie"]),
        (("tags", "eq", "vip"), ["Ada", "Élodie"]),
        (("tags", "eq", "lead"), []),
        (("tags", "eq", ["lead-hot", "absent"]), ["Ada"]),
        (("tags", "contains", "HOT"), ["Ada"]),
        (("tags", "eq", "VIP"), ["Ada", "Élodie"]),
        (("tags", "not_eq", "Lead-Hot"), ["Zoe", "Élodie"]),
        (("tags", "not_eq", "lead-hot"), ["Zoe", "Élodie"]),
        (("tags", "not_exists", None), ["Zoe"]),
        (("followers", "eq", "user1"), ["Ada"]),
        (("customFields.cf1", "eq", "Gold"), ["Ada"]),
        (("customFields.cf2", "eq", 7), ["Ada"]),
        (("customFields.cf1", "contains", "old"), ["Ada"]),
        (("customFields.cf3", "exists", None), []),
        (("customFields.cf3", "not_exists", None), ["Ada", "Zoe", "Élodie"]),
        (("dateAdded", "range", {"gt": "2026-11-20T12:00:00Z", "lte": "2026-11-20T13:01:00+01:00"}), ["Élodie"]),
        (("dateAdded", "range", {"gte": 1_795_176_060_000}), ["Zoe", "Élodie"]),
        (("dateAdded", "range", {"lt": "2026-11-20"}), []),
        (("dateUpdated", "exists", None), ["Ada", "Zoe", "Élodie"]),
    ],
)
def test_filters(names, people, condition, found):
    """Each operator means what it says; the contrary is true of what has no value."""
    field, operator, value = condition
    asked = {"field": field, "operator": operator} | ({} if value is None else {"value": value})
    assert names(asked) == found


def test_groups(names, people):
    """Filters must all be true; a group needs all of its own or one of them; groups nest."""
    vip = {"field": "tags", "operator": "eq", "value": "vip"}
    london = {"field": "city", "operator": "eq", "value": "London"}
    zoe = {"field": "firstNameLowerCase", "operator": "eq", "value": "zoe"}
    assert names(vip, london) == ["Ada"]
    assert names({"group": "AND", "filters": [vip, london]}) == ["Ada"]
    assert names({"group": "OR", "filters": [london, zoe]}) == ["Ada", "Zoe"]
    assert names({"group": "OR", "filters": [zoe, {"group": "AND", "filters": [vip, london]}]}) == ["Ada", "Zoe"]
    assert names(vip, {"group": "OR", "filters": [london, zoe]}) == ["Ada"]
    assert names({"group": "OR", "filters": []}) == []
    assert names({"group": "AND", "filters": []}) == ["Ada", "Zoe", "Élodie"]


def test_query_and_filters_together(names, people):
    """The query counts beside the filters, and null is like a field left out."""
    assert names(query="roux") == ["Zoe", "Élodie"]
    assert names({"field": "dnd", "operator": "eq", "value": True}, query="roux") == ["Élodie"]
    assert names(query=None, filters=None, sort=None, page=None, searchAfter=None) == ["Ada", "Zoe", "Élodie"]


CONDITION = {"field": "city", "operator": "eq", "value": "x"}
NUMBER = "must be an integer number"


@pytest.mark.parametrize(
    ("fields", "texts"),
    [
        (
            {"locationId": None, "pageLimit": None},
            ["locationId must be a string", "locationId should not be empty", f"pageLimit {NUMBER}"],
        ),
        ({"pageSize": 5}, ["property pageSize should not exist"]),
        ({"pageLimit": 0}, ["pageLimit must not be less than 1"]),
        ({"pageLimit": 501}, ["pageLimit must not be greater than 500"]),
        ({"pageLimit": "20"}, [f"pageLimit {NUMBER}"]),
        ({"pageLimit": True}, [f"pageLimit {NUMBER}"]),
        ({"pageLimit": 10**30}, [f"pageLimit {NUMBER}"]),
        ({"page": 0}, ["page must not be less than 1"]),
        ({"page": 21, "pageLimit": 500}, ["page must not be greater than 20"]),
        ({"page": 2, "searchAfter": [1, "x"]}, ["page must not be used with searchAfter"]),
        ({"searchAfter": "x"}, ["searchAfter must be an array"]),
        ({"searchAfter": [1]}, ["searchAfter must contain 2 elements"]),
        ({"searchAfter": ["x", 1]}, [f"searchAfter.0 {NUMBER}", "searchAfter.1 must be a string"]),
        ({"searchAfter": [10**19, "x"]}, [f"searchAfter.0 {NUMBER}"]),
        ({"searchAfter": [True, "x"]}, [f"searchAfter.0 {NUMBER}"]),
        ({"query": 5}, ["query must be a string"]),
        ({"query": "\x00"}, ["query must be a string"]),
        ({"query": "x" * 76}, ["query must be shorter than or equal to 75 characters"]),
        ({"sort": {}}, ["sort must be an array"]),
        ({"sort": [1]}, ["each value in nested property sort must be either object or array"]),
        (
            {"sort": [{"field": "phone", "direction": "up", "x": 1}]},
            [
                "sort.0.property x should not exist",
                "sort.0.field must be one of the following values: email, dnd, source, firstNameLowerCase, "
                "lastNameLowerCase, dateAdded, dateUpdated",
                "sort.0.direction must be one of the following values: asc, desc",
            ],
        ),
        ({"filters": {}}, ["filters must be an array"]),
        ({"filters": ["x"]}, ["each value in nested property filters must be either object or array"]),
        (
            {"filters": [{"group": "OR", "filters": [CONDITION] * 26}, *[CONDITION] * 25]},
            ["filters must contain no more than 50 elements, those of groups included"],
        ),
        (
            {"filters": [{}]},
            [
                "filters.0.field must be a string",
                "filters.0.operator must be one of the following values: "
                "eq, not_eq, contains, not_contains, exists, not_exists, range",
            ],
        ),
        ({"filters": [{**CONDITION, "group": "AND"}]}, None),
        (
            {"filters": [{"group": "XOR", "filters": [{**CONDITION, "value": None}]}]},
            [
                "filters.0.group must be one of the following values: AND, OR",
                "filters.0.filters.0.value must be a string",
            ],
        ),
        ({"filters": [{"group": "AND"}]}, ["filters.0.filters must be an array"]),
        (
            {"filters": [{**CONDITION, "field": "email", "operator": "contains"}]},
            ["filters.0.operator must be one of the following values: eq, not_eq, exists, not_exists"],
        ),
        ({"filters": [{**CONDITION, "operator": ["eq"]}]}, None),
        ({"filters": [{**CONDITION, "value": {"x": 1}}]}, ["filters.0.value must be a string"]),
        ({"filters": [{**CONDITION, "value": "a\x00"}]}, ["filters.0.value must be a string"]),
        ({"filters": [{**CONDITION, "value": "\ud800"}]}, ["filters.0.value must be a string"]),
        (
            {"filters": [{**CONDITION, "value": []}]},
            ["filters.0.value must contain at least 1 and no more than 50 elements"],
        ),
        (
            {"filters": [{**CONDITION, "value": ["x", "y" * 76]}]},
            ["filters.0.value must be shorter than or equal to 75 characters"],
        ),
        ({"filters": [{**CONDITION, "field": "dnd"}]}, ["filters.0.value must be a boolean value"]),
        (
            {"filters": [{"field": "dateAdded", "operator": "range", "value": "2026"}]},
            ["filters.0.value must be an object"],
        ),
        (
            {
                "filters": [
                    {
                        "field": "dateAdded",
                        "operator": "range",
                        "value": {"gt": "soon", "lt": 999_999_999_999_999, "to": 1},
                    }
                ]
            },
            [
                "filters.0.value.property to should not exist",
                "filters.0.value.gt must be a valid ISO 8601 date string",
                "filters.0.value.lt must be a valid ISO 8601 date string",
            ],
        ),
    ],
)
def test_invalid_searches(api, accounts, fields, texts):
    """Every fault is told in the validator's words, with its place."""
    answer = api.ask("POST", "/contacts/search", {"locationId": accounts.location, "pageLimit": 10, **fields})
    assert (answer.status, answer.body["reason"]) == (422, "invalid-request")
    if texts is not None:
        assert answer.body == {**INVALID, "message": texts}


def test_filters_nested_without_end(api, accounts):
    """Groups end at the fifth level, long before anything breaks."""
    nested: dict = CONDITION
    for _ in range(200):
        nested = {"group": "AND", "filters": [nested]}
    answer = api.ask("POST", "/contacts/search", {"locationId": accounts.location, "pageLimit": 1, "filters": [nested]})
    place = "filters" + ".0.filters" * 6
    assert answer.body == {**INVALID, "message": [f"{place} must not be nested deeper than 5 groups"]}


def test_as_many_filters_as_there_may_be(search, people):
    """Fifty filters are answered, at any level."""
    absent = {"field": "tags", "operator": "contains", "value": ["x" * 9] * 50}
    nested: list = [absent] * 45
    for _ in range(5):
        nested = [{"group": "OR", "filters": nested}, absent]
    assert search(*nested)["total"] == 0


@pytest.mark.parametrize("field", ["contact_name", "customFields.", "fields", "' OR 1=1 --"])
def test_unknown_filter_fields(api, accounts, field):
    """A field that can't be filtered by is a 400 of its own, as was seen on the platform, in a group too."""
    filters = [{"group": "OR", "filters": [CONDITION, {**CONDITION, "field": field}]}]
    answer = api.ask("POST", "/contacts/search", {"locationId": accounts.location, "pageLimit": 1, "filters": filters})
    assert len(answer.body.pop("traceId")) == 36
    assert (answer.status, answer.body) == (
        400,
        {"statusCode": 400, "message": f"Invalid field {field}", "error": "Bad Request", "reason": "filter-unknown"},
    )


@pytest.mark.parametrize(
    "filters",
    [
        [{"field": "additional_phones", "operator": "like", "value": "1"}],
        [{"field": "additional_phones"}],
        [{"field": "additional_phones", "operator": "eq", "value": {"x": []}, "extra": 1}],
        [{**CONDITION, "operator": "odd"}, {"field": "additional_phones", "operator": 5}],
        [{"group": "XOR", "filters": [5, {"field": "additional_phones", "operator": "odd"}]}],
        [*[CONDITION] * 60, {"field": "additional_phones"}],
    ],
)
def test_a_filters_field_is_looked_at_before_its_operator(api, accounts, filters):
    """An unknown filter field is reported before all other faults of the filters, as on the platform."""
    answer = api.ask("POST", "/contacts/search", {"locationId": accounts.location, "pageLimit": 1, "filters": filters})
    assert (answer.status, answer.body["message"]) == (400, "Invalid field additional_phones")


def test_another_accounts_contacts_are_not_found(api, people, desk, accounts):
    """A search finds nothing of other accounts, and takes no other account's location."""
    body = {"locationId": accounts.sister, "pageLimit": 10}
    answer = api.ask("POST", "/contacts/search", body)
    assert (answer.status, answer.body["reason"]) == (403, "location-not-allowed")
    api.token = desk.token_with("contacts.readonly", account=accounts.sister)
    answer = api.ask("POST", "/contacts/search", {**body, "filters": [{"group": "OR", "filters": []}]})
    assert answer.body["total"] == 0
    assert api.ask("POST", "/contacts/search", body).body["contacts"] == []


@pytest.mark.parametrize("field", ["email", "dnd", "source", "firstNameLowerCase", "lastNameLowerCase", "dateUpdated"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_orders(search, people, field, direction):
    """What is found comes in the order that is asked for."""
    found = search(sort=[{"field": field, "direction": direction}])["contacts"]
    places = [contact["searchAfter"] for contact in found]
    assert places == sorted(places, reverse=direction == "desc")
    assert len(places) == 3
    expected = {"email": "ada@king.example.com", "firstNameLowerCase": "élodie", "source": "form", "dnd": 1}
    if field in expected:
        assert expected[field] in [place[0] for place in places]


_SORTS = st.lists(
    st.fixed_dictionaries(
        {
            "field": st.sampled_from(["email", "dnd", "source", "firstNameLowerCase", "dateAdded", "dateUpdated"]),
            "direction": st.sampled_from(["asc", "desc"]),
        }
    ),
    max_size=3,
)


@pytest.fixture
def many(create, clock):
    """Eleven contacts, several alike in whatever they can be ordered by; answers their ids."""
    made = []
    for number in range(11):
        fields = {"firstName": "ÄaB"[number % 3], "dnd": number % 2 == 0, "source": f"s{number % 3}"}
        made.append(create(**fields, **({"email": f"{number}@example.com"} if number % 4 == 0 else {}))["id"])
        clock.move(seconds=number % 3 == 0)
    return made


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sort=_SORTS, limit=st.integers(1, 12), by_place=st.booleans())
def test_paging_shows_everything_once(search, many, sort, limit, by_place):
    """Whatever the order and the page's size, by number or by place: every contact comes exactly once, in order."""
    found: list[dict] = []
    page = 1
    while True:
        place = {"searchAfter": found[-1]["searchAfter"] if found else []} if by_place else {"page": page}
        body = search(sort=sort, pageLimit=limit, **place)
        assert body["total"] == len(many)
        found += body["contacts"]
        page += 1
        if len(body["contacts"]) < limit:
            break
    whole = search(sort=sort)["contacts"]
    assert [contact["id"] for contact in found] == [contact["id"] for contact in whole]
    assert sorted(contact["id"] for contact in found) == sorted(many)


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_ANY_FILTER = st.deferred(
    lambda: (
        st.fixed_dictionaries(
            {
                "field": st.sampled_from(["city", "tags", "dnd", "dateAdded", "customFields.x", "email", "phone", "x"]),
                "operator": st.sampled_from(["eq", "not_eq", "contains", "not_exists", "exists", "range"]),
            },
            optional={"value": _ANY_JSON | st.dictionaries(st.sampled_from(["gt", "lte"]), _ANY_JSON)},
        )
        | st.fixed_dictionaries({"group": st.sampled_from(["AND", "OR"]), "filters": st.lists(_ANY_FILTER, max_size=3)})
        | _ANY_JSON
    )
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    filters=st.lists(_ANY_FILTER, max_size=3) | _ANY_JSON,
    place=st.lists(st.integers() | st.text(max_size=5), max_size=3) | _ANY_JSON,
    page=_ANY_JSON,
)
def test_any_search_is_answered(api, accounts, filters, place, page):
    """Whatever is searched for, the answer is what is found or a 4xx; nothing raises."""
    fields = {"filters": filters, "searchAfter": place, "page": page}
    answer = api.ask("POST", "/contacts/search", {"locationId": accounts.location, "pageLimit": 5, **fields})
    assert answer.status in (200, 400, 422), answer


def test_duplicates_are_looked_for(api, create, accounts):
    """The e-mail counts first, in any case; then the number, in any spelling; without a match there is null."""
    first = create(email="rosan@deos.com", dateOfBirth="1990-09-25")
    second = create(phone="+12025550143")

    def found(query):
        answer = api.ask("GET", f"/contacts/search/duplicate?locationId={accounts.location}{query}")
        assert (answer.status, list(answer.body)) == (200, ["contact"])
        return answer.body["contact"]

    assert found("&email=ROSAN%40deos.com&number=%2B12025550143") == first
    assert found("&email=other%40deos.com&number=%2B12025550143") == second
    assert found("&number=(202)%20555-0143") == second
    assert found("&number=+12025550143") == second
    assert found("&email=rosan") is found("&number=x") is found("&email=&number=") is found("") is None


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("", ["locationId must be a string", "locationId should not be empty"]),
        ("locationId={at}&phone=1", ["property phone should not exist"]),
    ],
)
def test_invalid_searches_for_duplicates(api, accounts, query, texts):
    """A location is required, and there are no other fields."""
    answer = api.ask("GET", "/contacts/search/duplicate?" + query.format(at=accounts.location))
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})


def test_another_accounts_contact_is_no_duplicate(api, create, desk, accounts):
    """What another account has is no match, and its location is refused."""
    create(email="rosan@deos.com")
    api.token = desk.token_with("contacts.readonly", account=accounts.sister)
    target = "/contacts/search/duplicate?email=rosan%40deos.com&locationId="
    assert api.ask("GET", target + accounts.sister).body == {"contact": None}
    assert api.ask("GET", target + accounts.location).status == 403
