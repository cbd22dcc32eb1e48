"""A real PgBouncer, of Debian, before a PostgreSQL server for tests."""

import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from postgres import OWNER, Postgres, url
from server_processes import HOST, SECONDS, command_of_user, free_port, start_process, wait_until

_PROGRAM = "/usr/sbin/pgbouncer"
_CONFIGURATION = """
[databases]
* = host={server.host} port={server.port}
[pgbouncer]
listen_addr = {bouncer.host}
listen_port = {bouncer.port}
unix_socket_dir =
auth_type = {method}
auth_file = {bouncer.folder}/users
pool_mode = transaction
default_pool_size = {bouncer.pool_size}
"""


class PgBouncer:
    """A PgBouncer in transaction mode; a context manager that starts it and stops it.

    Args:
        server: The server behind it.
        pool_size: Connections to the server for each database.

    """

    host = HOST

    def __init__(self, server: Postgres, *, pool_size: int = 5) -> None:
        self.server = server
        self.pool_size = pool_size
        self.folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        assert Path(_PROGRAM).exists(), "PgBouncer is missing: run scripts/test-tools"
        password = self.server.password or ""
        (self.folder / "users").write_text(f'"{OWNER}" "{password}"\n')
        method = "plain" if password else "trust"
        configuration = self.folder / "pgbouncer.ini"
        configuration.write_text(_CONFIGURATION.format(bouncer=self, server=self.server, method=method))
        command = command_of_user(_PROGRAM, str(configuration), at_our_end="KILL")
        self._process = start_process(command, self.folder / "log")
        wait_until(self._listens, f"PgBouncer starts: {self.folder / 'log'}")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        # PgBouncer's signals mean different things in different versions.
        self._process.kill()
        self._process.wait(SECONDS)
        shutil.rmtree(self.folder)

    def dsn(self, database: str) -> str:
        """Return the address of a database behind it."""
        return url(user=OWNER, password=self.server.password, host=self.host, port=self.port, dbname=database)

    @property
    def log(self) -> str:
        """Everything that it has logged."""
        return (self.folder / "log").read_text()

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        with suppress(ConnectionRefusedError), socket.create_connection((self.host, self.port)):
            return True
        return False
