"""Run the service on an address until it is told to stop."""

import asyncio
import ctypes
import errno
import gc
import logging
import os
import resource
import signal
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvloop
from anyio import to_thread
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from private_integrations.errors import ConfigurationError

from ..gateway import Upstream
from ..http.client_connections import Keeper
from ..operations.installation import install, is_installed
from ..private_files import open_private
from ..sandbox.contacts import seed
from ..sandbox.storage.furniture import furnish
from ..settings import Settings
from ..storage.engine import StorageError, StorageFull
from ..storage.sqlite.engine import SQLiteEngine, open_database
from ..storage.sqlite.write_lock import WAITING
from .application import Application
from .clock import utc_now
from .supervisor import OnStop, Told, Work, keep_working

KEY_NAME = "admin.key"

Say = Callable[[str], None]

# What the server has to say is trouble: the lines on stdout are for people and scripts.
_STDERR = {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}

# A request head may have this many bytes: the longest legitimate one is far below.
_HEAD_LIMIT = 64 * 1024

# Of each process: for every change that waits for its turn, and as many for those that only read.
_THREADS = 2 * WAITING

_MOST_CONNECTIONS = 10_000

_PR_SET_DUMPABLE = 4  # prctl(2)

_log = logging.getLogger(__name__)


def serve(
    *,
    data_dir: Path,
    host: str,
    port: int,
    say: Say,
    upstream: str | None = None,
    sealing_keys: Path | None = None,
    workers: int = 1,
) -> None:
    """Serve until SIGTERM or SIGINT; `say` is told each line that a person should read.

    Port 0 takes a free one. With the base URL of an `upstream` in place of the sandbox; `sealing_keys` is a file.
    More than one of `workers` are processes of their own, which share the port. Raises ConfigurationError when
    the folder, the address, the URL or the file can't be used, or workers don't stay alive.
    """
    if workers > 1 and sys.platform != "linux":
        raise ConfigurationError("more than one worker needs Linux, which spreads connections over processes")
    settings = Settings.from_environment(data_dir=data_dir, upstream=upstream, sealing_keys=sealing_keys)
    if settings.upstream is not None:
        # Before anything is made in the data folder.
        Upstream.parse(settings.upstream)
    _forbid_core_dumps()
    engine = open_database(data_dir, utc_now)
    try:
        _install_once(engine, say, demo=settings.upstream is None)
        numeric, free, reserved = _usable_address(host, port, shared=workers > 1)
        _warn_of_plain_http(host, numeric)
        listening = partial(say, f"listening on http://{_in_url(numeric)}:{free}")
        work = partial(_work, engine, settings, numeric, free)
        with closing(reserved):
            if workers == 1:
                work(listening, _on_signals)
            else:
                # SQLite forbids to carry a connection over a fork (sqlite.org/howtocorrupt.html, 2.6).
                engine.disconnect()
                keep_working(workers, partial(_work_forked, work, engine), listening)
    except StorageFull as error:
        raise ConfigurationError(f"{engine.file} can't be used: the disk is full") from error
    finally:
        engine.close()
    say("stopped")


def _forbid_core_dumps() -> None:
    """Keep what is in memory (credentials in clear, tokens on their way) out of files, also for the workers."""
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # A program that takes dumps (kernel.core_pattern = "|…") isn't bound by the limit.
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


def _install_once(engine: SQLiteEngine, say: Say, *, demo: bool) -> None:
    if is_installed(engine):
        return
    key_file = engine.folder / KEY_NAME
    installed = install(engine, furnish, seed, partial(_write_private, key_file), demo=demo)
    if installed is None:
        return
    say(f"created {engine.file}")
    say(f"management key in {key_file}")
    if installed.demo_account is not None:
        say(f"account {installed.demo_account} (Demo account)")


def _write_private(file: Path, value: str) -> None:
    """Write a secret to a file that only its owner can read; what was there is replaced whole."""
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
    """The numeric address and the port to listen on, and what keeps a port ours that is free or `shared` by workers.

    Granian knows no names, and shares ports on Linux: a taken one is noticed only by asking first.
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
    """A socket that has the address and accepts nothing."""
    bound = socket.socket(family)
    for option in options:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
    bound.bind(address)
    return bound


def _work_forked(work: Work, engine: SQLiteEngine, listening: Told, on_stop: OnStop) -> None:
    """A worker's part: perhaps it takes the place of one that was killed while it wrote."""
    try:
        engine.settle()
        work(listening, on_stop)
    except StorageError as error:
        raise ConfigurationError(f"{engine.file} can't be used: {error}") from error
    finally:
        engine.disconnect()


def _work(engine: SQLiteEngine, settings: Settings, host: str, port: int, listening: Told, on_stop: OnStop) -> None:
    with closing(Application(engine, settings, places=_connection_limit())) as app:
        app.start()
        keeper = Keeper(app.clients, port, settings.connections_per_address, settings.trusted_proxies)
        keeper.start()
        # What exists by now stays until the end; looking through it for garbage took a part of every request.
        gc.collect()
        gc.freeze()
        try:
            uvloop.run(_run(app, host, port, listening, on_stop))
        finally:
            keeper.stop()


def _on_signals(stop: Told) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def _run(app: Application, host: str, port: int, listening: Told, on_stop: OnStop) -> None:
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
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
        backpressure=app.clients.places,
        log_level=LogLevels.error,
        log_dictconfig={"handlers": {"console": _STDERR, "access": _STDERR}},
    )
    on_stop(server.stop)
    serving = asyncio.create_task(server.serve())
    while not serving.done():
        if _accepts(port):
            listening()
            break
        await asyncio.sleep(0.01)
    await serving


def _accepts(port: int) -> bool:
    """Whether this very process listens on the port: a connection might reach another worker."""
    for name in os.listdir("/dev/fd"):
        # The descriptor of the listing itself is closed by now.
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as own:
                    if own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and own.getsockname()[1] == port:
                        return True
    return False


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
