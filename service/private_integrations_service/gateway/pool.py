"""The connections to the upstream: kept alive between requests, bounded, and looked after by one timer."""

import asyncio
import ssl
from collections import deque
from typing import Protocol

from ..authorizer.replies import Refusal
from . import refusals
from .connections import Connection
from .limits import GatewayLimits
from .upstream import Upstream


class Ticking(Protocol):
    """Something with deadlines."""

    def tick(self, now: float) -> None:
        """Look at the deadlines at `now`, in the loop's seconds."""


class Pool:
    """At most `limits.connections` connections; used by one event loop."""

    def __init__(self, upstream: Upstream, limits: GatewayLimits) -> None:
        self._upstream = upstream
        self._limits = limits
        # The system's trust store; the certificate must be the host's.
        self._tls = ssl.create_default_context() if upstream.secure else None
        self._idle: list[Connection] = []
        self._places = limits.connections
        self._queue: deque[asyncio.Future[Connection | None]] = deque()
        self._open: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._running: set[Ticking] = set()

    async def take(self, *, fresh: bool) -> Connection | Refusal:
        """A connection that nobody else uses: an idle one, unless it must be `fresh`, else a new one."""
        if self._closed:
            return refusals.CLOSING
        if self._idle and not fresh:
            # The one used last: the others grow old and are closed.
            return self._idle.pop()
        if self._places:
            self._places -= 1
        elif self._idle:
            # Its place is ours; when it is lost, it is not the pool's any more.
            self._discard(self._idle.pop(0))
        else:
            connection = await self._turn()
            if connection is not None:
                return connection
        return await self._connect()

    def watch(self, exchange: Ticking) -> None:
        """Look at its deadlines from now on."""
        self._running.add(exchange)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._limits.tick, self._tick)

    def forget(self, exchange: Ticking) -> None:
        """Look at its deadlines no more."""
        self._running.discard(exchange)

    def give_back(self, connection: Connection) -> None:
        """End the use of a connection: kept if another request may be sent over it."""
        if not connection.reusable or self._closed:
            connection.close()
            return
        connection.rest()
        if (waiting := self._next()) is not None:
            waiting.set_result(connection)
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close every connection; exchanges that run are broken off."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._open):
            connection.close()

    async def _turn(self) -> Connection | Refusal | None:
        """Wait for a connection that is given back, or for a place for a new one (None)."""
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self._limits.queue):
                return await turn
        except TimeoutError:
            if not turn.cancelled():
                return turn.result()  # given in the very moment of giving up
            return refusals.BUSY
        finally:
            if turn in self._queue:
                self._queue.remove(turn)

    async def _connect(self) -> Connection | Refusal:
        """A new connection in a place that was taken for it."""
        try:
            async with asyncio.timeout(self._limits.connect):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self._limits, self._lost),
                    self._upstream.host,
                    self._upstream.port,
                    ssl=self._tls,
                )
        except TimeoutError:
            self._free_place()
            return refusals.TIMEOUT
        except OSError:
            self._free_place()
            return refusals.UNREACHABLE
        self._open.add(connection)
        if self._closed:
            connection.close()
        return connection

    def _lost(self, connection: Connection) -> None:
        if connection in self._open:
            self._open.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
            self._free_place()

    def _discard(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()

    def _free_place(self) -> None:
        if (waiting := self._next()) is not None:
            waiting.set_result(None)
        else:
            self._places += 1

    def _next(self) -> "asyncio.Future[Connection | None] | None":
        while self._queue:
            waiting = self._queue.popleft()
            if not waiting.done():
                return waiting
        return None

    def _tick(self) -> None:
        """Runs as long as there is something to look after."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for exchange in list(self._running):
            exchange.tick(now)
        for connection in [idle for idle in self._idle if now - idle.progress > self._limits.idle]:
            connection.close()
        busy = self._running or self._idle
        self._timer = loop.call_later(self._limits.tick, self._tick) if busy else None
