"""Services that have never run before, on each storage engine."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from canary import leaks, secrets_in
from engines import EngineUnderTest
from forked import running_service
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import KeyRequest, digest_of, new_management_key
from throwaway import Service


@contextmanager
def new_service(under_test: EngineUnderTest, folder: Path, *arguments: str, **settings: str) -> Iterator[Service]:
    """Run a service, as forked.py does, in a folder that is not there yet; remove its database at the end."""
    with running_service(under_test.new(folder), *arguments, **settings) as started:
        yield started
    under_test.remove(folder)


@contextmanager
def watched_service(folder: Path, stored: Callable[[], Mapping[str, bytes]]) -> Iterator[Service]:
    """Run a service for many tests; at the end no token and no key may be in what it has stored or printed.

    Rotation periods may be seconds.

    Args:
        folder: Its data folder.
        stored: Reads all that it has stored, by file or table.

    """
    with running_service(folder, PRIVATE_INTEGRATIONS_MINIMUM_PERIOD="1s") as started:
        yield started
        assert leaks(stored()) == {}
        started.process.terminate()
        assert started.process.stdout is not None
        assert secrets_in(started.process.stdout.read().encode()) == set()
        assert leaks(stored()) == {}


def make_viewer_key(service: Service) -> str:
    """Make a management key that may only read."""
    key = new_management_key()
    request = KeyRequest(role="viewer", digest=digest_of(key).hex())
    Client(ServiceConnection(service.url, service.key)).make_key("reader", request)
    return key
