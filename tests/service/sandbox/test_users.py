"""Users in the sandbox: the people of the settings pages, as far as a token reaches them."""

from dataclasses import replace

import pytest

from private_integrations_service.access.people import User
from private_integrations_service.access.permissions import Membership
from private_integrations_service.storage.users import add_user, save_membership, set_disabled
from private_integrations_service.tokens.format import new_id

PLATFORM_ID = 20


@pytest.fixture
def person(database, clock):
    """Return a function that makes a person with places ({account: role}) and returns their id in the data API."""

    def made(name, places, **changes):
        email = f"{name.partition(' ')[0].lower()}@example.com"
        user = replace(User(new_id("usr_"), email, name, clock()), **changes)
        with database.write() as write:
            add_user(write.connection, user)
            for account, role in places.items():
                save_membership(write.connection, user.id, Membership(account, role))
            if user.disabled_at is not None:
                set_disabled(write.connection, user.id, user.disabled_at)
        clock.move(seconds=1)
        return user.id.removeprefix("usr_")

    return made


@pytest.fixture
def people(person, accounts, clock):
    """People of every account, by name."""
    return {
        "Ada": person("Ada Lovelace", {accounts.location: "admin"}),
        "Bob": person("Bob", {accounts.location: "user", accounts.sister: "admin"}),
        "Cyd": person("Cyd Sister", {accounts.sister: "user"}),
        "Dan": person("Dan Agent", {accounts.agency: "admin"}),
        "Eve": person("Eve Elsewhere", {accounts.stranger: "admin", accounts.other_agency: "admin"}),
        "Fay": person("Fay Former", {accounts.location: "admin"}, disabled_at=clock()),
    }


@pytest.fixture
def names(api, desk, accounts):
    """Ask a target with a token of an account; answers the first names of those who are found."""

    def asked(target, account=accounts.location, version=None):
        token = desk.token_with("users.readonly", account=account)
        answer = api.ask("GET", target, token=token, version=version)
        assert answer.status == 200, answer
        return [user["firstName"] for user in answer.body["users"]]

    return asked


@pytest.mark.parametrize("version", ["2021-07-28", "v3"])
def test_the_users_of_a_location_are_its_people(names, accounts, people, version):
    """`GET /users/` lists those with a place in the location who may sign in, under both generations."""
    assert people
    assert names(f"/users/?locationId={accounts.location}", version=version) == ["Ada", "Bob"]
    assert names(f"/users/?locationId={accounts.sister}", accounts.sister, version=version) == ["Bob", "Cyd"]


def test_a_user_is_shown_as_the_platform_shows_one(api, desk, accounts, people):
    """A user has an id of the platform's form, and only those of their places that the token reaches."""
    token = desk.token_with("users.readonly")
    answer = api.ask("GET", f"/users/{people['Bob']}", token=token)
    assert (answer.status, len(people["Bob"])) == (200, PLATFORM_ID)
    assert answer.body == {
        "id": people["Bob"],
        "name": "Bob",
        "firstName": "Bob",
        "lastName": "",
        "email": "bob@example.com",
        "phone": "",
        "extension": "",
        "roles": {"type": "account", "role": "user", "locationIds": [accounts.location]},
    }
    [_, listed] = api.ask("GET", f"/users/?locationId={accounts.location}", token=token).body["users"]
    assert listed == {**answer.body, "deleted": False}


@pytest.mark.parametrize("who", ["Cyd", "Dan", "Eve", "Fay", "missing"])
def test_people_of_other_accounts_are_not_there(api, desk, people, who):
    """A person without a place in the location, or who may not sign in, is answered like one who doesn't exist."""
    user_id = people.get(who, "missing0000000000000")
    answer = api.ask("GET", f"/users/{user_id}", token=desk.token_with("users.readonly"))
    assert (answer.status, answer.body["message"]) == (400, f"User with id {user_id} not found")


def test_an_agency_reads_the_people_of_itself_and_its_locations(api, desk, names, accounts, people):
    """An agency's token finds all people of the agency and its locations once, with all of these places."""
    search = f"/users/search?companyId={accounts.agency}"
    assert names(search, accounts.agency) == ["Ada", "Bob", "Cyd", "Dan"]
    assert names(f"{search}&locationId={accounts.sister}", accounts.agency) == ["Bob", "Cyd"]
    token = desk.token_with("users.readonly", account=accounts.agency)
    bob = api.ask("GET", f"/users/{people['Bob']}", token=token).body["roles"]
    assert bob == {"type": "account", "role": "admin", "locationIds": [accounts.location, accounts.sister]}
    dan = api.ask("GET", f"/users/{people['Dan']}", token=token).body["roles"]
    assert dan == {"type": "agency", "role": "admin", "locationIds": []}
    assert api.ask("GET", f"/users/{people['Eve']}", token=token).status == 400
    foreign = api.ask("GET", f"{search}&locationId={accounts.stranger}", token=token)
    assert (foreign.status, foreign.body["reason"]) == (403, "location-not-allowed")


def test_an_agency_token_has_the_wrong_class_for_the_users_of_a_location(api, desk, accounts):
    """`GET /users/` is for sub-accounts, in the platform's own words."""
    token = desk.token_with("users.readonly", account=accounts.agency)
    answer = api.ask("GET", f"/users/?locationId={accounts.location}", token=token)
    assert (answer.status, answer.body["message"]) == (401, "Token's user type mismatch!")


def test_a_search_for_users_is_filtered_sorted_and_paged(api, desk, names, accounts, people):
    """Every documented parameter of the search counts; `count` counts all people found."""
    search = f"/users/search?companyId={accounts.agency}"
    for query, found in (
        ("", ["Ada", "Bob"]),
        ("&query=LOVE", ["Ada"]),
        ("&query=bob@", ["Bob"]),
        ("&query=%25", []),
        ("&role=user", ["Bob"]),
        ("&type=account", ["Ada", "Bob"]),
        ("&type=agency", []),
        (f"&ids={people['Ada']},{people['Cyd']}", ["Ada"]),
        (f"&ids={people['Ada']}&ids={people['Bob']}", ["Ada", "Bob"]),
        ("&sort=dateAdded&sortDirection=desc", ["Bob", "Ada"]),
        ("&sort=email", ["Ada", "Bob"]),
        ("&skip=1", ["Bob"]),
        ("&limit=1", ["Ada"]),
        ("&enabled2waySync=false", ["Ada", "Bob"]),
        ("&enabled2waySync=true", []),
        (f"&locationId={accounts.location}", ["Ada", "Bob"]),
    ):
        assert names(search + query) == found, query
    reading = desk.token_with("users.readonly")
    foreign = api.ask("GET", f"/users/search?companyId={accounts.other_agency}", token=reading)
    assert (foreign.status, foreign.body["refusedField"]) == (403, "companyId")
    answer = api.ask("GET", f"{search}&limit=1", token=reading)
    assert answer.body["count"] == 2


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/users/", "locationId should not be empty"),
        ("/users/?locationId={location}&limit=5", "property limit should not exist"),
        ("/users/search", "companyId should not be empty"),
        ("/users/search?companyId={agency}&limit=101", "limit must not be greater than 100"),
        (
            "/users/search?companyId={agency}&sortDirection=up",
            "sortDirection must be one of the following values: asc, desc",
        ),
        ("/users/search?companyId={agency}&enabled2waySync=1", "enabled2waySync must be a boolean value"),
        ("/users/search?companyId={agency}&email=x", "property email should not exist"),
    ],
)
def test_invalid_requests_for_users(api, desk, accounts, target, text):
    """A fault of a query is a 422 that names the parameter."""
    target = target.format(location=accounts.location, agency=accounts.agency)
    answer = api.ask("GET", target, token=desk.token_with("users.readonly"))
    assert (answer.status, answer.body["message"][-1]) == (422, text)
