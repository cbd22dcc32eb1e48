"""The epoch moves with every change of what a token opens, so that no process goes on by a remembered decision."""

import asyncio
import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, text, update

from decision_columns import Watch
from engines import sqlite_only
from private_integrations.contract import (
    API,
    AccountRequest,
    GenerationRequest,
    IntegrationEdit,
    IntegrationRequest,
    KeyRequest,
    Reason,
    Refused,
    RotationPolicy,
    digest_of,
    new_management_key,
    new_sealing_key,
    new_webhook_secret,
)
from private_integrations_service import operations
from private_integrations_service.access.actors import Actor
from private_integrations_service.authorizer import Allowed, Authorizer, DataRequest
from private_integrations_service.management_api import management_api
from private_integrations_service.operations import installation, keys
from private_integrations_service.operations.live_keys import LiveKeys
from private_integrations_service.operations.operation import Writing
from private_integrations_service.operations.recording import Recorder
from private_integrations_service.operations.upstreams import Credentials
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.sealing import SealBroken, Sealer
from private_integrations_service.settings import Settings
from private_integrations_service.storage import tables
from private_integrations_service.storage.engine import Write
from private_integrations_service.tokens.format import presented_token
from private_integrations_service.tokens.inactivity import TokenUse

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANNA = Actor("anna")
OLD, NEW = new_sealing_key(), new_sealing_key()

READ, WRITE = "contacts.readonly", "contacts.write"
OPEN = ("open to CRM sync", None)
"""The answer to a token without a deadline, of an integration as `Desk` makes it."""


@dataclass
class Consumer:
    """Asks the authorizer and the credentials of one process, which remember what they answered."""

    database: Any
    catalogue: Any
    desk: Any
    rules: Any
    account: str
    closing: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.authorizer = Authorizer(self.database, self.catalogue, 1000)
        self.closing.callback(self.authorizer.close)
        self.credentials = Credentials(self.database, Sealer([OLD]))
        self.closing.callback(self.credentials.close)
        self.keys = LiveKeys(self.database)
        self.closing.callback(self.keys.close)

    def asks(self, token: str) -> tuple[str, datetime | None]:
        """Return what a request with the token gets, and until when the token works."""
        headers = [(b"authorization", b"Bearer " + token.encode()), (b"version", b"2021-07-28")]
        query = f"locationId={self.account}".encode()
        decision = asyncio.run(self.authorizer.decide(DataRequest("GET", b"/contacts/", query, headers)))
        if isinstance(decision, Allowed):
            return f"open to {decision.grant.integration_name}", decision.token_expires_at
        return decision.reason, decision.token_expires_at

    def credential(self) -> str | None:
        """Return the upstream credential that a request for the account is sent with."""
        try:
            return asyncio.run(self.credentials.of(self.account))
        except SealBroken:
            return "sealed"

    def knows(self, key: str) -> bool:
        """Return whether a request with the management key is let in."""
        now = self.database.now()
        found = asyncio.run(self.keys.find(digest_of(key), now))
        return found is not None and found.is_live(now)

    def used(self) -> tuple[str, str]:
        """Return a new integration and its token, which was used."""
        integration = self.desk.integration(READ)
        token = self.desk.token(integration)
        assert self.asks(token) == OPEN
        return integration, token

    def used_twice(self) -> tuple[str, str, str]:
        """Return a new integration, its superseded token and the current one."""
        integration, older = self.used()
        newer = self.desk.token(integration)
        assert self.asks(newer) == OPEN
        return integration, older, newer


@dataclass
class Change:
    """A change of what a request gets.

    Attributes:
        ask: Returns what the request gets.
        arguments: The positional arguments of the operation, after the engine.
        then: What the request gets after the operation.
        more: The keyword arguments.

    """

    ask: Callable[[], Any]
    arguments: tuple[Any, ...]
    then: Any
    more: dict[str, Any] = field(default_factory=lambda: {"actor": ANNA})


CHANGES: list[tuple[str, Callable[[Consumer], Change]]] = []
"""The table: the name of an operation, and a function that makes what it changes."""

UNCHANGING = {
    "accounts.put",  # the class of an account and its agency never change
    "data_webhooks.put",
    "data_webhooks.put_unseen",
    "deliveries.record",
    "inactivity.confirm",
    "inactivity.set_rule",  # the end of a token is announced first
    "installation.install",
    "keys.make",
    "manual_rotation.create",  # nobody has asked with a new token yet
    "sign_in.confirm_events",
    "sign_in.end_other_sessions",
    "sign_in.end_session",
    "sign_in.sign_out",
    "sign_in.sign_out_everywhere",
    "signing.reseal",
    "upstreams.note_verification",
    "users.change_place",
    "users.disable",
    "users.displace",
    "users.enable",
    "users.forget_identities",
    "users.invite",
    "users.invite_into",
    "users.link",
    "users.link_for",
    "users.place",
    "users.switch_labs",
    "webhook_secrets.reseal",
    "webhooks.delete",
    "webhooks.edit",
    "webhooks.make",
    "webhooks.ping",
    "webhooks.replay",
    "webhooks.rotate_secret",
}
"""The operations that never change what a token opens."""


def changed_by(*names: str) -> Callable[[Callable[[Consumer], Change]], Callable[[Consumer], Change]]:
    """Add a line to the table for each of these operations."""

    def added(make: Callable[[Consumer], Change]) -> Callable[[Consumer], Change]:
        CHANGES.extend((name, make) for name in names)
        return make

    return added


@changed_by("generations.issue_ending_others")
def a_rotation_without_overlap(consumer: Consumer) -> Change:
    """The older token ends with the issue of the newer one."""
    integration, token = consumer.used()
    request = GenerationRequest(issuer="us", run="r", attempt=1, overlap_seconds=0)
    return Change(lambda: consumer.asks(token), (integration, 2, request, 3), (Reason.TOKEN_REVOKED, None))


@changed_by("generations.issue_beside_others")
def a_rotation_whose_issuer_has_stored_the_token_before(consumer: Consumer) -> Change:
    """The request delivers the pending token, so the overlap of the older one begins."""
    integration, token = consumer.used()
    consumer.desk.token(integration)
    request = GenerationRequest(issuer="test", run="r", attempt=1, holding=2, overlap_seconds=3600)
    return Change(lambda: consumer.asks(token), (integration, 3, request, 3), (OPEN[0], NOON + 7 * DAY))


@changed_by("generations.deliver")
def a_first_use(consumer: Consumer) -> Change:
    """The overlap of the older token begins with the first use of the newer one."""
    integration, token = consumer.used()
    digest = presented_token(consumer.desk.token(integration).encode())
    return Change(lambda: consumer.asks(token), (digest,), (OPEN[0], NOON + 7 * DAY), {})


@changed_by("generations.acknowledge")
def an_acknowledgement(consumer: Consumer) -> Change:
    """The overlap of the older token begins when the newer one is stored."""
    integration, token = consumer.used()
    request = GenerationRequest(issuer="test", run="r", attempt=1, overlap_seconds=3600)
    issued = operation_named("generations.issue_beside_others")(
        consumer.database, integration, 2, request, 3, actor=ANNA
    )
    return Change(lambda: consumer.asks(token), (integration, 2, issued.fingerprint), (OPEN[0], NOON + HOUR))


@changed_by("generations.expire")
def an_expiry(consumer: Consumer) -> Change:
    """A named generation ends."""
    integration, token = consumer.used()
    return Change(lambda: consumer.asks(token), (integration, [1]), (Reason.TOKEN_REVOKED, None))


@changed_by("generations.cancel")
def a_cancelled_rotation_ends_the_newer_token(consumer: Consumer) -> Change:
    """The newer token ends."""
    integration, _, newer = consumer.used_twice()
    return Change(lambda: consumer.asks(newer), (integration, 2, DAY), (Reason.TOKEN_REVOKED, None))


@changed_by("generations.cancel")
def a_cancelled_rotation_lets_the_older_token_live(consumer: Consumer) -> Change:
    """The older token has no deadline any more."""
    integration, older, _ = consumer.used_twice()
    return Change(lambda: consumer.asks(older), (integration, 2, DAY), OPEN)


@changed_by("leaks.end_leaked")
def a_leak_report(consumer: Consumer) -> Change:
    """The reported token ends."""
    _, token = consumer.used()
    digest = presented_token(token.encode())
    return Change(lambda: consumer.asks(token), ([digest], "a log", ANNA), (Reason.TOKEN_LEAKED, None), {})


@changed_by("inactivity.end_inactive", "inactivity.warn_or_recall")
def an_announced_end_that_has_come(consumer: Consumer) -> Change:
    """An inactive token ends."""
    integration, token = consumer.used()
    settings, clock = Settings(inactive_after=2 * DAY), consumer.desk.clock
    began = clock()
    clock.move(days=1)
    announce = operation_named("inactivity.warn_or_recall")
    announce(consumer.database, integration, TokenUse({}, began, clock()), settings)
    clock.move(days=1)
    use = TokenUse({}, began, clock())
    return Change(lambda: consumer.asks(token), (integration, use, settings), (Reason.TOKEN_INACTIVE, None), {})


@changed_by("integrations.edit")
def an_edit_of_the_scopes(consumer: Consumer) -> Change:
    """A scope is taken away."""
    integration, token = consumer.used()
    change = IntegrationEdit(scopes=[WRITE])
    return Change(lambda: consumer.asks(token), (integration, change, consumer.rules), (Reason.SCOPE_MISSING, None))


@changed_by("integrations.edit")
def an_edit_of_the_name(consumer: Consumer) -> Change:
    """The name, which a proxy hands to the application behind it, is another one."""
    integration, token = consumer.used()
    change = IntegrationEdit(name="Invoices")
    return Change(lambda: consumer.asks(token), (integration, change, consumer.rules), ("open to Invoices", None))


@changed_by("integrations.edit")
def an_edit_of_the_overlap(consumer: Consumer) -> Change:
    """The running overlap follows the declared one."""
    integration, older, _ = consumer.used_twice()
    change = IntegrationEdit(rotation=RotationPolicy(overlap_seconds=9 * 86_400))
    then = (OPEN[0], NOON + 9 * DAY)
    return Change(lambda: consumer.asks(older), (integration, change, consumer.rules), then)


@changed_by("integrations.declare")
def an_adoption(consumer: Consumer) -> Change:
    """The adopting program declares other scopes."""
    integration, token = consumer.used()
    request = IntegrationRequest(
        account=consumer.account, name="CRM sync", scopes=[WRITE], owner_nonce="adopting", adopts=integration
    )
    return Change(lambda: consumer.asks(token), ("a/b/c/d", request, consumer.rules), (Reason.SCOPE_MISSING, None))


@changed_by("integrations.delete")
def a_deletion(consumer: Consumer) -> Change:
    """Every token of the integration ends."""
    integration, token = consumer.used()
    return Change(lambda: consumer.asks(token), (integration, None), (Reason.TOKEN_REVOKED, None))


@changed_by("upstreams.put")
def another_upstream_credential(consumer: Consumer) -> Change:
    """Requests are sent with the new credential."""
    set_credential(consumer)
    return Change(consumer.credential, (consumer.account, "second", Sealer([OLD])), "second")


@changed_by("upstreams.remove")
def a_removed_upstream_credential(consumer: Consumer) -> Change:
    """There is none to send requests with."""
    set_credential(consumer)
    return Change(consumer.credential, (consumer.account,), None)


@changed_by("upstreams.reseal", "resealing.reseal")
def a_resealed_upstream_credential(consumer: Consumer) -> Change:
    """A process without the new sealing key can't open it any more."""
    set_credential(consumer)
    return Change(consumer.credential, (Sealer([NEW, OLD]),), "sealed")


@changed_by("keys.revoke")
def a_revoked_key(consumer: Consumer) -> Change:
    """A management key ends, and another admin's is left."""
    first, second = new_management_key(), new_management_key()
    made = [
        keys.make(consumer.database, name, KeyRequest(role="admin", digest=digest_of(key).hex()), actor=ANNA)
        for name, key in (("ops", first), ("ci", second))
    ]
    assert consumer.knows(second)
    return Change(lambda: consumer.knows(second), (made[1].key.id,), then=False)


def set_credential(consumer: Consumer) -> None:
    """Give the account an upstream credential."""
    put = operation_named("upstreams.put")
    assert not isinstance(put(consumer.database, consumer.account, "first", Sealer([OLD]), actor=ANNA), Refused)


def writing_operations() -> dict[str, Writing[Any, Any]]:
    """Return every operation that writes, by module and name."""
    found = {}
    for module in pkgutil.iter_modules(operations.__path__):
        loaded = importlib.import_module(f"{operations.__name__}.{module.name}")
        for name, value in vars(loaded).items():
            if isinstance(value, Writing) and value.__module__ == loaded.__name__:
                found[f"{module.name}.{name}"] = value
    return found


def operation_named(name: str) -> Writing[Any, Any]:
    """Return the operation with this name."""
    return writing_operations()[name]


@pytest.fixture
def consumer(database, catalogue, desk, accounts) -> Iterator[Consumer]:
    """Yield a consumer of the first location's tokens."""
    made = Consumer(database, catalogue, desk, desk.rules, accounts.location)
    with made.closing:
        yield made


@pytest.fixture
def watch(request, under_test, database) -> Watch | None:
    """Watch the test's database, with SQLite's means."""
    columns = "decision_columns"
    return Watch(database, request.getfixturevalue(columns)) if under_test.name == "sqlite" else None


# One operation after the other.


def test_the_table_has_every_operation_that_writes():
    """A new operation is in the table, or among those that never change what a token opens."""
    changing = {name for name, _ in CHANGES}
    assert changing.isdisjoint(UNCHANGING)
    assert changing | UNCHANGING == set(writing_operations())


in_turn = pytest.mark.parametrize(("name", "make"), CHANGES, ids=lambda value: getattr(value, "__name__", value))


@in_turn
def test_the_next_request_meets_the_change(watch, consumer, name, make):
    """After the operation a request gets the new answer, by a change of a watched column."""
    change = make(consumer)
    assert [change.ask() for _ in range(3)][-1] != change.then
    if watch is not None:
        watch.changed.clear()
    carry_out(consumer, name, change)
    assert change.ask() == change.then
    assert watch is None or watch.changed


@in_turn
def test_without_the_epoch_a_request_would_meet_the_past(consumer, monkeypatch, name, make):
    """If the epoch stayed, a request would get the remembered answer: the table finds an operation that forgets it."""
    change = make(consumer)
    remembered = [change.ask() for _ in range(3)][-1]
    with monkeypatch.context() as patched:
        patched.setattr(Write, "move_epoch", lambda *_: None)
        carry_out(consumer, name, change)
    assert change.ask() == remembered != change.then
    move_epoch(consumer.database)
    assert change.ask() == change.then


def carry_out(consumer: Consumer, name: str, change: Change) -> None:
    """Run the operation."""
    answer = operation_named(name)(consumer.database, *change.arguments, **change.more)
    assert not isinstance(answer, Refused), answer


def move_epoch(database: Any) -> None:
    """Have everything forgotten that is remembered."""
    with database.write() as write:
        write.move_epoch(None)


# Every change of a column that decisions are read from.


@sqlite_only
def test_the_columns_are_those_of_the_statements(decision_columns):
    """Among them are what a token opens, until when, for which account, and with which upstream credential."""
    assert decision_columns >= {
        ("tokens", "digest"),
        ("tokens", "delivered_at"),
        ("tokens", "expires_at"),
        ("tokens", "ended_at"),
        ("tokens", "end_reason"),
        ("integrations", "scopes"),
        ("integrations", "account_id"),
        ("accounts", "kind"),
        ("accounts", "agency_id"),
        ("upstream_credentials", "sealed"),
        ("management_keys", "revoked_at"),
        ("management_keys", "accounts"),
    }


@sqlite_only
@pytest.mark.parametrize(
    "statement",
    [
        update(tables.tokens).values(ended_at=NOON),
        update(tables.integrations).values(scopes=[]),
        update(tables.accounts).values(agency_id=None, kind="agency"),
        update(tables.upstream_credentials).values(sealed=b""),
        update(tables.management_keys).values(revoked_at=NOON),
        delete(tables.upstream_credentials),
        text("REPLACE INTO upstream_credentials SELECT * FROM upstream_credentials"),
    ],
    ids=str,
)
def test_a_statement_that_does_not_move_the_epoch_is_found(watch, consumer, statement):
    """The watch raises before the commit, and nothing of the change is stored."""
    set_credential(consumer)
    _, token = consumer.used()
    consumer.asks(token)
    a_revoked_key(consumer)
    with pytest.raises(AssertionError, match="the epoch does not move with"), consumer.database.write() as write:
        write.connection.execute(statement)
    move_epoch(consumer.database)
    assert (consumer.asks(token), consumer.credential()) == (OPEN, "first")


@sqlite_only
def test_a_change_that_moves_the_epoch_for_another_integration_is_found(watch, consumer):
    """The subject must be that of the row: a process would go on with what it remembers about the changed one."""
    changed, _ = consumer.used()
    another, _ = consumer.used()
    ended = update(tables.tokens).where(tables.tokens.c.integration_id == changed).values(ended_at=NOON)
    unnoticed = pytest.raises(AssertionError, match=r"the epoch does not move with \['tokens.ended_at'\]")
    with unnoticed, consumer.database.write() as write:
        write.move_epoch(another)
        write.connection.execute(ended)
    with consumer.database.write() as write:
        write.move_epoch(another)
        write.move_epoch(changed)
        write.connection.execute(ended)


@sqlite_only
def test_the_watch_lets_other_changes_pass(watch, consumer):
    """A column that no decision is read from may change without the epoch."""
    consumer.used()
    epoch = consumer.database.epoch.value
    with consumer.database.write() as write:
        write.connection.execute(update(tables.integrations).values(held_until=NOON))
        write.connection.execute(update(tables.accounts).values(inactive_after=0))
    assert consumer.database.epoch.value == epoch


@sqlite_only
def test_every_write_of_the_management_api(watch, consumer, catalogue):
    """Each route that writes is asked, and the epoch moves with each change of a watched column."""
    keys: list[str] = []
    installation.install(consumer.database, furnish, lambda *_: None, keys.append, demo=False)
    recorded = consumer.database.activity()
    consumer.closing.callback(recorded.close)

    def client_of(settings: Settings) -> Client:
        return Client(management_api(consumer.database, catalogue, settings, recorded, Recorder(), furnish), keys[0])

    client = client_of(Settings(sealer=Sealer([NEW, OLD])))
    gateway = client_of(Settings(sealer=Sealer([OLD]), upstream="http://127.0.0.1:9"))
    write_accounts(client, gateway, consumer.account)
    write_tokens(client, consumer.account)
    write_webhooks(client, consumer.account)
    write_users(client, consumer.account)
    write_keys(client)
    document = client.api.openapi()["paths"]
    writing = {(method.upper(), path) for path, of in document.items() for method in of if method != "get"}
    assert client.asked | gateway.asked == writing
    assert watch.changed >= {"tokens.ended_at", "tokens.expires_at", "integrations.scopes", "upstream_credentials"}


@dataclass
class Client:
    """Asks the API with an admin's key, and keeps which routes it asked with success."""

    api: Any
    key: str
    asked: set[tuple[str, str]] = field(default_factory=set)

    def ask(
        self, method: str, route: str, body: Any = None, *, form: bytes = b"", query: str = "", **names: str
    ) -> Any:
        """Send a request to a route, with these names in its path; returns the answer's body."""
        path, sent = API + route.format(**names), form or json.dumps(body).encode()
        kind = b"application/x-www-form-urlencoded" if form else b"application/json"
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"authorization", b"Bearer " + self.key.encode()), (b"content-type", kind)],
            "client": ("203.0.113.7", 50_000),
            "server": ("crm.test", 80),
        }
        status, answer = asyncio.run(answered(self.api, scope, sent))
        assert 200 <= status < 300, (method, path, answer)
        self.asked.add((method, API + route))
        return json.loads(answer)


async def answered(app: Any, scope: dict[str, Any], body: bytes) -> tuple[int, bytes]:
    """Return status and body of the answer to one request."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def write_accounts(client: Client, gateway: Client, account: str) -> None:
    """Make an account and rename it, set and remove credentials, and say when inactive tokens end."""
    for name in ("Agency", "Renamed"):
        body = AccountRequest(name=name, kind="agency").model_dump(mode="json")
        client.ask("PUT", "/accounts/{account_id}", body, account_id="newAgencyCCCCCCCCCCC")
    body = {"rule": "after", "after_seconds": 30 * 86_400}
    client.ask("PUT", "/accounts/{account_id}/inactivity", body, account_id=account)
    for credential in ("first", "second"):
        gateway.ask("PUT", "/upstreams/{account_id}", {"credential": credential}, account_id=account)
    gateway.ask("POST", "/upstreams/{account_id}/verify", account_id=account)
    client.ask("POST", "/upstreams/reseal")
    client.ask("DELETE", "/upstreams/{account_id}", account_id=account)


def write_tokens(client: Client, account: str) -> None:
    """Declare, edit, issue, acknowledge, cancel, expire, ask about, report and delete."""
    body = {"account": account, "name": "CRM", "scopes": [READ], "owner_nonce": "n"}
    made = client.ask("PUT", "/integrations/by-external-id/{external_id}", body, external_id="a/b/c/d")["id"]
    one, generation = "/integrations/{integration_id}", "/integrations/{integration_id}/generations/{generation}"

    def issue(number: int, **more: Any) -> Any:
        asked = {"issuer": "us", "run": "r", "attempt": 1, "overlap_seconds": 3600, **more}
        return client.ask("PUT", generation, asked, integration_id=made, generation=str(number))

    def acknowledge(number: int, issued: Any) -> None:
        stored = {"fingerprint": issued["fingerprint"]}
        client.ask("POST", generation + "/ack", stored, integration_id=made, generation=str(number))

    acknowledge(1, issue(1))
    acknowledge(2, issue(2))
    client.ask("PATCH", one, {"scopes": [WRITE], "name": "Other"}, integration_id=made)
    client.ask("DELETE", generation, integration_id=made, generation="2")
    issue(3)
    client.ask("POST", one + "/expire", {"generations": [3]}, integration_id=made)
    last = issue(4, overlap_seconds=0)
    client.ask("POST", "/introspect", form=b"token=" + last["token"].encode())
    client.ask("POST", "/leaked", {"tokens": [last["token"]]})
    hook = {"url": "https://hooks.example/data"}
    client.ask("PUT", one + "/data-webhook", hook, integration_id=made)
    client.ask("DELETE", one, integration_id=made)


def write_webhooks(client: Client, account: str) -> None:
    """Make a webhook, change all of it, and send to it."""
    body = {"account": account, "url": "https://hooks.example/", "secret": new_webhook_secret()}
    made = client.ask("POST", "/webhooks", body)["id"]
    client.ask("PATCH", "/webhooks/{webhook_id}", {"description": "ours"}, webhook_id=made)
    client.ask("POST", "/webhooks/{webhook_id}/secret", {"secret": new_webhook_secret()}, webhook_id=made)
    client.ask("POST", "/webhooks/{webhook_id}/ping", webhook_id=made)
    client.ask("POST", "/webhooks/{webhook_id}/replay", {"failed_since": NOON.isoformat()}, webhook_id=made)
    client.ask("DELETE", "/webhooks/{webhook_id}", webhook_id=made)


def write_users(client: Client, account: str) -> None:
    """Invite a person, change their place, and keep them out."""
    one, place = {"email": "ada@example.com"}, "/users/{email}/memberships/{account_id}"
    client.ask("PUT", "/users/{email}", {"memberships": [{"account": account}]}, **one)
    client.ask("POST", "/users/{email}/link", **one)
    client.ask("PUT", place, {"role": "user"}, account_id=account, **one)
    client.ask("DELETE", place, account_id=account, **one)
    client.ask("DELETE", "/users/{email}/identities", **one)
    client.ask("POST", "/users/{email}/disable", **one)
    client.ask("POST", "/users/{email}/enable", **one)


def write_keys(client: Client) -> None:
    """Make a key and revoke it."""
    body = {"role": "viewer", "digest": digest_of(new_management_key()).hex()}
    made = client.ask("PUT", "/keys/{name}", body, name="viewer")
    client.ask("DELETE", "/keys/{key_id}", key_id=made["id"])
