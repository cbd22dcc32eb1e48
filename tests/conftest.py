"""The real service on loopback, as its users start it, and an environment without surprises."""

import os
import re
import signal
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import settings

from canary import files_of, watched_service
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import KeyRequest, digest_of, new_management_key
from throwaway import Service

# A busy machine is no failure: no example has a deadline. `--hypothesis-profile=long` looks for hours.
settings.register_profile("usual", deadline=None)
settings.register_profile("long", deadline=None, max_examples=20_000)
settings.load_profile("usual")


TESTS = Path(__file__).parent
SLOW = {
    line.partition("#")[0].strip()
    for line in (TESTS / "slow.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
}
"""Folders, files and tests (`file::test`) that `--quick` leaves out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick` leaves out slow tests; `--write-…` rewrites what documentation shows; the rest makes tests longer."""
    parser.addoption("--quick", action="store_true", help="leave out the tests of tests/slow.txt, and most repetitions")
    parser.addoption("--write-transcripts", action="store_true", help="write the previews in docs/rotation.md anew")
    parser.addoption("--write-screenshots", action="store_true", help="take the pictures in docs/images anew")
    parser.addoption("--kills", type=int, default=6, help="how often the service is killed while it sends webhooks")
    parser.addoption("--replica-seconds", type=float, default=0.4, help="how long replicas run around each fault")


def pytest_configure() -> None:
    """Listen to SIGINT, which a shell lets its background jobs ignore: programs that tests start would inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if missing := sorted(line for line in SLOW if not _exists(*line.split("::"))):
        raise pytest.UsageError(f"tests/slow.txt names tests that do not exist: {', '.join(missing)}")


def _exists(place: str, test: str = "", *_: str) -> bool:
    file = TESTS / place
    return file.exists() and (not test or re.search(rf"\b{test}\b", file.read_text()) is not None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import nothing of the folders and files that `--quick` leaves out."""
    if config.option.quick and collection_path.is_relative_to(TESTS):
        return str(collection_path.relative_to(TESTS)) in SLOW or None
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the single tests that `--quick` leaves out, with all their parameters; deal the rest out to workers.

    Each begins with its share of the first folder, the engine's, whose tests are the longest, and none ends with it.
    """
    if config.option.quick:
        _leave_out_slow(config, items)
    files = [list(tests) for _, tests in groupby(items, lambda item: item.path)]
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = [item for worker in range(workers) for file in files[worker::workers] for item in file]


def _is_repeated(item: pytest.Item, name: str) -> bool:
    """Tell whether a test runs on a second storage engine; `--quick` has the suite of the engines alone on both."""
    parameters = getattr(item, "callspec", None)
    engine = parameters.params.get("under_test") if parameters else None
    return engine not in (None, "sqlite") and not name.startswith("service/storage/")


def _leave_out_slow(config: pytest.Config, items: list[pytest.Item]) -> None:
    names = [item.nodeid.removeprefix("tests/").partition("[")[0] for item in items]
    slow = {item for item, name in zip(items, names, strict=True) if name in SLOW or _is_repeated(item, name)}
    config.hook.pytest_deselected(items=[*slow])
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the developer's own service, stack, database, proxy or terminal."""
    for name in list(os.environ):
        own = name.startswith(("PRIVATE_INTEGRATIONS_", "PULUMI_", "PG")) or name in ("COLUMNS", "LINES")
        if own or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests that don't stop or break it."""
    folder = tmp_path_factory.mktemp("service")
    with watched_service(folder, lambda: files_of(folder)) as started:
        yield started


@pytest.fixture(scope="session")
def viewer_key(service: Service) -> str:
    """A management key that may only read."""
    key = new_management_key()
    request = KeyRequest(role="viewer", digest=digest_of(key).hex())
    Client(ServiceConnection(service.url, service.key)).make_key("reader", request)
    return key
