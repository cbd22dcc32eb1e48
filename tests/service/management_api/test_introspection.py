"""Introspections of live tokens are answered from memory, byte for byte as the route answers them."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from private_integrations.contract import IntegrationEdit, KeyRequest, Refused, digest_of, new_management_key
from private_integrations_service.access.actors import Actor
from private_integrations_service.authorizer import Authorizer
from private_integrations_service.management_api import management_api
from private_integrations_service.management_api.introspection import INTROSPECT, RememberedIntrospections
from private_integrations_service.operations import generations, integrations, keys
from private_integrations_service.operations.live_keys import LiveKeys
from private_integrations_service.operations.recording import Recorder
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.settings import Settings

ANNA = Actor("anna")
NEVER_ISSUED = "pit-" + "00000000-0000-0000-0000-000000000000"
FORM = ("content-type", "application/x-www-form-urlencoded")

Answered = tuple[int, list[tuple[bytes, bytes]], bytes]


class Introspections:
    """Ask the route and the memory in front of it, each with a recorder of its own."""

    def __init__(self, database: Any, catalogue: Any) -> None:
        self.recorders = Recorder(), Recorder()
        self.activity = database.activity()
        self.authorizer = Authorizer(database, catalogue, 1000)
        self.keys = LiveKeys(database)
        self.of_route = 0
        route, behind = (
            management_api(database, catalogue, Settings(), self.activity, recorder, furnish)
            for recorder in self.recorders
        )

        async def counted(*request: Any) -> None:
            self.of_route += 1
            await behind(*request)

        self.route = route
        self.memory = RememberedIntrospections(counted, self.authorizer, self.keys, self.recorders[1])
        self.database = database

    def ask(self, body: bytes, *headers: tuple[str, str], method: str = "POST") -> tuple[Answered, bool]:
        """Send a request to both; returns the answer, which is the same, and whether memory gave it."""
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": INTROSPECT,
            "raw_path": INTROSPECT.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "client": ("203.0.113.7", 50_000),
            "server": ("crm.test", 80),
        }
        before = self.of_route
        first = asyncio.run(answered(self.route, dict(scope), body))
        second = asyncio.run(answered(self.memory, dict(scope), body))
        assert first == second
        uses = [recorder.taken()[0] for recorder in self.recorders]
        assert uses[0].keys() == uses[1].keys()
        assert [use.last for use in uses[0].values()] == [use.last for use in uses[1].values()]
        return second, self.of_route == before

    def key(self, role: str = "introspector", **more: Any) -> str:
        """Make a management key."""
        made = new_management_key()
        request = KeyRequest(role=role, digest=digest_of(made).hex(), **more)
        assert not isinstance(keys.make(self.database, f"key-{made[4:12]}", request, actor=ANNA), Refused)
        return made

    def close(self) -> None:
        """Close what it opened."""
        self.authorizer.close()
        self.keys.close()
        self.activity.close()


async def answered(app: Any, scope: dict[str, Any], body: bytes) -> Answered:
    """Return status, headers and body of the answer to a request."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return messages[0]["status"], messages[0]["headers"], b"".join(each.get("body", b"") for each in messages)


def use(asked: Introspections, token: str) -> None:
    """Deliver a token, as its first use does."""
    generations.deliver(asked.database, digest_of(token))


@pytest.fixture
def asked(database, catalogue) -> Iterator[Introspections]:
    """Yield the route and the memory over the test's database."""
    with closing(Introspections(database, catalogue)) as made:
        yield made


def bearer(key: str) -> tuple[str, str]:
    """Return the header of a management key."""
    return "authorization", f"Bearer {key}"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable() and text == text.strip()),
    scopes=st.sets(st.sampled_from(["contacts.readonly", "contacts.write", "users.readonly"]), min_size=1),
    is_overlapping=st.booleans(),
    hint=st.sampled_from(["", "&token_type_hint=access_token"]),
)
def test_a_live_token_is_answered_from_memory(asked, desk, name, scopes, is_overlapping, hint):
    """The answer is the route's for any name, scopes, role and deadline, and the use is recorded alike."""
    integration = desk.integration(*scopes)
    integrations.edit(asked.database, integration, IntegrationEdit(name=name), desk.rules, actor=ANNA)
    token = desk.token(integration)
    if is_overlapping:
        use(asked, token)
        use(asked, desk.token(integration))
    key = asked.key()
    for _ in range(2):
        (status, _, body), is_remembered = asked.ask(f"token={token}{hint}".encode(), FORM, bearer(key))
        assert (status, body[:14], is_remembered) == (200, b'{"active":true', True)
        assert (b'"exp":' in body) is is_overlapping


def test_other_requests_are_the_routes(asked, desk, accounts):
    """Memory answers the usual form only; the route refuses, or reads the rest."""
    token = desk.token(desk.integration("contacts.readonly"))
    key, usual = asked.key(), f"token={token}".encode()
    foreign = asked.key(accounts=[accounts.agency])
    requests = [
        (200, usual, (FORM, ("authorization", f"bearer {key}"))),
        (200, usual, (("content-type", FORM[1] + "; charset=utf-8"), bearer(key))),
        (200, usual + b"&other=1", (FORM, bearer(key))),
        (200, usual.replace(b"-", b"%2D"), (FORM, bearer(key))),
        (200, usual, (FORM, bearer(foreign))),
        (200, f"token={NEVER_ISSUED}".encode(), (FORM, bearer(key))),
        (200, b"token=x", (FORM, bearer(key))),
        (422, b"token=", (FORM, bearer(key))),
        (422, b"", (FORM, bearer(key))),
        (422, usual, (("content-type", "application/json"), bearer(key))),
        (422, usual, (bearer(key),)),
        (401, usual, (FORM,)),
        (401, usual, (FORM, bearer(new_management_key()))),
        (401, usual, (FORM, bearer(token))),
        (400, usual, (FORM, bearer(key), bearer(key))),
    ]
    for expected, body, headers in requests:
        (status, _, answer), is_remembered = asked.ask(body, *headers)
        assert (status, is_remembered) == (expected, False), (body, headers, answer)
    assert asked.ask(usual, FORM, bearer(key), method="PUT")[0][0] == 405


def test_the_end_of_a_token_holds_at_once(asked, desk):
    """The first introspection after it finds the token not active."""
    integration = desk.integration("contacts.readonly")
    token, key = desk.token(integration), asked.key()
    body = f"token={token}".encode()
    use(asked, token)
    assert asked.ask(body, FORM, bearer(key))[1]
    desk.expire(integration, 1)
    assert asked.ask(body, FORM, bearer(key))[0][2] == b'{"active":false}'


def test_a_deadline_holds_at_its_instant(asked, desk, clock):
    """A superseded token is active until its deadline and no longer, without a change in between."""
    integration = desk.integration("contacts.readonly")
    older, key = desk.token(integration), asked.key()
    use(asked, older)
    use(asked, desk.token(integration))
    body = f"token={older}".encode()
    clock.move(days=6, hours=23)
    assert asked.ask(body, FORM, bearer(key))[1]
    clock.move(hours=1)
    assert asked.ask(body, FORM, bearer(key))[0][2] == b'{"active":false}'


def test_the_end_of_a_key_holds_at_once(asked, desk, clock):
    """A revoked key is refused by the next request, and one with a lifetime from the end of that on."""
    token = desk.token(desk.integration("contacts.readonly"))
    body = f"token={token}".encode()
    asked.key("admin")
    revoked, short = asked.key(), asked.key(lifetime_seconds=3600)
    for key in (revoked, short):
        assert asked.ask(body, FORM, bearer(key))[1]
    [made] = [key for key in keys.listed(asked.database) if key.name == f"key-{revoked[4:12]}"]
    keys.revoke(asked.database, made.id, actor=ANNA)
    clock.move(hours=1)
    for key in (revoked, short):
        (status, _, answer), _ = asked.ask(body, FORM, bearer(key))
        assert (status, b"key-ended" in answer) == (401, True)
