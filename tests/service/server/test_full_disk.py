"""A real full disk: no success without a commit, tokens in use work on, and tokens can still be ended."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from forked import ForkServer, Popen
from private_integrations_service.storage.sqlite.engine import FILE_NAME
from private_integrations_service.storage.sqlite.reserved_space import SIZE
from stored import content
from visitors import new_visitor
from world import DATA, ENDED, ENDING, MANAGING, Answer, Send, World, reads_work, refusal


@dataclass
class Namespace:
    """Mounts of its own, kept by a process there, and the process that forks services there."""

    keeper: "subprocess.Popen[str]"
    forking: ForkServer

    def run(self, *command: str) -> None:
        """Run a command that sees the mounts."""
        subprocess.run([*_inside(self.keeper), *command], check=True)


@dataclass
class Disk:
    """A small file system in a namespace."""

    folder: Path
    namespace: Namespace

    @property
    def seen(self) -> Path:
        """The same folder, as this process can reach it."""
        return Path(f"/proc/{self.namespace.keeper.pid}/root{self.folder}")

    def fill(self, *, but: int = 0) -> None:
        """Take every byte that is left, or all but so many."""
        with (self.seen / "filler").open("ab", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(bytes(4096))
        os.truncate(self.seen / "filler", (self.seen / "filler").stat().st_size - but)

    def clear(self) -> None:
        """Give the room back."""
        (self.seen / "filler").unlink()

    def serve(self, **files: Any) -> Popen:
        """Run the real service on it."""
        program = (sys.executable, "-m", "private_integrations.cli", "serve")
        command = [*program, "--port", "0", "--data-dir", str(self.folder)]
        return Popen(command, server=self.namespace.forking, stdout=subprocess.PIPE, text=True, **files)


def _inside(keeper: "subprocess.Popen[str]") -> list[str]:
    return ["nsenter", f"--target={keeper.pid}", "--user", "--mount", "--preserve-credentials"]


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    """A namespace for all disks."""
    needs = "this test needs small disks of its own (unshare -rm, mount -t tmpfs), which aren't permitted here"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    try:
        keeper = subprocess.Popen(["unshare", "-rm", "sh", "-c", "echo made && exec cat"], **pipes)
    except OSError as error:
        pytest.fail(f"{needs}: {error}")
    with keeper:
        said = keeper.stdout.readline()
        if said != "made\n":
            pytest.fail(f"{needs}: {said}")
        with closing(ForkServer(*_inside(keeper))) as forking:
            yield Namespace(keeper, forking)
        keeper.stdin.close()


@pytest.fixture
def disk(tmp_path, namespace) -> Iterator[Disk]:
    """A disk of 16 MiB, mounted on the data folder of a service."""
    folder = tmp_path / "data"
    folder.mkdir()
    namespace.run("mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(folder))
    yield Disk(folder, namespace)
    namespace.run("umount", "--lazy", str(folder))


@dataclass
class Served:
    """A service on the disk."""

    url: str
    world: World
    process: "subprocess.Popen[str]"
    stderr: Path

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop or kill it."""
        self.process.send_signal(how)
        self.process.communicate(timeout=20)


@contextmanager
def served(disk: Disk, world: World | None = None) -> Iterator[Served]:
    """Run the real service on the disk; `world` is the one that an earlier run has furnished."""
    stderr = disk.folder.parent / "stderr"
    with stderr.open("w") as errors, disk.serve(stderr=errors) as process:
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


def start(disk: Disk) -> tuple[int, str]:
    """Run the service on the disk to its end: its exit status, and what it says on stderr."""
    with disk.serve(stderr=subprocess.PIPE) as process:
        _, said = process.communicate(timeout=20)
    return process.returncode, said


def reserved_space(folder: Path) -> tuple[int, int] | None:
    """Size and mode of the reserved space, if it is there."""
    file = folder / "reserved-space"
    return (file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) if file.exists() else None


@pytest.mark.parametrize("ending", ENDING)
def test_a_full_disk(disk, ending):
    """Nothing is changed and nothing is claimed to be; tokens in use work on; reserved space pays for an end."""
    with served(disk) as service:
        world = service.world
        world.furnish()
        assert reserved_space(disk.seen) == (SIZE, 0o600)
        before = content(disk.seen)
        disk.fill()
        for name, change in MANAGING.items():
            assert refusal(change(world)) == (507, "storage-full"), name
        for name, change in DATA.items():
            assert refusal(change(world)) == (503, "storage-unavailable"), name
        reads_work(world)
        assert content(disk.seen) == before
        assert reserved_space(disk.seen) == (SIZE, 0o600)
        assert service.stderr.read_text() == ""

        assert ENDING[ending](world)[0] in (200, 201)
        assert refusal(world.ask(ENDED[ending]))[0] == 401
        assert reserved_space(disk.seen) is None
        alarm = (
            f"ALARM: the disk of {disk.folder} is full; the reserve was released so that tokens can still be ended. "
            "Make room now: it is made anew when there is some\n"
        )
        unlogged = f"the security log {disk.folder / 'security.log'} is not written: less than 8 MiB are free\n"
        assert service.stderr.read_text() == alarm + (unlogged if ending == "report" else "")
        service.end(signal.SIGKILL)
    with served(disk, world) as service:
        assert refusal(world.ask(ENDED[ending]))[0] == 401


def test_a_person_ends_a_leaked_token_on_a_full_disk(disk):
    """In the pages too the reserved space pays for the end of a token; what is refused spends nothing of it."""
    with served(disk) as service:
        world = service.world
        world.furnish()
        ada = new_visitor(service.url, world.key, world.account)
        path = f"/settings/private-integrations/{world.ids['leaked']}"
        leaked = ada.get(f"{path}/leaked")
        disk.fill()
        other = f"/settings/private-integrations/{world.ids['rotating']}"
        assert ada.post(f"{other}/expire", generation="9").status_code == 422
        assert reserved_space(disk.seen) == (SIZE, 0o600)
        assert ada.press(leaked, "Rotate and expire now").status_code == 200
        assert refusal(world.ask("leaked 1"))[0] == 401
        assert reserved_space(disk.seen) is None


@pytest.mark.parametrize("ending", ENDING)
def test_a_full_disk_without_reserved_space(disk, ending):
    """Then an end is refused too and the token lives; with room again it succeeds, and the space comes back."""
    with served(disk) as service:
        world = service.world
        world.furnish()
        disk.fill()
        (disk.seen / "reserved-space").unlink()
        disk.fill()
        before = content(disk.seen)
        assert refusal(ENDING[ending](world)) == (507, "storage-full")
        assert content(disk.seen) == before
        reads_work(world)
        assert "the reserve is spent: tokens can't be ended" in service.stderr.read_text()
        disk.clear()
        assert ENDING[ending](world)[0] in (200, 201)
        assert refusal(world.ask(ENDED[ending]))[0] == 401
        assert reserved_space(disk.seen) == (SIZE, 0o600)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_on_a_full_disk(disk, how):
    """Stopped or killed on a full disk, the service comes back: tokens work on, and reserved space is left."""
    with served(disk) as service:
        world = service.world
        world.furnish()
        disk.fill()
        service.end(how)
    with served(disk, world):
        reads_work(world)
        assert refusal(world.declare("another")) == (507, "storage-full")
        assert ENDING["expire"](world)[0] == 200
        assert refusal(world.ask(ENDED["expire"]))[0] == 401


@pytest.mark.parametrize(("installed", "free"), [(False, 0), (False, 180), (True, 0)])
def test_a_start_without_room(disk, installed, free):
    """Without room for SQLite's own files, or for a first start's rows (KiB), a start is refused in one clear line."""
    if installed:
        with served(disk) as service:
            service.end()
    disk.fill(but=free * 1024)
    expected = f"private-integrations: {disk.folder / FILE_NAME} can't be used: the disk is full\n"
    assert start(disk) == (2, expected)


def test_a_read_only_folder(disk):
    """A start on a folder that can't be written is refused in one clear line."""
    with served(disk) as service:
        service.end()
    disk.namespace.run("mount", "-o", "remount,ro", str(disk.folder))
    expected = f"private-integrations: data folder {disk.folder} can't be used: Read-only file system\n"
    assert start(disk) == (2, expected)
