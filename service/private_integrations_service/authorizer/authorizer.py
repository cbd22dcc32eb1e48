"""Decide on each request to the data API: what its token opens, and for which accounts."""

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
from ..operations.live_grants import LiveGrants
from ..operations.recording import Recorder
from ..storage.engine import StorageEngine, StorageError
from ..tokens.grant import Grant
from . import decisions
from .decisions import Presented
from .named_accounts import MOST_NAMED, NamedAccount, named_in_request, names_only
from .replies import PlatformError
from .storage_errors import refuse_storage

# Far more than mistakes cause, and a few per cent of what a processor answers.
UNKNOWN_PER_SECOND = 500
UNKNOWN_BURST = 100


# Named tuples, here and for a match: each is made once per request, at half the cost of a frozen dataclass.
class Allowed(NamedTuple):
    """The decision that a request may pass, with its token's grant, its endpoint, and the instant of the decision."""

    grant: Grant
    match: Match
    now: datetime

    @property
    def reason(self) -> str:
        """Return the empty text, which the activity shows as no refusal."""
        return ""

    @property
    def token_expires_at(self) -> datetime | None:
        """Return until when the token works, if a newer one superseded it."""
        return self.grant.expires_at


class Denied(NamedTuple):
    """The decision that a request may not pass, and until when its token works if a newer one superseded it."""

    refusal: PlatformError
    token_expires_at: datetime | None = None

    @property
    def reason(self) -> str:
        """Return the refusal's reason."""
        return self.refusal.reason


Decision = Allowed | Denied


class DataRequest(NamedTuple):
    """A request as it was sent: percent-encoded path, query without `?`, header names in lower case.

    `serving` are the accounts that the asking gateway serves, None for all. `is_platform` says that the service itself
    answers: otherwise the upstream refuses the endpoints that v3 dropped. `refusing_unseen` refuses the operations with
    a body that may name an account, for a gateway that shows no body.
    """

    method: str
    raw_path: bytes
    query_string: bytes
    headers: Iterable[tuple[bytes, bytes]]
    address: str = ""
    serving: Collection[str] | None = None
    is_platform: bool = False
    refusing_unseen: bool = False


class Authorizer:
    """Decide on requests; used by one thread, the event loop's.

    If the database does not answer, every request is refused (503).

    Args:
        engine: Has the tokens.
        catalogue: Has the endpoints, with their scopes and account classes.
        cached_grants: How many live tokens are kept in memory.
        recorder: Records each decision on a token that exists.
        security: Counts requests with unknown tokens.

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
        self._grants = LiveGrants.over(engine, cached_grants)
        self.unknown = UnknownClients(UNKNOWN_PER_SECOND, UNKNOWN_BURST)
        """Limits the rejections of requests without a token that is, or once was, valid."""
        self._deliveries: dict[bytes, asyncio.Future[None]] = {}
        self._record = (recorder or Recorder()).record
        self._security = security

    async def decide(self, request: DataRequest) -> Decision:
        """Decide on a request, and record the decision if its token exists."""
        grant, scope, agent = None, "", b""
        presented = decisions.read_headers(request.headers)
        if isinstance(presented, PlatformError):
            decision: Decision = await self.refuse_unknown(presented, request.address)
        else:
            agent = presented.agent
            try:
                now = self._now()
                grant = await self._grants.find(presented.digest, now)
                if grant is not None and not grant.delivered and grant.is_live(now):
                    grant, now = await self._first_use(presented.digest, now)
                if grant is None:
                    self._note_unknown_token(now, request.address)
                    decision = await self.refuse_unknown(decisions.TOKEN_UNKNOWN, request.address)
                else:
                    scope, decision = await self._decide_known(grant, now, presented, request)
            except StorageError as error:
                grant, decision = None, Denied(refuse_storage(error))
        if grant is not None:
            self._record(grant, scope=scope, reason=decision.reason, address=request.address, agent=agent, now=now)
        return decision

    async def find(self, digest: bytes) -> tuple[Grant | None, datetime]:
        """Return the grant of a token, live or not, without using the token, and the instant; raises StorageError."""
        now = self._now()
        return await self._grants.find(digest, now), now

    async def refuse_unknown(self, refusal: PlatformError, address: str) -> Denied:
        """Refuse a request without a known token, as late as the rate limit of its address says."""
        await self.unknown.admit(address)
        return Denied(refusal)

    async def refuse_accounts(
        self, endpoint: Endpoint, grant: Grant, named: Collection[NamedAccount]
    ) -> PlatformError | None:
        """Return the refusal of a request that names an account that its token doesn't reach, None if there is none."""
        try:
            return await self._refuse_accounts(endpoint, grant, named)
        except StorageError as error:
            return refuse_storage(error)

    def refuse_without_storage(self) -> PlatformError | None:
        """Return the refusal of any request if a change could not be seen at present, None if it could."""
        try:
            self._engine.require()
        except StorageError as error:
            return refuse_storage(error)
        return None

    def close(self) -> None:
        """Close the connection; from then on every request is answered 503."""
        self._grants.close()

    async def _decide_known(
        self, grant: Grant, now: datetime, presented: Presented, request: DataRequest
    ) -> tuple[str, Decision]:
        """Decide on a request with a token that exists; return the scope that it needs ("" if unknown) as well."""
        dead = decisions.refuse_grant(grant, now)
        if dead is not None:
            await self._remember_expiry(grant, now)
            return "", Denied(dead)
        match = self._match(request, presented.version, grant)
        if isinstance(match, PlatformError):
            return str(match.about.get("requiredScope", "")), Denied(match, grant.expires_at)
        endpoint = match.endpoint
        scope = endpoint.scope or ""
        refusal = None
        if request.query_string or presented.accounts or not names_only(match, grant.account_id):
            named = named_in_request(match, request.query_string, presented.accounts)
            refusal = await self._refuse_accounts(endpoint, grant, named) if named else None
        if refusal is None and request.serving is not None and grant.account_id not in request.serving:
            return scope, Denied(decisions.ACCOUNT_NOT_SERVED)
        if refusal is None and request.refusing_unseen and endpoint.body_names_account:
            refusal = decisions.BODY_UNCHECKED
        return scope, Allowed(grant, match, now) if refusal is None else Denied(refusal, grant.expires_at)

    def _match(self, request: DataRequest, version: str | None, grant: Grant) -> Match | PlatformError:
        """Return the endpoint that the token opens by this route; the accounts that the request names come later."""
        path = request.raw_path.decode("utf-8", "backslashreplace")
        match = self.catalogue.match(request.method, path)
        if match is None:
            return decisions.cannot(request.method, path)
        endpoint = match.endpoint
        refusal = decisions.refuse_version(endpoint, version, path)
        if refusal is None and request.is_platform:
            refusal = decisions.refuse_removed(endpoint, version, path)
        return refusal or decisions.refuse_scope(endpoint, grant) or match

    async def _refuse_accounts(
        self, endpoint: Endpoint, grant: Grant, named: Collection[NamedAccount]
    ) -> PlatformError | None:
        agencies: Mapping[str, str | None] = {}
        asked = decisions.accounts_to_look_up(grant, named)
        if asked and len(named) <= MOST_NAMED:
            agencies = await to_thread.run_sync(agencies_of, self._engine, asked)
        return decisions.refuse_accounts(endpoint, grant, named, agencies)

    def _note_unknown_token(self, now: datetime, address: str) -> None:
        if self._security is not None:
            self._security.note_unknown_token(now, address)

    def _now(self) -> datetime:
        """Return the present instant, which never runs backwards.

        Raises StorageError if the database's files are gone: the cache would miss every later change.
        """
        self._engine.require()
        return self._engine.now()

    async def _first_use(self, digest: bytes, now: datetime) -> tuple[Grant | None, datetime]:
        """Deliver a token by its first use; return its grant, and the instant from which that is read."""
        delivery = self._deliveries.get(digest)
        if delivery is None:
            # One for all requests that come meanwhile: they must not fill the queue of waiting writers.
            delivery = asyncio.ensure_future(to_thread.run_sync(deliver, self._engine, digest))
            self._deliveries[digest] = delivery
            delivery.add_done_callback(lambda _: self._deliveries.pop(digest, None))
        await asyncio.shield(delivery)
        now = self._engine.now()
        return await self._grants.find(digest, now), now

    async def _remember_expiry(self, grant: Grant, now: datetime) -> None:
        """Make sure that a clock that is set back can't revive a token that was refused as expired."""
        if grant.expires_at is not None and grant.expires_at <= now and not self._engine.has_stored(grant.expires_at):
            await to_thread.run_sync(self._engine.keep_ended, grant.expires_at)
