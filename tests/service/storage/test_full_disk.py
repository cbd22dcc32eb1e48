"""A really full disk: no success without a commit, tokens in use work on, and tokens can still be ended."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import asked_service
from asked_service import NOON
from engines import sqlite_only
from forked import Popen
from in_process import furnished
from private_integrations_service.storage.sqlite.reserved_space import SIZE
from small_disks import Disk, reserved_space
from stored import content
from world import DATA, ENDED, ENDING, MANAGING, Answer, World, reads_work, refusal

# What PostgreSQL does without room: tests/service/storage/postgresql.
pytestmark = sqlite_only


@dataclass
class Prepared:
    """A closed database with integrations and tokens for every kind of change, to be copied to disks."""

    folder: Path
    world: World


@dataclass
class Asked:
    """The operations over a database on a disk, in a process that sees the disk."""

    disk: Disk
    world: World

    @property
    def folder(self) -> Path:
        """The data folder, as its process sees it."""
        return self.disk.folder / "data"

    @property
    def seen(self) -> Path:
        """The data folder, as this process can reach it."""
        return self.disk.seen / "data"

    @property
    def said(self) -> str:
        """What the process said on stderr."""
        return self._stderr.read_text()

    @property
    def _stderr(self) -> Path:
        return self.disk.folder.with_name("stderr")

    @contextmanager
    def open(self, end: signal.Signals | None = None) -> Iterator[World]:
        """Open the database for requests, and close it, or end the process with a signal."""
        command = [sys.executable, asked_service.__file__, self.folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with (
            self._stderr.open("w") as stderr,
            Popen(command, server=self.disk.namespace.forking, stderr=stderr, **pipes) as process,
        ):
            assert process.stdout.readline() == "open\n", self.said

            def send(*request: Any) -> Answer:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                status, body = json.loads(process.stdout.readline())
                return status, body

            try:
                yield replace(self.world, send=send)
            finally:
                if end is not None:
                    process.send_signal(end)
                process.stdin.close()
                assert process.wait(20) == (-end if end else 0), self.said


@pytest.fixture(scope="module")
def prepared(under_test, fresh_folder, tmp_path_factory, accounts) -> Prepared:
    """A furnished database: making it takes longer than most tests."""
    folder = under_test.copy(fresh_folder, tmp_path_factory.mktemp("prepared") / "data")
    with closing(under_test.open(folder, lambda: NOON)) as engine, furnished(engine, accounts.location) as world:
        return Prepared(folder, world)


@pytest.fixture
def asked(disk, under_test, prepared) -> Asked:
    """A copy of the furnished database on a small disk."""
    under_test.copy(prepared.folder, disk.seen / "data")
    return Asked(disk, prepared.world)


@pytest.mark.parametrize("ending", ENDING)
def test_a_full_disk(asked, ending):
    """Nothing is changed and nothing is claimed to be; tokens in use work on; reserved space pays for an end."""
    with asked.open(end=signal.SIGKILL) as world:
        assert reserved_space(asked.seen) == (SIZE, 0o600)
        before = content(asked.seen)
        asked.disk.fill()
        for name, change in MANAGING.items():
            assert refusal(change(world)) == (507, "storage-full"), name
        for name, change in DATA.items():
            assert refusal(change(world)) == (503, "storage-unavailable"), name
        reads_work(world)
        assert content(asked.seen) == before
        assert reserved_space(asked.seen) == (SIZE, 0o600)
        assert asked.said == ""

        assert ENDING[ending](world)[0] in (200, 201)
        assert refusal(world.ask(ENDED[ending]))[0] == 401
        assert reserved_space(asked.seen) is None
        alarm = (
            f"ALARM: the disk of {asked.folder} is full; the reserve was released so that tokens can still be ended. "
            "Make room now: it is made anew when there is some\n"
        )
        unlogged = f"the security log {asked.folder / 'security.log'} is not written: less than 8 MiB are free\n"
        assert asked.said == alarm + (unlogged if ending == "report" else "")
    with asked.open() as world:
        assert refusal(world.ask(ENDED[ending]))[0] == 401


@pytest.mark.parametrize("ending", ENDING)
def test_a_full_disk_without_reserved_space(asked, ending):
    """Then an end is refused too and the token lives; with room again it succeeds, and the space comes back."""
    with asked.open() as world:
        asked.disk.fill()
        (asked.seen / "reserved-space").unlink()
        asked.disk.fill()
        before = content(asked.seen)
        assert refusal(ENDING[ending](world)) == (507, "storage-full")
        assert content(asked.seen) == before
        reads_work(world)
        assert "the reserve is spent: tokens can't be ended" in asked.said
        asked.disk.clear()
        assert ENDING[ending](world)[0] in (200, 201)
        assert refusal(world.ask(ENDED[ending]))[0] == 401
        assert reserved_space(asked.seen) == (SIZE, 0o600)


@pytest.mark.parametrize("end", [None, signal.SIGKILL])
def test_a_restart_on_a_full_disk(asked, end):
    """Closed or killed on a full disk, the database opens again: tokens work on, and reserved space is left."""
    with asked.open(end=end):
        asked.disk.fill()
    with asked.open() as world:
        reads_work(world)
        assert refusal(world.declare("another")) == (507, "storage-full")
        assert ENDING["expire"](world)[0] == 200
        assert refusal(world.ask(ENDED["expire"]))[0] == 401
