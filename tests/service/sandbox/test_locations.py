"""The sandbox's locations."""

import pytest

SOCIAL = dict.fromkeys(
    (
        *("facebookUrl", "googlePlus", "linkedIn", "foursquare", "twitter", "yelp", "instagram", "youtube"),
        *("pinterest", "blogRss", "googlePlacesId"),
    ),
    "",
)
SETTINGS = dict.fromkeys(
    ("allowDuplicateContact", "allowDuplicateOpportunity", "allowFacebookNameMerge", "disableContactTimezone"), False
)
INVALID = {"statusCode": 422, "error": "Unprocessable Entity", "reason": "invalid-request"}


def test_a_location_is_shown_with_every_documented_field(api, desk, accounts):
    """A location is shown as the platform does, whoever asks and with whichever spelling of the path."""
    expected = {
        "location": {
            "id": accounts.location,
            "companyId": accounts.agency,
            "name": "Location",
            "domain": "",
            "address": "",
            "city": "",
            "state": "",
            "postalCode": "",
            "logoUrl": "",
            "website": "",
            "country": "US",
            "timezone": "UTC",
            "firstName": "",
            "lastName": "",
            "email": "",
            "phone": "",
            "business": {
                "name": "Location",
                "address": "",
                "city": "",
                "state": "",
                "postalCode": "",
                "website": "",
                "logoUrl": "",
                "country": "US",
                "timezone": "UTC",
            },
            "social": SOCIAL,
            "settings": SETTINGS,
            "reseller": {},
        }
    }
    for account in (accounts.location, accounts.agency):
        token = desk.token_with("locations.readonly", account=account)
        for path in (f"/locations/{accounts.location}", f"/locations/{accounts.location}/"):
            answer = api.ask("GET", path, token=token)
            assert (answer.status, answer.body) == (200, expected)


def test_an_agency_is_no_location(api, desk, accounts):
    """An agency's own id is no location's, even for the agency."""
    token = desk.token_with("locations.readonly", account=accounts.agency)
    answer = api.ask("GET", f"/locations/{accounts.agency}", token=token)
    assert (answer.status, answer.body) == (
        400,
        {
            "statusCode": 400,
            "message": f"Location with id {accounts.agency} not found",
            "reason": "location-not-found",
        },
    )


@pytest.fixture
def found(api, desk, accounts):
    """The ids of the locations that a search answers, asked by an agency unless said otherwise."""
    tokens = {}

    def searched(query="", *, account=accounts.agency):
        if account not in tokens:
            tokens[account] = desk.token_with("locations.readonly", account=account)
        answer = api.ask("GET", f"/locations/search{query}", token=tokens[account])
        assert (answer.status, list(answer.body)) == (200, ["locations"]), answer
        return [location["id"] for location in answer.body["locations"]]

    return searched


def test_who_finds_which_locations(found, accounts):
    """An agency finds its own locations, a location's token the location; nobody finds an agency."""
    assert found() == [accounts.location, accounts.sister]
    assert found(account=accounts.other_agency) == [accounts.stranger]
    assert found(account=accounts.sister) == [accounts.sister]


def test_search_pages(found, accounts):
    """`skip`, `limit` and `order` choose among the locations sorted by name, then by id."""
    assert found("?limit=1") == [accounts.location]
    assert found("?skip=1") == [accounts.sister]
    assert found("?skip=2") == []
    assert found("?order=desc") == [accounts.sister, accounts.location]
    assert found("?order=desc&limit=1&skip=1") == [accounts.location]
    assert found("?order=&limit=&skip=&companyId=&email=") == [accounts.location, accounts.sister]
    assert found(f"?skip={10**9}&limit=1000") == []


def test_search_by_company_and_email(api, desk, found, accounts):
    """A company that the token doesn't reach is refused; the sandbox knows no location's e-mail."""
    assert found(f"?companyId={accounts.agency}") == [accounts.location, accounts.sister]
    assert found(f"?companyId={accounts.agency}", account=accounts.location) == [accounts.location]
    for account in (accounts.agency, accounts.location):
        token = desk.token_with("locations.readonly", account=account)
        foreign = api.ask("GET", f"/locations/search?companyId={accounts.other_agency}", token=token)
        assert (foreign.status, foreign.body["reason"]) == (403, "location-not-allowed")
        assert foreign.body["refusedField"] == "companyId"
    assert found("?email=rane@example.com") == []


def test_what_a_search_shows(api, desk, accounts):
    """A found location has the fields of the platform's search, which are not all that it has."""
    token = desk.token_with("locations.readonly")
    (location,) = api.ask("GET", "/locations/search/", token=token).body["locations"]
    assert location == {
        "id": accounts.location,
        "name": "Location",
        "phone": "",
        "email": "",
        "address": "",
        "city": "",
        "state": "",
        "country": "US",
        "postalCode": "",
        "website": "",
        "timezone": "UTC",
        "settings": SETTINGS,
        "social": SOCIAL,
    }


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("limit=0", ["limit must not be less than 1"]),
        ("limit=1001", ["limit must not be greater than 1000"]),
        (f"limit={'9' * 5000}", ["limit must not be greater than 1000"]),
        ("limit=-1", ["limit must be a number conforming to the specified constraints"]),
        ("skip=%C2%B2", ["skip must be a number conforming to the specified constraints"]),
        (f"skip={10**9 + 1}", ["skip must not be greater than 1000000000"]),
        ("order=up", ["order must be one of the following values: asc, desc"]),
        (
            "name=x&skip=a",
            ["property name should not exist", "skip must be a number conforming to the specified constraints"],
        ),
    ],
)
def test_a_search_that_makes_no_sense(api, desk, query, texts):
    """Every fault of the query is told in the validator's words."""
    answer = api.ask("GET", f"/locations/search?{query}", token=desk.token_with("locations.readonly"))
    assert (answer.status, answer.body) == (422, {**INVALID, "message": texts})
