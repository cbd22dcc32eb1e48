"""Every field of every operation that names an account, with accounts that the token reaches and others.

The vendor's list is read here anew, from the package's file and not by the code: 535 operations, over the gateway,
forward-auth and, where it serves them, the sandbox, with both classes of token.
"""

import asyncio
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from itertools import product
from urllib.parse import quote

import pytest
from sqlalchemy import insert

from asgi_upstream import ask, keeping_upstream
from private_integrations.contract import API, digest_of
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.forward_auth import ForwardAuth
from private_integrations_service.gateway import Gateway, GatewayLimits, PastedCredentials, Upstream
from private_integrations_service.sandbox import _HANDLERS, Sandbox
from private_integrations_service.sandbox.limits import AccountLimits, RateLimits
from private_integrations_service.storage import tables
from throwaway import REPOSITORY

DATA = resources.files("private_integrations_service.catalogue") / "data"
LISTED = json.loads((DATA / "account_fields.json").read_text("utf-8"))["operations"]
CATALOGUED = {
    f"{entry['method']} {entry['path']}": entry
    for entry in json.loads((DATA / "scopes.json").read_text("utf-8"))["endpoints"]
}
SCOPES = sorted({scope for entry in CATALOGUED.values() for scope in entry["scopes"]})
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CLASSES = ("agency", "location")
AGENCYS = {"companyId", "agencyId"}
ALTERNATIVE = {"altId", "altType"}
WITH_401 = ("/social-media-posting/", "/invoices/", "/objects/")
PARTS = 4
in_parts = pytest.mark.parametrize("part", range(PARTS))


async def held(_):
    """The upstream credential of every account."""
    return "held"


def fields():
    """Operation, place and field, for each field of the list."""
    return [(name, place, field) for name, places in LISTED.items() for place in places for field in places[place]]


@dataclass(frozen=True)
class Home:
    """The accounts that a token of one class reaches, and those that it doesn't."""

    token: bytes
    location: str
    agency: str
    foreign_locations: tuple[str, ...]
    foreign_agencies: tuple[str, ...]

    def own(self, field):
        """Return the value that a field may have, and the values that it may not have."""
        last = field.rpartition(".")[2]
        if last in AGENCYS:
            return self.agency, self.foreign_agencies
        return self.location, self.foreign_locations


@pytest.fixture(scope="module")
def homes(accounts):
    """The homes of a token of each class."""
    return {
        "location": Home(
            b"pit-" + b"00000001-0000-4000-8000-000000000000",
            accounts.location,
            accounts.agency,
            (accounts.sister, accounts.stranger, accounts.agency, "nobody"),
            (accounts.other_agency, accounts.sister, accounts.stranger),
        ),
        "agency": Home(
            b"pit-" + b"00000002-0000-4000-8000-000000000000",
            accounts.location,
            accounts.agency,
            (accounts.stranger, accounts.other_agency, "nobody"),
            (accounts.other_agency, accounts.location, accounts.stranger),
        ),
    }


@pytest.fixture(scope="module")
def database(under_test, tmp_path_factory, fresh_folder, homes, accounts):
    """A database with a token of each class that holds every scope."""
    opened = under_test.open(under_test.copy(fresh_folder, tmp_path_factory.mktemp("fields") / "data"), lambda: NOON)
    with opened.write() as write:
        for token_class, account in (("location", accounts.location), ("agency", accounts.agency)):
            store(write.connection, account, token_class, homes[token_class].token.decode())
    yield opened
    opened.close()


def store(connection, account, name, token):
    """An integration with a token in use; by its tables, since no operation would give it all scopes."""
    integration = {"id": name, "account_id": account, "external_id": name, "name": name, "description": ""}
    about = {"scopes": SCOPES, "owner_nonce": name, "version": 1, "last_generation": 1}
    connection.execute(insert(tables.integrations).values(**integration, **about, created_at=NOON, updated_at=NOON))
    issued = {"integration_id": name, "generation": 1, "role": "current", "issuer": "walk", "run": "walk", "attempt": 1}
    digest = {"digest": digest_of(token.encode()), "hash_version": 1, "overlap_seconds": 0}
    connection.execute(insert(tables.tokens).values(**issued, **digest, issued_at=NOON, delivered_at=NOON))


@pytest.fixture(scope="module")
def authorizer(database, catalogue):
    """The authorizer that every surface asks."""
    made = Authorizer(database, catalogue, 10)
    yield made
    made.close()


@dataclass(frozen=True)
class Case:
    """A request to an operation with one field set, and whether the token reaches what it says."""

    operation: str
    token: bytes
    target: bytes
    body: bytes
    reached: bool
    is_text: bool = True

    @property
    def method(self):
        """The method."""
        return self.operation.partition(" ")[0]

    @property
    def headers(self):
        """Return the headers that are sent with the body."""
        said = [(b"content-type", b"application/json")] if self.body else []
        return [(b"authorization", self.token), (b"version", b"v3"), *said]


def cases(operation, place, field, home):
    """Requests to an operation that say one thing after another in one field."""
    good, foreign = home.own(field)
    path = operation.partition(" ")[2]

    def filled(**values):
        values = {"locationId": home.location, "companyId": home.agency} | values
        return re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], "walked"), path)

    if place == "path":
        spelled = [(quote(good), True), *((value, False) for value in foreign)]
        spelled += [(good.swapcase(), False), (f"%20{good}", False), (f"{good}%20", False), (f"{good},{good}", False)]
        for text, reached in spelled:
            yield Case(operation, home.token, filled(**{field: text}).encode(), b"", reached)
        return
    texts = [(good, True), *((value, False) for value in foreign)]
    texts += [(good.swapcase(), False), (f" {good}", False), (f"{good}\t", False), (f"{good},{good}", False)]
    texts += [(quote(quote(good).replace("A", "%41")), False), ("", True)]
    base = filled()
    if place == "query":
        name = field.encode()
        for text, reached in texts:
            yield Case(operation, home.token, b"%b?%b=%b" % (base.encode(), name, quote(text).encode()), b"", reached)
        encoded = "".join(f"%{byte:02x}" for byte in good.encode()).encode()
        bad, good_bytes = foreign[0].encode(), good.encode()
        for query, reached in (
            (b"%b=%b" % (name, encoded), True),
            (b"%b[]=%b" % (name, good_bytes), True),
            (b"%b[0]=%b&%b[1]=%b" % (name, good_bytes, name, bad), False),
            (b"%b=%b&%b=%b" % (name, good_bytes, name, bad), False),
            (b"%b=%b&%b=%b" % (name, bad, name, good_bytes), False),
            (b"%b[$ne]=%b" % (name, good_bytes), False),
            (b"%b[$ne]=" % name, False),
            (b"a=1;%b=%b" % (name, bad), False),
            (b"filter[%b]=%b" % (name, bad), False),
            (b"%b%%00x=%b" % (name, bad), False),
            (b"+%b=%b" % (name, bad), False),
            (b"%b=%b" % (name.upper(), bad), False),
        ):
            yield Case(operation, home.token, b"%b?%b" % (base.encode(), query), b"", reached)
        return
    *outer, last = field.split(".")
    values = [*texts, (None, True), ([good], True), ([good, foreign[0]], False), ([[foreign[0]]], False)]
    for value, reached in values:
        yield Case(operation, home.token, base.encode(), json.dumps(nested(outer, {last: value})).encode(), reached)
    for value in (7, 0, True, {"$ne": good}, {}, [{"id": good}]):
        body = json.dumps(nested(outer, {last: value})).encode()
        yield Case(operation, home.token, base.encode(), body, reached=False, is_text=False)
    deep = json.dumps(nested([*outer, "x", "y"], [{last: foreign[0]}])).encode()
    twice = b'{"%b":"%b","%b":"%b"}' % (last.encode(), foreign[0].encode(), last.encode(), good.encode())
    for body in (deep, twice):
        yield Case(operation, home.token, base.encode(), body, False)


def nested(names, value):
    """A value within objects of these names."""
    for name in reversed(names):
        value = {name: value}
    return value


def walked(part, homes):
    """The cases of every field but the alternative ones, for each class that the operation accepts."""
    for operation, place, field in fields()[part::PARTS]:
        if field.rpartition(".")[2] not in ALTERNATIVE:
            for token_class in accepted(operation):
                yield from cases(operation, place, field, homes[token_class])


def accepted(operation):
    """The classes whose tokens an operation opens to; the catalogue's test says it of all 667 (test_walk.py)."""
    entry = CATALOGUED[operation]
    if entry["pit_refused"] or not entry["scopes"]:
        return []
    known = json.loads((DATA / "scopes.json").read_text("utf-8"))["scopes"] if not entry["access"] else []
    of_scope = next((scope["access"] for scope in known if scope["name"] == entry["scopes"][0]), [])
    return entry.get("pit_access", entry["access"]) or of_scope


def refused(case):
    """The status and reason of a foreign account."""
    return (401 if case.operation.partition(" ")[2].startswith(WITH_401) else 403, "location-not-allowed")


def test_the_walk_is_over_all_of_it():
    """535 operations, each in the catalogue, and every place and field that the walk knows how to fill."""
    assert len(LISTED) == 535
    assert LISTED.keys() <= CATALOGUED.keys()
    assert {place for places in LISTED.values() for place in places} == {"path", "query", "body"}
    assert {field.rpartition(".")[2] for _, _, field in fields()} == {
        *("locationId", "location_id", "locationIds", "locations", "share_location_id"),
        *(*AGENCYS, *ALTERNATIVE),
    }


def test_the_list_fits_the_catalogue_and_the_names_that_are_compared():
    """The script that checks the data finds nothing wrong with it."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "check-account-fields")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "535 operations name an account\n", "")


@in_parts
def test_the_gateway_lets_own_accounts_through_and_no_other(authorizer, homes, part):
    """The upstream gets what names an account of the token's, byte for byte, and nothing of anything else."""
    asyncio.run(walk_the_gateway(authorizer, list(walked(part, homes))))


async def walk_the_gateway(authorizer, walk):
    """Send every case through a gateway, and look at what reaches the upstream."""
    async with keeping_upstream() as upstream:
        gateway = Gateway(
            authorizer,
            Upstream.parse(f"http://127.0.0.1:{upstream.port}"),
            PastedCredentials(held),
            GatewayLimits(),
        )
        app = AuthorizerMiddleware(gateway, authorizer)
        passed = 0
        for case in walk:
            told = await ask(app, case.method, case.target, case.headers, case.body)
            if case.reached:
                assert (told.status, told.reason) == (200, None), (case, told)
                assert upstream.received[-1].startswith(b"%b %b HTTP/1.1\r\n" % (case.method.encode(), case.target))
                assert upstream.received[-1].endswith(b"\r\n\r\n" + case.body)
                passed += 1
            else:
                assert (told.status, told.reason) == refused(case), (case, told)
            assert len(upstream.received) == passed, case
        assert 0 < passed < len(walk)
        gateway.close()


@in_parts
def test_forward_auth_decides_on_all_that_it_sees(authorizer, homes, part):
    """Path and query are checked as in the gateway; a body that may name an account is marked as unchecked."""

    async def go():
        app = ForwardAuth(authorizer)
        for case in walked(part, homes):
            about = [(b"x-original-method", case.method.encode()), (b"x-original-uri", case.target)]
            told = await ask(app, "GET", f"{API}/authorize/nginx".encode(), [*case.headers, *about])
            if case.body or case.reached:
                assert told.status == 200, (case, told)
                assert ("x-pit-unchecked" in told.headers) == ("body" in LISTED[case.operation])
            else:
                assert (int(told.headers["x-pit-status"]), told.reason) == refused(case), (case, told)
            strict = await ask(app, "GET", f"{API}/authorize/nginx?bodies=refuse".encode(), [*case.headers, *about])
            if told.status == 200:
                assert strict.reason == ("body-unchecked" if "body" in LISTED[case.operation] else None)

    asyncio.run(go())


def test_the_sandbox_refuses_other_accounts(authorizer, database, homes, tmp_path):
    """For the listed operations that it serves, the sandbox compares the same fields and refuses in the same words."""
    limits = RateLimits(AccountLimits(per_interval=10**6, per_day=10**6))
    served = {f"{method} {path}" for method, path in _HANDLERS} & LISTED.keys()
    assert len(served) > 20

    async def go():
        app = AuthorizerMiddleware(Sandbox(database, limits), authorizer)
        for part in range(PARTS):
            for case in walked(part, homes):
                if case.operation in served:
                    told = await ask(app, case.method, case.target, case.headers, case.body)
                    if case.reached:
                        assert told.reason != "location-not-allowed", case
                    elif not case.is_text:
                        # Validation says what is wrong with it.
                        assert (told.status, told.reason) in ((422, "invalid-request"), refused(case)), (case, told)
                    else:
                        assert (told.status, told.reason) == refused(case), (case, told)

    asyncio.run(go())


ALT_OPERATIONS = [
    (name, place) for name, places in LISTED.items() for place in ("query", "body") if "altId" in places.get(place, ())
]


def test_an_alt_id_is_the_tokens_own_whatever_its_type_says(authorizer, homes, accounts):
    """A sub-account names itself; an agency itself, or with `altType=location` a location of its own."""
    location, agency = accounts.location, accounts.agency
    others = [accounts.sister, accounts.stranger, accounts.other_agency, "nobody"]
    types = [None, "location", "company", "agency", "Location", "location ", ""]

    def reached(token_class, value, kind):
        if token_class == "location":
            return value == location
        return value == agency or (value in (location, accounts.sister) and kind == "location")

    async def go():
        async with keeping_upstream() as upstream:
            url = f"http://127.0.0.1:{upstream.port}"
            gateway = Gateway(authorizer, Upstream.parse(url), PastedCredentials(held), GatewayLimits())
            app = AuthorizerMiddleware(gateway, authorizer)
            for (operation, place), value, kind in product(ALT_OPERATIONS, [location, agency, *others], types):
                for token_class in accepted(operation):
                    case = alternative(operation, place, value, kind, homes[token_class])
                    told = await ask(app, case.method, case.target, case.headers, case.body)
                    expected = (200, None) if reached(token_class, value, kind) else refused(case)
                    assert (told.status, told.reason) == expected, (case, told)
                    if place == "query":
                        about = [(b"x-forwarded-method", case.method.encode()), (b"x-forwarded-uri", case.target)]
                        sent = [*case.headers, *about]
                        told = await ask(ForwardAuth(authorizer), "GET", f"{API}/authorize/traefik".encode(), sent)
                        assert (told.status, told.reason) == expected, (case, told)
            gateway.close()

    asyncio.run(go())


def alternative(operation, place, value, kind, home):
    """A request with an `altId` and, unless it is None, an `altType`, nested where the list has them nested."""
    path = re.sub(r"\{\w+\}", "walked", operation.partition(" ")[2].replace("{locationId}", home.location))
    said = {"altId": value} | ({} if kind is None else {"altType": kind})
    if place == "query":
        query = "&".join(f"{name}={quote(text)}" for name, text in said.items())
        return Case(operation, home.token, f"{path}?{query}".encode(), b"", reached=False)
    inner = "sendEstimateDetails.altId" in LISTED[operation]["body"]
    body = {**said, "sendEstimateDetails": said} if inner else said
    return Case(operation, home.token, path.encode(), json.dumps(body).encode(), reached=False)


@pytest.mark.parametrize(
    "name", ["locationId", "location-id", "location_id", "companyId", "agencyId", "altId", "LOCATIONID"]
)
def test_account_headers_are_checked_everywhere(authorizer, homes, name):
    """A header that names an account names it for the check of every surface, once or twice, padded or not."""

    async def go():
        async with keeping_upstream() as upstream:
            url = f"http://127.0.0.1:{upstream.port}"
            gateway = Gateway(authorizer, Upstream.parse(url), PastedCredentials(held), GatewayLimits())
            for home in homes.values():
                path = b"/locations/search"
                header = name.lower().encode()
                good, foreign = (home.agency if name in AGENCYS else home.location), home.foreign_agencies[0]
                if name == "altId" and home is homes["agency"]:
                    good = home.agency
                sent = [(b"authorization", home.token), (b"version", b"v3")]
                about = [(b"x-forwarded-method", b"GET"), (b"x-forwarded-uri", path)]
                for app, target, more in (
                    (AuthorizerMiddleware(gateway, authorizer), path, []),
                    (ForwardAuth(authorizer), f"{API}/authorize/traefik".encode(), about),
                ):
                    for values, status in (
                        ([good], 200),
                        ([foreign], 403),
                        ([good, foreign], 403),
                        ([f"{good},{foreign}"], 403),
                    ):
                        said = [(header, value.encode()) for value in values]
                        told = await ask(app, "GET", target, [*sent, *more, *said])
                        assert told.status == status, (values, told)
            gateway.close()

    asyncio.run(go())


def test_a_request_names_only_so_many_accounts(authorizer, homes):
    """A list of thousands of locations is refused before anything is looked up."""

    async def go():
        async with keeping_upstream() as upstream:
            url = f"http://127.0.0.1:{upstream.port}"
            app = AuthorizerMiddleware(
                Gateway(authorizer, Upstream.parse(url), PastedCredentials(held), GatewayLimits()),
                authorizer,
            )
            home = homes["agency"]
            body = json.dumps({"locationIds": [str(number) for number in range(1001)]}).encode()
            sent = [(b"authorization", home.token), (b"version", b"v3"), (b"content-type", b"application/json")]
            told = await ask(app, "POST", f"/saas/bulk-disable-saas/{home.agency}".encode(), sent, body)
            assert (told.status, told.reason) == (400, "accounts-too-many")
            assert not upstream.received

    asyncio.run(go())
