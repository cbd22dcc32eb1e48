"""Load programs on one core by wrk on another, and measure their cost."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import psutil

# The measured program has a core for itself; its clients and its upstreams share the other one.
SERVER_CORE, CLIENT_CORE = 0, 1

CONNECTIONS = 32
VERSION = "2021-07-28"
_SCRIPT = Path(__file__).with_name("requests.lua")
_START_SECONDS = 60
_STOP_SECONDS = 10


@dataclass(frozen=True)
class Contender:
    """Hold a running program under a name: its address, its credentials, and the processes whose time counts.

    With an `introspector`'s management key the requests don't use the credentials but ask what they open.
    """

    name: str
    url: str
    credentials: Path
    processes: tuple[psutil.Process, ...]
    introspector: str | None = None


@dataclass(frozen=True)
class Sample:
    """Hold a measurement: requests per second, CPU seconds per request, the share of its core that was used."""

    throughput: float
    cpu: float
    busy: float


def missing_tools() -> list[str]:
    """List missing programs by the names of Debian's packages."""
    packages = {"wrk": "wrk", "nginx": "nginx-light", "taskset": "util-linux"}
    return [package for program, package in packages.items() if find(program) is None]


def find(program: str) -> str | None:
    """Find a program; Debian keeps some where only root looks."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], port: int, log: Path, *, core: int = SERVER_CORE, environment: Mapping[str, str]
) -> Iterator[psutil.Process]:
    """Run a program on one core; the block begins when it accepts connections."""
    with log.open("w") as output:
        process = psutil.Popen(
            ["taskset", "--cpu-list", str(core), *command], stdout=output, stderr=output, env=dict(environment)
        )
    try:
        _await_port(process, port, log)
        yield process
    finally:
        _end(process)


def _await_port(process: psutil.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"bench: error: {process.args} did not start:\n{log.read_text()[-2000:]}")


def _end(process: psutil.Popen) -> None:
    with suppress(psutil.NoSuchProcess):
        family = [process, *process.children(recursive=True)]
        process.terminate()
        for straggler in psutil.wait_procs(family, timeout=_STOP_SECONDS)[1]:
            straggler.kill()
    process.wait()


def check(contender: Contender) -> None:
    """End the bench unless the contender answers the first of the requests with 200."""
    authorization = contender.credentials.read_text().splitlines()[0]
    headers, form = {"Authorization": authorization, "Version": VERSION}, None
    if contender.introspector is not None:
        headers, form = {"Authorization": f"Bearer {contender.introspector}"}, authorization.split()[-1]
    asked = Request(contender.url, form and f"token={form}".encode(), headers)
    try:
        build_opener(ProxyHandler({})).open(asked, timeout=10).close()
    except HTTPError as error:
        sys.exit(f"bench: error: {contender.name} answers {error.code}: {error.read()[:500]!r}")


def turn(contender: Contender, seconds: int) -> Sample:
    """Load a contender for so many seconds; any other answer than 200 ends the bench."""
    before = _cpu_seconds(contender)
    command = ["taskset", "--cpu-list", str(CLIENT_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    command += ["--timeout", "10s", "-s", str(_SCRIPT), contender.url, "--", str(contender.credentials), VERSION]
    command += [contender.introspector] if contender.introspector else []
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    used = _cpu_seconds(contender) - before
    done = json.loads(printed.splitlines()[-1])
    if any(done["errors"].values()) or not done["requests"]:
        sys.exit(f"bench: error: {contender.name}: {done}")
    return Sample(done["requests"] / done["seconds"], used / done["requests"], used / done["seconds"])


def _cpu_seconds(contender: Contender) -> float:
    times = [
        member.cpu_times() for process in contender.processes for member in (process, *process.children(recursive=True))
    ]
    return sum(each.user + each.system for each in times)


def rounds(contenders: Sequence[Contender], count: int, seconds: int) -> dict[str, list[Sample]]:
    """Load the contenders one after another, each round beginning with another one, after a second each to warm up."""
    for contender in contenders:
        check(contender)
        turn(contender, 1)
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    for number in range(count):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            samples[contender.name].append(turn(contender, seconds))
    return samples
