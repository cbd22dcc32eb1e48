"""The data webhook of an integration: set by it, signed with the service's key, verified by the platform's client."""

import json
import os
import re
import socket
import subprocess
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import replace

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certificates import make_certificates
from forked import running_service
from private_integrations.cli import run
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import DataWebhook, DataWebhookRequest, IntegrationRequest, Refused, new_sealing_key
from private_integrations_service.access.actors import Actor
from private_integrations_service.jobs.webhook_sender import Sender
from private_integrations_service.operations import data_webhooks, signing
from private_integrations_service.operations.data_events import DATA_EVENTS, app_id, version_id
from private_integrations_service.operations.data_webhooks import MadeDataWebhook
from private_integrations_service.sealing import SealBroken, Sealer
from private_integrations_service.settings import Settings
from private_integrations_service.storage import webhooks as stored
from private_integrations_service.storage.webhooks import save_endpoint
from private_integrations_service.tokens.format import new_id
from private_integrations_service.webhooks.destinations import Destinations, networks
from private_integrations_service.webhooks.endpoints import WebhookEndpoint
from private_integrations_service.webhooks.posting import Poster
from throwaway import REPOSITORY

SCRIPT = REPOSITORY / "tests" / "javascript" / "webhooks.mjs"
MODULES = REPOSITORY / ".venv" / "javascript"
READS = "contacts.readonly"
URL = "https://receiver.example/crm"
SETTINGS = Settings(sealer=Sealer([new_sealing_key()]))


@pytest.fixture
def put(database, clock):
    """Set an integration's data webhook; answers what came of it."""

    def putting(integration, url=URL, *, settings=SETTINGS, actor=None, **fields):
        request = DataWebhookRequest(url=url, **fields)
        return data_webhooks.put(database, integration, request, settings, actor=actor or Actor("test"))

    return putting


@pytest.fixture
def described(database):
    """What there is to know of an integration's data webhook."""

    def describing(integration):
        return data_webhooks.described(database, integration, actor=Actor("test"))

    return describing


@pytest.fixture
def signed(database, clock):
    """The signature of a body, by a service that has these sealing keys."""
    endpoint = WebhookEndpoint("whk_0", "account", "data", URL, clock(), "test", integration_id="int_0")

    def signing_it(body, *keys):
        signer = signing.DataSigner(database, Sealer(keys) if keys else None)
        headers = signer(endpoint, "message", clock(), body)
        assert list(headers) == ["x-ghl-signature"]
        return headers["x-ghl-signature"]

    return signing_it


def endpoints(database):
    """All that are stored."""
    with database.read() as connection:
        return stored.all_endpoints(connection)


def test_before_there_is_one(desk, accounts, described):
    """What a receiver will be told is known beforehand: by scopes and class; the key is not there yet."""
    both = desk.integration(READS, "locations.readonly")
    agencys = desk.integration("locations.readonly", account=accounts.agency)
    found = described(both)
    assert (found.webhook, found.url, found.public_key) == (None, None, None)
    assert found.events == sorted(name for name in DATA_EVENTS if not name.startswith("Location"))
    assert (found.app_id, found.version_id) == (app_id(both), version_id(both))
    assert described(agencys).events == ["LocationCreate", "LocationUpdate"]
    assert described(desk.integration("forms.readonly")).events == []


def test_it_is_made_once_and_changed(database, desk, clock, put, described):
    """The first request makes it, a repetition changes nothing; another URL is the same webhook with a new chance."""
    integration = desk.integration(READS)
    made = put(integration)
    assert made == MadeDataWebhook(described(integration), created=True)
    assert (made.webhook.url, len(made.webhook.events)) == (URL, 11)
    [endpoint] = endpoints(database)
    assert (endpoint.kind, endpoint.integration_id, endpoint.created_by) == ("data", integration, "test")
    with database.write() as write:
        save_endpoint(write.connection, replace(endpoint, failing_since=clock()))
    assert put(integration) == MadeDataWebhook(made.webhook, created=False)
    assert [found.failing_since for found in endpoints(database)] == [clock()]
    changed = put(integration, f"{URL}/2", events=["ContactCreate", "LocationCreate"])
    assert (changed.created, changed.webhook.webhook) == (False, made.webhook.webhook)
    assert (changed.webhook.url, changed.webhook.events) == (f"{URL}/2", ["ContactCreate"])
    assert [found.failing_since for found in endpoints(database)] == [None]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"url": "http://receiver.example/"}, "webhook-url-not-allowed"),
        ({"url": "https://127.0.0.1/"}, "webhook-url-not-allowed"),
        ({"events": ["ContactCreated"]}, "webhook-event-unknown"),
        ({"events": ["rotation.due"]}, "webhook-event-unknown"),
        ({"settings": Settings()}, "sealing-keys-missing"),
        ({"settings": replace(SETTINGS, upstream="https://crm.example")}, "data-webhooks-of-platform"),
        ({"actor": Actor("deployer", frozenset({"elsewhere"}))}, "integration-unknown"),
    ],
)
def test_what_is_refused(database, desk, put, given, problem):
    """A URL inside, an event that isn't, no sealing keys, a gateway, somebody else's integration: nothing is stored."""
    refused = put(desk.integration(READS), **given)
    assert isinstance(refused, Refused)
    assert refused.problem == problem
    assert endpoints(database) == []


def test_an_account_has_so_many_webhooks_at_most(desk, put):
    """Integrations have no more webhooks together than the account may; those that are there can still be changed."""
    made = [desk.integration(READS) for _ in range(21)]
    assert all(isinstance(put(integration), MadeDataWebhook) for integration in made[:20])
    assert put(made[20]).problem == "webhook-limit"
    assert isinstance(put(made[0], f"{URL}/2"), MadeDataWebhook)


def test_the_signature(desk, put, database, signed):
    """The public key of the answer verifies what is signed, and nothing else; it is SPKI, as the platform gives its."""
    keys = new_sealing_key(), new_sealing_key()
    public = put(desk.integration(READS), settings=Settings(sealer=Sealer(keys[:1]))).webhook.public_key
    assert re.fullmatch(r"MCowBQYDK2VwAyEA[A-Za-z0-9+/]{43}=", public)
    key = load_der_public_key(b64decode(public))
    key.verify(b64decode(signed(b"body", keys[0]), validate=True), b"body")
    with pytest.raises(InvalidSignature):
        key.verify(b64decode(signed(b"body", keys[0])), b"bodies")
    again = put(desk.integration(READS), settings=Settings(sealer=Sealer(keys[:1])))
    assert again.webhook.public_key == public
    for held, why in (((), "without sealing keys"), (keys[1:], "not among the sealing keys")):
        with pytest.raises(SealBroken, match=why):
            signed(b"body", *held)


def test_without_a_key_nothing_is_signed(signed):
    """Nothing is sent that nobody could verify."""
    with pytest.raises(SealBroken, match="there is no signing key"):
        signed(b"body", new_sealing_key())


def test_the_key_can_be_sealed_anew(database, clock, signed):
    """Afterwards the old sealing key isn't needed, and the signatures are the same, as Ed25519's are (RFC 8032)."""
    old, new, other = new_sealing_key(), new_sealing_key(), new_sealing_key()

    def reseal(*keys):
        done = signing.reseal(database, Sealer(keys), actor=Actor("test"))
        return done.resealed, done.unchanged, done.unreadable

    assert reseal(old) == (0, 0, [])
    with database.write() as write:
        signing.ensure_key(write, Sealer([old]))
    before = signed(b"body", old)
    assert reseal(old) == (0, 1, [])
    assert reseal(other) == (0, 0, ["signing key"])
    assert reseal(new, old) == (1, 0, [])
    assert reseal(new, old) == (0, 1, [])
    assert signed(b"body", new) == before


@contextmanager
def receiver(folder, webhook, port=0):
    """The platform's own client as a receiver, configured as the webhook says: its port and its output."""
    environment = os.environ | {
        "CLIENT_ID": f"{webhook.app_id}-a1b2c3",
        "PUBLIC_KEY": webhook.public_key,
        "CERTIFICATE": str(folder / "localhost.crt"),
        "KEY": str(folder / "localhost.key"),
        "CLIENT_MODULES": str(MODULES),
        "PORT": str(port),
    }
    with subprocess.Popen(["node", str(SCRIPT)], stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield int(process.stdout.readline()), process.stdout
        finally:
            process.terminate()


@contextmanager
def sending(database, clock, port, *, signer):
    """The service's own sender, for which loopback is allowed."""
    poster = Poster(Destinations(frozenset({port}), networks("127.0.0.0/8, ::1/128")))
    sender = Sender(database, poster, {"data": signer})
    try:
        sender.run()
        yield
    finally:
        sender.close()


def test_the_platforms_client_accepts_it(api, desk, database, clock, create, put, tmp_path, monkeypatch):
    """What happens in the sandbox arrives over TLS, and the official middleware says that the signature is valid.

    By the raw body, and by the parsed one that it writes again where the raw one is lost.
    """
    integration = desk.integration(READS, "contacts.write")
    api.token = desk.token(integration)
    webhook = put(integration).webhook
    make_certificates(tmp_path, "localhost")
    with receiver(tmp_path, webhook) as (port, output):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        put(integration, f"https://localhost:{port}/crm", settings=allowing(port))
        contact = create(firstName="Zoë", lastName="O'Neil \U0001f600", city="</script>")
        api.ask("POST", f"/contacts/{contact['id']}/notes", {"body": "one\ntwo \u2028 three"})
        with sending(database, clock, port, signer=signing.DataSigner(database, SETTINGS.sealer)):
            arrived = [json.loads(output.readline()) for _ in range(2)]
    assert [each["body"]["type"] for each in arrived] == ["ContactCreate", "NoteCreate"]
    for each in arrived:
        assert each["byRaw"] == each["byParsed"] == {"valid": True, "skipped": False}
        assert each["headers"]["content-type"] == "application/json"
        assert "x-wh-signature" not in each["headers"]
    assert arrived[0]["body"]["lastName"] == "O'Neil \U0001f600"


def test_the_platforms_client_refuses_another_key(api, desk, database, clock, create, put, tmp_path, monkeypatch):
    """The test above can fail: a receiver that is configured with another service's key finds no signature valid."""
    integration = desk.integration(READS, "contacts.write")
    api.token = desk.token(integration)
    webhook = put(integration).webhook
    make_certificates(tmp_path, "localhost")
    another = "MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg="
    with receiver(tmp_path, webhook.model_copy(update={"public_key": another})) as (port, output):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        put(integration, f"https://localhost:{port}/crm", settings=allowing(port))
        create()
        with sending(database, clock, port, signer=signing.DataSigner(database, SETTINGS.sealer)):
            arrived = json.loads(output.readline())
    assert arrived["byRaw"] == arrived["byParsed"] == {"valid": False, "skipped": False}


def test_the_running_service_sends(data_folder, tmp_path, capsys, monkeypatch):
    """From the command line to the receiver: what a client writes into the sandbox arrives, signed, by itself."""
    make_certificates(tmp_path, "localhost")
    keys = tmp_path / "sealing.keys"
    keys.touch(0o600)
    keys.write_text(new_sealing_key())

    def told(*arguments):
        code = run(["webhooks", "data", *arguments, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if code == 0 else said.err

    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    allowed = {
        "PRIVATE_INTEGRATIONS_WEBHOOK_PORTS": str(port),
        "PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS": "127.0.0.0/8, ::1/128",
        "SSL_CERT_FILE": str(tmp_path / "ca.crt"),
    }
    with running_service(data_folder, "--sealing-keys", str(keys), **allowed) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        client = Client(ServiceConnection(service.url, service.key))
        scopes = [READS, "contacts.write"]
        request = IntegrationRequest(account=service.account, name="sync", scopes=scopes, owner_nonce=new_id())
        integration = client.declare("test/data/webhooks", request).id
        assert told(integration)[1]["webhook"] is None
        code, refusal = told(integration, "--url", f"https://169.254.169.254:{port}/latest")
        assert (code, refusal) == (2, "private-integrations: the URL's host is an address that is not public\n")
        assert told(integration, "--event", "ContactCreate")[0] == 2
        code, webhook = told(integration, "--url", f"https://localhost:{port}/crm", "--event", "ContactCreate")
        assert (code, webhook["events"]) == (0, ["ContactCreate"])
        assert told(integration) == (0, webhook)
        token = client.issue(integration, 1, issuer="test", holding=None, overlap_seconds=0, reason="").token
        with receiver(tmp_path, DataWebhook(**webhook), port) as (_, output):
            created = requests.post(
                f"{service.url}/contacts/",
                json={"locationId": service.account, "firstName": "Ada"},
                headers={"Authorization": f"Bearer {token}", "Version": "2021-07-28"},
                timeout=10,
            )
            arrived = json.loads(output.readline())
    assert (arrived["byRaw"], arrived["body"]["type"]) == ({"valid": True, "skipped": False}, "ContactCreate")
    assert arrived["body"]["id"] == created.json()["contact"]["id"]


def allowing(port):
    """Settings of an operator who has receivers on this port of the same machine."""
    return replace(SETTINGS, webhook_ports=frozenset({port}), webhook_networks=networks("127.0.0.0/8, ::1/128"))
