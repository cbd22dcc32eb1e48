"""Run the service in several worker processes, and restart those that end (Linux).

The supervisor forks the workers and serves no request itself. It knows the workers by two kinds of pipes:

- On its status pipe each worker reports that it accepts connections, or why it fails. The pipe's end is the worker's.
- All workers watch the stop pipe. Only the supervisor holds its writing end: when that is closed, be it by the
  supervisor's death, every worker finishes its requests and exits.
"""

import asyncio
import ctypes
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from private_integrations.errors import ConfigurationError

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_ACCEPTS = b"+"

# Give up after so many workers in a row that ended within so many seconds of their start.
_MOST_QUICK_ENDS = 5
_QUICK_SECONDS = 10

_log = logging.getLogger(__name__)

Callback = Callable[[], object]
OnStop = Callable[[Callback], object]
"""Registers a callback that stops the server; called in the server's event loop."""
Work = Callable[[Callback, OnStop], object]
"""Serves requests until it is stopped; calls its first argument once, when it accepts connections."""


def supervise(count: int, work: Work, on_listening: Callback) -> None:
    """Run `work` in `count` processes until SIGTERM or SIGINT, and restart the processes that end.

    The caller has no other thread, and no connection to a database: neither survives a fork.

    Args:
        count: How many worker processes run at once.
        work: Is called in each worker process.
        on_listening: Is called once, when all workers accept connections.

    Raises:
        ConfigurationError: A worker can't start, or workers end right after their start again and again.

    """
    with _stop_signals() as signalled, closing(Supervisor(work, signalled)) as supervisor:
        for _ in range(count):
            supervisor.start()
        while not supervisor.all_accept:
            if supervisor.wait():
                return
            if supervisor.ended:
                raise ConfigurationError(f"a worker could not start: {supervisor.ended[0]}")
        on_listening()
        while not supervisor.wait():
            supervisor.restart_ended()


@dataclass
class _Worker:
    """A worker process, as the supervisor knows it."""

    pid: int
    started_at: float
    reported: bytes = b""


class Supervisor:
    """Starts, watches, restarts and stops worker processes; `signalled` can be read once a stop signal has come."""

    def __init__(self, work: Work, signalled: int) -> None:
        self._work = work
        self._signalled = signalled
        self._workers: dict[int, _Worker] = {}
        """By the reading end of their status pipes."""
        self._stop_reader, self._stop_writer = os.pipe()
        self._quick_ends = 0
        self.ended: list[str] = []
        """Why the workers ended that the last `wait` reaped."""

    @property
    def all_accept(self) -> bool:
        """Return whether all workers accept connections."""
        return all(worker.reported.startswith(_ACCEPTS) for worker in self._workers.values())

    def start(self) -> None:
        """Start one more worker."""
        status_reader, status_writer = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            for descriptor in (self._stop_writer, status_reader, *self._workers):
                os.close(descriptor)
            _run_worker(self._work, parent, self._stop_reader, status_writer)
        os.close(status_writer)
        self._workers[status_reader] = _Worker(pid, time.monotonic())

    def wait(self) -> bool:
        """Wait for a report, a worker's end or a stop signal; reap ended workers, and return whether to stop."""
        ready, _, _ = select.select([self._signalled, *self._workers], [], [])
        self.ended.clear()
        for descriptor in ready:
            if descriptor == self._signalled:
                return True
            report = os.read(descriptor, 4096)
            self._workers[descriptor].reported += report
            if not report:
                self._reap(descriptor)
        return False

    def restart_ended(self) -> None:
        """Start a worker in place of each that ended; raises ConfigurationError if they end right after their start."""
        for why in self.ended:
            _log.error("a worker ended: %s; another one takes its place", why)
            self.start()
        if self._quick_ends >= _MOST_QUICK_ENDS:
            raise ConfigurationError(
                f"workers end as soon as they start, {_MOST_QUICK_ENDS} in a row: {self.ended[-1]}"
            )

    def close(self) -> None:
        """Stop all workers, and wait until they have finished their requests."""
        os.close(self._stop_writer)
        for status_reader, worker in self._workers.items():
            os.waitpid(worker.pid, 0)
            os.close(status_reader)
        os.close(self._stop_reader)

    def _reap(self, status_reader: int) -> None:
        worker = self._workers.pop(status_reader)
        os.close(status_reader)
        status = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        why = worker.reported.removeprefix(_ACCEPTS).decode(errors="replace")
        self.ended.append(why or (f"exit status {status}" if status >= 0 else signal.Signals(-status).name))
        is_quick = time.monotonic() - worker.started_at < _QUICK_SECONDS
        self._quick_ends = self._quick_ends + 1 if is_quick else 0


def _run_worker(work: Work, parent: int, stop_reader: int, status_writer: int) -> NoReturn:
    """Do the work in a forked process, and exit."""
    status = 1
    try:
        # A terminal signals all processes at once, but a worker stops only by the stop pipe.
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        # The stop pipe alone is not enough: a worker that hangs must not outlive the lock on the data folder.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            work(partial(os.write, status_writer, _ACCEPTS), partial(_call_at_end, stop_reader))
            status = 0
    except ConfigurationError as error:
        os.write(status_writer, str(error).encode())
    except Exception:
        _log.exception("a worker failed")
    finally:
        os._exit(status)


def _call_at_end(reader: int, stop: Callback) -> None:
    """Call `stop` once, when the writing end of a pipe is closed."""
    loop = asyncio.get_running_loop()

    def closed() -> None:
        loop.remove_reader(reader)
        stop()

    loop.add_reader(reader, closed)


@contextmanager
def _stop_signals() -> Iterator[int]:
    """Yield a descriptor that can be read once SIGTERM or SIGINT has come; they have no other effect in the block."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    before = {number: signal.signal(number, _ignore) for number in _STOP_SIGNALS}
    signal.set_wakeup_fd(writable)
    try:
        yield readable
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(readable)
        os.close(writable)


def _ignore(*_: object) -> None:
    """Do nothing; Python itself writes the signal's number to the descriptor (signal.set_wakeup_fd)."""
