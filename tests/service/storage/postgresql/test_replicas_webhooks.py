"""Replicas that are killed while they send webhooks: each event arrives at least once, and its id never changes."""

import json
import uuid

import psycopg
import requests

from certificates import make_certificates
from private_integrations.contract import API, new_sealing_key, new_webhook_secret
from receivers import receiving
from replicas import Replicas
from server_processes import wait_until


def test_each_event_arrives_under_one_id_although_replicas_are_killed(postgres_database, tmp_path):
    """Whichever replica sends: the others send what it leaves, under the ids that it may have used already."""
    make_certificates(tmp_path, "localhost")
    with receiving(tmp_path, "localhost") as receiver:
        settings = {
            "PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key(),
            "PRIVATE_INTEGRATIONS_WEBHOOK_PORTS": str(receiver.port),
            "PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS": "127.0.0.0/8, ::1/128",
            "SSL_CERT_FILE": str(tmp_path / "ca.crt"),
        }
        with Replicas(tmp_path, [postgres_database] * 2, settings=settings) as replicas:

            def ask(number, method, path, body):
                headers = {"Authorization": f"Bearer {replicas.key}"}
                answer = requests.request(
                    method, replicas[number].url + API + path, json=body, headers=headers, timeout=20
                )
                assert answer.ok, answer.text
                return answer.json()

            def create(number):
                name = uuid.uuid4().hex
                body = {"account": replicas.account, "name": "x", "scopes": ["contacts.readonly"], "owner_nonce": name}
                return ask(number, "PUT", f"/integrations/by-external-id/org/p/s/{name}", body)["id"]

            events = {"events": ["integration.created"], "secret": new_webhook_secret(), "url": receiver.url}
            ask(0, "POST", "/webhooks", {"account": replicas.account, **events})
            made = []
            for killed in (0, 1, 0):
                made += [create(killed), create(1 - killed), create(killed)]
                replicas[killed].kill()
                with psycopg.connect(postgres_database) as connection:
                    # As if a minute had passed: a killed replica keeps its claims for 45 seconds.
                    connection.execute("UPDATE webhook_claims SET until = until - interval '1 minute'")
                made.append(create(1 - killed))
                replicas[killed].start()
            ids = {}

            def all_arrived():
                while not receiver.got.empty():
                    received = receiver.got.get()
                    integration = json.loads(received.body)["data"]["integration_id"]
                    assert ids.setdefault(received.headers["webhook-id"], integration) == integration
                return set(ids.values()) >= set(made)

            wait_until(all_arrived, "every event arrives")
    assert len(ids) == len(made), "an event has two ids"
