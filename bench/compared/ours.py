"""Serve one of our endpoints, with or without its authorizer, on the server of `private-integrations serve`.

python bench/compared/ours.py trivial|sandbox PORT DATA_DIR [--open] [--cached-grants N] [--database ADDRESS]
"""

import argparse
import asyncio
import gc
import socket
from contextlib import closing
from pathlib import Path

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from private_integrations.contract import AccountClass
from private_integrations_service.authorizer import ALLOWED, Allowed, Authorizer, AuthorizerMiddleware
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.http.client_connections import Clients
from private_integrations_service.operations.recording import Flusher, Recorder
from private_integrations_service.sandbox import Sandbox
from private_integrations_service.sandbox.limits import AccountLimits, RateLimits
from private_integrations_service.server.clock import utc_now
from private_integrations_service.server.http_server import HttpServer
from private_integrations_service.storage.engine import StorageEngine
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.sqlite.engine import open_database
from private_integrations_service.tokens.grant import Grant

BODY = b'{"contact":{"id":"sx6wyHhbFdRXh302LunR"}}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def trivial(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, so that the cost of the layers in front shows."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def without_authorization(app: ASGIApp, catalogue: Catalogue) -> ASGIApp:
    """Serve the sandbox with every request allowed as the first account's, without asking the authorizer."""

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        scope[ALLOWED] = allowed
        await app(scope, receive, send)

    account = "benchAccount00000001"
    match = catalogue.match("GET", f"/locations/{account}")
    assert match is not None
    now = utc_now()
    grant = Grant(
        token_id=1,
        generation=1,
        role="current",
        delivered=True,
        issued_at=now,
        expires_at=None,
        ended=None,
        integration_id="int_1",
        integration_name="bench",
        scopes=frozenset(),
        account_id=account,
        account_kind=AccountClass.SUB_ACCOUNT,
        agency_id=None,
    )
    allowed = Allowed(grant, match, now)
    return opened


async def refuse(scope: Scope, receive: Receive, send: Send, fault: str) -> None:
    await send({"type": "http.response.start", "status": 400, "headers": []})
    await send({"type": "http.response.body", "body": fault.encode()})


async def serve(app: ASGIApp, port: int) -> None:
    server = HttpServer(app, refuse, Clients(1000), None, (), utc_now)
    bound = socket.socket()
    bound.bind(("127.0.0.1", port))
    await server.listen(bound)
    await asyncio.Event().wait()


def contender(
    endpoint: str, database: StorageEngine, authorizer: Authorizer, catalogue: Catalogue, *, is_open: bool
) -> ASGIApp:
    behind: ASGIApp = trivial
    if endpoint == "sandbox":
        unlimited = AccountLimits(per_interval=10**9, interval=10_000, per_day=10**9)
        behind = Sandbox(database, RateLimits(unlimited))
    if not is_open:
        return AuthorizerMiddleware(behind, authorizer)
    return without_authorization(behind, catalogue) if endpoint == "sandbox" else behind


def opened(folder: Path, address: str | None) -> StorageEngine:
    return open_database(folder, utc_now) if address is None else open_postgresql(address, folder)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("endpoint", choices=("trivial", "sandbox"))
    arguments.add_argument("port", type=int)
    arguments.add_argument("data_dir", type=Path)
    arguments.add_argument("--open", action="store_true", dest="is_open")
    arguments.add_argument("--cached-grants", type=int, default=100_000)
    arguments.add_argument("--database", help="the address of a PostgreSQL database")
    options = arguments.parse_args()
    catalogue = Catalogue.load()
    with closing(opened(options.data_dir, options.database)) as database:
        database.begin()
        # The cost of a request includes its record.
        recorder = Recorder()
        authorizer = Authorizer(database, catalogue, options.cached_grants, recorder)
        activity = database.activity()
        with closing(authorizer), closing(activity):
            Flusher(recorder, activity, utc_now).start()
            app = contender(options.endpoint, database, authorizer, catalogue, is_open=options.is_open)
            gc.collect()
            gc.freeze()
            uvloop.run(serve(app, options.port))


if __name__ == "__main__":
    main()
