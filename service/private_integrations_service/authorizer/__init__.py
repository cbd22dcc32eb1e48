"""The authorizer: one plain ASGI layer in front of the data API that lets a request through, or says why not."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pysqlite3.dbapi2 as sqlite
from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from private_integrations.contract import rfc3339

from ..catalogue import Catalogue, Match
from ..operations.generations import deliver
from ..storage.accounts import account_by_id
from ..storage.database import Database
from ..storage.grants import Grant, GrantReader
from . import decisions
from .grants import LiveGrants
from .replies import UNAVAILABLE, Refusal, send_reply

GRANTED = "private_integrations"
"""Where the application behind finds `Granted` in its ASGI scope."""

STORAGE_ERRORS = (sqlite.Error, SQLAlchemyError)
"""What a database that can't answer raises, below SQLAlchemy and in it."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A request that may pass: whose token, which endpoint, and the instant at which it was decided."""

    grant: Grant
    match: Match
    now: datetime


class Authorizer:
    """Lets authorized requests through to `app`, with `scope["private_integrations"]` saying what was granted.

    `clock` gives the present instant in UTC; `cached_grants` bounds the memory for live tokens. If the
    database does not answer, nothing passes (503).
    """

    def __init__(
        self,
        app: ASGIApp,
        database: Database,
        catalogue: Catalogue,
        clock: Callable[[], datetime],
        cached_grants: int,
    ) -> None:
        self._app = app
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._reader = GrantReader(database)
        self._grants = LiveGrants(self._reader, database.revision, cached_grants)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request over HTTP."""
        presented = decisions.read_headers(scope["headers"])
        if isinstance(presented, Refusal):
            await send_reply(send, presented)
            return
        decided: Granted | Refusal
        try:
            token = await self._authenticate(presented.digest)
            if isinstance(token, Refusal):
                decided = token
            else:
                if token[0].expires_at is not None:
                    send = _announcing(send, token[0].expires_at)
                decided = await self._decide(scope, presented.version, *token)
        except STORAGE_ERRORS:
            decided = UNAVAILABLE
        if isinstance(decided, Refusal):
            await send_reply(send, decided)
            return
        scope[GRANTED] = decided
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Close the connection; from then on every request is answered 503."""
        self._reader.close()

    async def _authenticate(self, digest: bytes) -> tuple[Grant, datetime] | Refusal:
        """The live token with this digest and the instant at which it was found alive; notes its first use."""
        now = max(self._clock(), self._database.high_water)
        grant = self._grants.find(digest, now)
        if grant is not None and not grant.delivered and grant.is_live(now):
            await to_thread.run_sync(self._deliver, digest, now)
            now = max(now, self._database.high_water)
            grant = self._grants.find(digest, now)
        refusal = decisions.refuse_grant(grant, now)
        if grant is None or refusal is not None:
            if grant is not None and self._database.outlives(grant.expires_at, now):
                await to_thread.run_sync(self._database.remember, now)
            return refusal or decisions.TOKEN_UNKNOWN
        return grant, now

    async def _decide(self, scope: Scope, version: str | None, grant: Grant, now: datetime) -> Granted | Refusal:
        method: str = scope["method"]
        path = scope["raw_path"].decode("utf-8", "backslashreplace")
        match = self._catalogue.match(method, path)
        if match is None:
            return decisions.cannot(method, path)
        refusal = decisions.refuse_version(match.endpoint, version, path) or decisions.refuse_scope(
            match.endpoint, grant
        )
        if refusal is not None:
            return refusal
        for location in decisions.named_locations(match, scope["query_string"]):
            agency = None
            if location != grant.account_id and grant.account_kind == "agency":
                agency = await to_thread.run_sync(self._agency_of, location)
            refusal = decisions.refuse_location(match.endpoint, grant, location, agency)
            if refusal is not None:
                return refusal
        return Granted(grant, match, now)

    def _deliver(self, digest: bytes, now: datetime) -> None:
        with self._database.write(now) as write:
            deliver(write, digest)

    def _agency_of(self, location_id: str) -> str | None:
        with self._database.read() as connection:
            account = account_by_id(connection, location_id)
        return account.agency_id if account else None


def _announcing(send: Send, deadline: datetime) -> Send:
    """Tell a consumer that still uses a superseded token until when it works."""
    header = (b"pit-token-expires", rfc3339(deadline).encode())

    async def announcing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), header]}
        await send(message)

    return announcing
