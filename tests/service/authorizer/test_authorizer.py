"""The authorizer: who gets through to the data API, and what the others are told."""

import asyncio
import time
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from engines import sqlite_only
from private_integrations.contract import digest_of
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.operations.live_grants import LiveGrants
from private_integrations_service.sandbox import Sandbox
from private_integrations_service.storage.grants import GrantReader
from private_integrations_service.storage.tables import audit

INVALID = {"statusCode": 401, "message": "Invalid Private Integration token"}
SCOPE = {"statusCode": 401, "message": "The token is not authorized for this scope."}
LOCATION = {"statusCode": 403, "message": "The token does not have access to this location."}
NEVER_ISSUED = "pit-" + "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def reading(desk):
    """An integration that may read contacts and locations."""
    return desk.integration("contacts.readonly", "locations.readonly")


@pytest.fixture
def contacts(accounts):
    """The list of the first location's contacts."""
    return f"/contacts/?locationId={accounts.location}"


def test_bearer_and_bare_tokens_pass(api, desk, reading, contacts):
    """A live token opens what its scopes say, with `Bearer` or bare, as the platform's two documents have it."""
    token = desk.token(reading)
    for value in (f"Bearer {token}", f"bearer {token}", token):
        assert api.ask("GET", contacts, headers=(("authorization", value),)).status == 200


@pytest.mark.parametrize(
    ("value", "reason", "challenge"),
    [
        (None, "token-missing", 'Bearer realm="private-integrations"'),
        ("", "token-malformed", 'Bearer error="invalid_token"'),
        ("Bearer", "token-malformed", 'Bearer error="invalid_token"'),
        ("Basic cGl0OnBpdA==", "token-malformed", 'Bearer error="invalid_token"'),
        (f"Bearer  {NEVER_ISSUED}", "token-malformed", 'Bearer error="invalid_token"'),
        (f"Bearer {NEVER_ISSUED.upper()}", "token-malformed", 'Bearer error="invalid_token"'),
        (f"Bearer {NEVER_ISSUED}" + "0" * 20_000, "token-malformed", 'Bearer error="invalid_token"'),
        (f"Bearer {NEVER_ISSUED}", "token-unknown", 'Bearer error="invalid_token"'),
    ],
)
def test_no_token_or_a_wrong_one(api, contacts, value, reason, challenge):
    """Without a token that was ever issued nothing opens, in one text and with the reason beside it."""
    answer = api.ask("GET", contacts, headers=(("authorization", value),) if value is not None else ())
    assert answer.body == {**INVALID, "reason": reason}
    assert (answer.status, answer.headers["www-authenticate"]) == (401, challenge)
    assert answer.headers["x-pit-problem"] == reason


def test_two_authorization_headers(api, desk, reading, contacts):
    """Two credentials are refused even if both are good: somebody behind us might take the other one."""
    token = desk.token(reading)
    answer = api.ask("GET", contacts, token=token, headers=(("authorization", token),))
    assert answer.body == {
        "statusCode": 400,
        "message": "More than one Authorization header was sent",
        "reason": "token-repeated",
    }
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_request"'


def test_the_token_is_checked_before_the_route(api, desk, reading):
    """A stranger does not learn which routes exist; a holder is told method and path as sent."""
    assert api.ask("GET", "/nothing", token=NEVER_ISSUED).body["reason"] == "token-unknown"
    answer = api.ask("PATCH", "/nothing%20here/?x=1", token=desk.token(reading))
    assert (answer.status, answer.body) == (
        404,
        {"statusCode": 404, "message": "Cannot PATCH /nothing%20here/", "reason": "not-found"},
    )


@pytest.mark.parametrize("version", ["v3", "2023-02-21", "2021-07-28", "2021-04-15", "legacy"])
def test_every_published_version_is_served(api, desk, reading, contacts, version):
    """Every published `Version` is good on an established path, whatever the specs list there."""
    assert api.ask("GET", contacts, token=desk.token(reading), version=version).status == 200


@pytest.mark.parametrize(
    ("version", "message", "reason"),
    [
        ("", "version header was not found.", "version-missing"),
        ("2020-01-01", "version header is invalid", "version-unknown"),
        ("2021-01-01", "version header is invalid", "version-unknown"),
        ("v4", "version header is invalid", "version-unknown"),
    ],
)
def test_versions_that_do_not_exist(api, desk, reading, contacts, version, message, reason):
    """A missing or unpublished `Version` is a 401 in the shape that was captured, `status` and all."""
    answer = api.ask("GET", contacts, token=desk.token(reading), version=version)
    trace = answer.body.pop("traceId")
    assert answer.body == {"status": 401, "message": message, "error": "Error", "reason": reason}
    assert len(trace) == 36
    assert answer.status == 401


@pytest.mark.parametrize("version", ["bogus-version", "V3", "v3, v3", "2021-7-28"])
def test_malformed_versions(api, desk, reading, contacts, version):
    """A malformed `Version` is a 400 that repeats it."""
    answer = api.ask("GET", contacts, token=desk.token(reading), version=version)
    assert (answer.status, answer.body) == (
        400,
        {
            "statusCode": 400,
            "message": f"Invalid API version segment '{version}' at position 0",
            "reason": "version-malformed",
        },
    )


def test_v3_only_endpoints(api, desk):
    """What only v3 has is no route under an older version, and nobody learns more than that."""
    token = desk.token_with("contacts.write")
    path = "/contacts/c1/campaigns/remove-all"
    answer = api.ask("DELETE", path, token=token)
    assert (answer.status, answer.body) == (
        404,
        {"statusCode": 404, "message": f"Cannot DELETE {path}", "reason": "version-too-old"},
    )
    assert api.ask("DELETE", path, token=token, version="v3").body["reason"] == "contact-not-found"


def removed(method, path):
    """The answer of an endpoint that v3 dropped to a client of v3."""
    text = f"Endpoint {method} {path} not available in API version v3. This endpoint was removed in version v3."
    return {
        "statusCode": 400,
        "message": f"{text} Please use a version before v3.",
        "error": "Bad Request",
        "reason": "version-too-new",
    }


def test_endpoints_that_v3_dropped(api, desk, catalogue):
    """Each is a 400 under v3 for any class and scopes of the token; older versions don't refuse it for the version."""
    token = desk.token_with("contacts.write")
    dropped = [endpoint for endpoint in catalogue.endpoints if endpoint.removed_in_v3]
    assert len(dropped) == 12
    for endpoint in dropped:
        path = endpoint.path.replace("{", "").replace("}", "")
        answer = api.ask(endpoint.method, path, token=token, version="v3")
        assert (answer.status, answer.body) == (400, removed(endpoint.method, path))
        assert api.ask(endpoint.method, path, token=token).body["reason"] != "version-too-new"
    answer = api.ask("DELETE", "/contacts/c1/campaigns/removeAll", token=NEVER_ISSUED, version="v3")
    assert (answer.status, answer.body["reason"]) == (401, "token-unknown")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/contacts/"),
        ("GET", "/users/"),
        ("GET", "/emails/builder"),
        ("POST", "/emails/builder"),
        ("POST", "/emails/builder/data"),
        ("DELETE", "/emails/builder/{location}/t1"),
    ],
)
def test_endpoints_that_v3_only_forgot(api, desk, accounts, method, path):
    """Endpoints that third parties saw answer under v3 are served there, though the v3 specifications lack them."""
    token = desk.token_with("contacts.readonly", "users.readonly", "emails/builder.readonly", "emails/builder.write")
    target = f"{path.format(location=accounts.location)}?locationId={accounts.location}"
    assert api.ask(method, target, token=token, version="v3").status in (200, 501)


def test_a_missing_scope_is_named(api, desk, reading):
    """A scope that the token lacks is a 401, as on the platform, and the answer says which one."""
    answer = api.ask("POST", "/contacts/", {}, token=desk.token(reading))
    assert answer.body == {**SCOPE, "requiredScope": "contacts.write", "reason": "scope-missing"}
    assert answer.status == 401
    assert answer.headers["x-pit-problem"] == "scope-missing"
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="contacts.write"'


def test_locations_readonly_opens_no_tags(api, desk, reading, accounts):
    """Tags, fields and values below a location have scopes of their own."""
    answer = api.ask("GET", f"/locations/{accounts.location}/tags", token=desk.token(reading))
    assert answer.body == {**SCOPE, "requiredScope": "locations/tags.readonly", "reason": "scope-missing"}


def test_classes_of_tokens(api, desk, accounts, reading, contacts):
    """An agency token reads no contacts and a location token creates no locations, whatever the scopes."""
    agency = desk.token_with("locations.readonly", "users.readonly", account=accounts.agency)
    for method, target, token, required in (
        ("GET", contacts, agency, "sub_account"),
        ("POST", "/locations/", desk.token(reading), "agency"),
    ):
        answer = api.ask(method, target, token=token)
        assert (answer.status, answer.body) == (
            401,
            {**SCOPE, "requiredClass": required, "reason": "class-not-allowed"},
        )
        assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'
    assert api.ask("GET", "/users/", token=agency).body["message"] == "Token's user type mismatch!"


def test_closed_endpoints(api, desk, reading):
    """What no private integration may use is refused to all of them."""
    for target, version in (("/oauth/installedLocations", "2021-07-28"), ("/chat-widget/public/config/x", "v3")):
        answer = api.ask("GET", target, token=desk.token(reading), version=version)
        assert (answer.status, answer.body) == (401, {**SCOPE, "reason": "endpoint-closed"})


@pytest.mark.parametrize(
    "query",
    [
        "locationId={sister}",
        "locationId={stranger}",
        "locationId={location}&locationId={sister}",
        "location%49d={sister}",
        "locationId={location}&locationId[]={sister}",
        "locationId={location}&locationId%5B0%5D={sister}",
        "locationId={location}%00",
    ],
)
def test_other_locations_in_the_query(api, desk, reading, accounts, query):
    """A token reaches its own location alone; every location that a query names must be it."""
    target = "/contacts/?" + query.format(**vars(accounts))
    answer = api.ask("GET", target, token=desk.token(reading))
    assert (answer.status, answer.body) == (403, {**LOCATION, "reason": "location-not-allowed"})


def test_other_locations_in_the_path(api, desk, reading, accounts):
    """The path's location counts too, and a template that was never filled is only another location."""
    token = desk.token(reading)
    assert api.ask("GET", f"/locations/{accounts.location}", token=token).status == 200
    for location in (accounts.sister, accounts.agency, "%7BlocationId%7D", "nobody"):
        answer = api.ask("GET", f"/locations/{location}", token=token)
        assert (answer.status, answer.body) == (403, {**LOCATION, "reason": "location-not-allowed"})


def test_services_with_other_words_for_locations(api, desk, accounts):
    """Invoices, objects and the social planner answer a foreign location with 401 and a text of their own."""
    answer = api.ask("GET", f"/objects/?locationId={accounts.sister}", token=desk.token_with("objects/schema.readonly"))
    assert (answer.status, answer.body) == (
        401,
        {
            "statusCode": 401,
            "message": "This location is not accessible from this token!",
            "reason": "location-not-allowed",
        },
    )


def test_an_agency_reaches_its_own_locations(api, desk, accounts):
    """An agency token reaches every location of the agency, and none of another."""
    token = desk.token_with("locations.readonly", account=accounts.agency)
    statuses = {
        location: api.ask("GET", f"/locations/{location}", token=token).status
        for location in (accounts.location, accounts.sister, accounts.stranger, accounts.other_agency, "nobody")
    }
    assert statuses == {
        accounts.location: 200,
        accounts.sister: 200,
        accounts.stranger: 403,
        accounts.other_agency: 403,
        "nobody": 403,
    }


def test_changes_hold_at_the_next_request(api, desk, reading, contacts):
    """Editing scopes, expiring and deleting take effect at once, although live tokens are remembered."""
    token = desk.token(reading)
    assert [api.ask("GET", contacts, token=token).status for _ in range(2)] == [200, 200]
    desk.edit(reading, "locations.readonly")
    assert api.ask("GET", contacts, token=token).body["reason"] == "scope-missing"
    desk.edit(reading, "contacts.readonly")
    assert api.ask("GET", contacts, token=token).status == 200
    desk.expire(reading, 1)
    answer = api.ask("GET", contacts, token=token)
    assert (answer.status, answer.body) == (401, {**INVALID, "reason": "token-revoked"})
    second = desk.token(reading)
    assert api.ask("GET", contacts, token=second).status == 200
    desk.delete(reading)
    assert api.ask("GET", contacts, token=second).body == {**INVALID, "reason": "token-revoked"}


def test_first_use_delivers(api, desk, reading, contacts, clock):
    """The first use makes a pending token the current one and starts the old one's overlap, not the issue."""
    first = desk.token(reading)
    assert desk.secrets(reading) == {1: ("pending", None)}
    api.ask("GET", contacts, token=first)
    assert desk.secrets(reading) == {1: ("current", None)}
    second = desk.token(reading, overlap=timedelta(days=2))
    assert desk.secrets(reading) == {1: ("current", None), 2: ("pending", None)}
    clock.move(days=30)
    assert api.ask("GET", contacts, token=first).status == 200
    # Even a request that its scopes don't allow shows that somebody holds the token.
    assert api.ask("POST", "/contacts/", {}, token=second).body["reason"] == "scope-missing"
    assert desk.secrets(reading) == {1: ("previous", clock.now + timedelta(days=2)), 2: ("current", None)}


def test_both_tokens_work_in_the_overlap(api, desk, reading, contacts, clock):
    """In the overlap both tokens work and the old one is told its deadline; at the deadline it is dead."""
    first = desk.token(reading)
    api.ask("GET", contacts, token=first)
    second = desk.token(reading, overlap=timedelta(days=7))
    assert "pit-token-expires" not in api.ask("GET", contacts, token=first).headers
    assert "pit-token-expires" not in api.ask("GET", contacts, token=second).headers
    clock.move(days=7, milliseconds=-1)
    answer = api.ask("GET", contacts, token=first)
    assert (answer.status, answer.headers["pit-token-expires"]) == (200, "2026-11-27T12:00:00.000Z")
    refused = api.ask("POST", "/contacts/", {}, token=first)
    assert (refused.status, refused.headers["pit-token-expires"]) == (401, "2026-11-27T12:00:00.000Z")
    clock.move(milliseconds=1)
    answer = api.ask("GET", contacts, token=first)
    assert (answer.status, answer.body) == (401, {**INVALID, "reason": "token-expired"})
    assert api.ask("GET", contacts, token=second).status == 200


def test_first_uses_at_the_same_time(middleware, desk, reading, accounts):
    """Many first uses at once deliver the token once, and all of them pass."""
    token = desk.token(reading)
    statuses = []

    async def use():
        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": f"/locations/{accounts.location}".encode(),
            "query_string": b"",
            "headers": [(b"authorization", token.encode()), (b"version", b"v3")],
        }

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            statuses.append(message.get("status"))

        await middleware(scope, receive, send)

    async def together():
        await asyncio.gather(*(use() for _ in range(20)))

    asyncio.run(together())
    assert statuses.count(200) == 20
    assert desk.secrets(reading) == {1: ("current", None)}
    with desk.database.read() as connection:
        delivered = select(func.count()).where(audit.c.action == "deliver")
        assert connection.execute(delivered).scalar_one() == 1


def test_an_overlap_of_nothing(api, desk, reading, contacts):
    """A rotation without overlap kills the old token when the new one is issued."""
    first = desk.token(reading)
    api.ask("GET", contacts, token=first)
    second = desk.token(reading, overlap=timedelta(0))
    assert api.ask("GET", contacts, token=first).body == {**INVALID, "reason": "token-revoked"}
    assert api.ask("GET", contacts, token=second).status == 200


@pytest.fixture
def expired(api, desk, reading, contacts, clock):
    """A token that was refused a second after its deadline."""
    first = desk.token(reading)
    api.ask("GET", contacts, token=first)
    api.ask("GET", contacts, token=desk.token(reading, overlap=timedelta(hours=1)))
    clock.move(hours=1, seconds=1)
    assert api.ask("GET", contacts, token=first).body["reason"] == "token-expired"
    return first


def test_a_clock_set_back_revives_nothing(api, contacts, clock, expired):
    """An expired token stays dead when the clock steps back."""
    clock.move(days=-1)
    assert api.ask("GET", contacts, token=expired).body == {**INVALID, "reason": "token-expired"}


def test_a_clock_set_back_over_a_restart_revives_nothing(
    under_test, database, catalogue, contacts, clock, expired, api, tmp_path, limits
):
    """The refusal was stored: a service started from what is on the disk, with its clock behind, refuses too."""
    restarted = under_test.open(under_test.copy_open(database, tmp_path / "restarted"), clock)
    clock.move(days=-1)
    api.app = AuthorizerMiddleware(Sandbox(restarted, limits), Authorizer(restarted, catalogue, 10))
    assert api.ask("GET", contacts, token=expired).body == {**INVALID, "reason": "token-expired"}
    api.app.authorizer.close()
    restarted.close()


def test_refusing_an_expired_token_is_stored_once(api, contacts, clock, database, expired):
    """A fleet with a dead token costs one write, not one for each request."""
    stored = database._clock.stored
    clock.move(hours=1)
    for _ in range(3):
        api.ask("GET", contacts, token=expired)
    assert database._clock.stored == stored


@pytest.fixture
def used(api, desk, contacts):
    """The digests of five tokens that are in use."""
    tokens = [desk.token_with("contacts.readonly") for _ in range(5)]
    for token in tokens:
        assert api.ask("GET", contacts, token=token).status == 200
    return [digest_of(token) for token in tokens]


@pytest.fixture
def reader(database):
    """A connection for grants alone."""
    opened = GrantReader(database)
    yield opened
    opened.close()


def test_memory_for_tokens_is_bounded(database, reader, clock, used):
    """Live tokens are remembered, never more of them than the limit."""
    grants = LiveGrants(reader, database.epoch, 2)
    for digest in used * 2:
        assert asyncio.run(grants.find(digest, clock())).is_live(clock())
        assert 1 <= len(grants) <= 2


def test_only_live_and_delivered_tokens_are_remembered(database, reader, clock, desk, reading):
    """Neither an unknown token nor a pending, ended or expired one takes up memory."""
    grants = LiveGrants(reader, database.epoch, 2)
    pending = digest_of(desk.token(reading))
    assert not asyncio.run(grants.find(pending, clock())).delivered
    assert asyncio.run(grants.find(digest_of(NEVER_ISSUED), clock())) is None
    assert len(grants) == 0
    desk.expire(reading, 1)
    assert asyncio.run(grants.find(pending, clock())).ended
    assert len(grants) == 0


def test_an_expired_token_is_not_remembered(database, reader, clock, expired):
    """Past its deadline a token is read anew for every refusal."""
    grants = LiveGrants(reader, database.epoch, 2)
    assert not asyncio.run(grants.find(digest_of(expired), clock())).is_live(clock())
    assert len(grants) == 0


def test_nothing_is_remembered_while_a_change_commits(database, reader, clock, used):
    """While the generation word is odd every request asks the database; what was kept before is gone after."""
    grants = LiveGrants(reader, database.epoch, 10)
    kept = asyncio.run(grants.find(used[0], clock()))
    assert asyncio.run(grants.find(used[0], clock())) is kept
    with database.epoch.changing(None):
        read = asyncio.run(grants.find(used[0], clock()))
        assert read == kept
        assert read is not kept
        assert len(grants) == 0
    assert asyncio.run(grants.find(used[0], clock())) is not kept
    assert len(grants) == 1


def test_what_was_read_before_a_change_is_not_kept(database, reader, clock, used):
    """If the word moves while a grant is being read, the grant serves one request and no other."""

    class Interrupted:
        """A reader during whose answer a change commits."""

        async def read(self, digest):
            grant = await reader.read(digest)
            with database.epoch.changing(None):
                return grant

    grants = LiveGrants(Interrupted(), database.epoch, 10)
    assert asyncio.run(grants.find(used[0], clock())) is not None
    assert len(grants) == 0


UNAVAILABLE = {"statusCode": 503, "message": "Service Unavailable", "reason": "storage-unavailable"}


def test_fails_closed_when_the_connection_is_gone(middleware, api, desk, reading, contacts):
    """If the database can't be asked, nothing passes."""
    token = desk.token(reading)
    middleware.authorizer.close()
    answer = api.ask("GET", contacts, token=token)
    assert (answer.status, answer.body) == (503, UNAVAILABLE)


@sqlite_only
def test_fails_closed_when_the_file_is_gone(database, catalogue, clock, api, desk, reading, contacts, limits):
    """If the database is gone, nothing passes, remembered or not, and the answer is the API's."""
    token = desk.token(reading)
    api.app = AuthorizerMiddleware(Sandbox(database, limits), Authorizer(database, catalogue, 10))
    assert api.ask("GET", contacts, token=token).status == 200
    for file in database.folder.glob("private-integrations.db*"):
        file.unlink()
    time.sleep(0.3)
    answer = api.ask("GET", contacts, token=token)
    assert (answer.status, answer.body) == (503, UNAVAILABLE)
    api.app.authorizer.close()


@sqlite_only
def test_fails_closed_when_a_first_use_cannot_be_stored(api, desk, reading, contacts, database):
    """A pending token whose first use can't be stored opens nothing yet, and is pending still."""
    token = desk.token(reading)
    _stop_writing(database)
    answer = api.ask("GET", contacts, token=token)
    assert (answer.status, answer.body) == (503, UNAVAILABLE)
    assert desk.secrets(reading) == {1: ("pending", None)}


@sqlite_only
def test_a_write_that_fails_in_the_sandbox(api, desk, accounts, database):
    """A contact that can't be stored is a 503 in the API's shape, not an exception."""
    token = desk.token_with("contacts.write")
    api.ask("DELETE", "/contacts/x", token=token)
    _stop_writing(database)
    answer = api.ask("POST", "/contacts/", {"locationId": accounts.location}, token=token)
    assert (answer.status, answer.body) == (503, UNAVAILABLE)


def _stop_writing(database):
    """Make the writer's connection refuse every change, as a file system that has become read-only would."""
    with database._writer.connect() as writer:
        writer.exec_driver_sql("PRAGMA query_only=ON")


def test_no_part_of_a_token_is_echoed(api, desk, reading, accounts):
    """Wherever a token strays to, no answer repeats it."""
    token = desk.token_with("contacts.readonly", "contacts.write")
    encoded = token.replace("pit-", "%70it%2D")
    answers = [
        api.ask("GET", f"/{token}", token=token),
        api.ask("GET", f"/contacts/{token}", token=token),
        api.ask("GET", f"/{encoded}", token=token),
        api.ask(token, "/contacts/", token=token),
        api.ask("GET", "/contacts/", token=token, version=token),
        api.ask("GET", f"/contacts/?locationId={accounts.location}&{token}={token}", token=token),
        api.ask("GET", f"/contacts/?locationId={token}", token=token),
        api.ask("POST", "/contacts/", {"locationId": accounts.location, token: 1}, token=token),
        api.ask("POST", "/contacts/", token.encode(), token=token),
        api.ask("GET", "/contacts/", headers=(("authorization", f"Token {token}"),)),
    ]
    for answer in answers:
        assert answer.status >= 400
        shown = str((answer.body, answer.headers)).lower()
        assert not [part for part in token.split("-")[1:] if part in shown], answer
    assert answers[0].body["message"] == "Cannot GET /pit-…"


def test_a_management_key_opens_no_data(api, contacts):
    """A management key is no token."""
    answer = api.ask("GET", contacts, headers=(("authorization", "Bearer pmk-" + "0" * 64),))
    assert answer.body == {**INVALID, "reason": "token-malformed"}
