"""Several workers on one folder and one port: what one has answered holds for all, and they live and die together."""

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

import forked
from engines import sqlite_only
from forked import running_service
from lines import Line, lines, worker_pids
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import digest_of
from private_integrations.contract.audit_chain import Whole, examine
from private_integrations_service.operations.live_grants import LiveGrants
from private_integrations_service.storage.grants import GrantReader
from private_integrations_service.storage.sqlite.engine import FILE_NAME
from stored import checked_copy
from throwaway import Service, listening_address
from trials.weakened_service import OFFSET

PROGRAMS = Path(__file__).parents[1] / "programs"
SECONDS = 20


@dataclass
class Desk:
    """The management API over the lines of a service with several workers, one worker after the other."""

    url: str
    pid: int
    key: str
    account: str
    lines: list[Line]

    def __post_init__(self) -> None:
        self._next = itertools.cycle(self.lines)

    def manage(self, method, path, body=None):
        """A request that must succeed, to the worker whose turn it is."""
        status, answer = next(self._next).manage(self.key, method, path, body)
        assert status < 300, answer
        return answer

    def token(self, *scopes: str) -> tuple[str, str]:
        """A new integration and a token of it."""
        name = uuid.uuid4().hex
        body = {"account": self.account, "name": name, "scopes": list(scopes), "owner_nonce": f"claim-{name}"}
        made = self.manage("PUT", f"/integrations/by-external-id/test/{name}", body)["id"]
        return made, self.issue(made, 1)

    def issue(self, integration: str, generation: int) -> str:
        """The token of a generation; the one before works for another hour once it is used."""
        body = {"issuer": "us", "run": f"r{generation}", "attempt": 1, "overlap_seconds": 3600}
        body |= {"holding": generation - 1} if generation > 1 else {}
        return self.manage("PUT", f"/integrations/{integration}/generations/{generation}", body)["token"]

    def expire(self, integration: str) -> None:
        """End the first generation."""
        self.manage("POST", f"/integrations/{integration}/expire", {"generations": [1]})

    def delete(self, integration: str) -> None:
        """Delete an integration."""
        self.manage("DELETE", f"/integrations/{integration}")

    def everywhere(self, token: str) -> set[tuple[int, str | None]]:
        """What the workers say to a token."""
        return {line.use(token, self.account) for line in self.lines}


@contextmanager
def desk_of(service: Service, each: int = 1):
    """The desk of a running service."""
    with lines(service.url, service.process.pid, each) as opened:
        yield Desk(service.url, service.process.pid, service.key, service.account, opened)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A service with two workers for all tests that don't kill any."""
    with running_service(tmp_path_factory.mktemp("two"), "--workers", "2") as started:
        yield started


LIVE = {(200, None)}
DEAD = {(401, "token-revoked")}


def test_after_an_end_is_answered_no_worker_accepts_the_token(two):
    """Under load on both workers, no request that is sent after the 2xx of an expire or delete is let through."""
    late: Counter[int] = Counter()
    with desk_of(two, 5) as desk, ThreadPoolExecutor() as pool:
        # One line of each worker ends tokens, the others use them.
        using, desk = desk.lines[2:], Desk(desk.url, desk.pid, desk.key, desk.account, desk.lines[:2])
        for end in (desk.expire, desk.delete) * 20:
            integration, token = desk.token("contacts.readonly")
            assert {line.use(token, desk.account) for line in using} == LIVE
            ended = threading.Event()
            uses = [pool.submit(use_until, line, token, desk.account, ended) for line in using]
            end(integration)
            answered = time.monotonic()
            ended.set()
            for sent, status in itertools.chain.from_iterable(use.result() for use in uses):
                late[status] += sent > answered
    assert late[200] == 0
    assert late[401] == late.total() >= 40 * 8 * 5
    assert {line.pid for line in using} == worker_pids(two.process.pid)
    assert all(line.statuses[200] and line.statuses[401] for line in using)


def test_changes_of_all_workers_are_one_chain(two):
    """Whichever worker writes a row of the audit log, it follows the one that was committed before it."""
    with desk_of(two, 4) as desk:
        desks = [Desk(desk.url, desk.pid, desk.key, desk.account, [line]) for line in desk.lines]
        with ThreadPoolExecutor() as pool:
            made = list(pool.map(lambda one: [one.token("contacts.readonly")[0] for _ in range(5)], desks))
    log = list(Client(ServiceConnection(two.url, two.key)).audit_log(account=two.account))
    assert isinstance(examine(log), Whole)
    assert {json.loads(line)["integration_id"] for line in log} >= set(itertools.chain(*made))


def use_until(line: Line, token: str, account: str, ended: threading.Event) -> list[tuple[float, int]]:
    """Use a token over and over until it was ended, and then five times: when each request was sent, and its status."""
    seen = []
    after = 0
    while after < 5:
        after += ended.is_set()
        sent = time.monotonic()
        seen.append((sent, line.use(token, account)[0]))
    return seen


def test_scopes_taken_away_are_gone_on_every_worker(two):
    """After the edit is answered, no worker opens what it took away."""
    with desk_of(two) as desk:
        for _ in desk.lines:
            integration, token = desk.token("contacts.readonly")
            assert desk.everywhere(token) == LIVE
            desk.manage("PATCH", f"/integrations/{integration}", {"scopes": ["locations.readonly"]})
            assert desk.everywhere(token) == {(401, "scope-missing")}


def test_a_clock_set_back_revives_nothing_on_any_worker(tmp_path):
    """A token that one worker refused as expired is dead on the other too, though the clock has stepped back."""
    clock = tmp_path / "clock"
    clock.write_bytes(OFFSET.pack(0))
    command = [sys.executable, PROGRAMS / "clocked_service.py", tmp_path / "data", clock]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["tools", os.environ.get("PYTHONPATH", "")])}
    with forked.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            url = listening_address(process)
            key = (tmp_path / "data" / "admin.key").read_text().strip()
            with lines(url, process.pid) as opened:
                one, other = opened
                accounts = one.manage(key, "GET", "/accounts")[1]["accounts"]
                account = next(found["id"] for found in accounts if found["kind"] == "sub_account")
                desk = Desk(url, process.pid, key, account, opened)
                integration, token = desk.token("contacts.readonly")
                assert desk.everywhere(token) == LIVE
                assert desk.everywhere(desk.issue(integration, 2)) == LIVE
                assert desk.everywhere(token) == LIVE
                set_clock(clock, timedelta(hours=2))
                assert one.use(token, account) == (401, "token-expired")
                set_clock(clock, timedelta())
                assert other.use(token, account) == (401, "token-expired")
        finally:
            process.terminate()


def set_clock(file: Path, ahead: timedelta) -> None:
    """Set the clock of a clocked service."""
    with file.open("r+b") as stream:
        stream.write(OFFSET.pack(ahead.total_seconds()))


@pytest.fixture(scope="module")
def forking():
    """The process that forks services, one at a time."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([sys.executable, PROGRAMS / "killable_service.py", "2"], **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def killable(forking, tmp_path):
    """A service with two workers that die when asked to: its folder, its process and its URL."""
    forking.stdin.write(f"{tmp_path}\n")
    forking.stdin.flush()
    pid = int(forking.stdout.readline())
    yield tmp_path, pid, listening_address(forking)
    os.kill(pid, signal.SIGTERM)
    assert forking.stdout.readline() == "stopped\n"
    assert forking.stdout.readline() == "ended 0\n"


@pytest.mark.parametrize("point", ["before-begin", "statement-1", "before-commit", "after-commit", "before-answer"])
def test_a_worker_killed_while_it_writes(killable, point):
    """What it didn't commit is not there and what it did holds, on every worker; the next write works as ever."""
    folder, pid, url = killable
    key = (folder / "admin.key").read_text().strip()
    with lines(url, pid) as opened:
        accounts = opened[0].manage(key, "GET", "/accounts")[1]["accounts"]
        account = next(found["id"] for found in accounts if found["kind"] == "sub_account")
        doomed, survivor = opened
        desk = Desk(url, pid, key, account, opened)
        integration, token = desk.token("contacts.readonly")
        bystander, other = desk.token("contacts.readonly")
        assert desk.everywhere(token) == desk.everywhere(other) == LIVE
        with pytest.raises(ConnectionError):
            doomed.manage(
                key, "POST", f"/integrations/{integration}/expire", {"generations": [1]}, **{"fail-at": point}
            )
        left = DEAD if point in ("after-commit", "before-answer") else LIVE
        assert {survivor.use(token, account)} == left
        assert {survivor.use(other, account)} == LIVE
    with lines(url, pid) as opened:
        assert survivor.pid in {line.pid for line in opened}
        assert doomed.pid not in {line.pid for line in opened}
        desk = Desk(url, pid, key, account, opened)
        assert desk.everywhere(token) == left
        desk.expire(integration)
        assert desk.everywhere(token) == DEAD
        assert desk.everywhere(other) == LIVE
        desk.delete(bystander)
        assert desk.everywhere(other) == DEAD
    with checked_copy(folder) as connection:
        actions = connection.execute("SELECT action FROM audit WHERE integration_id = ?", [integration]).fetchall()
    assert [action for (action,) in actions] == ["create", "issue", "deliver", "expire"]


@sqlite_only
def test_what_a_killed_writer_left_is_put_right_by_the_next(database, desk, clock):
    """An odd word is remembered by nobody; the next change, or the next worker, makes it even and higher."""
    reader = GrantReader(database)
    grants = LiveGrants(reader, database.epoch, 10)
    integration = desk.integration("contacts.readonly")
    token = digest_of(desk.token(integration))
    with database.write() as write:
        write.connection.exec_driver_sql("UPDATE tokens SET role = 'current', delivered_at = issued_at")
    killed = []
    for repair in (lambda: desk.edit(integration, "contacts.write"), database.begin):
        killed.append(database.epoch.changing([integration]))
        killed[-1].__enter__()
        left = database.epoch.value
        assert left % 2
        assert asyncio.run(grants.find(token, clock())).is_live(clock())
        assert len(grants) == 0
        repair()
        assert database.epoch.value > left
        assert database.epoch.value % 2 == 0
        assert asyncio.run(grants.find(token, clock())).is_live(clock())
        assert len(grants) == 1
    settled = database.epoch.value
    database.begin()
    assert database.epoch.value == settled
    reader.close()


def test_a_killed_worker_is_replaced(tmp_path):
    """It is said on stderr, and the new one serves beside the old one."""
    with running_service(tmp_path, "--workers", "2") as service:
        with desk_of(service) as desk:
            _, token = desk.token("contacts.readonly")
            doomed, survivor = (line.pid for line in desk.lines)
        os.kill(doomed, signal.SIGKILL)
        assert service.process.stdout.readline() == "a worker ended: SIGKILL; another one takes its place\n"
        with desk_of(service) as desk:
            assert desk.everywhere(token) == LIVE
            pids = {line.pid for line in desk.lines}
        assert survivor in pids
        assert doomed not in pids


def test_workers_that_die_again_and_again_end_the_service(tmp_path):
    """Five deaths in a row, each soon after a start, are an error; nothing is left."""
    with running_service(tmp_path, "--workers", "2") as service:
        seen = []
        while service.process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                for doomed in psutil.Process(service.process.pid).children():
                    if doomed not in seen:
                        doomed.kill()
                        seen.append(doomed)
        said, _ = service.process.communicate(timeout=SECONDS)
        assert service.process.returncode == 2
        assert len(seen) >= 5
        assert said.splitlines()[-1] == ("private-integrations: workers end as soon as they start, 5 in a row: SIGKILL")
        assert psutil.wait_procs(seen, SECONDS)[1] == []


def test_a_killed_service_takes_its_workers_along(tmp_path):
    """After SIGKILL of the parent no worker is left, and the folder can be served again."""
    with running_service(tmp_path, "--workers", "2") as service:
        workers = psutil.Process(service.process.pid).children()
        assert len(workers) == 2
        service.process.kill()
        assert psutil.wait_procs(workers, SECONDS)[1] == []
    with running_service(tmp_path, "--workers", "2") as service, desk_of(service) as desk:
        assert desk.manage("GET", "/accounts")["accounts"]


@pytest.mark.parametrize("everybody", [False, True])
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_all(tmp_path, stop, everybody):
    """A signal to the parent, or to all as from a terminal: what was begun is finished, and nothing is left."""
    with running_service(tmp_path, "--workers", "2") as service, desk_of(service) as desk:
        workers = psutil.Process(service.process.pid).children()
        unfinished = [begin_request(line, service) for line in desk.lines]
        for pid in [worker.pid for worker in workers if everybody] + [service.process.pid]:
            os.kill(pid, stop)
        assert all(finish() == 201 for finish in unfinished)
        assert service.process.wait(SECONDS) == 0
        assert service.process.stdout.read() == "stopped\n"
        assert psutil.wait_procs(workers, SECONDS)[1] == []
    assert not (tmp_path / f"{FILE_NAME}-wal").exists()


def begin_request(line: Line, service: Service):
    """Send a request but for its last byte; what finishes it, and gives the status."""
    body = (
        f'{{"account": "{service.account}", "name": "a", "scopes": ["contacts.readonly"], "owner_nonce": "{line.pid}"}}'
    )
    connection = line.connection
    connection.putrequest("PUT", f"/private-integrations/v1/integrations/by-external-id/test/{line.pid}")
    connection.putheader("Authorization", f"Bearer {service.key}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[:-1].encode())

    def finish() -> int:
        connection.send(body[-1:].encode())
        return connection.getresponse().status

    return finish


@pytest.mark.parametrize(
    ("work", "why"),
    [
        ("raise ConfigurationError('there is no room')", "there is no room"),
        ("os._exit(3)", "exit status 3"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
    ],
)
def test_a_worker_that_cannot_start_ends_the_service(work, why):
    """Before all workers accept, one that fails is the service's own failure, told in one line."""
    program = (
        "import os\n"
        "from private_integrations.errors import ConfigurationError\n"
        "from private_integrations_service.server.supervisor import supervise\n"
        f"def work(listening, on_stop):\n    {work}\n"
        "try:\n    supervise(2, work, lambda: print('listening'))\n"
        "except ConfigurationError as error:\n    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert (ran.stdout, ran.stderr) == (f"a worker could not start: {why}\n", "")


def test_a_port_in_use_is_refused(tmp_path):
    """A taken address is told before anything is started, also if whoever has it would share it with workers."""
    with running_service(tmp_path / "first", "--workers", "2") as service:
        port = service.url.rpartition(":")[2]
        command = [sys.executable, "-m", "private_integrations.cli", "serve", "--workers", "2", "--port", port]
        command += ["--data-dir", str(tmp_path / "second")]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        refused = forked.run(command, timeout=SECONDS, **pipes)
        assert refused.returncode == 2
        assert re.fullmatch(r"private-integrations: address 127\.0\.0\.1:\d+ is in use by .+\n", refused.stderr)
        with desk_of(service) as desk:
            assert desk.manage("GET", "/accounts")["accounts"]
