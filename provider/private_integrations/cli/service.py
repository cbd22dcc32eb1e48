"""`serve`: run the token service."""

import os
import signal
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ..errors import ConfigurationError
from .output import print_text

_SERVICE = "private_integrations_service"


def serve(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="PRIVATE_INTEGRATIONS_DATA_DIR",
            help="Where its database is, or with --database its files for this machine alone; default: "
            "~/.local/share/private-integrations.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="PRIVATE_INTEGRATIONS_DATABASE",
            help="A PostgreSQL database for several replicas, such as postgresql://user@host/name, as libpq reads it; "
            "default: a file in the data folder.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one.")] = 8750,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="PRIVATE_INTEGRATIONS_UPSTREAM",
            help="The API to forward authorized requests to, such as https://services.leadconnectorhq.com; "
            "default: none, the embedded sandbox answers.",
        ),
    ] = None,
    sealing_keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="PRIVATE_INTEGRATIONS_SEALING_KEYS_FILE",
            help="The keys that upstream credentials and webhooks' secrets are sealed with, the newest on the first "
            "line; or PRIVATE_INTEGRATIONS_SEALING_KEYS has the keys themselves.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes serve; more than one: Linux.")] = 1,
) -> None:
    """Run the token service. The first start makes a management key and, without --upstream, a demo account."""
    # Also before the server has its own handlers, and while it ends.
    signal.signal(signal.SIGTERM, _stop)
    try:
        installed("server.serve").serve(
            data_dir=(data_dir or default_data_dir()).expanduser(),
            database=database or None,
            host=host,
            port=port,
            say=print_text,
            upstream=upstream,
            sealing_keys=sealing_keys and sealing_keys.expanduser(),
            workers=workers,
        )
    except KeyboardInterrupt:
        return


def default_data_dir() -> Path:
    """Return the user's own data folder (XDG base directory specification: a relative XDG_DATA_HOME doesn't count)."""
    configured = Path(os.environ.get("XDG_DATA_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".local" / "share"
    return base / "private-integrations"


def installed(module: str) -> Any:
    """Return a module of the service; raises ConfigurationError with advice if the service is not installed."""
    try:
        return import_module(f"{_SERVICE}.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(f"{_SERVICE}."):
            raise
        raise ConfigurationError(
            "the service is not installed; run: pip install 'private-integrations[service]'"
        ) from error


def _stop(*_: Any) -> NoReturn:
    raise KeyboardInterrupt
