"""Webhooks from the change that they tell of to the receiver: outbox, signatures, retries, and what is told when."""

import json
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from private_integrations.contract import (
    IntegrationEdit,
    IntegrationRequest,
    Problem,
    Refused,
    ReplayRequest,
    RotationPolicy,
    WebhookEdit,
    WebhookRequest,
    WebhookSecretRequest,
    new_sealing_key,
    new_webhook_secret,
)
from private_integrations_service.access.actors import Actor
from private_integrations_service.http.fetching import FetchLimits
from private_integrations_service.jobs.webhook_sender import Sender
from private_integrations_service.jobs.webhook_signatures import StandardSigner
from private_integrations_service.operations import deliveries, detection, generations, integrations, webhooks
from private_integrations_service.operations.activity import RefusedScope
from private_integrations_service.operations.webhook_secrets import reseal
from private_integrations_service.sealing import Sealer
from private_integrations_service.storage import outbox, tables
from private_integrations_service.storage.webhooks import endpoint_by_id
from private_integrations_service.tokens.format import presented_token
from private_integrations_service.webhooks.destinations import Destinations, networks
from private_integrations_service.webhooks.posting import Poster
from private_integrations_service.webhooks.redelivery import Tried
from receivers import ACCEPT, answer, receiving, says

ADA = Actor("person/ada@example.com/usr_1")
WHOLE_DAY = timedelta(days=1)


@pytest.fixture
def other(certificates):
    """The receiver `other.test`."""
    with receiving(certificates, "other.test") as made:
        yield made


@pytest.fixture
def sealing_key():
    """The service's sealing key."""
    return new_sealing_key()


@pytest.fixture
def sealer(sealing_key):
    """What the service seals with."""
    return Sealer([sealing_key])


@dataclass
class Post:
    """Webhooks of the first location, and the sender, which tests have send."""

    database: Any
    clock: Any
    desk: Any
    sealer: Sealer
    sender: Sender
    allowed: Destinations

    def make(self, url, *events, account=None, actor=ADA, **changes):
        """Make a webhook; answers its id and secret."""
        secret = new_webhook_secret()
        request = WebhookRequest(
            account=account or self.desk.account, url=url, secret=secret, events=list(events) or None, **changes
        )
        made = webhooks.make(self.database, request, self.sealer, self.allowed, actor=actor)
        assert not isinstance(made, Refused), made
        return made.endpoint.id, secret

    def edit(self, endpoint_id, **changes):
        """Change a webhook."""
        edited = webhooks.edit(self.database, endpoint_id, WebhookEdit(**changes), self.allowed, actor=ADA)
        assert not isinstance(edited, Refused), edited

    def ping(self, endpoint_id):
        """Send a test event; answers the message's id."""
        message_id = webhooks.ping(self.database, endpoint_id, actor=ADA)
        assert not isinstance(message_id, Refused), message_id
        return message_id

    def endpoint(self, endpoint_id):
        """The webhook as it is stored."""
        with self.database.read() as connection:
            return endpoint_by_id(connection, endpoint_id)

    def log(self, endpoint_id):
        """What was sent, the first one first."""
        found, _ = webhooks.deliveries(self.database, endpoint_id, limit=1000, actor=ADA)
        return found[::-1]

    def told(self, endpoint_id):
        """Type and data of each message for a webhook, sent or not."""
        with self.database.read() as connection:
            found = outbox.deliveries_of(connection, endpoint_id, limit=1000)[::-1]
        payloads = [json.loads(delivery.body) for delivery in found]
        return [(payload["type"], payload["data"]) for payload in payloads]

    def send(self, attempts):
        """Have the sender work until there were so many more attempts."""
        before = self._attempts()
        deadline = time.monotonic() + 20
        while self._attempts() < before + attempts:
            assert time.monotonic() < deadline, "too few attempts"
            self.sender.run()
            time.sleep(0.01)

    def _attempts(self):
        with self.database.read() as connection:
            return len(connection.execute(select(tables.webhook_attempts.c.id)).all())


@pytest.fixture
def post(database, desk, clock, sealer, receiver, other, certificates, monkeypatch):
    """Webhooks, of which none is sent before a test says so."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.crt"))
    ports = frozenset({receiver.port, other.port, 1})
    allowed = Destinations(ports, networks("127.0.0.0/8"))
    poster = Poster(allowed, lambda host, port: ["127.0.0.1"], FetchLimits(total=3, farewell=0.2))
    with closing(Sender(database, poster, {"service": StandardSigner(sealer)})) as sender:
        yield Post(database, clock, desk, sealer, sender, allowed)


def test_nothing_is_stored_where_nobody_is_subscribed(post, desk, receiver):
    """An account without webhooks, another account's, and one that wants other events cost nothing."""
    foreign, _ = post.make(receiver.url, account="locationTwoAAAAAAAAA")
    choosy, _ = post.make(receiver.url, "integration.deleted")
    desk.token_with("contacts.readonly")
    assert post.told(foreign) == post.told(choosy) == []


def test_an_event_is_in_the_transaction_of_its_change(post, desk, database, clock, receiver):
    """Both or neither: what is rolled back is told to nobody."""
    endpoint, _ = post.make(receiver.url)
    integration = desk.integration("contacts.readonly")
    with pytest.raises(ZeroDivisionError), database.write() as write:
        integrations.delete.step(write, integration, None, actor=ADA)
        raise ZeroDivisionError
    assert [event for event, _ in post.told(endpoint)] == ["integration.created"]


def test_the_story_of_an_integration(post, desk, database, clock, receiver):
    """Every step is told once, with whose and which generation it was, and never a token."""
    endpoint, _ = post.make(receiver.url)
    integration = desk.integration("contacts.readonly")
    values = [desk.token(integration) for _ in range(2)]
    generations.deliver(database, presented_token(values[1].encode()))
    values.append(desk.token(integration))
    generations.deliver(database, presented_token(values[2].encode()))
    with database.write() as write:
        generations.deliver.step(write, presented_token(values[2].encode()))
        generations.cancel.step(write, integration, 3, timedelta(days=7), actor=ADA)
    desk.expire(integration, 2)
    desk.edit(integration, "contacts.readonly", "contacts.write")
    desk.edit(integration, "contacts.readonly", "contacts.write")
    desk.delete(integration)

    told = post.told(endpoint)
    assert [event for event, _ in told] == [
        "integration.created",
        "rotation.rotated",
        "rotation.delivered",
        "rotation.rotated",
        "rotation.delivered",
        "rotation.rotated",
        "rotation.delivered",
        "rotation.cancelled",
        "token.retired",
        "integration.edited",
        "integration.deleted",
    ]
    for _, data in told:
        about = {key: data.pop(key) for key in ("account", "integration_id", "integration_name")}
        assert about == {"account": desk.account, "integration_id": integration, "integration_name": "CRM sync"}
        assert data.pop("external_id").startswith("org/project/stack/")
    prints = [presented_token(value.encode()).hex()[:12] for value in values]
    assert [data for _, data in told] == [
        {"actor": "test", "scopes": ["contacts.readonly"]},
        {"actor": "test", "generation": 1, "fingerprint": prints[0], "issuer": "test", "reason": ""},
        # Asking for the next one while holding this says that it arrived.
        {"actor": "test", "generation": 1, "fingerprint": prints[0], "previous": []},
        {"actor": "test", "generation": 2, "fingerprint": prints[1], "issuer": "test", "reason": ""},
        {
            "actor": "first use",
            "generation": 2,
            "fingerprint": prints[1],
            "previous": [{"generation": 1, "expires_at": "2026-11-27T12:00:00.000Z"}],
        },
        {"actor": "test", "generation": 3, "fingerprint": prints[2], "issuer": "test", "reason": ""},
        {
            "actor": "first use",
            "generation": 3,
            "fingerprint": prints[2],
            "previous": [{"generation": 2, "expires_at": "2026-11-27T12:00:00.000Z"}],
        },
        {"actor": ADA.name, "generation": 3, "held_until": "2026-11-27T12:00:00.000Z"},
        {"actor": "test", "generation": 2, "fingerprint": prints[1], "because": "expired on request"},
        {"actor": "test", "changed": ["scopes"], "scopes": ["contacts.readonly", "contacts.write"]},
        {"actor": "test"},
    ]


def test_a_rotation_without_overlap_tells_what_it_ended(post, desk, receiver):
    """Whoever held the old token learns it from here."""
    integration = desk.integration("contacts.readonly")
    desk.token(integration)
    endpoint, _ = post.make(receiver.url)
    desk.token(integration, overlap=timedelta())
    delivered, retired, rotated = post.told(endpoint)
    assert delivered[0] == "rotation.delivered"
    assert (retired[0], retired[1]["generation"], retired[1]["because"]) == (
        "token.retired",
        1,
        "replaced without overlap",
    )
    assert (rotated[0], rotated[1]["generation"]) == ("rotation.rotated", 2)


def test_adopting_and_replacing_are_told_as_what_they_are(post, desk, database, clock, receiver):
    """An adoption is an edit; remains that are replaced are deleted."""
    integration = desk.integration("contacts.readonly")
    endpoint, _ = post.make(receiver.url)

    def declare(external_id, **changes):
        fields = {
            "account": desk.account,
            "name": "CRM sync",
            "scopes": ["contacts.readonly"],
            "owner_nonce": "c",
        } | changes
        with database.write() as write:
            request = IntegrationRequest(**fields)
            return integrations.declare.step(write, external_id, request, desk.rules, actor=ADA).integration.id

    declare("org/p/s/adopted", owner_nonce="a", adopts=integration, description="Mine now")
    remains = declare("org/p/s/x", owner_nonce="b")
    declare("org/p/s/x", owner_nonce="c", replaces=remains)
    assert [(event, data["external_id"]) for event, data in post.told(endpoint)] == [
        ("integration.edited", "org/p/s/adopted"),
        ("integration.created", "org/p/s/x"),
        ("integration.deleted", "org/p/s/x"),
        ("integration.created", "org/p/s/x"),
    ]
    assert post.told(endpoint)[0][1]["changed"] == ["description", "external_id"]


def test_an_agencys_webhook_hears_of_its_sub_accounts_if_it_shall(post, desk, receiver, accounts):
    """Only its own agency's, only with `sub_accounts`, and not what another agency does."""
    all_of_them, _ = post.make(receiver.url, account=accounts.agency, sub_accounts=True)
    own, _ = post.make(receiver.url, account=accounts.agency)
    foreign, _ = post.make(receiver.url, account=accounts.other_agency, sub_accounts=True)
    desk.integration("contacts.readonly")
    desk.integration("contacts.readonly", account=accounts.sister)
    assert [data["account"] for _, data in post.told(all_of_them)] == [accounts.location, accounts.sister]
    assert post.told(own) == post.told(foreign) == []


def test_whoever_reaches_the_agency_alone_does_not_hear_of_its_sub_accounts(post, receiver, accounts):
    """A webhook is no way into accounts that its maker doesn't reach, by making or by editing it."""
    agency_only = Actor("key/agency/key_1", frozenset({accounts.agency}))
    fields = {"account": accounts.agency, "url": receiver.url, "secret": new_webhook_secret()}
    with post.database.write() as write:
        refused = webhooks.make.step(
            write, WebhookRequest(**fields, sub_accounts=True), post.sealer, post.allowed, actor=agency_only
        )
        assert refused.problem == "webhook-sub-accounts"
        made = webhooks.make.step(write, WebhookRequest(**fields), post.sealer, post.allowed, actor=agency_only)
        change = WebhookEdit(sub_accounts=True)
        refused = webhooks.edit.step(write, made.endpoint.id, change, post.allowed, actor=agency_only)
        assert refused.problem == "webhook-sub-accounts"
        whole = frozenset({accounts.agency, accounts.location, accounts.sister})
        edited = webhooks.edit.step(write, made.endpoint.id, change, post.allowed, actor=Actor("key/all/key_2", whole))
        assert edited.sub_accounts
        elsewhere = WebhookEdit(url=receiver.url + "/mine")
        for change in (elsewhere, WebhookEdit(events=["token.leaked"])):
            refused = webhooks.edit.step(write, made.endpoint.id, change, post.allowed, actor=agency_only)
            assert refused.problem == "webhook-sub-accounts", change
        secret = WebhookSecretRequest(secret=new_webhook_secret(), overlap_seconds=0)
        refused = webhooks.rotate_secret.step(write, made.endpoint.id, secret, post.sealer, actor=agency_only)
        assert refused.problem == "webhook-sub-accounts"
        # To be told less is everybody's right; to begin anew is not.
        off = webhooks.edit.step(write, made.endpoint.id, WebhookEdit(enabled=False), post.allowed, actor=agency_only)
        assert off.disabled_at is not None
        refused = webhooks.edit.step(
            write, made.endpoint.id, WebhookEdit(enabled=True), post.allowed, actor=agency_only
        )
        assert refused.problem == "webhook-sub-accounts"
        less = WebhookEdit(url=receiver.url + "/mine", sub_accounts=False)
        assert not webhooks.edit.step(write, made.endpoint.id, less, post.allowed, actor=agency_only).sub_accounts
        sub_account = WebhookRequest(account=accounts.location, url=receiver.url, secret=new_webhook_secret(),
                                     sub_accounts=True)  # fmt: skip
        assert (
            webhooks.make.step(write, sub_account, post.sealer, post.allowed, actor=ADA).problem == "webhook-not-agency"
        )


def verified(secret, received):
    """The payload, as the specification's own library accepts it."""
    return Webhook(secret).verify(received.body, received.headers)


def test_a_receiver_verifies_with_the_specifications_library(post, clock, receiver):
    """The right secret and the very body are accepted, nothing else is."""
    clock.now = datetime.now(UTC)
    endpoint, secret = post.make(receiver.url)
    message_id = post.ping(endpoint)
    post.send(1)
    received = receiver.got.get(timeout=5)
    assert received.headers["webhook-id"] == message_id
    assert received.headers["content-type"] == "application/json"
    payload = verified(secret, received)
    assert payload["type"] == "ping"
    assert payload["data"] == {"account": post.desk.account, "webhook_id": endpoint, "actor": ADA.name}
    with pytest.raises(WebhookVerificationError):
        verified(new_webhook_secret(), received)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(received.body + b" ", received.headers)


def rotate_secret(post, endpoint, overlap):
    """Give a webhook another secret; answers it."""
    request = WebhookSecretRequest(secret=new_webhook_secret(), overlap_seconds=overlap.total_seconds())
    with post.database.write() as write:
        webhooks.rotate_secret.step(write, endpoint, request, post.sealer, actor=ADA)
        # The repetition of a request whose answer was lost.
        webhooks.rotate_secret.step(write, endpoint, request, post.sealer, actor=ADA)
    return request.secret


def accepts(secret, received):
    """Whether the specification's own library accepts a message with this secret."""
    try:
        return bool(verified(secret, received))
    except WebhookVerificationError:
        return False


def test_two_secrets_sign_while_one_takes_the_others_place(post, clock, receiver):
    """Receivers change over whenever they like within the overlap; behind it, and without one, the old one is dead."""
    now = datetime.now(UTC)
    endpoint, first = post.make(receiver.url)

    def accepted(*secrets):
        post.ping(endpoint)
        post.send(1)
        received = receiver.got.get(timeout=5)
        return [accepts(secret, received) for secret in secrets]

    clock.now = now - timedelta(minutes=4)
    second = rotate_secret(post, endpoint, timedelta(minutes=2))
    assert accepted(first, second) == [True, True]
    clock.now = now - timedelta(minutes=2)
    assert accepted(first, second) == [False, True]
    third = rotate_secret(post, endpoint, timedelta())
    assert accepted(first, second, third) == [False, False, True]


def test_a_failed_attempt_is_repeated_when_it_is_due_and_not_before(post, clock, receiver):
    """Under the same id, signed anew, until it is accepted; each attempt is in the log."""
    receiver.behave = says(answer(500), answer(404), ACCEPT)
    endpoint, _ = post.make(receiver.url)
    message_id = post.ping(endpoint)
    post.send(1)
    assert post.endpoint(endpoint).failing_since == clock.now
    (waiting,) = post.log(endpoint)
    assert waiting.state == "waiting"
    assert timedelta(seconds=5) <= waiting.next_attempt_at - clock.now <= timedelta(seconds=6)
    clock.move(seconds=4)
    post.sender.run()
    clock.move(seconds=2)
    post.send(1)
    clock.move(minutes=6)
    post.send(1)
    (delivered,) = post.log(endpoint)
    assert (delivered.state, delivered.next_attempt_at) == ("delivered", None)
    assert [attempt.in_words for attempt in delivered.attempts] == ["answered 500", "answered 404", "accepted (200)"]
    got = [receiver.got.get(timeout=5) for _ in range(3)]
    assert receiver.got.empty()
    assert {received.headers["webhook-id"] for received in got} == {message_id}
    assert len({received.headers["webhook-signature"] for received in got}) == 3
    assert post.endpoint(endpoint).failing_since is None


def test_what_failed_at_a_former_url_is_not_the_new_ones_fault(post, clock, receiver, other):
    """Gone there, and given another URL in the same moment, the webhook lives: the message goes to the new one."""
    endpoint, _ = post.make(receiver.url)
    post.ping(endpoint)
    due = deliveries.next_due(post.database, endpoint, clock())
    post.edit(endpoint, url=other.url)
    deliveries.record(post.database, due, Tried("gone", 410), 0.5)
    stored = post.endpoint(endpoint)
    assert (stored.disabled_at, stored.failing_since) == (None, None)
    post.send(1)
    assert other.got.get(timeout=5)
    assert post.log(endpoint)[0].state == "delivered"


def test_gone_disables_and_what_comes_is_kept_to_be_replayed(post, desk, clock, receiver):
    """Nothing more is sent; enabling it brings nothing back by itself, a replay does, under the same ids."""
    receiver.behave = says(answer(410), ACCEPT)
    endpoint, _ = post.make(receiver.url)
    first = post.ping(endpoint)
    post.send(1)
    stored = post.endpoint(endpoint)
    assert (stored.disabled_at, stored.disabled_because) == (clock.now, "it answered 410 Gone")
    desk.integration("contacts.readonly")
    assert [delivery.state for delivery in post.log(endpoint)] == ["failed", "failed"]
    with post.database.write() as write:
        since = ReplayRequest(failed_since=clock.now - WHOLE_DAY)
        refused = webhooks.replay.step(write, endpoint, since, actor=ADA)
        assert refused.problem == webhooks.ping.step(write, endpoint, actor=ADA).problem == "webhook-disabled"
        assert refused.detail == f"{endpoint} is disabled: it answered 410 Gone; enable it first"
    post.edit(endpoint, enabled=True)
    assert webhooks.replay(post.database, endpoint, since, actor=ADA) == 2
    post.send(2)
    got = [receiver.got.get(timeout=5).headers["webhook-id"] for _ in range(3)]
    assert got == [first, first, post.log(endpoint)[1].message_id]
    with post.database.write() as write:
        again = ReplayRequest(messages=[first, "msg_unknown"])
        assert webhooks.replay.step(write, endpoint, again, actor=ADA) == 1
    post.send(1)
    assert receiver.got.get(timeout=5).headers["webhook-id"] == first
    assert [len(delivery.attempts) for delivery in post.log(endpoint)] == [3, 1]


def test_days_of_failures_disable_and_the_audit_log_says_so(post, clock, receiver):
    """After ten attempts over three days, by the service itself."""
    receiver.behave = says(answer(500))
    endpoint, _ = post.make(receiver.url)
    post.ping(endpoint)
    while True:
        post.send(1)
        (delivery,) = post.log(endpoint)
        if delivery.next_attempt_at is None:
            break
        clock.now = delivery.next_attempt_at
    assert len(delivery.attempts) == 10
    assert delivery.state == "failed"
    assert post.endpoint(endpoint).disabled_because == "it accepted nothing for 3 days"
    with post.database.read() as connection:
        row = connection.execute(select(tables.audit).where(tables.audit.c.action == "disable webhook")).one()
    assert (row.actor, row.account_id) == ("service", post.desk.account)
    assert row.detail == {"webhook": endpoint, "because": "it accepted nothing for 3 days"}


def test_one_message_that_is_accepted_begins_the_count_anew(post, clock, receiver):
    """A message that a receiver can't stomach disables nothing, as long as it takes the others."""
    receiver.behave = says(answer(500), ACCEPT, answer(500))
    endpoint, _ = post.make(receiver.url)
    post.ping(endpoint)
    post.send(1)
    clock.move(days=2)
    post.send(1)
    post.ping(endpoint)
    post.send(1)
    clock.move(days=2)
    post.send(1)
    assert post.endpoint(endpoint).disabled_at is None
    assert post.endpoint(endpoint).failing_since == clock.now - timedelta(days=2)


def test_messages_of_an_endpoint_keep_their_order(post, receiver):
    """One at a time, the oldest first."""
    endpoint, _ = post.make(receiver.url)
    sent = [post.ping(endpoint) for _ in range(20)]
    post.send(20)
    assert [receiver.got.get(timeout=5).headers["webhook-id"] for _ in sent] == sent
    assert receiver.got.empty()


def test_a_dead_endpoint_does_not_hold_up_another(post, receiver, other):
    """While one is silent with much to take, the other gets all of its own."""
    released = threading.Event()
    other.behave = lambda *_: released.wait(20)
    silent, _ = post.make(other.url)
    prompt, _ = post.make(receiver.url)
    for _ in range(30):
        post.ping(silent)
    sent = [post.ping(prompt) for _ in range(10)]
    post.send(10)
    assert [delivery.state for delivery in post.log(prompt)] == ["delivered"] * 10
    assert {receiver.got.get(timeout=5).headers["webhook-id"] for _ in sent} == set(sent)
    assert other.connections == 1
    released.set()


def test_an_account_takes_a_few_places_only(post, receiver, other, accounts):
    """Twenty silent endpoints of one account leave room for another account's."""
    released = threading.Event()
    other.behave = lambda *_: released.wait(20)
    for _ in range(20):
        post.ping(post.make(other.url)[0])
    theirs, _ = post.make(receiver.url, account=accounts.stranger)
    post.ping(theirs)
    post.send(1)
    assert [delivery.state for delivery in post.log(theirs)] == ["delivered"]
    assert other.connections <= 4
    released.set()


def test_what_is_on_its_way_when_the_service_ends_waits(post, receiver, clock):
    """It counts as no attempt, and goes out again under its id."""
    released = threading.Event()
    receiver.behave = lambda *_: released.wait(20)
    endpoint, _ = post.make(receiver.url)
    message_id = post.ping(endpoint)
    post.sender.run()
    receiver.got.get(timeout=5)
    post.sender.close()
    released.set()
    (waiting,) = post.log(endpoint)
    assert (waiting.message_id, waiting.state, waiting.attempts) == (message_id, "waiting", [])
    post.sender.run()


def test_a_webhook_that_is_edited_or_deleted_while_a_message_is_on_its_way(post, receiver, clock):
    """Its answer is noted where there is still something to note."""
    endpoint, _ = post.make(receiver.url)
    post.ping(endpoint)

    def deletes(connection, _):
        assert webhooks.delete(post.database, endpoint, actor=ADA) is True
        connection.sendall(ACCEPT)
        deleted.set()

    deleted = threading.Event()
    receiver.behave = deletes
    post.sender.run()
    assert deleted.wait(5)
    post.sender.close()
    with post.database.read() as connection:
        assert connection.execute(select(tables.webhook_deliveries)).all() == []
        assert connection.execute(select(tables.webhook_attempts)).all() == []


def test_disabled_by_a_person(post, receiver, clock):
    """What waits is given up, and the log of changes says who did it."""
    endpoint, _ = post.make(receiver.url)
    post.ping(endpoint)
    post.edit(endpoint, enabled=False)
    assert post.endpoint(endpoint).disabled_because == "disabled on request"
    assert [delivery.state for delivery in post.log(endpoint)] == ["failed"]
    post.sender.run()
    assert receiver.connections == 0


def test_every_change_of_a_webhook_is_in_the_audit_log(post, receiver, database):
    """With the host that it leads to, which is what somebody looks for after a theft; never with a secret."""
    endpoint, _ = post.make(receiver.url, "rotation.due")
    rotate_secret(post, endpoint, WHOLE_DAY)
    post.edit(endpoint, url=receiver.url.replace("hooks.test", "other.test"), enabled=False)
    post.edit(endpoint, enabled=True)
    post.edit(endpoint, enabled=True)
    webhooks.delete(database, endpoint, actor=ADA)
    with database.read() as connection:
        rows = connection.execute(select(tables.audit).order_by(tables.audit.c.id)).all()
    assert {(row.actor, row.account_id, row.detail.pop("webhook")) for row in rows} == {
        (ADA.name, post.desk.account, endpoint)
    }
    edited = {"host": "other.test", "events": ["rotation.due"]}
    assert [(row.action, row.detail) for row in rows] == [
        ("create webhook", {"host": "hooks.test", "events": ["rotation.due"]}),
        ("rotate webhook secret", {"overlap_seconds": 86_400}),
        ("edit webhook", {"changed": ["url"], **edited}),
        ("disable webhook", {"because": "disabled on request"}),
        ("edit webhook", {"changed": ["disabled_at"], **edited}),
        ("delete webhook", {}),
    ]


def test_an_address_that_was_public_once_is_looked_at_anew(post, receiver, database, clock, sealer):
    """What an endpoint's name leads to is no matter of the day it was made."""
    endpoint, _ = post.make(receiver.url)
    message_id = post.ping(endpoint)
    poster = Poster(Destinations(frozenset({receiver.port})), lambda host, port: ["10.0.0.1"])
    with closing(Sender(database, poster, {"service": StandardSigner(sealer)})) as strict:
        post.sender = strict
        post.send(1)
    (waiting,) = post.log(endpoint)
    assert (waiting.message_id, waiting.state) == (message_id, "waiting")
    assert [attempt.in_words for attempt in waiting.attempts] == ["its name has no address that may be asked"]


def test_sealing_keys_can_be_replaced(post, receiver, database, clock, sealing_key):
    """Sealed anew, secrets open with the new key alone; without any key nothing is sent, and nothing lost."""
    clock.now = datetime.now(UTC)
    endpoint, secret = post.make(receiver.url)
    rotated = rotate_secret(post, endpoint, WHOLE_DAY)
    new_key = new_sealing_key()
    with database.write() as write:
        assert reseal.step(write, Sealer([new_key]), actor=ADA).unreadable == [endpoint]
        done = reseal.step(write, Sealer([new_key, sealing_key]), actor=ADA)
        assert (done.resealed, done.unchanged, done.unreadable) == (1, 0, [])
        assert reseal.step(write, Sealer([new_key]), actor=ADA).unchanged == 1
    signed = StandardSigner(Sealer([new_key]))(post.endpoint(endpoint), "msg_1", clock.now, b"{}")
    for valid in (secret, rotated):
        assert Webhook(valid).verify(b"{}", dict(signed)) == {}
    post.ping(endpoint)
    post.send(1)
    assert [attempt.in_words for attempt in post.log(endpoint)[0].attempts] == [
        "its secret can't be opened with the service's sealing keys"
    ]
    assert receiver.connections == 0


def test_no_secret_is_stored_or_shown(post, receiver, database):
    """Neither in the database's files, nor in what is answered."""
    endpoint, first = post.make(receiver.url)
    second = rotate_secret(post, endpoint, WHOLE_DAY)
    assert "whsec" not in str(webhooks.shown(database, post.endpoint(endpoint), post.sealer))
    assert "whsec" not in repr(WebhookRequest(account="a", url=receiver.url, secret=first))
    files = b"".join(file.read_bytes() for file in database.folder.iterdir())
    for secret in (first, second):
        assert secret.removeprefix("whsec_").encode() not in files


def test_what_was_settled_long_ago_is_forgotten(post, database, clock, receiver, monkeypatch):
    """With its attempts; what waits stays however old it is, and of settled ones so many of an endpoint."""
    endpoint, _ = post.make(receiver.url)
    post.ping(endpoint)
    post.send(1)
    receiver.behave = says(answer(500))
    old = post.ping(endpoint)
    post.send(1)
    clock.move(days=30, seconds=1)
    deliveries.forget_old(database, timedelta(days=30))
    assert [delivery.message_id for delivery in post.log(endpoint)] == [old]
    with database.read() as connection:
        assert len(connection.execute(select(tables.webhook_attempts)).all()) == 1
    post.edit(endpoint, enabled=False)
    newest = []
    for _ in range(3):
        with database.write() as write:
            outbox.add_delivery(write, post.endpoint(endpoint), f"msg_{len(newest)}", "ping", b"{}")
        newest.append(f"msg_{len(newest)}")
    monkeypatch.setattr(deliveries, "MOST_KEPT", 2)
    deliveries.forget_old(database, timedelta(days=30))
    assert [delivery.message_id for delivery in post.log(endpoint)] == newest[1:]


MONTHLY = RotationPolicy(every_seconds=30 * 86_400, overlap_seconds=86_400)


def scheduled(desk, database, clock):
    """An integration that is to be rotated each 30 days, with its first token."""
    integration = desk.integration("contacts.readonly")
    integrations.edit(database, integration, IntegrationEdit(rotation=MONTHLY), desk.rules, actor=ADA)
    return integration, desk.token(integration)


def test_due_and_overdue_are_told_once_each(post, desk, database, clock, receiver):
    """However often the job looks; after a rotation the next due instant is another occurrence."""
    endpoint, _ = post.make(receiver.url, "rotation.due", "rotation.overdue")
    integration, _ = scheduled(desk, database, clock)
    began = clock.now
    detection.publish_due(database)
    assert post.told(endpoint) == []
    clock.move(days=30)
    for _ in range(2):
        detection.publish_due(database)
    ((event, data),) = post.told(endpoint)
    assert event == "rotation.due"
    assert (data["integration_id"], data["due_at"], data["rule"], data["actor"]) == (
        integration,
        "2026-12-20T12:00:00.000Z",
        "every 30d",
        "service",
    )
    clock.move(days=2)
    for _ in range(2):
        detection.publish_due(database)
    assert [event for event, _ in post.told(endpoint)] == ["rotation.due", "rotation.overdue"]
    desk.token(integration)
    detection.publish_due(database)
    clock.move(days=30)
    detection.publish_due(database)
    told = post.told(endpoint)
    assert [event for event, _ in told] == ["rotation.due", "rotation.overdue", "rotation.due"]
    assert told[-1][1]["due_at"] == "2027-01-21T12:00:00.000Z"
    assert clock.now - began == timedelta(days=62)


def test_what_is_due_is_told_to_whoever_subscribes_later(post, desk, database, clock, receiver):
    """While nobody listens nothing counts as told."""
    scheduled(desk, database, clock)
    clock.move(days=30)
    detection.publish_due(database)
    endpoint, _ = post.make(receiver.url, "rotation.due")
    detection.publish_due(database)
    assert [event for event, _ in post.told(endpoint)] == ["rotation.due"]
    clock.move(days=5)
    detection.publish_due(database)
    overdue, _ = post.make(receiver.url, "rotation.overdue")
    detection.publish_due(database)
    assert [event for event, _ in post.told(overdue)] == ["rotation.overdue"]


def use(database, clock, token):
    """Use a token for the first time."""
    generations.deliver(database, presented_token(token.encode()))


def test_an_overlap_that_ends_is_told_once(post, desk, database, clock, receiver):
    """By the job, whether or not the row was marked meanwhile; not one that was expired before, which was told then."""
    integration, first = scheduled(desk, database, clock)
    use(database, clock, first)
    second = desk.token(integration)
    use(database, clock, second)
    endpoint, _ = post.make(receiver.url, "token.retired")
    detection.publish_ended_overlaps(database)
    assert post.told(endpoint) == []
    clock.move(days=7)
    # Marks the one that ran out as ended, in passing.
    use(database, clock, desk.token(integration))
    for _ in range(2):
        detection.publish_ended_overlaps(database)
    told = [(data["generation"], data["because"], data["actor"]) for _, data in post.told(endpoint)]
    assert told == [(1, "overlap ended", "service")]
    desk.expire(integration, 2)
    clock.move(days=8)
    detection.publish_ended_overlaps(database)
    told = [(data["generation"], data["because"]) for _, data in post.told(endpoint)]
    assert told == [(1, "overlap ended"), (2, "expired on request")]


@pytest.mark.parametrize("looked", [False, True])
def test_an_overlap_that_an_edit_ends_is_told_once(post, desk, database, clock, receiver, looked):
    """Moved behind what the job has told, the edit tells; moved before it, the job will."""
    integration, first = scheduled(desk, database, clock)
    use(database, clock, first)
    use(database, clock, desk.token(integration, overlap=WHOLE_DAY))
    endpoint, _ = post.make(receiver.url, "token.retired")
    clock.move(hours=12)
    if looked:
        # Something else ran out just now, so the job notes how far it has come.
        sister = desk.integration("contacts.readonly", account="locationTwoAAAAAAAAA")
        use(database, clock, desk.token(sister))
        use(database, clock, desk.token(sister, overlap=timedelta(seconds=1)))
        clock.move(seconds=2)
        detection.publish_ended_overlaps(database)
    shorter = MONTHLY.model_copy(update={"overlap_seconds": 3600})
    integrations.edit(database, integration, IntegrationEdit(rotation=shorter), desk.rules, actor=ADA)
    for _ in range(2):
        clock.move(minutes=1)
        detection.publish_ended_overlaps(database)
    assert [(data["generation"], data["because"]) for _, data in post.told(endpoint)] == [(1, "overlap ended")]


def test_a_scope_that_is_lacked_is_told_once_a_day(post, desk, database, clock, receiver):
    """For each integration and scope; not once it was granted, and not of what is deleted."""
    endpoint, _ = post.make(receiver.url, "scope.refused_often")
    integration, gone = desk.integration("contacts.readonly"), desk.integration("contacts.readonly")
    desk.delete(gone)
    refused = [
        RefusedScope(integration, "contacts.write", 25),
        RefusedScope(integration, "locations.readonly", 40),
        RefusedScope(gone, "x", 99),
    ]
    for _ in range(2):
        detection.publish_refused_often(database, refused)
    told = [(event, data["integration_id"], data["scope"], data["requests"]) for event, data in post.told(endpoint)]
    assert told == [
        ("scope.refused_often", integration, "contacts.write", 25),
        ("scope.refused_often", integration, "locations.readonly", 40),
    ]
    desk.edit(integration, "contacts.readonly", "contacts.write")
    clock.move(hours=12)
    detection.publish_refused_often(database, refused)
    assert [data["scope"] for _, data in post.told(endpoint)[2:]] == ["locations.readonly"]


def test_what_a_webhook_may_be(post, receiver, clock):
    """Without sealing keys none is made; unknown accounts, URLs and events are refused, and too many."""
    fields = {"account": post.desk.account, "url": receiver.url, "secret": new_webhook_secret()}

    def made(sealer=post.sealer, actor=ADA, **changes):
        return webhooks.make(post.database, WebhookRequest(**fields | changes), sealer, post.allowed, actor=actor)

    assert made(sealer=None).problem == "sealing-keys-missing"
    assert made(account="nobody").problem == "account-unknown"
    assert made(actor=Actor("key/x", frozenset({"other"}))).problem == "account-unknown"
    assert made(url="https://hooks.test:22/") == Refused(
        Problem.WEBHOOK_URL_NOT_ALLOWED,
        f"webhooks are sent to port {', '.join(map(str, sorted(post.allowed.ports)))} only",
    )
    assert made(events=["rotation.rotated", "rotation.typo"]).problem == "webhook-event-unknown"
    first = made()
    assert first.created
    repeated = made()
    assert (repeated.created, repeated.endpoint) == (False, first.endpoint)
    assert made(url=receiver.url + "/another").problem == "webhook-secret-used"
    for _ in range(webhooks.MOST - 1):
        assert made(secret=new_webhook_secret()).created
    assert made(secret=new_webhook_secret()).problem == "webhook-limit"
    assert not made().created
