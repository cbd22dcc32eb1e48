"""Limit requests to the management API and the pages: those without a known credential wait, before any work."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from http.cookies import CookieError, SimpleCookie

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from private_integrations.contract import KEY_PREFIX, digest_of

from ..http.client_address import Networks, client_address
from ..http.client_connections import Clients
from ..http.fair_shares import ShareHolder
from ..http.rate_limiter import RateLimiter, UnknownClients
from ..management_api.callers import note_key
from ..operations.live_keys import LiveKeys
from ..storage.engine import StorageError
from ..storage.known_credentials import KnownCredentials

OwnerOf = Callable[[Scope], Awaitable[ShareHolder | None]]
"""Find the owner of a request's credential, if the service knows it."""


def _never(_: str) -> bool:
    return False


# A browser sends far less; longer headers are not read.
_LONGEST_COOKIES = 8192


class Door:
    """Pass on requests with a known credential within their share, and others within a rate limit.

    Args:
        app: Answers the requests that are passed on.
        owner_of: Finds the owner of a request's credential.
        clients: Limits owners to their shares of the connections.
        unknown: Limits the rate of requests without a known credential.
        refusal: Answers the other requests.
        trusted: The proxies of which X-Forwarded-For is believed.
        free: Tells the paths that cost so little that they are never limited.

    """

    def __init__(
        self,
        app: ASGIApp,
        owner_of: OwnerOf,
        clients: Clients,
        unknown: UnknownClients,
        refusal: ASGIApp,
        trusted: Networks = (),
        free: Callable[[str], bool] = _never,
    ) -> None:
        self._app = app
        self._owner_of = owner_of
        self._clients = clients
        self._unknown = unknown
        self._refusal = refusal
        self._trusted = trusted
        self._free = free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request over HTTP."""
        if self._free(scope["path"]):
            await self._app(scope, receive, send)
            return
        owner = await self._owner_of(scope)
        if owner is None:
            is_admitted = await self._unknown.admit(client_address(scope, self._trusted))
            await (self._app if is_admitted else self._refusal)(scope, receive, send)
        elif self._clients.begin(scope, owner) is not None:
            await self._refusal(scope, receive, send)
        else:
            try:
                await self._app(scope, receive, send)
            finally:
                self._clients.end(scope, owner)


class Repeated:
    """Ask an application as often as the limit allows, and repeat its last answer in between; for health checks."""

    def __init__(self, app: ASGIApp, limit: RateLimiter) -> None:
        self._app = app
        self._limit = limit
        self._last: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request over HTTP."""
        now = asyncio.get_running_loop().time()
        if self._last and self._limit.wait(now):
            for message in self._last:
                await send(message)
            return
        self._limit.take(now)
        messages: list[Message] = []

        async def sending(message: Message) -> None:
            messages.append(message)
            await send(message)

        await self._app(scope, receive, sending)
        self._last = messages


def owner_by_key(keys: LiveKeys, clock: Callable[[], datetime]) -> OwnerOf:
    """Find the owner of a request by its management key, which may have ended; note the key for the route."""

    async def owner_of(scope: Scope) -> ShareHolder | None:
        async def is_known(digest: bytes) -> bool:
            since = keys.epoch
            key = await keys.find(digest, clock())
            if key is not None:
                note_key(scope, key, since)
            return key is not None

        for name, value in scope["headers"]:
            if name == b"authorization":
                presented = value.decode("latin-1").partition(" ")[2].strip()
                return await _owner("management", is_known, presented) if presented.startswith(KEY_PREFIX) else None
        return None

    return owner_of


def owner_by_session(known: KnownCredentials) -> OwnerOf:
    """Find the owner of a request by its session, or by the remembered browser that sent it."""

    async def owner_of(scope: Scope) -> ShareHolder | None:
        for name, value in scope["headers"]:
            if name == b"cookie" and len(value) <= _LONGEST_COOKIES:
                secrets = _secrets(value.decode("latin-1"))
                owners = [await _owner("pages", known.has_session, secret) for secret in secrets("session")]
                owners += [await _owner("pages", known.has_browser, secret) for secret in secrets("known")]
                return next(filter(None, owners), None)
        return None

    return owner_of


def _secrets(cookies: str) -> Callable[[str], list[str]]:
    """Read cookies by their name, with the prefix of TLS or, on this machine, without it."""
    try:
        sent = SimpleCookie(cookies)
    except CookieError:
        sent = SimpleCookie()
    return lambda name: [sent[one].value for one in (f"__Host-{name}", name) if one in sent]


async def _owner(part: str, lookup: Callable[[bytes], Awaitable[bool]], secret: str) -> ShareHolder | None:
    """Find the owner of a secret, None if it is unknown or the database can't be read."""
    digest = digest_of(secret)
    try:
        return ShareHolder(part, digest) if await lookup(digest) else None
    except StorageError:
        return None
