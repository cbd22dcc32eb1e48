"""The real service on loopback, as its users start it, and an environment without surprises."""

import ast
import gc
import os
import re
import signal
import sys
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import settings

from canary import files_of
from services import make_viewer_key, watched_service
from throwaway import Service

# A busy machine is no failure: no example has a deadline. `--hypothesis-profile=long` looks for hours.
settings.register_profile("usual", deadline=None)
settings.register_profile("long", deadline=None, max_examples=20_000)
settings.load_profile("usual")


_PARSE = ast.parse


def _parse_without_collection(*arguments: Any, **options: Any) -> Any:
    """Parse without a garbage collection in between.

    ``ast.parse`` of Python 3.11.7 fails if a finalizer parses something itself, as printing a traceback does (CPython
    issue 106905). It is called by pytest, Hypothesis and tracebacks, in a process with many threads.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _PARSE(*arguments, **options)
    finally:
        if was_enabled:
            gc.enable()


if sys.version_info < (3, 11, 8):
    ast.parse = _parse_without_collection

TESTS = Path(__file__).parent
SLOW = [
    line.partition("#")[0].strip()
    for line in (TESTS / "slow.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
]
"""Folders, files and tests (`file::test`) that `--quick` leaves out, and that otherwise are started in this order."""

_PLACES = {line: place for place, line in reversed([*enumerate(SLOW)])}


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
    """Leave out the single tests that `--quick` leaves out, with all their parameters; deal the rest out to workers."""
    if config.option.quick:
        _leave_out_slow(config, items)
    if (workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
        items[:] = _deal_out(items, workers)


def _deal_out(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Order tests such that each worker, which gets as many as the others, begins with its share of the slow ones.

    A worker that has none left steals the last ones of another: quick ones, which share no costly fixture. Those of
    one storage engine follow each other, because the fixtures of the session end when the engine changes.
    """
    places = {item: _place(item) for item in items}
    slow = sorted((item for item in items if places[item] < len(SLOW)), key=places.__getitem__)
    files = [[*tests] for _, tests in groupby(slow, lambda item: (item.path, _engine(item)))]
    quick = iter(sorted((item for item in items if places[item] == len(SLOW)), key=_engine, reverse=True))
    dealt: list[pytest.Item] = []
    for worker in range(workers):
        dealt += sorted((item for file in files[worker::workers] for item in file), key=_engine)
        # xdist cuts the list here.
        dealt += islice(quick, max(0, len(items) * (worker + 1) // workers - len(dealt)))
    return [*dealt, *quick]


def _name(item: pytest.Item) -> str:
    """Return the name of a test without parameters, as slow.txt has it."""
    return item.nodeid.removeprefix("tests/").partition("[")[0]


def _place(item: pytest.Item) -> int:
    """Return where slow.txt has a test, its file or a folder of it; its length if it has none of them."""
    name = _name(item)
    file = PurePath(name.partition("::")[0])
    return min(_PLACES.get(line, len(SLOW)) for line in (name, file.as_posix(), *map(str, file.parents)))


def _engine(item: pytest.Item) -> str:
    """Return the storage engine that a test runs on, "" if it chooses for itself."""
    parameters = getattr(item, "callspec", None)
    return str(parameters.params.get("under_test", "")) if parameters else ""


def _is_repeated(item: pytest.Item) -> bool:
    """Tell whether a test runs on a second storage engine; `--quick` has the suite of the engines alone on both."""
    return _engine(item) not in ("", "sqlite") and not _name(item).startswith("service/storage/")


def _leave_out_slow(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = {item for item in items if _name(item) in _PLACES or _is_repeated(item)}
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
    return make_viewer_key(service)
