"""Start the project's programs as forks of one process that has imported them.

Most of what a start of the service costs is two seconds of imports, and a test run starts it hundreds of times. A fork
begins after them. The rest is the program as it is, with arguments, environment, files and signals of its own, and a
child of this process. Elsewhere than on Linux, programs are started as usual.
"""

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import throwaway
from database_address import database_of
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.sqlite.engine import FILE_NAME, open_database

_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_PROGRAM = Path(__file__).with_name("fork_server.py")


class ForkServer:
    """The process that has imported the service; it forks one program for each request.

    `inside` is a command that runs another one, perhaps in a namespace, where all programs are then.
    """

    def __init__(self, *inside: str) -> None:
        # A program is orphaned by the fork server at once and becomes a child of this process, which can wait for it.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            # It ends with this process, the only one that has the other end.
            command = [*inside, sys.executable, _PROGRAM, str(number)]
            self._process = subprocess.Popen(command, pass_fds=[number])
        self._lock = Lock()

    def close(self) -> None:
        """End the fork server; programs go on."""
        self._requests.close()
        self._process.wait()

    def fork(
        self, arguments: list[str], folder: str, environment: dict[str, str], new_session: bool, files: list[int]
    ) -> int:
        """Run `python ARGUMENTS` with these three standard files; answers its process id."""
        with self._lock:
            request = json.dumps([arguments, folder, environment, new_session]).encode()
            socket.send_fds(self._requests, [request], files)
            return int(self._requests.recv(100))


@cache
def fork_server() -> ForkServer:
    """The fork server of this process."""
    return ForkServer()


class Popen(subprocess.Popen):
    """`subprocess.Popen` of `[sys.executable, "-m", MODULE, …]` or `[sys.executable, FILE, …]`, forked."""

    def __init__(self, *arguments, server=None, **options):
        self._server = server
        super().__init__(*arguments, **options)

    if sys.platform == "linux":
        # The one method by which Popen makes a process; the others ask the system about a child of this process.
        def _execute_child(
            self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, startupinfo, creationflags, shell, *more
        ):
            stdin, _, _, stdout, _, stderr, *_ = more
            new_session = more[-2]
            assert args[0] == sys.executable
            files = [own if given == -1 else given for own, given in enumerate((stdin, stdout, stderr))]
            environment = dict(os.environ if env is None else env)
            try:
                server = self._server or fork_server()
                self.pid = server.fork([*map(str, args[1:])], str(cwd or os.getcwd()), environment, new_session, files)
                self._child_created = True
            finally:
                self._close_pipe_fds(*more[:6])


def run(command, *, input=None, timeout=None, check=False, **options):
    """`subprocess.run`, forked."""
    with Popen(command, stdin=subprocess.PIPE if input is not None else None, **options) as process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(command, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def running_service(data_dir, *arguments, **settings):
    """`throwaway.running_service`, forked, over a copy of a migrated database: migrating is half of a first start.

    A folder that names a database on PostgreSQL (engines.py) is that of a replica.
    """
    if database := database_of(data_dir):
        settings.setdefault("PRIVATE_INTEGRATIONS_DATABASE", database)
    elif not (data_dir / FILE_NAME).exists():
        shutil.copytree(_migrated().name, data_dir, dirs_exist_ok=True)
    return throwaway.running_service(data_dir, *arguments, popen=Popen, **settings)


@cache
def _migrated():
    """A data folder with a database in which nothing is installed."""
    made = TemporaryDirectory()
    open_database(Path(made.name), utc_now).close()
    return made
