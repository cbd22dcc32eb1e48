"""Worker processes: forked by one that watches over them and does nothing else, and ended with it (Linux)."""

import asyncio
import ctypes
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from private_integrations.errors import ConfigurationError

_STOPS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_ACCEPTS = b"+"

# So many deaths in a row, each so many seconds after its worker was started, are no accident.
_AT_ONCE = 10
_AGAIN = 5

_log = logging.getLogger(__name__)

Told = Callable[[], object]
OnStop = Callable[[Told], object]
"""Takes what is to be called when the server shall stop; used in its event loop."""
Work = Callable[[Told, OnStop], object]
"""What a worker does until it is to stop; told is, once, that it accepts connections."""


def keep_working(count: int, work: Work, listening: Told) -> None:
    """Have `count` processes do `work`, and others in place of those that die, until SIGTERM or SIGINT ends them all.

    `listening` is told once, when all accept. The caller has no thread and no connection to a database.
    Raises ConfigurationError if a worker can't start, or they die at once again and again.
    """
    with _stop_signals() as stop, closing(_Crew(work)) as crew:
        for _ in range(count):
            crew.hire()
        while not crew.complete:
            if crew.look(stop):
                return
            if crew.lost:
                raise ConfigurationError(f"a worker could not start: {crew.lost[0]}")
        listening()
        while not crew.look(stop):
            for why in crew.lost:
                _log.error("a worker ended: %s; another one takes its place", why)
                crew.hire()
            if crew.hasty >= _AGAIN:
                raise ConfigurationError(f"workers end as soon as they start, {_AGAIN} in a row: {crew.lost[-1]}")


@dataclass
class _Worker:
    pid: int
    started: float
    said: bytes = b""


@dataclass
class _Crew:
    """The workers, by the pipe on which each says that it accepts or why it fails, and by whose end that it is dead."""

    work: Work
    lost: list[str] = field(default_factory=list)
    """Why each of those ended that the last look found dead."""
    hasty: int = 0
    """How many of the last to die had only just been started."""

    def __post_init__(self) -> None:
        self._workers: dict[int, _Worker] = {}
        # Only this process can write to it: closed, also by its death, it tells every worker to end.
        self._orders, self._hold = os.pipe()

    @property
    def complete(self) -> bool:
        """Whether all accept connections."""
        return all(worker.said.startswith(_ACCEPTS) for worker in self._workers.values())

    def hire(self) -> None:
        """Fork one more."""
        hears, speaks = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            os.close(self._hold)
            _be_worker(self.work, parent, self._orders, speaks)
        os.close(speaks)
        self._workers[hears] = _Worker(pid, time.monotonic())

    def look(self, stop: int) -> bool:
        """Wait until there is something new, and note it; whether it is the order to stop."""
        ready, _, _ = select.select([stop, *self._workers], [], [])
        self.lost.clear()
        for hears in ready:
            if hears == stop:
                return True
            heard = os.read(hears, 4096)
            self._workers[hears].said += heard
            if not heard:
                self._bury(hears)
        return False

    def close(self) -> None:
        """Let all of them finish what they have begun, and wait for that."""
        os.close(self._hold)
        for hears, worker in self._workers.items():
            os.waitpid(worker.pid, 0)
            os.close(hears)
        os.close(self._orders)

    def _bury(self, hears: int) -> None:
        worker = self._workers.pop(hears)
        os.close(hears)
        status = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        why = worker.said.removeprefix(_ACCEPTS).decode(errors="replace")
        self.lost.append(why or (f"exit status {status}" if status >= 0 else signal.Signals(-status).name))
        at_once = time.monotonic() - worker.started < _AT_ONCE
        self.hasty = self.hasty + 1 if at_once else 0


def _be_worker(work: Work, parent: int, orders: int, speaks: int) -> NoReturn:
    """The whole life of a forked process."""
    status = 1
    try:
        # Whoever stops the service may signal all its processes at once; when to end, the parent says.
        for stop in _STOPS:
            signal.signal(stop, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        # Not only by `orders`: a worker that hangs must not outlive the lock on the data folder.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            work(partial(os.write, speaks, _ACCEPTS), partial(_when_closed, orders))
            status = 0
    except ConfigurationError as error:
        os.write(speaks, str(error).encode())
    except Exception:
        _log.exception("a worker failed")
    finally:
        os._exit(status)


def _when_closed(orders: int, end: Told) -> None:
    loop = asyncio.get_running_loop()

    def closed() -> None:
        loop.remove_reader(orders)
        end()

    loop.add_reader(orders, closed)


@contextmanager
def _stop_signals() -> Iterator[int]:
    """A descriptor that can be read once SIGTERM or SIGINT has come; they do nothing else in the block."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    before = {stop: signal.signal(stop, _no_more) for stop in _STOPS}
    signal.set_wakeup_fd(writable)
    try:
        yield readable
    finally:
        signal.set_wakeup_fd(-1)
        for stop, handler in before.items():
            signal.signal(stop, handler)
        os.close(readable)
        os.close(writable)


def _no_more(*_: object) -> None:
    """The signal's number is written to the descriptor (signal.set_wakeup_fd)."""
