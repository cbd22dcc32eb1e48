"""A service's application without its server: requests are calls."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from private_integrations.contract import Role, digest_of, new_management_key
from private_integrations_service.access.principals import ManagementKey
from private_integrations_service.server.application import Application
from private_integrations_service.settings import Settings
from private_integrations_service.storage.engine import StorageEngine
from private_integrations_service.storage.keys import add_key
from world import Answer, Send, World


def in_process(app: Application) -> Send:
    """How to send requests to an application."""

    async def answered(scope: dict[str, Any], content: bytes) -> Answer:
        status, parts = 0, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))

        await app(scope, receive, send)
        return status, json.loads(b"".join(parts))

    def send(method: str, target: str, headers: dict[str, str], body: Any) -> Answer:
        path, _, query = target.partition("?")
        sent = {"host": "crm.test", "content-type": "application/json", **headers}
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        }
        return asyncio.run(answered(scope, b"" if body is None else json.dumps(body).encode()))

    return send


@contextmanager
def furnished(engine: StorageEngine, account: str) -> Iterator[World]:
    """An application over a database, whose account has integrations and tokens for every kind of change."""
    key = new_management_key()
    with engine.write() as write:
        admin = ManagementKey("key_1", "admin", Role.ADMIN, digest_of(key), None, write.now)
        add_key(write.connection, admin)
    with closing(Application(engine, Settings())) as app:
        world = World(in_process(app), key, account)
        world.furnish()
        yield world
