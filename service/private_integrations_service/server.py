"""Run the service on an address until it is told to stop."""

import asyncio
import errno
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from private_integrations.errors import ConfigurationError

from .app import Application, utc_now
from .operations.installation import install
from .sandbox.contacts import seed
from .settings import Settings
from .storage.database import Database, DiskFull, open_database
from .storage.keys import has_any_key

KEY_NAME = "admin.key"

Say = Callable[[str], None]

# What the server has to say is trouble: the lines on stdout are for people and scripts.
_STDERR = {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}

# A request head may have this many bytes: the longest legitimate one is far below.
_HEAD_LIMIT = 64 * 1024

_MOST_CONNECTIONS = 10_000


def serve(*, data_dir: Path, host: str, port: int, say: Say) -> None:
    """Serve until SIGTERM or SIGINT; `say` is told each line that a person should read.

    Port 0 takes a free one. Raises ConfigurationError when the folder or the address can't be used.
    """
    settings = Settings.from_environment()
    database = open_database(data_dir)
    try:
        _install_once(database, data_dir, say)
        numeric, free, reserved = _usable_address(host, port)
        with closing(reserved), closing(Application(database, settings)) as app:
            uvloop.run(_run(app, numeric, free, say))
    except DiskFull as error:
        raise ConfigurationError(f"{database.file} can't be used: the disk is full") from error
    finally:
        database.close()
    say("stopped")


def _connection_limit() -> int:
    """How many clients may be connected at once: of all the open files that the system grants, a third.

    One that only waits counts too, so with the server's usual 128 as many idle ones would lock everybody out. The
    rest is for the database and for connections to an upstream: without a file left the server could accept nobody.
    """
    _, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems grant "unlimited" and mean less.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, granted))
    usable, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if usable == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(128, min(usable // 3, _MOST_CONNECTIONS))


def _install_once(database: Database, data_dir: Path, say: Say) -> None:
    with database.read() as connection:
        # Nothing is written if it needn't be: on a full disk tokens work on over a restart.
        if has_any_key(connection):
            return
    with database.write(utc_now()) as write:
        installed = install(write)
        if installed is None:
            return
        seed(write, installed.demo_account)
        # Inside the transaction: a database without a key that anybody has would be of no use.
        key_file = _write_private(data_dir / KEY_NAME, installed.admin_key)
    say(f"created {database.file}")
    say(f"management key in {key_file}")
    say(f"account {installed.demo_account} (Demo account)")


def _write_private(file: Path, value: str) -> Path:
    """Write a secret to a file that only its owner can read; what was there is replaced whole."""
    unfinished = file.with_suffix(".new")
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(value + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(file)
    except OSError as error:
        raise ConfigurationError(f"the management key can't be written to {file}: {error.strerror}") from error
    return file


def _usable_address(host: str, port: int) -> tuple[str, int, socket.socket]:
    """The numeric address and the port to listen on, and what keeps a free one ours until the server has it.

    Granian knows no names, and shares ports on Linux: a taken one is noticed only by asking first.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        probe = socket.socket(family)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if port else socket.SO_REUSEPORT, 1)
        probe.bind(address)
        numeric, free, *_ = probe.getsockname()
        if port:
            probe.close()
        return str(numeric), int(free), probe
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is in use by another program; give another --port" if taken else f"can't be used: {error.strerror}"
        raise ConfigurationError(f"address {host}:{port} {why}") from error


async def _run(app: Application, host: str, port: int, say: Say) -> None:
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        # HTTP/2 has limits of its own, 16 MiB of headers among them; a proxy in front speaks it with clients.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=_HEAD_LIMIT),
        websockets=False,
        backlog=1024,
        backpressure=_connection_limit(),
        log_level=LogLevels.error,
        log_dictconfig={"handlers": {"console": _STDERR, "access": _STDERR}},
    )
    loop = asyncio.get_running_loop()
    for stop in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop, server.stop)
    serving = asyncio.create_task(server.serve())
    if await _answers(host, port, serving):
        say(f"listening on http://{_in_url(host)}:{port}")
    await serving


async def _answers(host: str, port: int, serving: "asyncio.Task[None]") -> bool:
    """Wait until the server accepts connections; False if it ended instead."""
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        await writer.wait_closed()
        return True
    return False


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
