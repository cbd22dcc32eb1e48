"""The real service on loopback, as its users start it, and an environment without surprises."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 30


@dataclass(frozen=True)
class Service:
    """A running service with the account and key of its first start."""

    url: str
    key: str
    account: str
    data_dir: Path
    process: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        """What a user exports to talk to it."""
        return {
            "PRIVATE_INTEGRATIONS_URL": self.url,
            "PRIVATE_INTEGRATIONS_KEY": self.key,
            "PRIVATE_INTEGRATIONS_ACCOUNT": self.account,
        }


@contextmanager
def running_service(data_dir: Path, *, port: int = 0, **settings: str) -> Iterator[Service]:
    """Run `private-integrations serve` in its own process until the block ends."""
    command = [sys.executable, "-m", "private_integrations.cli", "serve"]
    process = subprocess.Popen(
        [*command, "--data-dir", str(data_dir), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | settings,
    )
    try:
        url = _listening(process)
        key = (data_dir / "admin.key").read_text().strip()
        yield Service(url, key, _demo_account(url, key), data_dir, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        assert process.stdout is not None
        process.stdout.close()


def _listening(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = []
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not select.select([process.stdout], [], [], 1)[0]:
            continue
        line = process.stdout.readline()
        said.append(line)
        if line.startswith("listening on "):
            return line.removeprefix("listening on ").strip()
        if not line:
            break
    raise AssertionError(f"the service did not start: {''.join(said)}")


def _demo_account(url: str, key: str) -> str:
    from private_integrations.client import Client
    from private_integrations.connection import Connection

    accounts = Client(Connection(url, key)).accounts()
    return next(account.id for account in accounts if account.kind == "sub_account")


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own service, stack or proxy."""
    for name in list(os.environ):
        if name.startswith(("PRIVATE_INTEGRATIONS_", "PULUMI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that don't stop or break it; rotation periods may be seconds."""
    with running_service(tmp_path_factory.mktemp("service"), PRIVATE_INTEGRATIONS_MINIMUM_PERIOD="1s") as started:
        yield started
