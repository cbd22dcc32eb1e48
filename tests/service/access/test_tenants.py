"""Every route as a stranger: what belongs to another account is exactly what doesn't exist.

The management API's routes are those of its document, the data API's those of the sandbox's table: a route that is
added is walked too, and fails here as long as nobody has said what its parameters name.
"""

import re
import time
import uuid
from contextlib import ExitStack

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select

from described import DOCUMENT
from engines import ENGINES, engine_under_test
from management import API, problem
from private_integrations.contract import (
    AccountClass,
    digest_of,
    new_management_key,
    new_sealing_key,
    new_webhook_secret,
)
from private_integrations_service.access.people import User
from private_integrations_service.access.permissions import Membership
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.sandbox import _HANDLERS
from private_integrations_service.storage.columns import metadata
from private_integrations_service.storage.users import add_user, save_membership
from private_integrations_service.tokens.format import new_id
from services import new_service

CATALOGUE = Catalogue.load()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
ROUTES = [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item]
# Whoever holds a token may end it: reporting a leak asks for no key (docs/leaked-tokens.md). No other route is open.
OPEN = [("POST", f"{API}/leaked")]
CLOSED = [route for route in ROUTES if route not in OPEN]
WRITING = [route for route in CLOSED if route[0] != "GET" and route != ("POST", f"{API}/introspect")]


@pytest.fixture(scope="module")
def homes(postgres, tmp_path_factory):
    """Services with an integration, and keys of strangers: bound elsewhere, ended, or only reading; by engine."""
    folder, sealing = tmp_path_factory.mktemp("tenants"), {"PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key()}
    with ExitStack() as running:
        yield {
            name: Home(running.enter_context(new_service(engine_under_test(name, postgres), folder / name, **sealing)))
            for name in ENGINES
        }


@pytest.fixture
def home(under_test, homes):
    """The service on the storage engine under test."""
    return homes[under_test.name]


class Home:
    """What is somebody else's, by the name of the parameter that can name it, and the keys of those who ask."""

    def __init__(self, service):
        self.url = service.url
        admin = _asking(service.url, service.key)
        self.account = service.account
        agency = next(a["id"] for a in admin("GET", "/accounts").json()["accounts"] if a["kind"] == "agency")
        self.external_id = f"organization/{uuid.uuid4().hex}/dev/crm"
        body = {"account": self.account, "name": "Mine alone", "scopes": ["contacts.readonly"], "owner_nonce": "c"}
        made = admin("PUT", f"/integrations/by-external-id/{self.external_id}", body).json()
        self.integration = made["id"]
        issued = {"issuer": "us", "run": "r", "attempt": 1, "overlap_seconds": 0}
        self.token = admin("PUT", f"/integrations/{self.integration}/generations/1", issued).json()["token"]
        hook = {"account": self.account, "url": "https://hooks.test/mine", "secret": new_webhook_secret()}
        self.webhook = admin("POST", "/webhooks", hook).json()["id"]
        self.admin = service.key
        self.stranger, _ = _key(admin, "stranger", role="deployer", accounts=[agency])
        self.viewer, self.viewer_id = _key(admin, "viewer", role="viewer")
        self.revoked, revoked_id = _key(admin, "revoked", role="admin")
        assert admin("DELETE", f"/keys/{revoked_id}").ok
        self.expired, _ = _key(admin, "expired", role="admin", lifetime_seconds=1)
        while admin("GET", "/accounts", key=self.expired).status_code != 401:
            time.sleep(0.1)

    @property
    def own(self):
        """What path parameters may name, as it exists."""
        return {
            "integration_id": self.integration,
            "external_id": self.external_id,
            "account_id": self.account,
            "generation": 1,
            "key_id": self.viewer_id,
            "webhook_id": self.webhook,
            "name": "viewer",
            "email": "ada@example.com",
        }

    @property
    def missing(self):
        """The same, as it doesn't exist."""
        return self.own | {
            "integration_id": "int_nothing",
            "external_id": "a/b/c/nothing",
            "account_id": "nobody",
            "key_id": "key_nothing",
            "webhook_id": "whk_nothing",
            "name": "nobody",
            "email": "nobody@example.com",
        }


def _asking(url, admin_key):
    def ask(method, path, body=None, *, key=admin_key):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return requests.request(method, url + API + path, json=body, headers=headers, timeout=10)

    return ask


def _key(admin, name, **changes):
    value = new_management_key()
    made = admin("PUT", f"/keys/{name}", {"digest": digest_of(value).hex(), **changes})
    assert made.status_code == 201, made.text
    return value, made.json()["id"]


def _filled(path, values):
    """The path with its parameters; one of which nobody has said what it names is a gap in this matrix."""
    for name in re.findall(r"\{(\w+)\}", path):
        assert name in values, f"say in Home.own what {name} names in {path}"
        path = path.replace(f"{{{name}}}", str(values[name]))
    return path.removeprefix(API)


def test_every_route_asks_for_a_key():
    """No route of the management API is open to everybody, but the one that needs to be."""
    asking = [
        (method.upper(), path)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if operation.get("security") == [{"HTTPBearer": []}]
    ]
    assert asking == CLOSED
    assert sorted([*CLOSED, *OPEN]) == sorted(ROUTES)


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_no_key_opens_what_it_should_not(home, method, path):
    """Nothing, a key that has expired or was revoked, and a token are refused before any input is looked at."""
    ask, target = _asking(home.url, home.admin), _filled(path, home.own)
    for key, expected in (
        (None, "key-missing"),
        (home.token, "key-unknown"),
        (home.revoked, "key-ended"),
        (home.expired, "key-ended"),
    ):
        assert problem(ask(method, target, key=key)) == (401, expected)


@pytest.mark.parametrize(("method", "path"), WRITING)
def test_a_viewer_writes_nothing(home, method, path):
    """A viewer is refused on whatever isn't reading, with and without a body."""
    ask, target = _asking(home.url, home.viewer), _filled(path, home.own)
    for body in (None, {}):
        assert problem(ask(method, target, body)) == (403, "key-not-allowed")


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{" in route[1]])
def test_what_is_foreign_is_not_there(homes, method, path):
    """A deployer of another account is told of an id that exists what it is told of one that doesn't, word for word."""
    operation = SCHEMA[path][method]
    seen = {engine: set() for engine in homes}

    @given(case=operation.as_strategy())
    @settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case):
        # Making an example takes longer than asking.
        for engine, home in homes.items():
            owned, missing = (_answered(home, case, values) for values in (home.own, home.missing))
            assert owned == missing
            seen[engine].add(owned[0])

    ask()
    for engine, home in homes.items():
        assert seen[engine] <= {403, 404, 409, 422, 400}
        assert seen[engine] & {403, 404}, "no example came as far as the id: none was valid"
        admin = _asking(home.url, home.admin)
        kept = admin("GET", f"/integrations/{home.integration}").json()
        assert (kept["name"], kept["version"], kept["last_generation"]) == ("Mine alone", 1, 1)


def _answered(home, case, values):
    """Ask as the stranger for what these values name; returns the status, and the text without the values."""
    for name in case.path_parameters:
        assert name in values, f"say in Home.own what {name} names in {case.path}"
        case.path_parameters[name] = values[name]
    answer = case.call(base_url=home.url, headers={"Authorization": f"Bearer {home.stranger}"})
    text = answer.text
    # The longest first: a short one, such as a generation's number, may be a part of a random id.
    for value in sorted(map(str, values.values()), key=len, reverse=True):
        text = text.replace(value, "…")
    return answer.status_code, text


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "GET" and "{" not in path])
def test_lists_have_nothing_foreign(home, path):
    """Whatever a list is asked for, a stranger finds nothing of the other account in it."""
    ask = _asking(home.url, home.stranger)
    queries = ["", f"?account={home.account}", f"?under={home.external_id}", f"?integration={home.integration}"]
    for query in [*queries, "?cursor=int_", f"?account={home.account}&under=organization&cursor=0"]:
        answer = ask("GET", path.removeprefix(API) + query)
        # Where cursors are numbers, that of another list is refused.
        assert answer.status_code in ((200, 403, 422) if query == "?cursor=int_" else (200, 403))
        for foreign in (home.account, home.integration, home.external_id, "Mine alone"):
            assert foreign not in answer.text


# The data API.

HANDLED = sorted(_HANDLERS)
# What a collection needs to make an object that its by-id routes can be asked for.
BODIES = {
    "/contacts/": {"firstName": "Ada"},
    "/businesses/": {"name": "Engines"},
    "/contacts/{contactId}/notes": {"body": "x"},
    "/contacts/{contactId}/tasks": {"title": "x", "dueDate": "2026-12-01T00:00:00.000Z", "completed": False},
    "/custom-fields/folder": {"name": "x", "objectKey": "custom_objects.pets"},
    "/custom-fields/": {
        "dataType": "TEXT",
        "fieldKey": "custom_objects.pets.x",
        "objectKey": "custom_objects.pets",
        "showInForms": True,
    },
    "/locations/{locationId}/tags": {"name": "x"},
    "/locations/{locationId}/customFields": {"name": "x", "dataType": "TEXT"},
    "/locations/{locationId}/customValues": {"name": "x", "value": "y"},
    "/opportunities/": {"name": "x", "status": "open"},
}
LOCATED = ("/contacts/", "/businesses/", "/custom-fields/", "/custom-fields/folder", "/opportunities/")
# Parameters that name nothing that the sandbox keeps.
FREE = {"campaignId": "c1", "workflowId": "w1", "type": "add", "objectKey": "custom_objects.pets"}
# Fields of objects lie in a folder, opportunities are of a contact.
PARENTS = {"/custom-fields/": ("parentId", "/custom-fields/folder"), "/opportunities/": ("contactId", "/contacts/")}
ELSEWHERE = {"businessId": "/businesses/"}


class Owner:
    """Somebody with a token for everything that the sandbox does, in one account."""

    def __init__(self, api, desk, account):
        self._api = api
        self._account = account
        self._database, self._now = desk.database, desk.clock()
        scopes = {endpoint.scope for endpoint in CATALOGUE.endpoints if (endpoint.method, endpoint.path) in _HANDLERS}
        allowed = [scope for scope in sorted(scopes) if CATALOGUE.refuse_scope(scope, AccountClass.SUB_ACCOUNT) is None]
        self._token = desk.token_with(*allowed, account=account)

    def ask(self, method, path, body=None, version=None):
        """One request, under a version that its endpoint is served under unless said otherwise."""
        older = path.partition("?")[0].endswith("/campaigns/removeAll")
        version = version or ("2021-07-28" if older else "v3")
        return self._api.ask(method, path, body, token=self._token, version=version)

    def path(self, template, ids):
        """The path of a template, at this owner's location, with these ids in place of made ones."""
        filled = template.replace("{locationId}", self._account)
        return re.sub(r"\{(\w+)\}", lambda name: FREE.get(name[1]) or ids[name[1]], filled)

    def made(self, template):
        """Ids of objects made for the parameters of a template."""
        ids = {}
        for name in re.findall(r"\{(\w+)\}", template):
            if name in FREE or name == "locationId":
                continue
            collection = ELSEWHERE.get(name) or _collection(template, name)
            assert collection in (*BODIES, "/users/"), f"say in BODIES what makes the {name} of {template}"
            ids[name] = self._make(collection, ids)
        return ids

    def _make(self, collection, ids):
        if collection == "/users/":
            return self._user()
        body = BODIES[collection] | ({"locationId": self._account} if collection in LOCATED else {})
        if collection in PARENTS:
            field, above = PARENTS[collection]
            body[field] = self._make(above, ids)
        if collection == "/opportunities/":
            body["pipelineId"] = self.pipelines()[0]["id"]
        answer = self.ask("POST", self.path(collection, ids), body)
        assert answer.status in (200, 201), (collection, answer)
        return _id_in(answer.body)

    def pipelines(self):
        """The pipelines of this owner's location."""
        return self.ask("GET", f"/opportunities/pipelines?locationId={self._account}").body["pipelines"]

    def _user(self):
        """Add a person who works at this owner's location, because the data API makes no users."""
        user = User(new_id("usr_"), f"{new_id()}@example.com".lower(), "Ada Lovelace", self._now)
        with self._database.write() as write:
            add_user(write.connection, user)
            save_membership(write.connection, user.id, Membership(self._account, "user"))
        return user.id.removeprefix("usr_")


def _collection(template, name):
    above = template.partition(f"{{{name}}}")[0]
    return next((path for path in BODIES if path.rstrip("/") == above.rstrip("/")), above)


def _id_in(body):
    """The id of the object in an answer, wherever its envelope puts it."""
    found = next(value for value in (body, *body.values()) if isinstance(value, dict) and "id" in value)
    return found["id"]


def _rows_of(database, account):
    """Every row that belongs to the account, in whatever table."""
    with database.read() as connection:
        return {
            table.name: sorted(map(str, connection.execute(select(table).where(table.c.account_id == account))))
            for table in metadata.sorted_tables
            if "account_id" in table.c
        }


@pytest.mark.parametrize(("method", "template"), HANDLED, ids=[f"{method} {path}" for method, path in HANDLED])
def test_what_another_account_has_is_not_there(api, desk, database, accounts, method, template):
    """Each operation of the sandbox answers for another account's objects as for none, and leaves them as they are."""
    owner, stranger = Owner(api, desk, accounts.location), Owner(api, desk, accounts.sister)
    ids = owner.made(template)
    before = _rows_of(database, accounts.location)
    for body in (None, BODIES.get(template, {})):
        told = []
        for named in (ids, dict.fromkeys(ids, "missing0000000000000")):
            answer = stranger.ask(method, stranger.path(template, named), body)
            text = str((answer.status, {**answer.body, "traceId": None}))
            for value in named.values():
                text = text.replace(value, "…")
            told.append(text)
            assert answer.status < 500
            assert accounts.location not in text
        # Without an id there is nothing to compare; what is made then is the stranger's own.
        assert told[0] == told[1] or not ids
    assert _rows_of(database, accounts.location) == before


@pytest.mark.parametrize(("method", "template"), HANDLED, ids=[f"{method} {path}" for method, path in HANDLED])
def test_another_location_is_refused(api, desk, database, accounts, method, template):
    """Each operation refuses another account's location, in path, query and body, whatever else is sent."""
    stranger = Owner(api, desk, accounts.sister)
    before = _rows_of(database, accounts.location)
    made = stranger.path(template.replace("{locationId}", accounts.location), stranger.made(template))
    answers = [stranger.ask(method, f"{made}?locationId={accounts.location}", BODIES.get(template, {}))]
    if "{locationId}" in template:
        answers.append(stranger.ask(method, made, BODIES.get(template, {})))
    for answer in answers:
        assert (answer.status, answer.body["reason"]) == (403, "location-not-allowed")
    stranger.ask(method, made, BODIES.get(template, {}) | {"locationId": accounts.location})
    assert _rows_of(database, accounts.location) == before


@pytest.mark.parametrize("template", [path for method, path in HANDLED if method == "GET" and "{" not in path])
@pytest.mark.parametrize("version", ["2021-07-28", "v3"])
def test_lists_of_the_sandbox_have_nothing_of_another_account(api, desk, accounts, template, version):
    """Each list without ids in its path, asked for its own location and beside it for another's, has its own alone."""
    owner, stranger = Owner(api, desk, accounts.location), Owner(api, desk, accounts.sister)
    made = owner.made("/opportunities/{id}") | owner.made("/users/{userId}") | owner.made("/businesses/{businessId}")
    foreign = {accounts.location, *made.values(), *(pipeline["id"] for pipeline in owner.pipelines())}
    for name, own in (
        ("locationId", accounts.sister),
        ("location_id", accounts.sister),
        ("companyId", accounts.agency),
    ):
        for other in ("", *(f"&{other}={accounts.location}" for other in ("locationId", "location_id", "altId"))):
            answer = stranger.ask("GET", f"{template}?{name}={own}{other}", version=version)
            assert answer.status < 500
            assert not [value for value in foreign if value in str(answer.body)]
