"""A process that imports the service once and forks programs: see forked.py.

Each request on the socket (file descriptor of the first argument) has the arguments of `python`, a folder, the
environment, and three standard files; the answer is the process id.
"""

import gc
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

_MOST = 200_000  # bytes of a request


def next_program(requests: socket.socket) -> list[str]:
    """Fork a process for each request; in that process, answers the arguments of the program."""
    while True:
        request, files, *_ = socket.recv_fds(requests, _MOST, 3)
        if not request:
            os._exit(0)
        hears, speaks = os.pipe()
        between = os.fork()
        if not between:
            if program := os.fork():
                os.write(speaks, str(program).encode())
                os._exit(0)
            os.close(hears)
            os.close(speaks)
            requests.close()
            return become(*json.loads(request), files)
        os.waitpid(between, 0)
        requests.send(os.read(hears, 100))
        for file in (hears, speaks, *files):
            os.close(file)


def become(
    arguments: list[str], folder: str, environment: dict[str, str], new_session: bool, files: list[int]
) -> list[str]:
    """Give this process the standard files, the folder, the environment and perhaps the session of a program."""
    if new_session:
        os.setsid()
    for own, given in enumerate(files):
        os.dup2(given, own)
        os.close(given)
    # Python's own streams know whether the files of the fork server could seek.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(folder)
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return arguments


def warm_up() -> None:
    """Load what the service loads once in a process and never changes: the catalogue, templates and migrations."""
    from private_integrations_service.catalogue.endpoints import Catalogue
    from private_integrations_service.server.clock import utc_now
    from private_integrations_service.settings_pages.rendering import templates
    from private_integrations_service.storage.sqlite.engine import open_database

    Catalogue.load()
    for name in ("refused.html", "layout.html", "_macros.html"):
        templates().get_template(name)
    with TemporaryDirectory() as folder:
        open_database(Path(folder), utc_now).close()
    # anyio imports its backend when it is first used.
    anyio.run(anyio.sleep, 0)
    # A collection in a fork would copy all of this.
    gc.freeze()


def main() -> None:
    """Import the service, fork programs until the requests end, and be each of them in its fork."""
    import private_integrations.cli
    import private_integrations_service.server.serve  # noqa: F401

    private_integrations.cli.commands()
    warm_up()
    # Ctrl-C is for pytest, which closes the requests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    arguments = next_program(socket.socket(fileno=int(sys.argv[1])))
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = os.path.dirname(arguments[0])
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
