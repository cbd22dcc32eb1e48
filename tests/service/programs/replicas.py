"""Replicas of the service as real processes on one PostgreSQL, which tests stop, kill, halt and start again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Self

import psutil
import requests

from forked import Popen
from private_integrations.contract import API
from server_processes import HOST, SECONDS, free_port, wait_until
from throwaway import UNLIMITED

_SHIFTED = Path(__file__).with_name("shifted_clock.py")

DURATION = 2.0
"""How long a lease lasts (D), in seconds: the shortest that may be set."""


class Replica:
    """One machine: `serve --database` with a data folder and a port of its own.

    Args:
        folder: The data folder.
        address: The database, as this machine reaches it.
        workers: How many processes serve.
        settings: Environment variables.
        clock_off: By how many seconds its wall clock is off.

    """

    def __init__(
        self, folder: Path, address: str, workers: int, settings: dict[str, str], clock_off: float = 0
    ) -> None:
        self.folder = folder
        self.address = address
        self.workers = workers
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._settings = settings
        self.program = [str(_SHIFTED), str(clock_off)] if clock_off else ["-m", "private_integrations.cli"]
        """The program that Python runs; another release has another one."""
        self._log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._logged_before = 0

    def begin(self) -> None:
        """Start it, without waiting until it serves."""
        serve = [sys.executable, *self.program, "serve", "--port", str(self.port)]
        options = ["--data-dir", str(self.folder), "--database", self.address, "--workers", str(self.workers)]
        self._logged_before = len(self.log)
        with self._log.open("ab") as log:
            environment = os.environ | UNLIMITED | {"PRIVATE_INTEGRATIONS_LEASE": f"{DURATION:g}s"} | self._settings
            self._process = Popen([*serve, *options], stdout=log, stderr=log, env=environment)

    def wait(self) -> None:
        """Wait until it says that it listens."""
        wait_until(lambda: self._listens() or not self.running, f"the replica listens: {self._log}")
        if not self.running:
            raise RuntimeError(f"the replica did not start: {self.log}")

    def start(self) -> None:
        """Start it, and wait until it serves; `took` is how many seconds that was, after Python's imports."""
        began = time.monotonic()
        self.begin()
        self.wait()
        self.took = time.monotonic() - began

    def stop(self) -> None:
        """Stop it as an operator does, and wait for it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(SECONDS)

    def kill(self) -> None:
        """Kill all its processes."""
        workers = self.worker_pids
        self._signal(signal.SIGKILL, self.pid)
        assert self._process is not None
        self._process.wait(SECONDS)
        wait_until(lambda: not any(map(_runs, workers)), "the workers of a killed replica end")

    def pause(self) -> None:
        """Halt all its processes."""
        self._signal(signal.SIGSTOP, self.pid, *self.worker_pids)

    def resume(self) -> None:
        """Let halted processes go on."""
        self._signal(signal.SIGCONT, self.pid, *self.worker_pids)

    def signal_worker(self, number: signal.Signals, pid: int) -> None:
        """Send a signal to one worker."""
        assert pid in self.worker_pids
        self._signal(number, pid)

    @property
    def running(self) -> bool:
        """True until its first process has ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def worker_pids(self) -> list[int]:
        """The processes that serve beside the first one; none with one worker."""
        return [child.pid for child in psutil.Process(self.pid).children()]

    @property
    def keeper(self) -> int | None:
        """The process that keeps the lease: it has locked `lease.lock`."""
        node = (self.folder / "lease.lock").stat().st_ino
        found = re.search(rf"FLOCK +ADVISORY +WRITE +(\d+) \S+:{node} ", Path("/proc/locks").read_text())
        return int(found[1]) if found else None

    @property
    def log(self) -> str:
        """Everything that its runs have printed."""
        return self._log.read_text() if self._log.exists() else ""

    def _listens(self) -> bool:
        return "listening on " in self.log[self._logged_before :]

    def _signal(self, number: signal.Signals, *pids: int) -> None:
        for pid in pids:
            os.kill(pid, number)


class Replicas(Sequence[Replica]):
    """Several replicas on one database, of which the first one installs; a context manager that starts and ends them.

    Args:
        folder: For their data folders.
        addresses: The database as each machine reaches it.
        workers: Of each.
        settings: Environment variables.
        clocks_off: By how many seconds the wall clock of each machine is off.

    """

    def __init__(
        self,
        folder: Path,
        addresses: Sequence[str],
        workers: int = 1,
        settings: dict[str, str] | None = None,
        clocks_off: Sequence[float] = (),
    ) -> None:
        self._replicas = [
            Replica(folder / f"replica-{number}", address, workers, settings or {}, off)
            for number, (address, off) in enumerate(zip_longest(addresses, clocks_off, fillvalue=0))
        ]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.__exit__)
            self[0].start()
            for replica in self[1:]:
                replica.begin()
            for replica in self[1:]:
                replica.wait()
            stack.pop_all()
        self.key = (self[0].folder / "admin.key").read_text().strip()
        accounts = requests.get(f"{self[0].url}{API}/accounts", headers=self._headers, timeout=20).json()["accounts"]
        self.account = next(account["id"] for account in accounts if account["kind"] == "sub_account")
        return self

    def __exit__(self, *_: object) -> None:
        for replica in self:
            if replica.running:
                replica.kill()

    def __getitem__(self, number):
        return self._replicas[number]

    def __len__(self) -> int:
        return len(self._replicas)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
