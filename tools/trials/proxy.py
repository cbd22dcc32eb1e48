"""Proxy HTTP/1.1 on loopback, and lose, double, reorder and delay requests as a bad network would.

It understands messages only as far as their length (`Content-Length`), so that each request meets one
fault, drawn at random from a seed. A late copy is a request that arrives at the service after others
that were sent after it; the proxy drops its answer.
"""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import astuple, dataclass
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

Value = TypeVar("Value")

_LATEST = 12
"""Let at most so many later requests pass a late copy; `flush` lets all arrive now."""
_NEVER_BY_ITSELF = 1 << 30
_BROKEN = (OSError, asyncio.IncompleteReadError)


@dataclass(frozen=True)
class Faults:
    """Give the probability of each fault for a request; the rest to 1 is delivered without a fault.

    `cut_before`: the request never arrives. `cut_after`: its answer is lost. `cut_amid`: the answer
    breaks off. `late`: the client is cut off at once, the request arrives after later ones.
    `duplicated`: it is answered, and a copy arrives as well, right behind it or much later.
    `delayed`: it waits for `delay_seconds`.
    """

    cut_before: float = 0.0
    cut_after: float = 0.0
    cut_amid: float = 0.0
    late: float = 0.0
    duplicated: float = 0.0
    delayed: float = 0.0
    delay_seconds: float = 0.005

    @classmethod
    def at_loss(cls, loss: float) -> "Faults":
        """Return a network that loses this share of requests or answers, doubles half as many and delays some."""
        return cls(loss / 4, loss / 4, loss / 4, loss / 4, duplicated=loss / 2, delayed=0.02)


_KINDS = ("cut before", "cut after", "cut amid", "late", "duplicated", "delayed", "delivered")


class FaultyProxy:
    """Forward requests to a service; `counts` are the faults met, `arrived_late` the copies that came after others."""

    def __init__(self, target: str, faults: Faults | None = None, seed: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self.arrived_late = 0
        self.aim(target)
        self.behave(faults or Faults(), seed)
        self._waiting: list[tuple[int, bytes]] = []
        self._passed = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        """Return the URL to use in place of the service's."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def aim(self, target: str) -> None:
        """Forward to this address from now on; a restarted service has another one."""
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)

    def behave(self, faults: Faults, seed: int | None = None) -> None:
        """Have these faults from now on; with a seed, the same ones for the same requests."""
        self._weights = [*astuple(faults)[:-1]]
        self._weights.append(1 - sum(self._weights))
        self._delay = faults.delay_seconds
        if seed is not None:
            self._random = random.Random(seed)  # noqa: S311 - to be repeatable, not secret

    def flush(self) -> None:
        """Let all late copies arrive now, in any order; return when the service has answered them all."""
        self._run(self._release(everything=True))

    def __enter__(self) -> "FaultyProxy":
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _close(self) -> None:
        self._server.close()
        for answers in self._connections.values():
            answers.close()
        await asyncio.gather(*self._connections)

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = answers
        service = _Service()
        try:
            with suppress(*_BROKEN):
                while await self._pass_on(await _message(client), service, answers):
                    """Serve one request after another, until one meets a fault that cuts the connection."""
        finally:
            del self._connections[task]
            service.close()
            answers.close()

    async def _pass_on(self, request: bytes, service: "_Service", answers: asyncio.StreamWriter) -> bool:
        """Let one request meet its fault; False if that ends the connection."""
        await self._release()
        [kind] = self._random.choices(_KINDS, self._weights)
        self.counts[kind] += 1
        if kind == "late":
            self._delay_copy(request, behind=1)
        if kind in ("late", "cut before"):
            return False
        if kind == "delayed":
            await asyncio.sleep(self._delay)
        answer = await service.ask(self._target, request)
        if kind == "duplicated":
            self._delay_copy(request, behind=0)
            await self._release(passing=0)
        if kind == "cut amid":
            answers.write(answer[: self._random.randrange(1, len(answer))])
        elif kind != "cut after":
            answers.write(answer)
        await answers.drain()
        return kind not in ("cut amid", "cut after")

    def _delay_copy(self, request: bytes, *, behind: int) -> None:
        later = self._random.choice((behind, self._random.randint(1, _LATEST), _NEVER_BY_ITSELF))
        self._waiting.append((self._passed + later, request))

    async def _release(self, *, passing: int = 1, everything: bool = False) -> None:
        """Let the late copies arrive that have waited long enough, now that another request passes."""
        self._passed += passing
        ready = [copy for copy in self._waiting if everything or copy[0] <= self._passed]
        self._waiting = [copy for copy in self._waiting if copy not in ready]
        self._random.shuffle(ready)
        for _, request in ready:
            service = _Service()
            with suppress(*_BROKEN):
                await service.ask(self._target, request)
                self.arrived_late += 1
            service.close()


class _Service:
    """Hold a connection to the service, made for the first request."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, target: tuple[str | None, int | None], request: bytes) -> bytes:
        """Send a request and return the whole answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*target)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        return await _message(reader)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


async def _message(stream: asyncio.StreamReader) -> bytes:
    """Read one request or answer, head and body."""
    head = await stream.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await stream.readexactly(int(lengths[0]) if lengths else 0)
