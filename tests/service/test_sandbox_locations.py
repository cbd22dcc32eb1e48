"""The sandbox's locations."""


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
            "business": {"name": "Location"},
            "social": {},
            "settings": {},
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


def test_the_search_is_not_a_location(api, desk):
    """`/locations/search` is an operation of its own."""
    answer = api.ask("GET", "/locations/search", token=desk.token_with("locations.readonly"))
    assert (answer.status, answer.body["message"]) == (501, "The sandbox has no GET /locations/search")
