"""The replicas of a service, in its API, its health, its metrics and the command line."""

import json
import signal
import socket
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest
import requests

import forked
from engines import sqlite_only
from management import Management, problem, roles
from operator_cli import run_cli
from postgres import Postgres
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import KeyRequest, digest_of, new_management_key
from private_integrations_service.storage.postgresql import replicas
from private_integrations_service.storage.postgresql.connections import connect
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.postgresql.lease import LeaseTimes
from server_processes import wait_until

API = "/private-integrations/v1"
LEASE = {"PRIVATE_INTEGRATIONS_LEASE": "2s"}


@pytest.fixture(scope="module")
def two(postgres, tmp_path_factory):
    """Two replicas of one database, with leases of two seconds; the second has the key of the first."""
    address = postgres.new_database()
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    with forked.running_service(first, "--database", address, **LEASE) as one:
        (second / "admin.key").write_text(one.key)
        with forked.running_service(second, "--database", address, **LEASE) as other:
            yield one, other, address
    postgres.drop(address)


def listed(service):
    """The replicas as one of them answers."""
    return Client(ServiceConnection(service.url, service.key)).replicas()


def metrics(service, key=None):
    """The metrics by name with labels."""
    headers = {"Authorization": f"Bearer {key or service.key}"}
    lines = requests.get(f"{service.url}{API}/metrics", headers=headers, timeout=10).text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def bound(service):
    """A key that is bound to one account."""
    key = new_management_key()
    request = KeyRequest(role="viewer", accounts=[service.account], digest=digest_of(key).hex())
    Client(ServiceConnection(service.url, service.key)).make_key("bound", request)
    return key


def test_each_replica_lists_both(two):
    """The one that answers is marked; both have acknowledged the revision of the database."""
    for service in two[:2]:
        wait_until(
            lambda asked=service: (
                {one.acknowledged_revision for one in listed(asked).replicas}
                == {listed(asked).replication.database_revision}
            ),
            "both have acknowledged the revision",
        )
        found = listed(service)
        assert [one.name for one in found.replicas] == [socket.gethostname()] * 2
        assert sorted(one.is_answering for one in found.replicas) == [False, True]
        assert all(timedelta(0) < found.now - one.since < timedelta(minutes=10) for one in found.replicas)
        assert all(0 <= one.heartbeat_age_seconds < 2 for one in found.replicas)
        assert not any(one.is_silent for one in found.replicas)
    answering = [[one.since for one in listed(service).replicas if one.is_answering] for service in two[:2]]
    assert answering[0] != answering[1]


def test_the_state_of_lease_and_database(two):
    """The same numbers in the list, in health and in the metrics."""
    service, _, address = two
    found = Client(ServiceConnection(service.url, service.key)).health().replication
    assert found is not None
    assert (found.lease_duration_seconds, found.known_replicas, found.silent_replicas) == (2, 2, 0)
    assert 0 <= found.lease_age_seconds < 1.8
    assert found.lease_age_seconds + found.lease_remaining_seconds == pytest.approx(1.8, abs=0.01)
    assert not found.is_synchronous
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT number FROM authority").fetchone() == (found.database_revision,)
        [timeline] = connection.execute(f"SELECT {replicas.TIMELINE}").fetchone()
    assert found.timeline == timeline
    shown = metrics(service)
    assert shown["private_integrations_lease_duration_seconds"] == "2.0"
    assert 0 < float(shown["private_integrations_lease_remaining_seconds"]) <= 1.8
    assert 0 <= float(shown["private_integrations_lease_age_seconds"]) < 1.8
    assert shown["private_integrations_database_revision"] == f"{found.database_revision}.0"
    assert float(shown["private_integrations_revision"]) <= found.database_revision
    assert shown['private_integrations_replicas{state="known"}'] == "2.0"
    assert shown['private_integrations_replicas{state="silent"}'] == "0.0"
    assert shown["private_integrations_database_synchronous"] == "0.0"
    assert shown[f'private_integrations_database_timeline{{timeline="{timeline}"}}'] == "1.0"
    assert "private_integrations_slowest_acknowledgement_seconds" in shown


def test_health_without_a_key_has_the_lease_alone(two):
    """A load balancer sees four numbers, and no machine and no timeline."""
    answer = requests.get(f"{two[0].url}/health", timeout=10)
    assert answer.status_code == 200
    said = answer.json()
    assert set(said) == {
        "status",
        "lease_duration_seconds",
        "lease_age_seconds",
        "lease_remaining_seconds",
        "revision",
    }
    assert (said["status"], said["lease_duration_seconds"]) == ("ok", 2)
    assert 0 < said["lease_remaining_seconds"] <= 1.8


def test_a_change_that_waits_for_a_halted_replica_is_the_slowest(two):
    """The time that an answer waited is shown for minutes, on the replica that waited."""
    service, other, _ = two
    management = Management(service.url, service.key, service.account)
    integration = management.integration()["id"]
    management.issue(integration, 1)
    other.process.send_signal(signal.SIGSTOP)
    try:
        Client(ServiceConnection(service.url, service.key)).expire(integration, [1])
    finally:
        other.process.send_signal(signal.SIGCONT)
    slowest = listed(service).replication.slowest_acknowledgement_seconds
    assert 2 < slowest < 8
    assert float(metrics(service)["private_integrations_slowest_acknowledgement_seconds"]) >= slowest
    wait_until(lambda: len(listed(service).replicas) == 2, "the halted replica is in the list again")
    assert listed(other).replication.slowest_acknowledgement_seconds < 2


ASYNC = {"Prefer": "wait=1, respond-async"}


@contextmanager
def halted(service):
    """Halt a replica for the block, and wait until it is in the list again."""
    service.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        service.process.send_signal(signal.SIGCONT)
        wait_until(lambda: len(listed(service).replicas) == 2, "the halted replica is in the list again")


def reads_contacts(service, token):
    """The status of a request with the token."""
    headers = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
    path = f"/contacts/?locationId={service.account}"
    return requests.get(service.url + path, headers=headers, timeout=10).status_code


def test_a_client_that_does_not_wait_learns_when_a_change_holds(two):
    """While a replica is silent, 202 comes at once; the token has ended here, and everywhere by `effective_by`."""
    service, other, _ = two
    management = Management(service.url, service.key, service.account)
    integration = management.integration()["id"]
    token = management.issue(integration, 1).json()["token"]
    assert [reads_contacts(one, token) for one in (service, other)] == [200, 200]
    with halted(other):
        answer = management.ask("POST", f"/integrations/{integration}/expire", {"generations": [1]}, headers=ASYNC)
        answered = listed(service).now
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "respond-async")
        state = answer.json()
        effective_by = datetime.fromisoformat(state.pop("effective_by"))
        assert timedelta(0) < effective_by - answered < timedelta(seconds=2.6)
        assert state == management.state(integration)
        assert (roles(state), reads_contacts(service, token)) == ({1: "ended"}, 401)
        wait_until(lambda: listed(service).now >= effective_by, "the change holds everywhere")
    assert reads_contacts(other, token) == 401


def test_a_refusal_waits_for_the_change_that_it_repeats(two):
    """A deletion that was answered early is "not found" only when the silent replica has no lease any more."""
    service, other, _ = two
    management = Management(service.url, service.key, service.account)
    integration = management.integration()["id"]
    management.issue(integration, 1)
    with halted(other):
        first = management.ask("DELETE", f"/integrations/{integration}", headers=ASYNC)
        assert (first.status_code, first.headers["Content-Type"]) == (202, "application/json")
        assert set(first.json()) == {"deleted", "effective_by"}
        assert listed(service).replication.known_replicas == 2
        again = management.ask("DELETE", f"/integrations/{integration}", headers=ASYNC)
        assert problem(again) == (404, "integration-unknown")
        replication = listed(service).replication
        assert replication.known_replicas - replication.silent_replicas == 1


def test_what_holds_at_once_is_answered_as_usual(two):
    """A read, a change of a name that no decision needs, and a refusal don't become 202."""
    service, _, _ = two
    management = Management(service.url, service.key, service.account)
    integration = management.integration()["id"]
    assert management.ask("GET", f"/integrations/{integration}", headers=ASYNC).status_code == 200
    assert management.ask("GET", "/integrations/nothing", headers=ASYNC).status_code == 404
    wait_until(
        lambda: (
            management.ask("PATCH", f"/integrations/{integration}", {"description": "x"}, headers=ASYNC).status_code
            == 200
        ),
        "every replica knows the changes before",
    )


def test_a_key_of_some_accounts_sees_no_machine(two):
    """The list is refused, and health and metrics leave the replicas out."""
    service = two[0]
    key = bound(service)
    management = Management(service.url, key, service.account)
    assert problem(management.ask("GET", "/replicas")) == (403, "key-not-allowed")
    assert "replication" not in management.ask("GET", "/health").json()
    assert not [name for name in metrics(service, key) if "lease" in name or "replicas" in name]


def test_the_command_lists_them(two):
    """A row for each machine, and a line about lease and database on stderr; or all of it as JSON."""
    service = two[0]
    done = run_cli("replicas", **service.environment)
    assert done.returncode == 0
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == ["NAME", "SINCE", "HEARTBEAT", "REVISION", "STATE"]
    assert [row.split()[0] for row in rows] == [socket.gethostname()] * 2
    assert sorted(row.split()[-1] for row in rows) == ["alive", "answering"]
    assert "(D = 2 s); no standby confirms changes; timeline " in done.stderr
    found = json.loads(run_cli("replicas", "--json", **service.environment).stdout)
    assert len(found["replicas"]) == 2
    assert found["replication"]["lease_duration_seconds"] == 2


@sqlite_only
def test_a_database_of_one_machine_has_one_row(service, viewer_key):
    """With SQLite there is this machine, and no lease; a viewer's key is enough."""
    management = Management(service.url, viewer_key, service.account)
    found = management.ask("GET", "/replicas").json()
    assert [(one["name"], one["is_answering"], one["since"]) for one in found["replicas"]] == [
        ("this machine", True, None)
    ]
    assert found["replication"] is None
    assert "replication" not in management.ask("GET", "/health").json()
    assert requests.get(f"{service.url}/health", timeout=10).json() == {"status": "ok"}
    assert not [name for name in metrics(service, viewer_key) if "lease" in name or "revision" in name]
    done = run_cli("replicas", **service.environment)
    assert done.stdout.splitlines()[1].split() == ["this", "machine", "-", "-", "-", "answering"]
    assert done.stderr == ""


def test_a_replica_without_heartbeats_is_silent(postgres_database, tmp_path):
    """By the clock of the database, after the time in which others remove it."""
    times = LeaseTimes(duration=2)
    with closing(open_postgresql(postgres_database, tmp_path, times)) as engine:
        with connect(postgres_database) as connection:
            for name, age in (("quiet", 2300), ("slow", 1000)):
                replicas.register(connection, f"{len(name):016x}", name)
                connection.execute("UPDATE replicas SET beat_at = beat_at - %s WHERE name = %s", (age, name))
        found = engine.replication()
        assert [(one.name, one.is_silent, one.is_answering) for one in found.replicas] == [
            ("quiet", True, False),
            ("slow", False, False),
        ]
        assert [one.acknowledged for one in found.replicas] == [None, None]
        lease = engine.lease()
        assert (lease.age, lease.remaining, lease.revision, lease.slowest_acknowledgement) == (None, 0, None, 0)


def test_a_synchronous_standby_is_shown():
    """By the settings of the server; without waiting for the standby it is none."""
    with Postgres() as server, connect(server.dsn("postgres")) as connection:
        assert not replicas.is_synchronous(connection)
        server.configure(synchronous_standby_names="standby")
        wait_until(lambda: replicas.is_synchronous(connection), "the server has read its settings")
        connection.execute("SET synchronous_commit = local")
        assert not replicas.is_synchronous(connection)


def test_health_tells_how_long_the_lease_lasts_without_the_database(tmp_path):
    """While the database is down the answer is 200 for as long as the replica serves from memory, then 503."""
    with Postgres() as server:
        address = server.new_database()
        with forked.running_service(tmp_path, "--database", address, **LEASE) as service:
            server.stop("immediate")
            seen = []

            def is_over():
                answer = requests.get(f"{service.url}/health", timeout=20)
                seen.append((answer.status_code, answer.json()["lease_remaining_seconds"]))
                return seen[-1] == (503, 0)

            wait_until(is_over, "the lease has run out")
            assert [left for _, left in seen] == sorted((left for _, left in seen), reverse=True)
            assert {status for status, left in seen if left} == {200}
            assert requests.get(f"{service.url}/health", timeout=20).json()["status"] == "storage unavailable"
            server.start()
            wait_until(
                lambda: requests.get(f"{service.url}/health", timeout=20).json()["status"] == "ok", "there is a lease"
            )
