"""The judge: whether a request may pass, decided anew for each one over the live tokens."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from anyio import to_thread

from ..access.security_log import SecurityLog
from ..catalogue.endpoints import Catalogue, Endpoint, Match
from ..http.rate_limiter import UnknownClients
from ..operations.accounts import agencies_of
from ..operations.generations import deliver
from ..storage.engine import StorageBusy, StorageEngine, StorageError
from ..storage.grants import GrantReader
from ..tokens.grant import Grant
from . import decisions
from .grants import LiveGrants
from .named_accounts import MOST_NAMED, Named, named_in_request, names_only
from .recording import Recorder
from .replies import BUSY, UNAVAILABLE, Refusal

# Far more than mistakes make, and a few per cent of what a processor answers.
UNKNOWN_PER_SECOND = 500
UNKNOWN_BURST = 100


def refuse_storage(error: StorageError) -> Refusal:
    """Return the refusal for a failure of the storage."""
    return BUSY if isinstance(error, StorageBusy) else UNAVAILABLE


# Named tuples, here and for a match: each is made once per request, at half of what a frozen dataclass costs.
class Granted(NamedTuple):
    """A request that may pass: whose token, which endpoint, and the instant at which it was decided."""

    grant: Grant
    match: Match
    now: datetime


class Verdict(NamedTuple):
    """What was decided, and until when the token works if it is a superseded one that still does."""

    decided: Granted | Refusal
    token_expires_at: datetime | None = None


class Judge:
    """Decides on requests; used by one thread, the event loop's.

    `cached_grants` bounds the memory for live tokens. If the database does not answer, nothing passes (503). The
    `recorder` records each decision on a known token, and the `security` log counts unknown ones, if they are given.
    """

    def __init__(
        self,
        engine: StorageEngine,
        catalogue: Catalogue,
        cached_grants: int,
        recorder: Recorder | None = None,
        security: SecurityLog | None = None,
    ) -> None:
        self._engine = engine
        self.catalogue = catalogue
        self._reader = GrantReader(engine)
        self._grants = LiveGrants(self._reader, engine.epoch, cached_grants)
        self.unknown = UnknownClients(UNKNOWN_PER_SECOND, UNKNOWN_BURST)
        """The requests without a token that is or was good."""
        self._deliveries: dict[bytes, asyncio.Future[None]] = {}
        self._record = (recorder or Recorder()).record
        self._security = security

    async def judge(
        self,
        method: str,
        raw_path: bytes,
        query_string: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        address: str = "",
        serving: Collection[str] | None = None,
        *,
        is_platform: bool = False,
        refusing_unseen: bool = False,
    ) -> Verdict:
        """Decide on a request as it was sent: percent-encoded path, query without `?`, headers in lower case.

        `address` is where it came from; `serving` are the accounts that the caller serves, None for all. `is_platform`
        says that the answer is made here: otherwise the platform itself refuses the endpoints that v3 dropped.
        `refusing_unseen` refuses the operations whose body may name an account, where the body will not be looked at.
        """
        presented = decisions.read_headers(headers)
        if isinstance(presented, Refusal):
            await self.unknown.turn(address)
            return Verdict(presented)
        digest, version, agent, accounts = presented
        try:
            # Without its database files, this process would miss later changes, so it must not decide by its cache.
            self._engine.require()
            now = self._engine.now()
            grant = self._grants.find(digest, now)
            if grant is not None and not grant.delivered and grant.is_live(now):
                grant, now = await self._first_use(digest, now)
            refusal = decisions.refuse_grant(grant, now)
            if grant is None or refusal is not None:
                refusal = refusal or decisions.TOKEN_UNKNOWN
                if grant is not None:
                    self._record(grant, "", refusal.reason, address, agent, now)
                elif self._security is not None:
                    self._security.note_unknown_token(now, address)
                return Verdict(await self._turned_away(grant, now, refusal, address))
            match = self._open(method, raw_path, version, grant, is_platform)
            if isinstance(match, Refusal):
                self._record(grant, str(match.about.get("requiredScope", "")), match.reason, address, agent, now)
                return Verdict(match, grant.expires_at)
            refusal = None
            if query_string or accounts or not names_only(match, grant.account_id):
                named = named_in_request(match, query_string, accounts)
                refusal = await self.refuse_accounts(match.endpoint, grant, named) if named else None
        except StorageError as error:
            return Verdict(refuse_storage(error))
        unserved = refusal is None and serving is not None and grant.account_id not in serving
        refusal = decisions.ACCOUNT_NOT_SERVED if unserved else refusal
        if refusal is None and refusing_unseen and match.endpoint.body_names_account:
            refusal = decisions.BODY_UNCHECKED
        self._record(grant, match.endpoint.scope or "", refusal.reason if refusal else "", address, agent, now)
        if refusal is not None:
            return Verdict(refusal, None if unserved else grant.expires_at)
        return Verdict(Granted(grant, match, now), grant.expires_at)

    async def refuse_accounts(self, endpoint: Endpoint, grant: Grant, named: Collection[Named]) -> Refusal | None:
        """Say why the token doesn't reach all of these accounts, wherever the request named them."""
        agencies: Mapping[str, str | None] = {}
        asked = decisions.accounts_to_look_up(grant, named)
        if asked and len(named) <= MOST_NAMED:
            agencies = await to_thread.run_sync(agencies_of, self._engine, asked)
        return decisions.refuse_accounts(endpoint, grant, named, agencies)

    def close(self) -> None:
        """Close the connection; from then on every request is answered 503."""
        self._reader.close()

    async def _first_use(self, digest: bytes, now: datetime) -> tuple[Grant | None, datetime]:
        """The grant of a token that was just delivered by being used, and the instant from which it is read."""
        delivery = self._deliveries.get(digest)
        if delivery is None:
            # One for all that come meanwhile: many first uses of one token must not take every place to write.
            delivery = asyncio.ensure_future(to_thread.run_sync(deliver, self._engine, digest))
            self._deliveries[digest] = delivery
            delivery.add_done_callback(lambda _: self._deliveries.pop(digest, None))
        await asyncio.shield(delivery)
        now = self._engine.now()
        return self._grants.find(digest, now), now

    async def _turned_away(self, grant: Grant | None, now: datetime, refusal: Refusal, address: str) -> Refusal:
        """Return the refusal of a token, after making sure that a clock set back can't revive a token refused as dead.

        An unknown token's refusal waits for its turn. A token that was valid once is known, so its clients don't wait.
        """
        if grant is None:
            await self.unknown.turn(address)
            return refusal
        if grant.expires_at is not None and grant.expires_at <= now:
            await to_thread.run_sync(self._engine.keep_ended, grant.expires_at)
        return refusal

    def _open(
        self, method: str, raw_path: bytes, version: str | None, grant: Grant, is_platform: bool
    ) -> Match | Refusal:
        """What the token opens by this route, or why it doesn't; whose data is asked for is another question."""
        path = raw_path.decode("utf-8", "backslashreplace")
        match = self.catalogue.match(method, path)
        if match is None:
            return decisions.cannot(method, path)
        endpoint = match.endpoint
        refusal = decisions.refuse_version(endpoint, version, path)
        if refusal is None and is_platform:
            refusal = decisions.refuse_removed(endpoint, version, path)
        return refusal or decisions.refuse_scope(endpoint, grant) or match
