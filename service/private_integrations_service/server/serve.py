"""Open the data folder, and serve on an address until a signal stops the service."""

import asyncio
import ctypes
import errno
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvloop
from anyio import to_thread

from private_integrations.errors import ConfigurationError

from ..gateway import Upstream
from ..operations.installation import install, is_installed
from ..private_files import open_private
from ..sandbox.contacts import seed
from ..sandbox.storage.furniture import furnish
from ..settings import Settings
from ..storage.engine import StorageEngine, StorageError, StorageFull
from ..storage.postgresql.connections import checked_address
from ..storage.postgresql.engine import open_postgresql
from ..storage.postgresql.lease import LeaseTimes
from ..storage.sqlite.engine import open_database
from ..storage.write_lock import WAITING
from .application import Application
from .clock import utc_now
from .http_server import HttpServer
from .supervisor import Callback, OnStop, Work, supervise

KEY_NAME = "admin.key"

Say = Callable[[str], None]

# Of each process: one for each waiting writer, and as many for readers.
_THREADS = 2 * WAITING

_MOST_CONNECTIONS = 10_000

# Of the garbage collector, in new objects, and in collections of the younger generation.
_COLLECTIONS = (50_000, 20, 50)

_PR_SET_DUMPABLE = 4  # prctl(2)

_log = logging.getLogger(__name__)


def serve(
    *,
    data_dir: Path,
    database: str | None = None,
    host: str,
    port: int,
    say: Say,
    upstream: str | None = None,
    sealing_keys: Path | None = None,
    workers: int = 1,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        data_dir: The data folder; it is created if it doesn't exist.
        database: The address of a PostgreSQL database, of which this is one replica; None: a file in the data folder.
        host: A name or an address to listen on.
        port: A port to listen on, 0 for a free one.
        say: Is called with each line that a person should read.
        upstream: The base URL of the upstream; without it the sandbox answers.
        sealing_keys: A file with the keys that seal upstream credentials.
        workers: How many processes share the port; 1 means that this process serves.

    Raises:
        ConfigurationError: The folder, address, URL or file can't be used, or workers end again and again.

    """
    if workers > 1 and sys.platform != "linux":
        raise ConfigurationError("more than one worker needs Linux, which spreads connections over processes")
    settings = Settings.from_environment(data_dir=data_dir, upstream=upstream, sealing_keys=sealing_keys)
    if settings.upstream is not None:
        # A wrong URL is an error before anything is written to the data folder.
        Upstream.parse(settings.upstream)
    _forbid_core_dumps()
    engine = _opened(database, data_dir, settings)
    try:
        _install_once(engine, say, demo=settings.upstream is None)
        numeric, free, reserved = _usable_address(host, port, shared=workers > 1)
        _warn_of_plain_http(host, numeric)
        listening = partial(say, f"listening on http://{_in_url(numeric)}:{free}")
        for notice in engine.notices():
            say(notice)
        work = partial(_work, engine, settings, numeric, free)
        with closing(reserved):
            if workers == 1:
                work(listening, _on_signals)
            else:
                # No connection may cross a fork (for SQLite: sqlite.org/howtocorrupt.html, 2.6).
                engine.disconnect()
                supervise(workers, partial(_work_forked, work, engine), listening)
    except StorageFull as error:
        raise ConfigurationError(f"{engine.place} can't be used: the disk is full") from error
    finally:
        engine.close()
    say("stopped")


def _opened(database: str | None, folder: Path, settings: Settings) -> StorageEngine:
    if database is None:
        return open_database(folder, utc_now)
    return open_postgresql(checked_address(database), folder, LeaseTimes(settings.lease.total_seconds()))


def _forbid_core_dumps() -> None:
    """Keep the memory, which has credentials and tokens in clear, out of files; the workers inherit this."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # The limit does not apply to a program that receives dumps (kernel.core_pattern = "|…").
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _warn_of_plain_http(host: str, numeric: str) -> None:
    if not ip_address(numeric.partition("%")[0]).is_loopback:
        _log.warning(
            "warning: --host %s can be reached from other machines, and the service speaks plain HTTP: tokens, keys "
            "and passwords can be read on the way. Put a proxy with TLS in front and let only that reach this port "
            "(docs/operating.md, TLS), or listen on 127.0.0.1",
            host,
        )


def _connection_limit() -> int:
    """Return how many clients may be connected at once: a third of the open files that the system grants.

    Idle clients count too, so the server's default of 128 would let 128 of them lock out all others. The rest of the
    files is for the database and for upstream connections; without a free one the server can't accept a client.
    """
    _, granted = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems grant "unlimited" and mean less.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (granted, granted))
    usable, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if usable == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(128, min(usable // 3, _MOST_CONNECTIONS))


def _install_once(engine: StorageEngine, say: Say, *, demo: bool) -> None:
    if is_installed(engine):
        return
    key_file = engine.folder / KEY_NAME
    installed = install(engine, furnish, seed, partial(_write_private, key_file), demo=demo)
    if installed is None:
        return
    say(f"created {engine.place}")
    say(f"management key in {key_file}")
    if installed.demo_account is not None:
        say(f"account {installed.demo_account} (Demo account)")


def _write_private(file: Path, value: str) -> None:
    """Write a secret to a file that only its owner can read, replacing an existing file in one step."""
    unfinished = file.with_suffix(".new")
    try:
        unfinished.unlink(missing_ok=True)
        descriptor = open_private(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(value + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(file)
    except OSError as error:
        raise ConfigurationError(f"the management key can't be written to {file}: {error.strerror}") from error


def _usable_address(host: str, port: int, *, shared: bool) -> tuple[str, int, socket.socket]:
    """Return the numeric address and the port to listen on, and a socket that reserves a free or `shared` port.

    Workers share a port on Linux, and would not notice that another program shares it too.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = _bound(family, address, socket.SO_REUSEADDR if port else socket.SO_REUSEPORT)
        numeric, free, *_ = bound.getsockname()
        if port:
            bound.close()
        if port and shared:
            bound = _bound(family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT)
        return str(numeric), int(free), bound
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is in use by another program; give another --port" if taken else f"can't be used: {error.strerror}"
        raise ConfigurationError(f"address {host}:{port} {why}") from error


def _bound(family: int, address: tuple[Any, ...], *options: int) -> socket.socket:
    """Return a socket that has the address and does not listen."""
    bound = socket.socket(family)
    for option in options:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
    bound.bind(address)
    return bound


def _listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that has the address, which the workers share."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
    return _bound(family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def _work_forked(work: Work, engine: StorageEngine, on_listening: Callback, on_stop: OnStop) -> None:
    """Serve in a worker."""
    try:
        work(on_listening, on_stop)
    except StorageError as error:
        raise ConfigurationError(f"{engine.place} can't be used: {error}") from error
    finally:
        engine.disconnect()


def _work(
    engine: StorageEngine, settings: Settings, host: str, port: int, on_listening: Callback, on_stop: OnStop
) -> None:
    engine.begin()
    with closing(Application(engine, settings, connections=_connection_limit())) as app:
        app.start()
        # These objects live as long as the process; without this, the garbage collector scans them again and again.
        gc.collect()
        gc.freeze()
        # Forwarded requests leave no cycles behind: collecting often finds next to nothing.
        gc.set_threshold(*_COLLECTIONS)
        uvloop.run(_run(app, settings, _listening_socket(host, port), on_listening, on_stop))


def _on_signals(stop: Callback) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def _run(
    app: Application, settings: Settings, bound: socket.socket, on_listening: Callback, on_stop: OnStop
) -> None:
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    per_address, trusted = settings.connections_per_address, settings.trusted_proxies
    server = HttpServer(app, app.refuse_malformed, app.clients, per_address, trusted, utc_now)
    stopped = asyncio.Event()
    on_stop(stopped.set)
    await server.listen(bound)
    on_listening()
    await stopped.wait()
    server.stop()
    app.end_exchanges()
    await server.wait_closed()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
