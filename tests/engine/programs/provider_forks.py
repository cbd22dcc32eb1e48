"""Start the provider's processes as forks of one process that has imported what they import.

Each command of the engine starts a process for dynamic resources. Half of what the command costs is that process's
imports, and a fork begins after them. The rest is the process as it is: the engine starts a program in place of Python,
which has Python forked, lends the fork its environment, folder, files and process group, and ends with it.
"""

import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fork_server

_MOST = 200_000  # bytes of a request

# Without the packages (`-I -S`) Python starts in a hundredth of a second.
_PROGRAM = """#!{python} -IS
import json, os, signal, socket, sys

signal.signal(signal.SIGINT, signal.SIG_IGN)  # the fork, which is in the same group, gets it too
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as forks:
    forks.connect({address!r})
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), os.getpgrp()])
    socket.send_fds(forks, [request.encode()], [0, 1, 2])
    forks.recv(1)
"""


@contextmanager
def provider_forks(folder: Path) -> Iterator[str]:
    """Run the process that forks until the block ends; gives the program for PULUMI_PYTHON_CMD, in this folder."""
    address, program = folder / "forks", folder / "python"
    program.write_text(_PROGRAM.format(python=sys.executable, address=str(address)))
    program.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        listener.listen(100)
        with subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env=os.environ | {"PYTHONPATH": str(Path(fork_server.__file__).parent)},
        ):
            yield str(program)


def next_process(listener: socket.socket) -> list[str]:
    """Fork a process for each connection; in that process, answers the arguments of Python."""
    while True:
        ready, *_ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        connection, _ = listener.accept()
        request, files, *_ = socket.recv_fds(connection, _MOST, 3)
        arguments, folder, environment, group = json.loads(request)
        if not os.fork():
            listener.close()
            connection.detach()  # open as long as this process lives
            os.setpgid(0, group)
            return fork_server.become(arguments, folder, environment, False, files)
        connection.close()
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
                pass


def main() -> None:
    """Import what the provider's process imports, fork it until stdin ends, and be it in its fork."""
    import private_integrations.provider  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which ends stdin
    gc.freeze()
    _, _, module, *arguments = next_process(socket.socket(fileno=int(sys.argv[1])))  # -u -m
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", buffering=0, closefd=False), write_through=True)  # -u
    sys.argv = [module, *arguments]
    sys.path[0] = os.getcwd()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
