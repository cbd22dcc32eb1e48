"""What gateways are told: each dialect asked in-process with exactly the requests that its gateway is known to send."""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from private_integrations.contract import API, IntegrationEdit
from private_integrations_service.access.actors import Actor
from private_integrations_service.authorizer import Authorizer
from private_integrations_service.catalogue.account_fields import HEADERS
from private_integrations_service.forward_auth import IDENTITY, ForwardAuth
from private_integrations_service.operations import integrations
from private_integrations_service.operations.generations import introspect
from raw_http import Answer
from real_gateway import OVERRIDING
from throwaway import REPOSITORY

GATEWAYS = REPOSITORY / "examples" / "gateways"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NEVER_ISSUED = "pit-" + "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Checked(Answer):
    """What the gateway got."""

    @property
    def identity(self) -> dict[str, str]:
        """The identity headers, without their prefix."""
        names = {name.decode() for name in IDENTITY}
        return {name.removeprefix("x-pit-"): value for name, value in self.headers.items() if name in names}


@dataclass
class Gateways:
    """The checks of the three gateways."""

    app: ForwardAuth
    token: str | None = None
    version: str | None = "2021-07-28"

    def check(self, method: str, target: str, *headers: tuple[str, str]) -> Checked:
        """Send a request to the application as it is."""
        path, _, query = target.partition("?")
        sent = [("host", "authority"), *headers]
        sent += [("authorization", f"Bearer {self.token}")] if self.token else []
        sent += [("version", self.version)] if self.version else []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent],
        }
        return asyncio.run(self._answer(scope))

    async def _answer(self, scope: dict[str, Any]) -> Checked:
        received: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            raise AssertionError("a check's body is not read")

        async def send(message: dict[str, Any]) -> None:
            received.append(message)

        await self.app(scope, receive, send)
        start, end = received
        headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
        assert len(dict(headers)) == len(headers)
        assert dict(headers)["content-length"] == str(len(end["body"]))
        assert dict(headers)["cache-control"] == "no-store"
        return Checked(start["status"], dict(headers), end["body"])

    def nginx(self, method: str, target: str, *headers: tuple[str, str], query: str = "") -> Checked:
        """As the shipped nginx.conf asks."""
        about = (("x-original-method", method), ("x-original-uri", target))
        return self.check("GET", f"{API}/authorize/nginx{query}", *about, *headers)

    def traefik(self, method: str, target: str, *headers: tuple[str, str], query: str = "") -> Checked:
        """As Traefik asks, with the headers that it sets itself."""
        about = (
            ("x-forwarded-method", method),
            ("x-forwarded-uri", target),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "api.example.com"),
            ("x-forwarded-for", "192.0.2.1"),
        )
        return self.check("GET", f"{API}/authorize/traefik{query}", *about, *headers)

    def envoy(self, method: str, target: str, *headers: tuple[str, str]) -> Checked:
        """As Envoy asks with a path prefix."""
        return self.check(method, f"{API}/authorize/envoy{target}", ("content-length", "0"), *headers)


DIALECTS = ["nginx", "traefik", "envoy"]


@pytest.fixture
def authorizer(database, clock, catalogue):
    """An authorizer over the database."""
    made = Authorizer(database, catalogue, 1000)
    yield made
    made.close()


@pytest.fixture
def gateways(authorizer) -> Gateways:
    """The checks, without a token until the test sets one."""
    return Gateways(ForwardAuth(authorizer))


@pytest.fixture
def integration(desk) -> str:
    """An integration that may read contacts."""
    return desk.integration("contacts.readonly")


@pytest.fixture
def contacts(accounts) -> str:
    """The list of the first location's contacts."""
    return f"/contacts/?locationId={accounts.location}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_granted(gateways, desk, integration, accounts, contacts, dialect):
    """A request that may pass is answered 200 with who asks, and counts as the first use of the token."""
    gateways.token = desk.token(integration)
    checked = getattr(gateways, dialect)("GET", contacts)
    assert (checked.status, checked.content) == (200, b"")
    assert checked.identity == {
        "integration": integration,
        "name": "CRM%20sync",
        "account": accounts.location,
        "generation": "1",
        "scope": "contacts.readonly",
    }
    assert desk.secrets(integration) == {1: ("current", None)}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_v3_dropped_is_left_to_the_platform(gateways, desk, dialect):
    """A check lets a client of v3 ask for it: the platform behind the gateway knows what it still serves."""
    gateways.token = desk.token_with("contacts.write")
    gateways.version = "v3"
    assert getattr(gateways, dialect)("DELETE", "/contacts/c1/campaigns/removeAll").status == 200


def test_a_name_is_safe_in_a_header(gateways, desk, database, clock, integration, contacts):
    """Whatever characters a name has, its header is ASCII without space, comma or control characters."""
    # Not checked as a request is: an older release stored such names.
    change = IntegrationEdit.model_construct(name='Zürich\u2028 ☃, 50 % \u00a0;="')
    integrations.edit(database, integration, change, desk.rules, actor=Actor("test"))
    gateways.token = desk.token(integration)
    name = gateways.nginx("GET", contacts).identity["name"]
    assert name == "Z%C3%BCrich%E2%80%A8%20%E2%98%83%2C%2050%20%25%20%C2%A0%3B%3D%22"


@pytest.mark.parametrize("dialect", ["traefik", "envoy"])
@pytest.mark.parametrize(
    ("method", "target", "token", "version", "status", "reason"),
    [
        ("GET", "{contacts}", None, "v3", 401, "token-missing"),
        ("GET", "{contacts}", NEVER_ISSUED, "v3", 401, "token-unknown"),
        ("GET", "{contacts}", "live", None, 401, "version-missing"),
        ("GET", "{contacts}", "live", "x", 400, "version-malformed"),
        ("GET", "/nothing?x=1", "live", "v3", 404, "not-found"),
        ("HEAD", "{contacts}", "live", "v3", 404, "not-found"),
        ("OPTIONS", "{contacts}", "live", "v3", 404, "not-found"),
        ("get", "{contacts}", "live", "v3", 404, "not-found"),
        ("POST", "/contacts/", "live", "v3", 401, "scope-missing"),
        ("GET", "/contacts/?locationId=x", "live", "v3", 403, "location-not-allowed"),
        ("GET", "/contacts/?x=1&locationId[]=x", "live", "v3", 403, "location-not-allowed"),
    ],
)
def test_refusals_are_the_platforms(
    gateways, desk, integration, contacts, dialect, method, target, token, version, status, reason
):
    """Gateways that pass an answer on get the platform's status and body, and nothing that only nginx needs."""
    gateways.token = desk.token(integration) if token == "live" else token
    gateways.version = version
    checked = getattr(gateways, dialect)(method, target.format(contacts=contacts))
    assert (checked.status, checked.body["reason"], checked.headers["x-pit-problem"]) == (status, reason, reason)
    assert checked.identity == {}
    assert not {"x-pit-status", "x-pit-refusal"} & checked.headers.keys()
    assert ("www-authenticate" in checked.headers) == (status == 401)


@pytest.mark.parametrize(
    ("method", "target", "token", "version", "status", "means", "reason"),
    [
        ("GET", "{contacts}", None, "v3", 401, "401", "token-missing"),
        ("POST", "/contacts/", "live", "v3", 401, "401", "scope-missing"),
        ("GET", "{contacts}", "live", "x", 403, "400", "version-malformed"),
        ("GET", "/nothing", "live", "v3", 403, "404", "not-found"),
        ("GET", "/contacts/?locationId=x", "live", "v3", 403, "403", "location-not-allowed"),
        ("GET", "/contacts/a#b", "live", "v3", 403, "400", "target-malformed"),
    ],
)
def test_refusals_for_nginx(
    gateways, desk, integration, contacts, method, target, token, version, status, means, reason
):
    """Nginx gets 401 or 403, and in headers the status and the body that are meant."""
    gateways.token = desk.token(integration) if token == "live" else token
    gateways.version = version
    checked = gateways.nginx(method, target.format(contacts=contacts))
    assert (checked.status, checked.headers["x-pit-status"]) == (status, means)
    assert checked.headers["x-pit-problem"] == checked.body["reason"] == reason
    assert json.loads(checked.headers["x-pit-refusal"]) == checked.body
    assert checked.identity == {}


def test_a_refusal_for_nginx_is_safe_in_a_header(gateways, desk, integration):
    """What a path decodes to, where a token-like part of it is cut out, brings no control character into a header."""
    gateways.token = desk.token(integration)
    checked = gateways.nginx("GET", "/nothing/" + "pit-" + "0000%7f%0d%0ax%c3%bc")
    assert json.loads(checked.headers["x-pit-refusal"]) == checked.body
    assert checked.body["message"] == "Cannot GET /nothing/pit-…\x7f\r\nxü"
    assert re.fullmatch("[ -~]+", checked.headers["x-pit-refusal"])


def test_a_refusal_for_nginx_that_is_too_long(gateways, desk, integration):
    """A body beyond 2 KB is left out of the headers: nginx would take the whole answer for an error."""
    gateways.token = desk.token(integration)
    fits = gateways.nginx("GET", "/nothing/" + "a" * 1800)
    too_long = gateways.nginx("GET", "/nothing/" + "a" * 3000)
    assert len(fits.headers["x-pit-refusal"]) < 2048
    assert "x-pit-refusal" not in too_long.headers
    assert (too_long.status, too_long.headers["x-pit-status"]) == (403, "404")


@pytest.mark.parametrize(("dialect", "status"), [("nginx", 403), ("traefik", 503), ("envoy", 503)])
def test_nothing_is_granted_without_the_database(gateways, authorizer, desk, integration, contacts, dialect, status):
    """If storage does not answer, every dialect denies."""
    gateways.token = desk.token(integration)
    authorizer.close()
    checked = getattr(gateways, dialect)("GET", contacts)
    assert (checked.status, checked.headers["x-pit-problem"]) == (status, "storage-unavailable")
    assert checked.identity == {}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_revoked_and_superseded_tokens(gateways, desk, integration, contacts, dialect):
    """A superseded token is granted and told its deadline, an expired one is refused from that moment on."""
    ask = getattr(gateways, dialect)
    gateways.token = old = desk.token(integration)
    assert ask("GET", contacts).status == 200
    gateways.token = desk.token(integration)
    assert "pit-token-expires" not in ask("GET", contacts).headers
    gateways.token = old
    assert ask("GET", contacts).headers["pit-token-expires"] == "2026-11-27T12:00:00.000Z"
    desk.expire(integration, 1)
    refused = ask("GET", contacts)
    assert (refused.status, refused.body["reason"]) == (401, "token-revoked")


@pytest.mark.parametrize("dialect", ["nginx", "traefik"])
@pytest.mark.parametrize("change", ["no method", "no target", "two methods", "two targets", "other dialect"])
def test_checks_that_name_no_one_request(gateways, desk, integration, contacts, dialect, change):
    """Method and target are named once each, in the dialect's own headers, or the check is refused."""
    gateways.token = desk.token(integration)
    prefix = {"nginx": "x-original-", "traefik": "x-forwarded-"}
    headers = [(f"{prefix[dialect]}method", "GET"), (f"{prefix[dialect]}uri", contacts)]
    if change == "other dialect":
        other = prefix["traefik" if dialect == "nginx" else "nginx"]
        headers = [(f"{other}method", "GET"), (f"{other}uri", contacts)]
    elif change.startswith("no"):
        del headers["method" not in change]
    else:
        headers.append(headers["method" not in change])
    checked = gateways.check("GET", f"{API}/authorize/{dialect}", *headers)
    assert checked.status == (403 if dialect == "nginx" else 400)
    assert checked.headers["x-pit-problem"] == "check-malformed"
    assert desk.secrets(integration) == {1: ("pending", None)}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "target",
    [
        "/contacts/a#b",
        "/contacts/?locationId=x#y",
        "/contacts/..;/x",
        "/contacts/a;b",
        "/contacts/a\\b",
        "/contacts/a b",
        "/contacts/\xc3\xbc",
        "/contacts/a\tb",
        "/contacts/\x00",
        "/contacts/a|b",
        "/contacts/?a=b c",
        "/contacts/?a=\xff",
    ],
)
def test_malformed_targets(gateways, desk, integration, dialect, target):
    """A target with characters that parsers read differently is refused before anything is looked up."""
    gateways.token = desk.token(integration)
    checked = getattr(gateways, dialect)("GET", target)
    assert (checked.status, checked.headers["x-pit-problem"]) == (
        403 if dialect == "nginx" else 400,
        "target-malformed",
    )
    assert desk.secrets(integration) == {1: ("pending", None)}


@pytest.mark.parametrize("dialect", ["nginx", "traefik"])
@pytest.mark.parametrize("target", ["", "*", "contacts/", "https://api.example.com/contacts/", "?locationId=x"])
def test_targets_that_are_no_path(gateways, desk, integration, dialect, target):
    """Only a path from the root is accepted: absolute-form targets are requests for somewhere else."""
    gateways.token = desk.token(integration)
    assert getattr(gateways, dialect)("GET", target).headers["x-pit-problem"] == "target-malformed"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "target",
    [
        "/contacts/../contacts/abc",
        "/contacts/./abc",
        "/contacts/%2e%2e",
        "/contacts//abc",
        "//contacts/abc",
        "/contacts/a%2Fb",
        "/contacts/a%5cb",
        "/contacts/%00",
        "/contacts/%ff",
        "/contacts/abc//",
    ],
)
def test_paths_that_mean_two_things(gateways, desk, integration, dialect, target):
    """Dot segments, empty segments and encoded separators match no route."""
    gateways.token = desk.token(integration)
    assert getattr(gateways, dialect)("GET", target).headers["x-pit-problem"] == "not-found"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ["x-pit-admin", "x-pit-", "x-pit-problem", "x-pit-status"])
def test_foreign_headers_of_the_gateway(gateways, desk, integration, contacts, dialect, name):
    """What no snippet replaces is refused; what every snippet replaces is not."""
    gateways.token = desk.token(integration)
    refused = getattr(gateways, dialect)("GET", contacts, (name, "1"))
    assert refused.headers["x-pit-problem"] == "header-not-allowed"
    assert getattr(gateways, dialect)("GET", contacts, ("x-pit-account", "forged")).status == 200


@pytest.mark.parametrize(("dialect", "status"), [("nginx", 403), ("traefik", 403)])
def test_a_gateway_for_some_accounts(gateways, desk, accounts, integration, contacts, dialect, status):
    """A gateway that holds the credentials of some accounts can name them; other accounts' tokens are refused there."""
    gateways.token = desk.token(integration)
    ask = getattr(gateways, dialect)
    assert ask("GET", contacts, query=f"?account={accounts.location}").status == 200
    assert ask("GET", contacts, query=f"?account={accounts.sister}&account={accounts.location}").status == 200
    refused = ask("GET", contacts, query=f"?account={accounts.sister}")
    assert (refused.status, refused.headers["x-pit-problem"]) == (status, "account-not-served")
    assert refused.identity == {}
    for misspelt in ("?acount=x", f"?account={accounts.location}&Account=x", "?account[]=x"):
        assert ask("GET", contacts, query=misspelt).headers["x-pit-problem"] == "check-malformed"
    for empty in ("?account=", "?account"):
        assert ask("GET", contacts, query=empty).headers["x-pit-problem"] == "account-not-served"


def test_envoys_query_is_the_requests(gateways, desk, integration, accounts, contacts):
    """Envoy's check has the consumer's query, which restricts nothing and is checked like any other."""
    gateways.token = desk.token(integration)
    assert gateways.envoy("GET", f"{contacts}&account={accounts.sister}").status == 200
    assert gateways.envoy("GET", "/contacts/?locationId=x").status == 403


def test_introspection_says_how_long_it_holds(gateways, desk, clock, integration, contacts):
    """Another gateway may use an answer for up to a second, and never beyond the token's own end."""

    def told(token: str) -> tuple[int | None, ...]:
        found = introspect(desk.database, token, clock(), actor=Actor("test"))
        assert found.active
        assert (found.client_id, found.sub, found.token_type) == (integration, desk.account, "Bearer")
        return tuple(value and value - round(NOON.timestamp()) for value in (found.iat, found.exp, found.cache_until))

    def use(token: str) -> None:
        gateways.token = token
        assert gateways.envoy("GET", contacts).status == 200

    old = desk.token(integration)
    use(old)
    clock.move(seconds=2.7)
    new = desk.token(integration, overlap=timedelta(seconds=10))
    assert (told(old), told(new)) == ((0, None, 3), (2, None, 3))
    use(new)
    assert told(old) == (0, 12, 3)
    clock.move(seconds=9.5)
    assert told(old) == (0, 12, 12)


@pytest.mark.parametrize("path", ["", "caddy", "nginx/", "nginx/contacts/", "envoy", "envoyx/contacts/", "Nginx"])
def test_other_dialects_do_not_exist(gateways, desk, integration, contacts, path):
    """A check at any other path is answered 404, which no gateway takes for a yes."""
    gateways.token = desk.token(integration)
    app = gateways.app
    checked = asyncio.run(_plain(app, f"{API}/authorize/{path}", gateways.token, contacts))
    assert checked == 404


async def _plain(app: ForwardAuth, path: str, token: str, contacts: str) -> int:
    """The status of a check that would be granted at the right path."""
    received: list[Any] = []
    headers = {"authorization": token, "version": "v3", "x-original-method": "GET", "x-original-uri": contacts}

    async def send(message: dict[str, Any]) -> None:
        received.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, send, send)
    return int(received[0]["status"])


def test_no_shipped_file_passes_an_account_header_on_unseen():
    """Envoy shows the check each header that names an account; Traefik's consumers can't send any to the API."""
    names = {name.decode() for name in HEADERS if b"_" not in name}
    assert {"locationid", "location-id", "companyid", "altid", "agencyid"} <= names
    envoy = yaml.safe_load((GATEWAYS / "envoy.yaml").read_text())
    filters = envoy["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"][
        "http_filters"
    ]
    check = next(each for each in filters if each["name"].endswith("ext_authz"))["typed_config"]
    shown = [pattern["prefix"] for pattern in check["allowed_headers"]["patterns"] if "prefix" in pattern]
    assert all(name.startswith(tuple(shown)) for name in names)
    routes = yaml.safe_load((GATEWAYS / "traefik-routes.yaml").read_text())
    removed = routes["http"]["middlewares"]["as-the-account"]["headers"]["customRequestHeaders"]
    assert names <= {name.lower() for name, value in removed.items() if value == ""}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_gateway_is_told_where_a_body_is_unchecked(gateways, desk, accounts, contacts, dialect):
    """Where a body may name an account the answer says that it was not looked at; other answers don't."""
    gateways.token = desk.token_with("contacts.readonly", "contacts.write", account=accounts.location)
    ask = getattr(gateways, dialect)
    assert ask("POST", "/contacts/").headers["x-pit-unchecked"] == "body"
    assert ask("POST", "/contacts/search").headers["x-pit-unchecked"] == "body"
    assert "x-pit-unchecked" not in ask("GET", contacts).headers
    assert "x-pit-unchecked" not in ask("DELETE", "/contacts/abc").headers


def test_a_gateway_can_have_unchecked_bodies_refused(gateways, desk, accounts, contacts):
    """Operations without an account field in the vendor's list pass; a misspelt parameter refuses every request."""
    gateways.token = desk.token_with("contacts.readonly", "contacts.write", account=accounts.location)
    own = f"account={accounts.location}"
    for query in ("?bodies=refuse", f"?{own}&bodies=refuse"):
        for ask in (gateways.nginx, gateways.traefik):
            assert ask("POST", "/contacts/", query=query).headers["x-pit-problem"] == "body-unchecked"
            assert ask("GET", contacts, query=query).status == 200
            assert ask("DELETE", "/contacts/abc", query=query).status == 200
    for query in ("?bodies=pass", "?bodies=", "?body=refuse", "?bodies=refuse&bodies=pass"):
        assert gateways.nginx("GET", contacts, query=query).headers["x-pit-problem"] == "check-malformed"
    prefix = f"{API}/authorize/envoy-refusing-bodies"
    assert gateways.check("POST", f"{prefix}/contacts/").body["reason"] == "body-unchecked"
    assert gateways.check("GET", prefix + contacts).status == 200


def test_traefiks_files_say_what_the_dialect_needs():
    """The shipped files parse, and ask at an address that exists, on headers that only Traefik sets."""
    routes = yaml.safe_load((GATEWAYS / "traefik-routes.yaml").read_text())
    check = routes["http"]["middlewares"]["private-integrations"]["forwardAuth"]
    address, _, query = check["address"].partition("?")
    assert address == f"http://127.0.0.1:8750{API}/authorize/traefik"
    assert query.startswith("account=")
    assert (check["trustForwardHeader"], check["authRequestHeaders"]) == (False, ["Authorization", "Version"])
    stripped = re.compile(check["authResponseHeadersRegex"])
    assert all(stripped.match(name.decode().title()) for name in IDENTITY)
    router = routes["http"]["routers"]["api"]
    assert router["middlewares"] == list(routes["http"]["middlewares"])
    installed = yaml.safe_load((GATEWAYS / "traefik.yaml").read_text())
    assert router["entryPoints"] == list(installed["entryPoints"])
    assert installed["entryPoints"]["consumers"]["http"]["aliasHeadersStrategy"] == "delete"


def test_traefiks_shipped_file_removes_what_overrides_a_request():
    """Traefik removes a header that is set to nothing: every one by which an API could be told another request."""
    routes = yaml.safe_load((REPOSITORY / "examples" / "gateways" / "traefik-routes.yaml").read_text())
    sent = routes["http"]["middlewares"]["as-the-account"]["headers"]["customRequestHeaders"]
    assert {name for name, value in sent.items() if value == ""} >= {*OVERRIDING, "Upgrade"}


def test_the_guides_setting_of_oathkeeper_keeps_no_answers():
    """Its cache knows only a time of its own: off, as it is shown, nothing outlives a revocation."""
    guide = (REPOSITORY / "docs" / "forward-auth.md").read_text()
    [shown] = [block for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL) if "oauth2_introspection" in block]
    config = yaml.safe_load(shown)["authenticators"]["oauth2_introspection"]["config"]
    assert config["introspection_url"].endswith(f"{API}/introspect")
    assert config["cache"] == {"enabled": False}
