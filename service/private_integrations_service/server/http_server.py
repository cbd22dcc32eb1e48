"""Listen for clients, serve their connections, and close some of them when there are too many (docs/operating.md)."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from ipaddress import ip_address

from starlette.types import ASGIApp

from ..http.client_address import Networks
from ..http.client_connections import Clients
from .http_connection import HttpConnection, Refuse

# Connections that wait until they are accepted.
_BACKLOG = 1024
# Seconds between two looks at the connections: near the limit, and otherwise.
_PRESSED, _USUAL = 0.25, 1.0
_HEAD_SECONDS = 30.0
"""How long a head may take, counted from the end of the request before."""
# Without a request of a known client, and without a byte from the client: it doesn't read its answer. It is closed if
# there are many connections.
_LONGEST_IDLE = 60.0


class HttpServer:
    """Serve an application over HTTP/1.1.

    Args:
        app: Answers requests.
        refuse: Answers the requests that can't be read.
        clients: Knows which connections serve known clients, and how many connections there may be.
        per_address: How many connections an address keeps, not counting those with a request of a known client. None
            is a quarter of all, with an exemption for this machine's own address.
        trusted: The proxies that keep any number of connections.
        clock: Returns the present instant in UTC, for the `Date` header.

    """

    def __init__(
        self,
        app: ASGIApp,
        refuse: Refuse,
        clients: Clients,
        per_address: int | None,
        trusted: Networks,
        clock: Callable[[], datetime],
    ) -> None:
        self.app = app
        self.refuse = refuse
        self.stopping = False
        self.date = b""
        self._clients = clients
        self._per_address = per_address
        self._trusted = trusted
        self._clock = clock
        self._connections: set[HttpConnection] = set()
        self._listening: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._full_until = 0.0
        self._all_closed = asyncio.Event()

    async def listen(self, bound: socket.socket) -> None:
        """Accept connections on a bound socket."""
        loop = asyncio.get_running_loop()
        self._look()
        self._listening = await loop.create_server(lambda: HttpConnection(self, loop), sock=bound, backlog=_BACKLOG)

    def stop(self) -> None:
        """Accept no more connections, and close each one that has no request."""
        self.stopping = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(self._connections):
            connection.stop()
        if not self._connections:
            self._all_closed.set()

    async def wait_closed(self) -> None:
        """Wait until a stopped server has answered its last request, and all connections are closed."""
        await self._all_closed.wait()
        if self._timer is not None:
            self._timer.cancel()

    def opened(self, connection: HttpConnection) -> None:
        """Note a new connection, and make room if there are too many."""
        self._connections.add(connection)
        if len(self._connections) > self._clients.capacity:
            now = connection.received_at
            if now >= self._full_until:
                self._close_surplus(now)
            if len(self._connections) > self._clients.capacity:
                # All others are in use.
                self._full_until = now + _PRESSED
                self._close(connection)

    def closed(self, connection: HttpConnection) -> None:
        """Note the end of a connection."""
        self._connections.discard(connection)
        self._clients.forget(connection.peer)
        if self.stopping and not self._connections:
            self._all_closed.set()

    def _look(self) -> None:
        """Close the connections that are too slow or too many, and look again after a while."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self.date = b"date: %b\r\n" % format_datetime(self._clock(), usegmt=True).encode()
        for each in list(self._connections):
            if each.awaits_head and now - each.head_since > _HEAD_SECONDS:
                self._close(each)
        is_pressed = self._close_surplus(now)
        self._timer = loop.call_later(_PRESSED if is_pressed else _USUAL, self._look)

    def _close_surplus(self, now: float) -> bool:
        """Close the surplus connections, and return whether the server is near its limit."""
        clients, count = self._clients, len(self._connections)
        per_address = self._per_address or max(1, clients.capacity // 4)
        if count <= min(per_address, clients.capacity * 3 // 4):
            return False
        idle = [each for each in self._connections if each.peer not in clients.busy]
        # Those of known clients, and those that sent something lately, are closed last.
        idle.sort(key=lambda each: (each.peer in clients.known, each.received_at))
        counted = Counter(each.peer[0] for each in self._connections)
        is_pressed = count > clients.capacity * 7 // 8
        left = count - clients.capacity * 3 // 4 if is_pressed else 0
        for each in idle:
            address = each.peer[0]
            is_stuck = now - each.received_at > _LONGEST_IDLE
            if left > 0 or is_stuck or (counted[address] > per_address and not self._is_exempt(address)):
                self._close(each)
                counted[address] -= 1
                left -= 1
        return is_pressed

    def _is_exempt(self, address: str) -> bool:
        plain = ip_address(address.removeprefix("::ffff:").partition("%")[0])
        return (self._per_address is None and plain.is_loopback) or any(plain in network for network in self._trusted)

    def _close(self, connection: HttpConnection) -> None:
        # At once: the transport reports the end only later.
        self._connections.discard(connection)
        connection.abort()
