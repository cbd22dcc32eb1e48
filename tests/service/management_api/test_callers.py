"""The management key of a request is looked up once: at the door, or by the route if something changed meanwhile."""

import asyncio
import json

import pytest
from sqlalchemy import event

from private_integrations.contract import API, KeyRequest, digest_of, new_management_key
from private_integrations_service.access.actors import Actor
from private_integrations_service.management_api import management_api
from private_integrations_service.operations import keys
from private_integrations_service.operations.live_keys import LiveKeys
from private_integrations_service.operations.recording import Recorder
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.server.doors import owner_by_key
from private_integrations_service.settings import Settings

ANNA = Actor("anna")


class Requests:
    """Requests of one key that pass the door first, and the statements that ask for keys."""

    def __init__(self, database, catalogue, activity):
        self.database = database
        self.app = management_api(database, catalogue, Settings(), activity, Recorder(), furnish)
        self.keys = LiveKeys(database)
        self.key = self.make("ci")
        self.make("another admin")
        self.lookups = 0
        event.listen(database._readers, "before_cursor_execute", self._count)

    def make(self, name):
        """Make an admin's key."""
        key = new_management_key()
        request = KeyRequest(role="admin", digest=digest_of(key).hex())
        keys.make(self.database, name, request, actor=ANNA)
        return key

    def arrive(self, key=None):
        """Let a request come as far as its route."""
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": f"{API}/accounts",
            "raw_path": f"{API}/accounts".encode(),
            "query_string": b"",
            "headers": [(b"authorization", f"Bearer {key or self.key}".encode())],
            "client": ("203.0.113.7", 50_000),
            "server": ("crm.test", 80),
        }
        asyncio.run(owner_by_key(self.keys, self.database.now)(scope))
        return scope

    def answer(self, scope):
        """Let the route answer; return status and body."""
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        self.lookups = 0
        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))

    def _count(self, _connection, _cursor, statement, *_):
        self.lookups += "FROM management_keys" in statement


@pytest.fixture
def asking(database, catalogue):
    """A key's requests."""
    activity = database.activity()
    requests = Requests(database, catalogue, activity)
    yield requests
    requests.keys.close()
    activity.close()


def test_a_route_does_not_look_up_the_key_again(asking):
    """The door has found it since the request arrived."""
    assert asking.answer(asking.arrive())[0] == 200
    assert asking.lookups == 0
    without_door = {name: value for name, value in asking.arrive().items() if "." not in name}
    assert asking.answer(without_door)[0] == 200
    assert asking.lookups == 1


def test_a_key_that_was_revoked_after_the_door_is_refused(asking):
    """A request may come slowly: its route decides by what holds when it runs."""
    arrived = asking.arrive()
    revoked = next(key for key in keys.listed(asking.database) if key.name == "ci")
    keys.revoke(asking.database, revoked.id, actor=ANNA)
    status, body = asking.answer(arrived)
    assert (status, body["type"].rpartition(":")[2]) == (401, "key-ended")


def test_a_note_of_another_key_is_not_used(asking):
    """The door and the route may read a header in two ways."""
    arrived = asking.arrive()
    arrived["headers"] = [(b"authorization", f"Bearer {new_management_key()}".encode())]
    status, body = asking.answer(arrived)
    assert (status, body["type"].rpartition(":")[2]) == (401, "key-unknown")
