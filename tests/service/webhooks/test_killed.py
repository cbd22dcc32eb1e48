"""`kill -9` again and again while the service tells of what happens: nothing is lost, and ids mean what they say."""

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
import requests

from certificates import make_certificates
from private_integrations.contract import API, new_sealing_key, new_webhook_secret
from receivers import ACCEPT, receiving
from stored import checked_copy

PROGRAM = Path(__file__).parents[1] / "programs" / "killable_service.py"

# When a round ends: the change was answered; its message arrived and is not answered yet; or was answered just now.
MOMENTS = ("changed", "arrived", "answered")


class Mortal:
    """The service on one data folder, killed and forked again by one process."""

    def __init__(self, forking, folder):
        self._forking = forking
        self._folder = folder
        self._ended = threading.Event()
        self.start()
        self._headers = {"Authorization": f"Bearer {(folder / 'admin.key').read_text().strip()}"}
        accounts = self.ask("GET", "/accounts")["accounts"]
        self.account = next(account["id"] for account in accounts if account["kind"] == "sub_account")

    def start(self):
        """Serve the folder."""
        self._forking.stdin.write(f"{self._folder}\n")
        self._forking.stdin.flush()
        self._pid = int(self._said(""))
        self._url = self._said("listening on ")

    def kill(self):
        """End it in the middle of whatever it does; answers once it is dead."""
        os.kill(self._pid, signal.SIGKILL)
        assert self._said("ended ") == "-9"

    def ask(self, method, path, body=None):
        """A request to the management API that must succeed."""
        answer = requests.request(method, self._url + API + path, json=body, headers=self._headers, timeout=20)
        assert answer.ok, answer.text
        return answer.json()

    def change(self):
        """Something that is told of; answers the id of the integration that was made."""
        body = {"account": self.account, "name": "x", "scopes": ["contacts.readonly"], "owner_nonce": uuid.uuid4().hex}
        return self.ask("PUT", f"/integrations/by-external-id/org/p/s/{uuid.uuid4().hex}", body)["id"]

    def _said(self, beginning):
        while line := self._forking.stdout.readline():
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
        raise AssertionError("it said nothing more")


@pytest.fixture
def receiver(tmp_path):
    """A receiver of this machine."""
    make_certificates(tmp_path, "localhost")
    with receiving(tmp_path, "localhost") as made:
        yield made


@pytest.fixture
def mortal(tmp_path, receiver):
    """A service that may send to it."""
    settings = {
        "PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key(),
        "PRIVATE_INTEGRATIONS_WEBHOOK_PORTS": str(receiver.port),
        "PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS": "127.0.0.0/8, ::1/128",
        "SSL_CERT_FILE": str(tmp_path / "ca.crt"),
    }
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, PROGRAM], env=os.environ | settings, **pipes) as forking:
        service = Mortal(forking, tmp_path / "data")
        yield service
        service.kill()
        forking.stdin.close()


def test_each_event_arrives_at_least_once_under_an_id_of_its_own(mortal, receiver, tmp_path, request):
    """Whenever the service is killed: between a change and its message, while one is on its way, or before it is noted.

    `--kills 100` for as many rounds.
    """
    secret = new_webhook_secret()
    hook = {"account": mortal.account, "url": receiver.url, "secret": secret, "events": ["integration.created"]}
    mortal.ask("POST", "/webhooks", hook)
    arrived = queue.Queue()
    moment = "changed"

    def behave(connection, received):
        if moment != "arrived":
            connection.sendall(ACCEPT)
        arrived.put(received)
        # Held until the service is dead, so that it can't note a failure.
        if moment == "arrived":
            connection.recv(1)

    receiver.behave = behave
    choice = random.Random(1)
    made, ids = [], {}

    def take(received):
        payload = json.loads(received.body)
        integration = payload["data"]["integration_id"]
        assert ids.setdefault(received.headers["webhook-id"], integration) == integration

    for number in range(request.config.getoption("--kills")):
        moment = MOMENTS[number % len(MOMENTS)]
        made += [mortal.change() for _ in range(choice.randint(1, 3))]
        if moment != "changed":
            take(arrived.get(timeout=20))
        mortal.kill()
        moment = "changed"
        while not arrived.empty():
            take(arrived.get())
        mortal.start()
    while set(ids.values()) < set(made):
        take(arrived.get(timeout=20))
    assert len(set(ids.values())) == len(ids), "one event has two ids"
    mortal.kill()
    with checked_copy(tmp_path / "data") as stored:
        told = stored.execute("SELECT integration_id FROM audit WHERE action = 'create'").fetchall()
        messages = stored.execute("SELECT message_id FROM webhook_deliveries").fetchall()
    assert sorted(row[0] for row in told) == sorted(made)
    assert sorted(row[0] for row in messages) == sorted(ids)
    mortal.start()
