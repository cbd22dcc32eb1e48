"""`kill -9` at every write of every operation: all of it is there afterwards or nothing, and its client goes on.

On PostgreSQL the row of the killed replica is removed, as another one does when it was silent for long enough. How long
changes wait for it until then is in test_replicas.py.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pysqlite3.dbapi2 as sqlite
import pytest
import requests
from psycopg.rows import dict_row

from private_integrations.contract import API, token_fingerprint
from private_integrations.contract.audit_chain import Whole, examine
from stored import checked_copy

PROGRAM = Path(__file__).parents[1] / "programs" / "killable_service.py"


class Service:
    """The service on one data folder, killed and started again by the process that forks it.

    `database` is the address of a PostgreSQL database, if the folder has none.
    """

    def __init__(self, forking: "subprocess.Popen[str]", folder: Path, database: str | None) -> None:
        self.folder = folder
        self._database = database
        self.is_remote = database is not None
        self._forking = forking
        self.start()
        self._key = (folder / "admin.key").read_text().strip()
        accounts = self.manage("GET", "/accounts").json()["accounts"]
        self.account = next(account["id"] for account in accounts if account["kind"] == "sub_account")

    def start(self) -> None:
        """Serve the folder."""
        self._forking.stdin.write(f"{self.folder}\t{self._database or ''}\n")
        self._forking.stdin.flush()
        self._pid = int(self._said())
        self._url = self._said("listening on ")

    def died(self) -> None:
        """Wait until the service is dead, which must be by SIGKILL."""
        self._pid = 0
        assert self._said("ended ") == "-9"
        if self._database:
            with psycopg.connect(self._database) as connection:
                assert connection.execute("DELETE FROM replicas").rowcount == 1

    def close(self) -> None:
        """End it, if it isn't dead."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self.died()

    def _said(self, beginning: str = "") -> str:
        while line := self._forking.stdout.readline():
            if line.startswith(beginning):
                return line.removeprefix(beginning).strip()
            assert not line.startswith("ended "), line
        raise AssertionError("the service said nothing more")

    def manage(self, method: str, path: str, body: Any = None, *, fail_at: str = "", **parts: Any):
        """A request to the management API."""
        headers = {"Authorization": f"Bearer {self._key}", "fail-at": fail_at}
        return requests.request(method, self._url + API + path, json=body, headers=headers, timeout=20, **parts)

    def use(self, token: str, *, fail_at: str = ""):
        """A request to the data API."""
        headers = {"Authorization": token, "Version": "v3", "fail-at": fail_at}
        return requests.get(f"{self._url}/contacts/", params={"locationId": self.account}, headers=headers, timeout=20)

    @contextmanager
    def stored(self) -> Iterator[Callable[[str, str], list[dict[str, Any]]]]:
        """A function that runs a query with one parameter, on what is committed; it returns the rows."""
        if self._database:
            with psycopg.connect(self._database, row_factory=dict_row) as connection:
                yield lambda query, value: connection.execute(query.replace("?", "%s"), [value]).fetchall()
            return
        with checked_copy(self.folder) as connection:
            connection.row_factory = sqlite.Row
            yield lambda query, value: [dict(row) for row in connection.execute(query, [value])]

    def opens(self, token: str) -> bool:
        """Whether the token is alive; asking is no use of it."""
        return self.manage("POST", "/introspect", data={"token": token}).json()["active"]


@pytest.fixture(scope="module")
def forking() -> Iterator["subprocess.Popen[str]"]:
    """The process that forks services, one at a time."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, PROGRAM], **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def service(forking, tmp_path, request, engine) -> Iterator[Service]:
    """A service of its own, which may be killed."""
    database = request.getfixturevalue("postgres_database") if engine == "postgresql" else None
    with closing(Service(forking, tmp_path / "data", database)) as started:
        yield started


@dataclass
class Case:
    """An integration of its own for one kill, and the tokens that were handed out, by generation."""

    service: Service
    external_id: str
    integration: str = ""
    tokens: dict[int, str] = field(default_factory=dict)

    def declare(self, **parts: Any):
        """Create the integration; again and again with the same owner nonce."""
        body = {
            "account": self.service.account,
            "name": "CRM sync",
            "scopes": ["contacts.readonly"],
            "owner_nonce": self.external_id.replace("/", "_"),
        }
        return self.service.manage("PUT", f"/integrations/by-external-id/{self.external_id}", body, **parts)

    def issue(self, generation: int, *, run: str, attempt: int = 1, **parts: Any):
        """Ask for a generation, as the provider whose state holds the first one."""
        body = {"issuer": "us", "run": run, "attempt": attempt, "holding": 1, "overlap_seconds": 3600}
        answer = self.service.manage("PUT", f"/integrations/{self.integration}/generations/{generation}", body, **parts)
        self.tokens[generation] = answer.json()["token"]
        return answer

    def ask(self, method: str, path: str, body: Any = None, **parts: Any):
        """A request about the integration."""
        return self.service.manage(method, f"/integrations/{self.integration}{path}", body, **parts)


def rotate(case: Case, attempt: int, **parts: Any):
    """Ask for the second generation; the repetition is the next attempt of the same run."""
    return case.issue(2, run="rotation", attempt=attempt, **parts)


def acknowledge(case: Case, _: int, **parts: Any):
    """Say that the second generation is stored."""
    return case.ask("POST", "/generations/2/ack", {"fingerprint": token_fingerprint(case.tokens[2])}, **parts)


@dataclass(frozen=True)
class Operation:
    """What is asked, which tokens are there before it, and what it does."""

    name: str
    ask: Callable[..., requests.Response]
    action: str
    """Of its row in the audit log."""
    tokens: int = 2
    """How many generations there are before; all but the second, which waits for its first use, are in use."""
    ends: frozenset[int] = frozenset()
    repeatable: bool = True
    """Whether a repetition of what was done changes nothing."""


OPERATIONS = [
    Operation("create", lambda case, _, **parts: case.declare(**parts), "create", tokens=0),
    Operation("rotate", rotate, "issue", tokens=1, repeatable=False),
    Operation("first use", lambda case, _, **parts: case.service.use(case.tokens[2], **parts), "deliver"),
    Operation("acknowledge", acknowledge, "acknowledge"),
    Operation(
        "expire",
        lambda case, _, **parts: case.ask("POST", "/expire", {"generations": [1]}, **parts),
        "expire",
        ends=frozenset({1}),
    ),
    Operation(
        "cancel",
        lambda case, _, **parts: case.ask("DELETE", "/generations/2?hold_seconds=3600", **parts),
        "cancel",
        ends=frozenset({2}),
    ),
]


ON_POSTGRESQL = ("rotate", "first use", "expire")


@dataclass(frozen=True)
class Stored:
    """All that the database has of an external id, without what differs from case to case."""

    integrations: list[dict[str, int | None]]
    owner_nonces: int
    tokens: list[dict[str, Any]]
    audit: list[str]

    @property
    def live(self) -> dict[int, str]:
        """The role of each live generation, of which there may be one token each."""
        alive = [token for token in self.tokens if not token["ended"]]
        roles = {token["generation"]: token["role"] for token in alive}
        assert len(roles) == len(alive), "two live tokens of one generation"
        return roles


def stored(case: Case) -> Stored:
    """What is on disk now of a case."""
    of_it = "integration_id IN (SELECT id FROM integrations WHERE external_id = ?)"
    with case.service.stored() as run:
        rows = partial(run, value=case.external_id)
        integrations = rows("SELECT version, last_generation, deleted_at FROM integrations WHERE external_id = ?")
        tokens = rows(
            "SELECT generation, run, attempt, role, delivered_at IS NOT NULL AS used, ended_at IS NOT NULL AS ended,"
            # The overlap that was promised, in milliseconds: it counts from the latest delivery.
            f" expires_at - max(delivered_at) OVER () AS lives_for FROM tokens WHERE {of_it} ORDER BY id"
        )
        return Stored(
            integrations=integrations,
            owner_nonces=len(rows(f"SELECT 1 FROM owner_nonces WHERE {of_it}")),
            tokens=tokens,
            audit=[row["action"] for row in rows(f"SELECT action FROM audit WHERE {of_it} ORDER BY id")],
        )


def prepared(service: Service, operation: Operation, name: str) -> Case:
    """An integration as it is before the operation."""
    case = Case(service, f"{operation.name.replace(' ', '_')}/{name}")
    if operation.tokens:
        case.integration = case.declare().json()["id"]
    for generation in range(1, operation.tokens + 1):
        case.issue(generation, run=f"run{generation}")
        if generation != 2:
            assert service.use(case.tokens[generation]).status_code == 200
    return case


def pytest_generate_tests(metafunc):
    """Run each operation on SQLite, and the three that differ most on PostgreSQL; all if tests may take long."""
    is_wide = metafunc.config.getoption("--replica-seconds") >= 2
    chosen = [operation for operation in OPERATIONS if is_wide or operation.name in ON_POSTGRESQL]
    cases = [("sqlite", operation) for operation in OPERATIONS] + [("postgresql", operation) for operation in chosen]
    metafunc.parametrize(("engine", "operation"), cases, ids=[f"{engine}-{case.name}" for engine, case in cases])


def test_killed_at_every_point(service, operation):
    """At every point: nothing is lost, nothing is half done, every token keeps its promise, and the client goes on."""
    case = prepared(service, operation, "whole")
    answer = operation.ask(case, 1)
    assert answer.ok, answer.text
    points = answer.headers["passed"].split()
    assert points[:2] == ["before-begin", "statement-1"]
    # On PostgreSQL the statements of a new revision go with the COMMIT.
    last = points[points.index("before-commit") :]
    assert [point for point in last if not point.startswith("statement-")] == [
        *("before-commit", "after-commit", "before-answer")
    ]
    assert len(last) == 3 or service.is_remote
    assert len(set(points)) == len(points)
    done = stored(case)
    for point in points:
        killed_at(point, prepared(service, operation, point), operation, done)


def killed_at(point: str, case: Case, operation: Operation, done: Stored) -> None:
    """Kill the service at a point of the operation, look at what is left, start it again and repeat the request."""
    before = stored(case)
    with pytest.raises(requests.ConnectionError):
        operation.ask(case, 1, fail_at=point)
    case.service.died()
    committed = point in ("after-commit", "before-answer")
    left = stored(case)
    assert left == (done if committed else before), point
    assert done.audit == [*before.audit, operation.action]

    case.service.start()
    ended = operation.ends if committed else frozenset()
    assert {generation for generation, token in case.tokens.items() if not case.service.opens(token)} == ended, point

    answer = operation.ask(case, 2)
    assert answer.ok, (point, answer.text)
    again = stored(case)
    changed = not committed or not operation.repeatable
    assert again.audit == [*left.audit, *[operation.action] * changed], point
    assert again.live == done.live, point
    assert len(again.integrations) == again.owner_nonces == 1, point
    goes_on(case, operation, again, answer)


def goes_on(case: Case, operation: Operation, again: Stored, answer: requests.Response) -> None:
    """Another process rotates: every token that lived opens the data API, no ended one; and the audit log is whole."""
    case.integration = case.integration or answer.json()["id"]
    last = again.integrations[0]["last_generation"]
    assert case.issue(last + 1, run="later").status_code == 201
    statuses = {generation: case.service.use(token).status_code for generation, token in case.tokens.items()}
    assert statuses == {generation: 401 if generation in operation.ends else 200 for generation in case.tokens}
    assert case.ask("GET", "").json()["last_generation"] == last + 1
    assert isinstance(examine(case.service.manage("GET", "/audit/export").content.splitlines()), Whole)
