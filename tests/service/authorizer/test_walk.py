"""Walk over all 668 endpoints of the catalogue, and check which tokens get in and how the others are refused.

What must be true is read here anew, from the catalogue's file and docs/platform.md (§5, §9), not asked of the code.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from itertools import product

import pytest
from sqlalchemy import insert

from private_integrations.contract import digest_of
from private_integrations_service.authorizer import ALLOWED, Authorizer, AuthorizerMiddleware
from private_integrations_service.authorizer.replies import Reply, send_reply
from private_integrations_service.storage import tables

DATA = resources.files("private_integrations_service.catalogue") / "data"
PUBLISHED = json.loads((DATA / "scopes.json").read_text("utf-8"))
ADDED = json.loads((DATA / "additions.json").read_text("utf-8"))
SCOPES = [scope["name"] for scope in PUBLISHED["scopes"]]
EVERYTHING = "all scopes"
CLASSES = ("agency", "location")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENDS = ("", "/unknown", "unknown", "//", "/..")
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "get")
# 120,000 requests, in parts that run side by side.
PARTS = 4


@dataclass(frozen=True)
class Row:
    """An endpoint, and by docs/platform.md §9 the one scope and the classes of tokens that open it."""

    method: str
    path: str
    scope: str
    classes: frozenset
    v3_only: bool

    @property
    def shape(self):
        """The path without the names of its parameters: four pairs of rows differ only in those."""
        return shape_of(self.path)

    @property
    def segments(self):
        """The template's segments."""
        return self.path.strip("/").split("/")

    def target(self, accounts, location=None):
        """A path that means this endpoint, at a location and for an agency if it has one: the first of each."""
        path = self.path.replace("{locationId}", location or accounts.location)
        return re.sub(r"\{[^}]*\}", "walked", path.replace("{companyId}", accounts.agency))


def shape_of(path):
    """A template without the names of its parameters."""
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/")


def _row(entry):
    """A row by the rule: nobody where tokens are refused or no scope is known; undocumented: as the scope says."""
    scope = (entry["scopes"] or [None])[0]
    of_scope = next((known["access"] for known in PUBLISHED["scopes"] if known["name"] == scope), [])
    classes = entry.get("pit_access", entry["access"]) or of_scope
    closed = entry["pit_refused"] or scope is None
    v3_only = entry["gen"] == ["v3"] and entry["versions"] == ["v3"]
    return Row(entry["method"], entry["path"], scope, frozenset(() if closed else classes), v3_only)


ROWS = [_row(entry) for entry in [*PUBLISHED["endpoints"], *ADDED["endpoints"]]]
OPEN = [row for row in ROWS if row.classes]
CLOSED = [row for row in ROWS if not row.classes]
_BY_LENGTH = {}
for _known in ROWS:
    _BY_LENGTH.setdefault((_known.method, len(_known.segments)), []).append(_known)
in_parts = pytest.mark.parametrize("part", range(PARTS))


@dataclass(frozen=True)
class Asked:
    """What was answered, and the shape of the path whose endpoint was reached, if one was."""

    status: int
    reason: str | None
    body: dict
    reached: str | None


class Walk:
    """The authorizer over a real database, asked in-process; one token for each scope and class."""

    def __init__(self, app, tokens):
        self._app = app
        self._tokens = tokens

    async def ask(self, method, target, token_class, scope, version="v3"):
        """One request; what is behind the authorizer answers with the endpoint that it was let through to."""
        path, _, query = target.partition("?")
        sent = []
        headers = [(b"authorization", self._tokens[token_class, scope]), (b"version", version.encode())]
        request = {"method": method, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}

        async def send(message):
            sent.append(message)

        await self._app(request, None, send)
        start, content = sent
        body = json.loads(content["body"])
        assert dict(start["headers"]).get(b"x-pit-problem", b"").decode() == body.get("reason", "")
        return Asked(start["status"], body.get("reason"), body, body.get("reached"))


async def _reached(scope, _, send):
    endpoint = scope[ALLOWED].match.endpoint
    await send_reply(send, Reply(200, {"reached": f"{endpoint.method} {shape_of(endpoint.path)}"}))


@pytest.fixture(scope="module")
def walk(under_test, tmp_path_factory, fresh_folder, catalogue, accounts):
    """The walk's database has tokens that no integration could be given, such as those of a scope for OAuth apps."""
    database = under_test.open(under_test.copy(fresh_folder, tmp_path_factory.mktemp("walk") / "data"), lambda: NOON)
    homes = {"agency": accounts.agency, "location": accounts.location}
    tokens = {
        (token_class, scope): f"pit-{number:08x}-0000-4000-8000-000000000000".encode()
        for number, (token_class, scope) in enumerate(product(CLASSES, [*SCOPES, EVERYTHING]))
    }
    with database.write() as write:
        for (token_class, scope), token in tokens.items():
            _store(write.connection, homes[token_class], SCOPES if scope == EVERYTHING else [scope], token)
    authorizer = Authorizer(database, catalogue, len(tokens))
    yield Walk(AuthorizerMiddleware(_reached, authorizer), tokens)
    authorizer.close()
    database.close()


def _store(connection, account, scopes, token):
    """An integration with a token in use; by its tables, since no operation would make all of these."""
    name = token.decode()[4:12]
    connection.execute(
        insert(tables.integrations).values(
            id=name,
            account_id=account,
            external_id=name,
            name=name,
            description="",
            scopes=scopes,
            owner_nonce=name,
            version=1,
            last_generation=1,
            created_at=NOON,
            updated_at=NOON,
        )
    )
    connection.execute(
        insert(tables.tokens).values(
            integration_id=name,
            generation=1,
            role="current",
            issuer="walk",
            run="walk",
            attempt=1,
            digest=digest_of(token),
            hash_version=1,
            overlap_seconds=0,
            issued_at=NOON,
            delivered_at=NOON,
        )
    )


def test_the_walk_is_over_all_of_it():
    """Nothing is left out: 668 rows, 169 scopes, 23 rows closed, and the other rows' classes are known."""
    assert (len(ROWS), len(SCOPES), len(CLOSED)) == (668, 169, 23)
    assert {row.classes for row in OPEN} == {frozenset({"agency"}), frozenset({"location"}), frozenset(CLASSES)}


@in_parts
def test_the_right_scope_passes_and_every_other_one_is_refused(walk, accounts, part):
    """Of 169 scopes exactly one opens a row, for each class that it accepts; the others are told which one it is."""

    async def go():
        for row in OPEN[part::PARTS]:
            target = row.target(accounts)
            for token_class in row.classes:
                passed = await walk.ask(row.method, target, token_class, row.scope)
                assert (passed.status, passed.reached) == (200, f"{row.method} {row.shape}"), row
                for scope in SCOPES:
                    if scope != row.scope:
                        refused = await walk.ask(row.method, target, token_class, scope)
                        assert (refused.status, refused.reason) == (401, "scope-missing"), (row, scope)
                        assert refused.body["requiredScope"] == row.scope

    asyncio.run(go())


def test_the_wrong_class_is_refused(walk, accounts):
    """A class that a row doesn't accept is refused, with the right scope and even with all of them."""

    async def go():
        for row in OPEN:
            for token_class in set(CLASSES) - row.classes:
                for scope in (row.scope, EVERYTHING):
                    refused = await walk.ask(row.method, row.target(accounts), token_class, scope)
                    assert (refused.status, refused.reason) == (401, "class-not-allowed"), row
                    assert (
                        refused.body["requiredClass"]
                        == {"location": "sub_account", "agency": "agency"}[min(row.classes)]
                    )

    asyncio.run(go())


def test_another_account_is_refused(walk, accounts):
    """Where a location is named, in the path or in the query of any row, it must be within the token's account."""

    async def go():
        for row in OPEN:
            status = 401 if row.path.startswith(("/social-media-posting/", "/invoices/", "/objects/")) else 403
            for token_class in row.classes:
                own = row.target(accounts)
                foreign = {"location": accounts.sister, "agency": accounts.stranger}[token_class]
                targets = [f"{own}?locationId={foreign}", f"{own}?locationId={accounts.location}&locationId=nobody"]
                targets += (
                    [row.target(accounts, foreign), row.target(accounts, "nobody")]
                    if "{locationId}" in row.path
                    else []
                )
                for target in targets:
                    refused = await walk.ask(row.method, target, token_class, row.scope)
                    assert (refused.status, refused.reason) == (status, "location-not-allowed"), target
                passed = await walk.ask(row.method, f"{own}?locationId={accounts.location}", token_class, row.scope)
                assert passed.reached == f"{row.method} {row.shape}"

    asyncio.run(go())


def test_closed_rows_open_to_nobody(walk, accounts):
    """The 23 rows that are refused by the platform, or whose scope or class nobody knows, are closed."""

    async def go():
        for row in CLOSED:
            for token_class, scope in product(CLASSES, [EVERYTHING, *SCOPES]):
                refused = await walk.ask(row.method, row.target(accounts), token_class, scope)
                assert (refused.status, refused.reason) == (401, "endpoint-closed"), (row, scope)

    asyncio.run(go())


def test_what_is_in_no_row_is_no_route(walk, accounts):
    """A method that no row has for a path, and a path below or beside every row, open nothing, whatever the scopes."""
    paths = {row.target(accounts).rstrip("/") + end for row in ROWS for end in ENDS}
    unknown = [(method, path) for method, path in product(METHODS, sorted(paths)) if not _fitting(method, path)]
    assert len(unknown) > 10_000

    async def go():
        for method, path in unknown:
            refused = await walk.ask(method, path, "location", EVERYTHING)
            assert (refused.status, refused.reason) == (404, "not-found"), (method, path)

    asyncio.run(go())


def _fitting(method, path):
    """The rows whose template fits, found in the plainest way."""
    given = path.removeprefix("/").removesuffix("/").split("/")
    if not all(given) or ".." in given:
        return []
    return [
        row
        for row in _BY_LENGTH.get((method, len(given)), ())
        if all(want == have or want.startswith("{") for want, have in zip(row.segments, given, strict=True))
    ]


def test_what_only_v3_has_needs_v3(walk, accounts):
    """The 86 rows of v3 alone are no route under an older version; every other open row is one under each of them."""
    assert sum(row.v3_only for row in ROWS) == 86

    async def go():
        for row, version in product(OPEN, ("2021-04-15", "2021-07-28", "2023-02-21")):
            asked = await walk.ask(row.method, row.target(accounts), min(row.classes), row.scope, version)
            expected = (404, "version-too-old") if row.v3_only else (200, None)
            assert (asked.status, asked.reason) == expected, row

    asyncio.run(go())
