"""Run a service and stacks that leave nothing behind, for the demo, the benches and the tests."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from threading import Timer
from typing import Any

import psycopg
import pulumi.automation as auto
import pysqlite3.dbapi2 as sqlite  # never Python's own: it may lose what the service committed

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationEdit

REPOSITORY = Path(__file__).resolve().parents[1]
_START_SECONDS = 90

UNLIMITED = {
    "PRIVATE_INTEGRATIONS_RATE_LIMIT": "1000000000",
    "PRIVATE_INTEGRATIONS_DAILY_RATE_LIMIT": "1000000000",
}
"""Set up a service that tests and benches may call faster than any account may."""


@dataclass(frozen=True)
class Service:
    """Hold a running service, its first key, and its first sub-account: the demo account, or "" without any.

    `database` is the address of a replica's; without one the database is a file in the data folder.
    """

    url: str
    key: str = field(repr=False)
    account: str
    data_dir: Path
    process: "subprocess.Popen[str]"
    database: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that a user exports for this service."""
        return {
            "PRIVATE_INTEGRATIONS_URL": self.url,
            "PRIVATE_INTEGRATIONS_KEY": self.key,
            "PRIVATE_INTEGRATIONS_ACCOUNT": self.account,
        }


@contextmanager
def running_service(
    data_dir: Path, *arguments: str, popen: "type[subprocess.Popen[str]]" = subprocess.Popen, **settings: str
) -> Iterator[Service]:
    """Run `private-integrations serve` in a process of its own, on a free port, until the block ends.

    `arguments` are options of `serve`; `settings` are environment variables, without which nothing is limited.
    `popen` is how the process is made.
    """
    serve = [sys.executable, "-m", "private_integrations.cli", "serve", "--port", "0", "--data-dir", str(data_dir)]
    command = [*serve, *arguments]
    with popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | UNLIMITED | settings
    ) as process:
        try:
            url = listening_address(process)
            key = (data_dir / "admin.key").read_text().strip()
            accounts = Client(ServiceConnection(url, key)).accounts()
            first = next((account.id for account in accounts if account.kind.belongs_to_agency), "")
            yield Service(url, key, first, data_dir, process, settings.get("PRIVATE_INTEGRATIONS_DATABASE"))
        finally:
            process.terminate()


def listening_address(process: "subprocess.Popen[str]") -> str:
    """Read the URL that the service prints when it listens."""
    assert process.stdout is not None
    said: list[str] = []
    # Not select: it can't see lines that came together and are in the reader's buffer already.
    too_late = Timer(_START_SECONDS, process.kill)
    too_late.start()
    try:
        while line := process.stdout.readline():
            if line.startswith("listening on "):
                return line.removeprefix("listening on ").strip()
            said.append(line)
    finally:
        too_late.cancel()
    raise RuntimeError("the service did not start: " + "".join(said))


def age(service: Service, integration_id: str, by: timedelta) -> None:
    """Make the tokens of an integration older, their deadlines and a hold included, as if `by` had passed for it."""
    milliseconds = by // timedelta(milliseconds=1)
    with database_of(service) as database:
        for column in ("issued_at", "delivered_at", "expires_at", "ended_at"):
            changed = f"UPDATE tokens SET {column} = {column} - {milliseconds}"  # noqa: S608
            database.execute(f"{changed} WHERE integration_id = '{integration_id}'")
        held = f"UPDATE integrations SET held_until = held_until - {milliseconds}"  # noqa: S608
        database.execute(f"{held} WHERE id = '{integration_id}'")
    # An edit of nothing: the service forgets the deadlines that it remembers between requests.
    Client(ServiceConnection(service.url, service.key)).edit(integration_id, IntegrationEdit())


@contextmanager
def database_of(service: Service) -> Iterator[Any]:
    """Connect to the database of a running service; each statement is a transaction."""
    if service.database:
        with psycopg.connect(service.database, autocommit=True) as connection:
            yield connection
        return
    file = service.data_dir / "private-integrations.db"
    with closing(sqlite.connect(str(file), isolation_level=None, timeout=5)) as connection:
        yield connection


def engine_root() -> Path:
    """Return the folder where scripts/setup found or put the Pulumi engine."""
    noted = REPOSITORY / ".venv" / "engine"
    if not noted.exists():
        raise FileNotFoundError("there is no Pulumi engine; run scripts/setup")
    return Path(noted.read_text().strip())


def engine_environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for an engine command, in folders of its own, without any of the user's."""
    for name in ("state", "home", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        "PATH": f"{engine_root() / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "this stack is thrown away",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        **settings,
    }


@cache
def _pulumi(root: Path) -> auto.PulumiCommand:
    """Ask the engine for its version once, in place of once for each stack."""
    return auto.PulumiCommand(root=str(root))


def make_workspace(
    folder: Path, project: str, program: Callable[[], None], environment: Mapping[str, str]
) -> auto.LocalWorkspace:
    """Make or find the workspace of an inline program in `folder`; `environment` is the engine's."""
    return auto.LocalWorkspace(
        work_dir=str(folder / "work"),
        pulumi_command=_pulumi(engine_root()),
        program=program,
        env_vars=dict(environment),
        secrets_provider="passphrase",
        project_settings=auto.ProjectSettings(name=project, runtime="python", main=os.getcwd()),
    )


def make_stack(folder: Path, project: str, program: Callable[[], None], environment: Mapping[str, str]) -> auto.Stack:
    """Make or find the stack `dev` of an inline program in `folder`; `environment` is the engine's."""
    return auto.Stack.create_or_select("dev", make_workspace(folder, project, program, environment))
