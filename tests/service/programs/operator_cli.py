"""The operator's commands, run to their end, and replicas started at the same moment."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import forked
from throwaway import UNLIMITED

PROGRAM = [sys.executable, "-m", "private_integrations.cli"]


def run_cli(*arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `private-integrations` with these arguments and environment variables."""
    command = [*PROGRAM, *map(str, arguments)]
    return forked.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, env=os.environ | variables
    )


def refusal(*arguments: object, **variables: str) -> str:
    """The one line by which a command is refused."""
    done = run_cli(*arguments, **variables)
    assert (done.returncode, done.stdout) == (2, ""), (done.stdout, done.stderr)
    assert done.stderr.startswith("private-integrations: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("private-integrations: ").strip()


@contextmanager
def starting(folder: Path, database: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a replica, without waiting for it."""
    command = [*PROGRAM, "serve", "--port", "0", "--data-dir", str(folder), "--database", database]
    with forked.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | UNLIMITED | variables
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def started(process: "subprocess.Popen[str]") -> tuple[str, list[str]]:
    """Wait until a replica listens; returns its URL and the lines that it said before."""
    assert process.stdout is not None
    said: list[str] = []
    while line := process.stdout.readline():
        if line.startswith("listening on "):
            return line.removeprefix("listening on ").strip(), said
        said.append(line.strip())
    raise RuntimeError(f"the replica did not start: {said}")
