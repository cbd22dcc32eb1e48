"""Keep the connections to the upstream: a bounded number, alive between requests, with one timer for all deadlines."""

import asyncio
import ssl
from typing import Protocol

from ..authorizer.replies import PlatformError
from ..http.fair_shares import Line, ShareHolder, Shares
from . import refusals
from .connections import UpstreamConnection
from .limits import GatewayLimits
from .upstream import Upstream


class Ticking(Protocol):
    """An exchange with deadlines."""

    def tick(self, now: float) -> None:
        """Check the deadlines at `now`, in the loop's seconds."""


class Pool:
    """At most `limits.connections` connections, shared among accounts and tokens; used by one event loop."""

    def __init__(self, upstream: Upstream, limits: GatewayLimits) -> None:
        self._upstream = upstream
        self._limits = limits
        # The system's trust store; the certificate must be the host's.
        self._tls = ssl.create_default_context() if upstream.secure else None
        self._idle: list[UpstreamConnection] = []
        self._shares = Shares(limits.connections)
        self._line: Line[asyncio.Future[None]] = Line()
        self._open: set[UpstreamConnection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._running: set[Ticking] = set()

    async def take(self, owner: ShareHolder, *, fresh: bool) -> UpstreamConnection | PlatformError:
        """Take a connection: an idle one, unless it must be `fresh`, else a new one; or return a refusal."""
        if self._closed:
            return refusals.CLOSING
        if self._shares.take(owner) is not None and (refusal := await self._wait_for_share(owner)):
            return refusal
        if self._idle and not fresh:
            # The one that was used last, so that the others grow old and are closed.
            return self._idle.pop()
        if self._shares.used + len(self._idle) > self._limits.connections:
            self._discard(self._idle.pop(0))
        try:
            connection = await self._connect()
        except BaseException:
            self._give_back_share(owner)
            raise
        if isinstance(connection, PlatformError):
            self._give_back_share(owner)
        return connection

    def watch(self, exchange: Ticking) -> None:
        """Start to check the deadlines of an exchange."""
        self._running.add(exchange)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limits.tick, self._tick)

    def forget(self, exchange: Ticking) -> None:
        """Stop checking the deadlines of an exchange."""
        self._running.discard(exchange)

    def give_back(self, connection: UpstreamConnection, owner: ShareHolder) -> None:
        """Give back a connection, which is kept if another request may be sent over it."""
        if connection.reusable and not self._closed:
            connection.rest()
            self._idle.append(connection)
        else:
            connection.close()
        self._give_back_share(owner)

    def close(self) -> None:
        """Close all connections, also of running exchanges."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._open):
            connection.close()

    async def _wait_for_share(self, owner: ShareHolder) -> PlatformError | None:
        """Wait until the owner's share has room for one more connection, and hold it."""
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.join(owner, room)
        try:
            async with asyncio.timeout(self._limits.queue):
                await room
        except TimeoutError:
            if room.cancelled():
                short = self._shares.take(owner)
                return None if short is None else refusals.OF_SHARE[short]
        except asyncio.CancelledError:
            if not room.cancelled():
                self._give_back_share(owner)
            raise
        finally:
            self._line.leave(owner, room)
        return None

    async def _connect(self) -> UpstreamConnection | PlatformError:
        """Open a connection."""
        try:
            async with asyncio.timeout(self._limits.connect):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: UpstreamConnection(self._limits, self._lost),
                    self._upstream.host,
                    self._upstream.port,
                    ssl=self._tls,
                )
        except TimeoutError:
            return refusals.TIMEOUT
        except OSError:
            return refusals.UNREACHABLE
        self._open.add(connection)
        if self._closed:
            connection.close()
        return connection

    def _lost(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _discard(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        connection.close()

    def _give_back_share(self, owner: ShareHolder) -> None:
        self._shares.give_back(owner)
        while (room := self._line.next(self._shares)) is not None:
            room.set_result(None)

    def _tick(self) -> None:
        """Check all deadlines, and schedule the next check while there are exchanges or idle connections."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for exchange in list(self._running):
            exchange.tick(now)
        for connection in [idle for idle in self._idle if now - idle.progress > self._limits.idle]:
            connection.close()
        busy = self._running or self._idle
        self._timer = loop.call_later(self._limits.tick, self._tick) if busy else None
