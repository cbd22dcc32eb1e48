"""A real database, a clock that tests move, integrations made by the real operations, and the data API in-process."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import data_api as served
from certificates import make_certificates
from decision_columns import ColumnName, columns_of_decisions
from engines import ENGINES, EngineUnderTest, PostgreSQLUnderTest, SQLiteUnderTest
from management import Management
from postgres import Databases, Postgres
from private_integrations.contract import (
    Account,
    GenerationRequest,
    Integration,
    IntegrationEdit,
    IntegrationRequest,
    KeyRequest,
    Refused,
    digest_of,
    new_management_key,
    new_sealing_key,
)
from private_integrations_service.access.actors import Actor
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.operations import generations, integrations, keys, upstreams
from private_integrations_service.operations.integrations import Declared, Rules
from private_integrations_service.sandbox import Sandbox
from private_integrations_service.sandbox.limits import AccountLimits, RateLimits
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.sealing import Sealer
from private_integrations_service.settings import Settings
from private_integrations_service.storage.accounts import add_account
from private_integrations_service.storage.engine import StorageEngine
from private_integrations_service.storage.integrations import integration_by_id
from private_integrations_service.tokens.format import new_id, presented_token
from receivers import Receiver, receiving
from services import make_viewer_key, watched_service
from small_disks import Disk, Namespace, made_namespace, mounted
from throwaway import Service
from visitors import Visitor, new_account, new_visitor

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Clock:
    """The clock that the service is given: it stands still until a test moves it."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        """Forwards, or backwards with negative numbers."""
        self.now += timedelta(**by)


@dataclass(frozen=True)
class Accounts:
    """Two agencies; the first has two locations, the second one."""

    agency: str = "agencyOneAAAAAAAAAAA"
    location: str = "locationOneAAAAAAAAA"
    sister: str = "locationTwoAAAAAAAAA"
    other_agency: str = "agencyTwoBBBBBBBBBBB"
    stranger: str = "locationBBBBBBBBBBBB"


@dataclass
class Desk:
    """What people do through the management API, by the same operations."""

    database: StorageEngine
    clock: Clock
    rules: Rules
    account: str
    _runs: int = 0

    def integration(self, *scopes: str, account: str | None = None) -> str:
        """Make an integration with these scopes; answers its id."""
        request = IntegrationRequest(
            account=account or self.account, name="CRM sync", scopes=list(scopes), owner_nonce=new_id("claim_")
        )
        declared = integrations.declare(
            self.database, f"org/project/stack/{new_id()}", request, self.rules, actor=Actor("test")
        )
        assert isinstance(declared, Declared), declared
        return declared.integration.id

    def token(self, integration: str, *, overlap: timedelta = timedelta(days=7)) -> str:
        """Rotate: issue the next generation; answers the token."""
        self._runs += 1
        with self.database.read() as connection:
            last = self._read(connection, integration).last_generation
        request = GenerationRequest(
            issuer="test", run=f"run{self._runs}", attempt=1, holding=last, overlap_seconds=overlap.total_seconds()
        )
        issued = generations.issue(self.database, integration, last + 1, request, 3, actor=Actor("test"))
        return issued.token

    def token_with(self, *scopes: str, account: str | None = None) -> str:
        """A token of a new integration with these scopes."""
        return self.token(self.integration(*scopes, account=account))

    def edit(self, integration: str, *scopes: str) -> None:
        """Give the integration these scopes."""
        change = IntegrationEdit(scopes=list(scopes))
        edited = integrations.edit(self.database, integration, change, self.rules, actor=Actor("test"))
        assert isinstance(edited, Integration), edited

    def expire(self, integration: str, *numbers: int) -> None:
        """End these generations at once."""
        generations.expire(self.database, integration, numbers, actor=Actor("test"))

    def delete(self, integration: str) -> None:
        """Delete the integration with its tokens."""
        integrations.delete(self.database, integration, None, actor=Actor("test"))

    def secrets(self, integration: str) -> dict[int, tuple[str, datetime | None]]:
        """Role and deadline of each generation."""
        with self.database.read() as connection:
            found = self._read(connection, integration)
            (state,) = generations.token_states.step(connection, [found], self.database.now())
        return {secret.generation: (secret.role, secret.expires_at) for secret in state.tokens}

    def _read(self, connection: Any, integration: str) -> Integration:
        found = integration_by_id(connection, integration)
        assert found is not None
        return found


@dataclass(frozen=True)
class Answer:
    """What the data API answered."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class DataApi:
    """The data API as an ASGI application, asked in-process with the token given."""

    app: AuthorizerMiddleware
    token: str | None = None
    version: str | None = "2021-07-28"
    address: str = "203.0.113.7"

    def ask(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        token: str | None = None,
        version: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Answer:
        """Send a request; a `body` that isn't bytes is sent as JSON."""
        token, version = token or self.token, self.version if version is None else version
        sent = [("host", "crm.test"), *headers]
        sent += [("authorization", f"Bearer {token}")] if token else []
        sent += [("version", version)] if version else []
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent],
            "client": (self.address, 50_000),
        }
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return asyncio.run(_ask(self.app, scope, content))


async def _ask(app: AuthorizerMiddleware, scope: dict[str, Any], content: bytes) -> Answer:
    received: list[dict[str, Any]] = []
    half = len(content) // 2
    waiting = [
        {"type": "http.request", "body": content[:half], "more_body": True},
        {"type": "http.request", "body": content[half:], "more_body": False},
    ]

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        received.append(message)

    await app(scope, receive, send)
    start, end = received
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["content-length"] == str(len(end["body"]))
    parsed = json.loads(end["body"])
    assert isinstance(parsed, dict)
    return Answer(start["status"], headers, parsed)


@pytest.fixture
def clock() -> Clock:
    """A clock at noon of 2026-11-20."""
    return Clock()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The catalogue that comes with the package."""
    return Catalogue.load()


@pytest.fixture(scope="session")
def accounts() -> Accounts:
    """The ids of the accounts in the database."""
    return Accounts()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """A PostgreSQL server for all tests that don't stop or break it: that of `TEST_POSTGRESQL`, or one of our own."""
    if given := os.environ.get("TEST_POSTGRESQL"):
        yield Databases(given)
    else:
        with Postgres() as server:
            yield server


@pytest.fixture
def postgres_database(postgres: Databases) -> Iterator[str]:
    """The address of a new, empty database."""
    made = postgres.new_database()
    yield made
    postgres.drop(made)


@pytest.fixture(scope="session", params=ENGINES)
def under_test(request: pytest.FixtureRequest) -> EngineUnderTest:
    """The storage engine that the tests run on: all of them run on each."""
    if request.param == "sqlite":
        return SQLiteUnderTest()
    return PostgreSQLUnderTest(request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def fresh_folder(under_test: EngineUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a new database: copied for each test, since migrating takes longer than most tests."""
    folder = tmp_path_factory.mktemp("fresh") / "data"
    accounts = Accounts()
    database = under_test.open(folder, Clock())
    with database.write() as write:
        for agency in (accounts.agency, accounts.other_agency):
            add_account(write.connection, Account(id=agency, name="Agency", kind="agency"), NOON)
        for location, agency in (
            (accounts.location, accounts.agency),
            (accounts.sister, accounts.agency),
            (accounts.stranger, accounts.other_agency),
        ):
            account = Account(id=location, name="Location", kind="sub_account", agency_id=agency)
            add_account(write.connection, account, NOON)
            furnish(write.connection, location)
    database.close()
    return folder


@pytest.fixture(scope="session")
def service(under_test: EngineUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of an engine that don't stop or break it."""
    folder = under_test.new(tmp_path_factory.mktemp("service") / "data")
    with watched_service(folder, lambda: under_test.stored(folder)) as started:
        yield started
    under_test.remove(folder)


@pytest.fixture(scope="session")
def viewer_key(service: Service) -> str:
    """A management key of this service that may only read; the one above is of another service."""
    return make_viewer_key(service)


@pytest.fixture
def data_folder(under_test: EngineUnderTest, tmp_path: Path) -> Iterator[Path]:
    """The data folder of a service that has never run."""
    made = under_test.new(tmp_path / "data")
    yield made
    under_test.remove(made)


@pytest.fixture
def database(under_test: EngineUnderTest, tmp_path: Path, fresh_folder: Path, clock: Clock) -> Iterator[StorageEngine]:
    """A new database with the accounts."""
    opened = under_test.open(under_test.copy(fresh_folder, tmp_path / "data"), clock)
    yield opened
    opened.close()
    under_test.remove(opened.folder)


@pytest.fixture(scope="session")
def decision_columns(
    under_test: EngineUnderTest,
    fresh_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    catalogue: Catalogue,
    accounts: Accounts,
) -> set[ColumnName]:
    """The columns that the authorizer's and the gateway's statements read."""
    clock, folder = Clock(), tmp_path_factory.mktemp("columns") / "data"
    with closing(under_test.open(under_test.copy(fresh_folder, folder), clock)) as database:
        desk = Desk(database, clock, Rules(catalogue, Settings()), accounts.location)
        integration = desk.integration("contacts.readonly")
        ended = presented_token(desk.token(integration).encode())
        desk.expire(integration, 1)
        upstreams.put(database, accounts.location, "secret", Sealer([new_sealing_key()]), actor=Actor("test"))
        assert ended is not None
        key = digest_of(new_management_key())
        request = KeyRequest(role="viewer", digest=key.hex())
        assert not isinstance(keys.make(database, "ci", request, actor=Actor("test")), Refused)
        return columns_of_decisions(database, ended, accounts.location, key)


@pytest.fixture
def desk(database: StorageEngine, clock: Clock, catalogue: Catalogue, accounts: Accounts) -> Desk:
    """The management operations over the database, for the first location unless said otherwise."""
    return Desk(database, clock, Rules(catalogue, Settings()), accounts.location)


@pytest.fixture
def limits() -> RateLimits:
    """Rate limits that no test meets by accident."""
    return RateLimits(AccountLimits(per_interval=10**6, per_day=10**6))


@pytest.fixture
def middleware(
    database: StorageEngine, clock: Clock, catalogue: Catalogue, limits: RateLimits
) -> Iterator[AuthorizerMiddleware]:
    """The authorizer's middleware in front of the sandbox."""
    made = AuthorizerMiddleware(Sandbox(database, limits), Authorizer(database, catalogue, 1000))
    yield made
    made.authorizer.close()


@pytest.fixture
def api(middleware: AuthorizerMiddleware) -> DataApi:
    """The data API, without a token until the test sets one."""
    return DataApi(middleware)


@pytest.fixture
def create(api: DataApi, accounts: Accounts) -> Callable[..., dict[str, Any]]:
    """Create a contact with these fields; answers it."""

    def created(**fields: Any) -> dict[str, Any]:
        answer = api.ask("POST", "/contacts/", {"locationId": accounts.location, **fields})
        assert answer.status == 201, answer
        assert list(answer.body) == ["contact"]
        return answer.body["contact"]

    return created


@pytest.fixture
def management(service: Service) -> Management:
    """The management API of the running service with the admin's key."""
    return Management(service.url, service.key, service.account)


@pytest.fixture(scope="module")
def account(service: Service) -> str:
    """A sub-account of the running service that only the module's tests know."""
    return new_account(service.url, service.key)


@pytest.fixture(scope="module")
def ada(service: Service, account: str) -> Visitor:
    """An admin of it on the settings pages."""
    return new_visitor(service.url, service.key, account)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of `hooks.test` and `other.test` by an authority of our own."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, "hooks.test", "other.test")
    return folder


@pytest.fixture
def receiver(certificates: Path) -> Iterator[Receiver]:
    """The receiver of webhooks `hooks.test`."""
    with receiving(certificates, "hooks.test") as made:
        yield made


@pytest.fixture(scope="session")
def namespace() -> Iterator[Namespace]:
    """A namespace for all disks."""
    with made_namespace() as made:
        yield made


@pytest.fixture
def disk(tmp_path: Path, namespace: Namespace) -> Iterator[Disk]:
    """An empty disk of 16 MiB."""
    with mounted(namespace, tmp_path / "disk") as made:
        yield made


@pytest.fixture(scope="module", params=["sandbox", "gateway"])
def serving(
    request: pytest.FixtureRequest,
    service: Service,
    under_test: EngineUnderTest,
    tmp_path_factory: pytest.TempPathFactory,
    catalogue: Catalogue,
) -> Iterator[Service]:
    """Yield a service that issues tokens and serves the API to clients: the sandbox, or a gateway before it."""
    if request.param == "sandbox":
        yield service
    else:
        with served.gateway_before(service, under_test, tmp_path_factory.mktemp("gateway"), catalogue) as gateway:
            yield gateway


@pytest.fixture(scope="module")
def data_api(serving: Service, catalogue: Catalogue) -> served.DataApi:
    """The API as it is served to clients, with a token that opens all that they call."""
    return served.DataApi(serving.url, served.token_of(serving, *served.all_scopes(catalogue)), serving.account)


@pytest.fixture
def unique() -> str:
    """Return a word that no other object in the account contains."""
    return new_id("x").lower()
