"""Small file systems, mounted in a namespace of their own, that a test can really fill."""

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from forked import ForkServer


@dataclass
class Namespace:
    """Mounts of its own, kept by a process there."""

    keeper: "subprocess.Popen[str]"

    @property
    def inside(self) -> list[str]:
        """The command that runs another one where it sees the mounts."""
        return ["nsenter", f"--target={self.keeper.pid}", "--user", "--mount", "--preserve-credentials"]

    @cached_property
    def forking(self) -> ForkServer:
        """The process that forks the project's programs there."""
        return ForkServer(*self.inside)

    def run(self, *command: str) -> None:
        """Run a command that sees the mounts."""
        subprocess.run([*self.inside, *command], check=True)

    def close(self) -> None:
        """End the process that forks, if there is one."""
        if "forking" in self.__dict__:
            self.forking.close()


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


@contextmanager
def made_namespace() -> Iterator[Namespace]:
    """Make a namespace for disks."""
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
        with closing(Namespace(keeper)) as namespace:
            yield namespace
        keeper.stdin.close()


@contextmanager
def mounted(namespace: Namespace, folder: Path) -> Iterator[Disk]:
    """Mount a disk of 16 MiB on a new folder."""
    folder.mkdir()
    namespace.run("mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(folder))
    yield Disk(folder, namespace)
    namespace.run("umount", "--lazy", str(folder))


def reserved_space(folder: Path) -> tuple[int, int] | None:
    """Size and mode of the reserved space, if it is there."""
    file = folder / "reserved-space"
    return (file.stat().st_size, stat.S_IMODE(file.stat().st_mode)) if file.exists() else None
