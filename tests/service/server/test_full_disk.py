"""The service on a really full disk, end to end; tests/service/storage/test_full_disk.py has every kind of change."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from forked import Popen
from private_integrations_service.storage.sqlite.engine import FILE_NAME
from private_integrations_service.storage.sqlite.reserved_space import SIZE
from small_disks import Disk, reserved_space
from stored import content
from visitors import new_visitor
from world import DATA, MANAGING, Answer, Send, World, reads_work, refusal


def run(disk: Disk, **files: Any) -> Popen:
    """Run the real service on a disk."""
    program = (sys.executable, "-m", "private_integrations.cli", "serve")
    command = [*program, "--port", "0", "--data-dir", str(disk.folder)]
    return Popen(command, server=disk.namespace.forking, stdout=subprocess.PIPE, text=True, **files)


@dataclass
class Served:
    """A service on the disk."""

    url: str
    world: World
    process: "subprocess.Popen[str]"
    stderr: Path

    def end(self, how: signal.Signals) -> None:
        """Stop or kill it."""
        self.process.send_signal(how)
        self.process.communicate(timeout=20)


@contextmanager
def served(disk: Disk, world: World | None = None) -> Iterator[Served]:
    """Run the real service on the disk; `world` is the one that an earlier run has furnished."""
    stderr = disk.folder.parent / "stderr"
    with stderr.open("w") as errors, run(disk, stderr=errors) as process:
        said = []
        while not said or not said[-1].startswith("listening on "):
            said.append(process.stdout.readline())
            assert said[-1], f"the service did not start: {stderr.read_text()}"
        url = said[-1].removeprefix("listening on ").strip()
        send = over_http(url)
        if world is None:
            account = next(line.split()[1] for line in said if line.startswith("account "))
            world = World(send, (disk.seen / "admin.key").read_text().strip(), account)
        world.send = send
        try:
            yield Served(url, world, process, stderr)
        finally:
            process.terminate()


def over_http(url: str) -> Send:
    """How to send requests to a service at an address."""

    def send(method: str, target: str, headers: dict[str, str], body: Any) -> Answer:
        answer = requests.request(method, url + target, headers=headers, json=body, timeout=20)
        return answer.status_code, answer.json()

    return send


def refused_start(disk: Disk) -> str:
    """Start the service on the disk, which must be refused; what it says on stderr."""
    with run(disk, stderr=subprocess.PIPE) as process:
        _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    return said


def no_start_without_room(disk: Disk, *, free: int = 0) -> None:
    """With no more room than some KiB, a start is refused in one clear line."""
    disk.fill(but=free * 1024)
    expected = f"private-integrations: {disk.folder / FILE_NAME} can't be used: the disk is full\n"
    assert refused_start(disk) == expected
    disk.clear()


def test_a_service_on_a_full_disk(disk):
    """From a first start without room to a folder that can't be written: what every kind of change meets on its way.

    In the pages too the reserved space pays for the end of a token, and what is refused spends nothing of it.
    """
    # For SQLite's own files, then for a first start's rows.
    no_start_without_room(disk)
    no_start_without_room(disk, free=180)
    with served(disk) as service:
        world = service.world
        world.furnish()
        ada = new_visitor(service.url, world.key, world.account)
        before = content(disk.seen)
        disk.fill()
        for name, change in MANAGING.items():
            assert refusal(change(world)) == (507, "storage-full"), name
        for name, change in DATA.items():
            assert refusal(change(world)) == (503, "storage-unavailable"), name
        reads_work(world)
        assert content(disk.seen) == before
        assert service.stderr.read_text() == ""
        service.end(signal.SIGTERM)
    with served(disk, world) as service:
        ada.url = service.url
        reads_work(world)
        assert refusal(world.declare("another")) == (507, "storage-full")
        leaked = ada.get(f"/settings/private-integrations/{world.ids['leaked']}/leaked")
        other = f"/settings/private-integrations/{world.ids['rotating']}"
        assert ada.post(f"{other}/expire", generation="9").status_code == 422
        assert reserved_space(disk.seen) == (SIZE, 0o600)
        assert ada.press(leaked, "Rotate and expire now").status_code == 200
        assert refusal(world.ask("leaked 1"))[0] == 401
        assert reserved_space(disk.seen) is None
        alarm = (
            f"ALARM: the disk of {disk.folder} is full; the reserve was released so that tokens can still be ended. "
            "Make room now: it is made anew when there is some\n"
        )
        assert service.stderr.read_text() == alarm
        service.end(signal.SIGKILL)
    with served(disk, world) as service:
        assert refusal(world.ask("leaked 1"))[0] == 401
        disk.clear()
        assert world.declare("another")[0] == 201
        assert reserved_space(disk.seen) == (SIZE, 0o600)
        service.end(signal.SIGTERM)
    # What is reserved is for ends of tokens, not for a start.
    no_start_without_room(disk)
    disk.namespace.run("mount", "-o", "remount,ro", str(disk.folder))
    expected = f"private-integrations: data folder {disk.folder} can't be used: Read-only file system\n"
    assert refused_start(disk) == expected
