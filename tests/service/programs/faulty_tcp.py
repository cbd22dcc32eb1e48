"""Proxy TCP on loopback, and delay, hold, drop, cut or refuse as a bad network would; the protocol doesn't matter."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeVar

from server_processes import HOST

Value = TypeVar("Value")
Side = Literal["client", "server"]

_MOST = 1 << 16  # bytes read at once
# Linger for no time: closing a socket then sends RST.
_RESET = struct.pack("ii", 1, 0)


@dataclass
class _Way:
    """How bytes travel towards one side."""

    delay: float = 0.0
    drops: bool = False
    free: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Connection:
    """The two sockets of a connection by the side where each leads."""

    ends: dict[Side, socket.socket]
    closed_towards: set[Side] = field(default_factory=set)
    incomplete: bool = False

    def close(self, *, reset: bool) -> None:
        for end in self.ends.values():
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()


class FaultyTCP:
    """A proxy before a server; a context manager that listens, and at the end resets every connection.

    `towards` limits a fault to the bytes for one side: after `drop(towards="client")` requests arrive, answers don't.
    """

    host = HOST

    def __init__(self, host: str, port: int) -> None:
        self.aim(host, port)
        self.port = 0
        self._ways: dict[Side, _Way] = {"client": _Way(), "server": _Way()}
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._accepting: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.recover()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def aim(self, host: str, port: int) -> None:
        """Lead new connections to this server from now on."""
        self._target = (host, port)

    def delay(self, seconds: float, *, towards: Side | None = None) -> None:
        """Let bytes arrive so much later."""
        for way in self._towards(towards):
            way.delay = seconds

    def hold(self, *, towards: Side | None = None) -> None:
        """Keep bytes back; they arrive after `recover`, as after an outage of the network."""
        for way in self._towards(towards):
            way.free.clear()

    def drop(self, *, towards: Side | None = None) -> None:
        """Take bytes and lose them; connections stay open until `recover`, which resets those that lost some."""
        for way in self._towards(towards):
            way.drops = True

    def cut(self) -> None:
        """Reset the connections of now."""
        self._run(_cancel(list(self._connections)))

    def half_close(self, *, towards: Side) -> None:
        """Close the connections of now for one direction: a side gets an end of file and can still send."""

        async def half_close() -> None:
            for connection in self._connections.values():
                connection.closed_towards.add(towards)
                with suppress(OSError):
                    connection.ends[towards].shutdown(socket.SHUT_WR)

        self._run(half_close())

    def refuse(self) -> None:
        """Refuse new connections; those of now go on."""
        self._run(self._refuse())

    def recover(self) -> None:
        """End every fault."""
        self._run(self._recover())

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def _towards(self, side: Side | None) -> list[_Way]:
        return [self._ways[side]] if side else [*self._ways.values()]

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _recover(self) -> None:
        await _cancel([task for task, connection in self._connections.items() if connection.incomplete])
        for way in self._ways.values():
            way.delay, way.drops = 0.0, False
            way.free.set()
        if self._accepting is None:
            listening = socket.create_server((self.host, self.port), backlog=100)
            listening.setblocking(False)
            self.port = listening.getsockname()[1]
            self._accepting = asyncio.create_task(self._accept(listening))

    async def _refuse(self) -> None:
        if self._accepting is not None:
            await _cancel([self._accepting])
            self._accepting = None

    async def _accept(self, listening: socket.socket) -> None:
        with listening:
            while True:
                client, _ = await self._loop.sock_accept(listening)
                server = socket.socket()
                server.setblocking(False)
                connection = _Connection({"client": client, "server": server})
                task = asyncio.create_task(self._carry(connection))
                self._connections[task] = connection
                task.add_done_callback(self._close)

    def _close(self, task: "asyncio.Task[None]") -> None:
        broken = task.cancelled() or task.exception() is not None
        self._connections.pop(task).close(reset=broken)

    async def _carry(self, connection: _Connection) -> None:
        """Carry bytes in both directions until both are closed."""
        await self._loop.sock_connect(connection.ends["server"], self._target)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._carry_towards("server", "client", connection))
            both.create_task(self._carry_towards("client", "server", connection))

    async def _carry_towards(self, side: Side, source: Side, connection: _Connection) -> None:
        way, end = self._ways[side], connection.ends[side]
        data = b"-"
        while data:
            data = await self._loop.sock_recv(connection.ends[source], _MOST)
            await asyncio.sleep(way.delay)
            await way.free.wait()
            if way.drops:
                connection.incomplete = True
            elif side in connection.closed_towards:
                continue
            elif data:
                await self._loop.sock_sendall(end, data)
            else:
                end.shutdown(socket.SHUT_WR)
        if connection.incomplete:
            await asyncio.Event().wait()


async def _cancel(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
