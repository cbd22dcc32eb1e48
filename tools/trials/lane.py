"""Run services for trials, each with a clock that can be moved, behind a faulty proxy of its own."""

import http.client
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import private_integrations.client
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from throwaway import REPOSITORY, UNLIMITED, listening_address
from trials.proxy import FaultyProxy
from trials.weakened_service import OFFSET

# The production pauses spread load over seconds; here the network's faults don't depend on time.
_PAUSES = (0.001, 0.002, 0.004)


@dataclass
class MovedService:
    """Hold a running service and the file with the seconds that its clock is ahead."""

    folder: Path
    rule: str
    popen: "type[subprocess.Popen[str]]" = subprocess.Popen
    url: str = ""
    key: str = field(default="", repr=False)
    account: str = ""

    def __post_init__(self) -> None:
        self._clock = self.folder / "clock"
        self._clock.write_bytes(OFFSET.pack(0))
        self.ahead = 0.0
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again; the port is another one each time."""
        command = [sys.executable, str(REPOSITORY / "tools" / "trials" / "weakened_service.py")]
        self._process = self.popen(
            [*command, str(self.folder / "data"), str(self._clock), *([self.rule] if self.rule else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | UNLIMITED,
        )
        self.url = listening_address(self._process)
        if not self.key:
            self.key = (self.folder / "data" / "admin.key").read_text().strip()
            accounts = Client(ServiceConnection(self.url, self.key)).accounts()
            self.account = next(account.id for account in accounts if account.kind.belongs_to_agency)

    def kill(self) -> None:
        """Kill it by SIGKILL, so that it finishes and closes nothing."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def move(self, seconds: float) -> None:
        """Move its clock forward."""
        self.ahead += seconds
        with self._clock.open("r+b") as stream:
            stream.write(OFFSET.pack(self.ahead))


class Lane:
    """Hold a service behind a proxy, for one trial after another."""

    def __init__(self, service: MovedService, proxy: FaultyProxy) -> None:
        self.service = service
        self.proxy = proxy
        self.done: Counter[str] = Counter()

    def ask(self, path: str, token: str) -> tuple[int, Any]:
        """Send a GET straight to the service, for the harness itself."""
        connection = http.client.HTTPConnection(urlsplit(self.service.url).netloc)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Version": "2021-07-28"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def revive(self) -> None:
        """Kill the service and start it again."""
        self.service.kill()
        self.service.start()
        self.proxy.aim(self.service.url)


@contextmanager
def lane(folder: Path, rule: str = "", popen: "type[subprocess.Popen[str]]" = subprocess.Popen) -> Iterator[Lane]:
    """Make a lane in this folder, with one of the service's rules switched off if named."""
    pauses = private_integrations.client._PAUSES
    service = MovedService(folder, rule, popen)
    try:
        private_integrations.client._PAUSES = _PAUSES
        with FaultyProxy(service.url) as proxy:
            yield Lane(service, proxy)
    finally:
        private_integrations.client._PAUSES = pauses
        service.kill()
