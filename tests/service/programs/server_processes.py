"""Start database servers: by a user that isn't root, on a port of their own, and not for longer than this process."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from pwd import getpwnam

HOST = "127.0.0.1"
SECONDS = 60
"""How long a state may take to be reached; much less is usual."""


def command_of_user(*command: str, inside: Sequence[str] = (), at_our_end: str = "QUIT") -> list[str]:
    """Return the command that runs one as a user that isn't root.

    Args:
        command: The command to run.
        inside: A command that runs another one in a namespace where this process is root.
        at_our_end: The signal that it gets when the thread that starts it ends.

    """
    if sys.platform != "linux":
        return [*command]
    end_with_us = ["setpriv", "--pdeathsig", at_our_end]
    if os.geteuid() != 0 and not inside:
        return [*end_with_us, *command]
    # In a namespace, root has another number and can still read its own folders; initdb wants a number with a name. The
    # shared memory of killed programs goes away with the namespace.
    nobody = getpwnam("nobody").pw_uid
    return [*inside, "unshare", "--user", f"--map-user={nobody}", "--ipc", *end_with_us, *command]


def start_process(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a server that writes to a log; it is in a session of its own, so that a Ctrl-C is for this process only."""
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment(), start_new_session=True)


def environment() -> dict[str, str]:
    """Return the variables of this process without those of libpq."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def free_port() -> int:
    """Find a free port that the system assigns to no connection, so that a restarted server has it again."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as trial, suppress(OSError):
            trial.bind((HOST, port))
            return port


def wait_until(reached: Callable[[], bool], state: str) -> None:
    """Wait until a state is reached; the error names it."""
    end = time.monotonic() + SECONDS
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {SECONDS} seconds: {state}")
        time.sleep(0.01)
