"""Connections that stay open to a service with several workers, and which worker has each."""

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psutil

from private_integrations.contract import API

_SECONDS = 20


@dataclass
class Line:
    """A kept connection to one worker; `pid` is the worker's."""

    connection: http.client.HTTPConnection
    pid: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    """How many requests on it were answered how."""

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: Any = None) -> Any:
        """Send a request on this very connection; answers status and JSON body, or raises if it is gone."""
        content = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json", **(headers or {})}
        self.connection.request(method, target, content, sent)
        answer = self.connection.getresponse()
        parsed = json.loads(answer.read())
        self.statuses[answer.status] += 1
        return answer.status, parsed

    def manage(self, key: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A request to the management API."""
        return self.ask(method, API + path, {"Authorization": f"Bearer {key}", **headers}, body)

    def use(self, token: str, account: str) -> tuple[int, str | None]:
        """List contacts with a token; status and, if it was refused, the reason."""
        target = f"/contacts/?locationId={account}"
        status, body = self.ask("GET", target, {"Authorization": token, "Version": "v3"})
        return status, body.get("reason")


def worker_pids(service: int) -> set[int]:
    """The processes that a service has made."""
    return {child.pid for child in psutil.Process(service).children()}


@contextmanager
def lines(url: str, service: int, each: int = 1) -> Iterator[list[Line]]:
    """So many lines to each of two workers of a running service, by turns; waits until both of them accept."""
    address = urlsplit(url).netloc
    opened: list[Line] = []
    by_pid: dict[int, list[Line]] = {}
    deadline = time.monotonic() + _SECONDS
    try:
        while sorted(len(found[:each]) for found in by_pid.values()) != [each, each]:
            assert time.monotonic() < deadline, f"no line to each worker: {by_pid}"
            line = Line(http.client.HTTPConnection(address, timeout=_SECONDS))
            opened.append(line)
            assert line.ask("GET", "/health")[0] == 200
            line.pid = _owner(line, service)
            line.statuses.clear()
            by_pid.setdefault(line.pid, []).append(line)
        first, second = by_pid.values()
        yield [line for pair in zip(first[:each], second[:each], strict=True) for line in pair]
    finally:
        for line in opened:
            line.connection.close()


def _owner(line: Line, service: int) -> int:
    """The worker that has accepted a connection: it has the other end of it."""
    port = line.connection.sock.getsockname()[1]
    [owner] = (
        pid
        for pid in worker_pids(service)
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.raddr and connection.raddr.port == port
    )
    return owner
