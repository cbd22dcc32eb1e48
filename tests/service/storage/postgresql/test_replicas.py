"""Replicas as real processes, under load and with faults: no ended token passes, and no answered change is lost.

Each test prints rows of the table in docs/revocation-protocol.md (`-s`). With `--replica-seconds 2` or more they run
longer, and with more replicas, workers and faults.
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from subprocess import PIPE

import pytest
import requests

import next_release
from faulty_tcp import FaultyTCP
from forked import run
from next_release import VERSION, write_migration
from pgbouncer import PgBouncer
from postgres import OWNER, Postgres, database_name, url
from private_integrations.contract import API
from private_integrations.contract.audit_chain import Whole, examine
from private_integrations_service.migrations import known_versions
from replica_load import Figures, Load
from replicas import DURATION, Replicas
from server_processes import wait_until

SIZES = ((2, 1), (2, 2), (3, 1), (3, 2))
"""Replicas and workers of each."""


def pytest_generate_tests(metafunc):
    """Run a test with one size, or with all of them."""
    if "size" in metafunc.fixturenames:
        usual = {"test_a_replica_is_killed_or_halted": (3, 1)}.get(metafunc.function.__name__, (2, 2))
        sizes = SIZES if is_wide(metafunc.config) else (usual,)
        metafunc.parametrize("size", sizes, ids=lambda size: f"{size[0]}x{size[1]}")


def is_wide(config):
    """Whether the tests may take minutes."""
    return config.getoption("--replica-seconds") >= 2


@pytest.fixture(scope="module")
def server():
    """A server that tests may stop and kill."""
    with Postgres() as started:
        yield started


@pytest.fixture
def seconds(request):
    """How long the load runs before and during each fault."""
    return request.config.getoption("--replica-seconds")


def through(proxy, database):
    """The address of a database behind a proxy."""
    return url(user=OWNER, host=proxy.host, port=proxy.port, dbname=database_name(database))


def report(row: object) -> None:
    """Print a row of the table, or what else is to be known."""
    print(f"\n{row}", end="")  # noqa: T201


def proven(figures: Figures) -> None:
    """Report the figures, and demand what is promised."""
    report(figures)
    assert figures.changes > 0
    assert figures.stale == 0
    assert figures.lost == 0
    assert figures.refused == 0


@contextmanager
def loaded(replicas: Replicas) -> Iterator[Load]:
    """Run the load on running replicas; at the end the audit log must be whole."""
    with Load(replicas) as load:
        yield load
    number = min(load.serving)
    headers = {"Authorization": f"Bearer {replicas.key}"}
    log = requests.get(f"{replicas[number].url}{API}/audit/export", headers=headers, timeout=20).content
    assert isinstance(examine(log.splitlines()), Whole)


def test_a_replica_is_killed_or_halted(server, tmp_path, seconds, size):
    """The others go on; a change waits for it once, until its lease has run out."""
    count, workers = size
    with Replicas(tmp_path, [server.new_database()] * count, workers) as replicas, loaded(replicas) as load:
        load.until_ended(2)
        time.sleep(seconds)
        load.concerns(0)
        replicas[0].kill()
        silent = time.monotonic()
        load.serving.remove(0)
        load.fault_is_over()
        load.until_normal()
        proven(load.figures(f"kill -9 of a replica, {count} x {workers}"))
        assert load.early(silent) == []

        load.begin_case()
        replicas[0].start()
        load.serving.add(0)
        load.until_normal()
        proven(load.figures(f"start after kill -9, {count} x {workers}"))

        load.begin_case()
        with load.without_changes():
            load.concerns(0)
            replicas[0].pause()
            silent = time.monotonic()
        load.until_ended(3)
        late = load.ask_halted(0)
        time.sleep(seconds)
        replicas[0].resume()
        load.fault_is_over()
        for thread in late:
            thread.join()
        load.until_normal()
        proven(load.figures(f"SIGSTOP of a replica, {count} x {workers}"))
        assert load.early(silent) == []


def test_the_worker_that_keeps_the_lease_is_killed_or_halted(server, tmp_path, seconds):
    """Another worker of the machine keeps the lease of a killed one, and ends a halted one to keep its lease."""
    with Replicas(tmp_path, [server.new_database()] * 2, 2) as replicas, loaded(replicas) as load:
        load.until_ended(2)
        time.sleep(seconds)
        killed = replicas[0].keeper
        with load.without_changes():
            load.concerns(0)
            replicas[0].signal_worker(signal.SIGKILL, killed)
        load.fault_is_over()
        load.until_normal()
        assert replicas[0].keeper not in (None, killed)
        proven(load.figures("kill -9 of the worker with the lease, 2 x 2"))

        load.begin_case()
        with load.without_changes():
            load.concerns(0)
            halted = replicas[0].keeper
            replicas[0].signal_worker(signal.SIGSTOP, halted)
        load.until_ended(3)
        late = load.ask_halted(0)
        wait_until(lambda: replicas[0].keeper not in (None, halted), "another worker keeps the lease")
        load.fault_is_over()
        for thread in late:
            thread.join()
        load.until_normal()
        assert f"worker {halted} keeps the lease and is halted" in replicas[0].log
        proven(load.figures("SIGSTOP of the worker with the lease, 2 x 2"))


def test_the_network_between_a_replica_and_the_database_fails(server, tmp_path, seconds, request):
    """The replica refuses when its lease has run out, and the others go on; afterwards it serves again."""
    database = server.new_database()
    with (
        FaultyTCP(server.host, server.port) as proxy,
        Replicas(tmp_path, [database, through(proxy, database)]) as replicas,
        loaded(replicas) as load,
    ):
        faults = {
            "drops": proxy.drop,
            "drops answers": lambda: proxy.drop(towards="client"),
            "delays by 0.7 s": lambda: proxy.delay(0.7),
            "half-closes towards the replica": lambda: proxy.half_close(towards="client"),
        }
        if is_wide(request.config):
            faults |= {
                "holds": proxy.hold,
                "half-closes towards the database": lambda: proxy.half_close(towards="server"),
                "cuts and refuses": lambda: (proxy.refuse(), proxy.cut()),
            }
        for name, fault in faults.items():
            load.begin_case()
            with load.without_changes():
                load.concerns(1)
                fault()
                time.sleep(0.5)
            load.until_ended(2)
            time.sleep(seconds)
            proxy.recover()
            load.fault_is_over()
            load.until_normal()
            proven(load.figures(f"the network of one replica {name}, 2 x 1"))


def test_the_database_is_killed_or_halted(tmp_path, seconds):
    """Replicas serve what they remember; changes fail until the database is there again.

    A killed one is there before the leases end, and so before the next heartbeats: until these, changes wait.
    """
    with (
        Postgres() as server,
        Replicas(tmp_path, [server.new_database()] * 2) as replicas,
        loaded(replicas) as load,
    ):
        faults = {
            "killed and started at once": (server.kill, 0, server.start),
            "halted": (server.pause, DURATION, server.resume),
        }
        for name, (fault, lasts, end) in faults.items():
            load.begin_case()
            load.until_ended(2)
            time.sleep(seconds)
            with load.without_changes():
                load.concerns(0, 1)
                fault()
                time.sleep(lasts / 4)
            time.sleep(seconds * bool(lasts) + lasts)
            end()
            load.fault_is_over()
            load.until_normal()
            proven(load.figures(f"PostgreSQL is {name}, 2 x 1"))


def test_a_synchronous_standby_is_promoted(tmp_path, seconds):
    """Nothing is lost, and a replica that still reaches the former primary gets no lease from it."""
    with Postgres() as primary, ExitStack() as stack:
        database = primary.new_database()
        standby = stack.enter_context(primary.standby(synchronous=True))
        proxies = [stack.enter_context(FaultyTCP(primary.host, primary.port)) for _ in range(3)]
        replicas = stack.enter_context(Replicas(tmp_path, [through(proxy, database) for proxy in proxies]))
        with loaded(replicas) as load:
            load.until_ended(2)
            time.sleep(seconds)
            with load.without_changes():
                load.concerns(0, 1, 2)
                standby.promote()
                lead(proxies[1:], standby)
            load.cut_off.add(0)
            load.serving.remove(0)
            load.until_ended(3)
            time.sleep(seconds)
            load.serving.add(0)
            lead(proxies[:1], standby)
            load.fault_is_over()
            load.until_normal()
            proven(load.figures("a synchronous standby is promoted, 3 x 1"))
        assert not any("ALARM" in replica.log for replica in replicas)


def test_an_asynchronous_standby_is_promoted_that_lacks_changes(tmp_path, seconds):
    """The loss is reported, and tokens whose end a replica remembers stay ended."""
    with Postgres() as primary, ExitStack() as stack:
        database = primary.new_database()
        copying = stack.enter_context(FaultyTCP(primary.host, primary.port))
        standby = stack.enter_context(primary.standby(through=(copying.host, copying.port)))
        proxies = [stack.enter_context(FaultyTCP(primary.host, primary.port)) for _ in range(3)]
        replicas = stack.enter_context(Replicas(tmp_path, [through(proxy, database) for proxy in proxies]))
        with loaded(replicas) as load:
            load.until_ended(2)
            time.sleep(seconds)
            # Not between an integration and its token: the load knows lost tokens only with their integrations.
            with load.without_changes():
                copying.drop()
                lacking_from = time.monotonic()
            load.until_ended(6)
            # Not after a commit of which no replica has heard yet: it is noted nowhere.
            with load.without_changes():
                load.concerns(0, 1, 2)
                primary.kill()
                standby.promote()
                lead(proxies, standby)
            load.fault_is_over()
            load.tokens_are_lost(lacking_from)
            load.until_normal()
            lost = load.lost()
            figures = load.figures("an asynchronous standby is promoted that lacks changes, 3 x 1", lost=len(lost))
        report(figures)
        assert any("ALARM" in replica.log for replica in replicas)
        # Of the changes that are gone, the replicas remember the ends of tokens, and not the narrowed scopes.
        assert {asked.token.ending for asked in load.stale()} <= {"narrow"}
        assert {token.ending for token in lost if token.ended_at is not None} <= {"narrow"}
        assert figures.refused == 0


def lead(proxies, server):
    """Lead the connections of these proxies to another server."""
    for proxy in proxies:
        proxy.aim(server.host, server.port)
        proxy.cut()


def test_behind_pgbouncer(server, tmp_path, seconds):
    """In transaction mode no notification arrives, so a change waits for the next heartbeats."""
    with PgBouncer(server, pool_size=20) as bouncer:
        address = bouncer.dsn(database_name(server.new_database()))
        with Replicas(tmp_path, [address] * 2, 2) as replicas, loaded(replicas) as load:
            time.sleep(seconds)
            load.until_ended(4)
            load.until_normal()
            proven(load.figures("PgBouncer, 2 x 2"))
            load.begin_case()
            load.concerns(1)
            replicas[1].kill()
            load.serving.remove(1)
            load.fault_is_over()
            load.until_normal()
            proven(load.figures("PgBouncer, kill -9 of a replica, 2 x 2"))


def test_the_tablespace_is_full(disk, tmp_path, seconds):
    """Tokens that work go on working; changes are stored when there is room again."""
    with Postgres(inside=disk.namespace.inside) as server:
        server.add_tablespace("small", disk.folder)
        database = server.new_database(tablespace="small")
        with Replicas(tmp_path, [database] * 2) as replicas, loaded(replicas) as load:
            load.until_ended(2)
            time.sleep(seconds)
            load.concerns(0, 1)
            disk.fill()
            time.sleep(seconds + 2 * DURATION)
            disk.clear()
            load.fault_is_over()
            load.until_normal()
            proven(load.figures("a full tablespace, 2 x 1"))


def test_clocks_an_hour_apart(server, tmp_path, seconds):
    """The database's clock counts."""
    addresses, clocks_off = [server.new_database()] * 3, (0, 3600, -3600)
    with Replicas(tmp_path, addresses, clocks_off=clocks_off) as replicas, loaded(replicas) as load:
        load.until_ended(4)
        time.sleep(seconds)
        load.until_normal()
        proven(load.figures("clocks an hour apart, 3 x 1"))


def test_replicas_leave_and_join_one_after_the_other(server, tmp_path, seconds, size):
    """No request is refused, and no change waits for a replica that has left."""
    count, workers = size
    with Replicas(tmp_path, [server.new_database()] * count, workers) as replicas, loaded(replicas) as load:
        load.until_ended(2)
        for number, replica in enumerate(replicas):
            load.serving.remove(number)
            replica.stop()
            time.sleep(seconds / 2)
            replica.start()
            load.serving.add(number)
            report(f"replica {number} serves {replica.took:.1f} s after its start")
            time.sleep(seconds / 2)
        load.fault_is_over()
        load.until_normal()
        proven(load.figures(f"restart one after the other, {count} x {workers}"))


def test_replicas_are_upgraded_one_after_the_other(server, tmp_path, seconds):
    """`migrate` of the next release adds to the schema under load; this release goes on, and starts on it as well."""
    database = server.new_database()
    write_migration(tmp_path, usable_from=known_versions("postgresql")[-1])
    program = [next_release.__file__, str(tmp_path)]
    migrate = [sys.executable, *program, "migrate", "--database", database]
    with Replicas(tmp_path, [database] * 2) as replicas, loaded(replicas) as load:
        load.until_ended(2)
        time.sleep(seconds)
        migrated = run(migrate, stdout=PIPE, stderr=PIPE, text=True)
        assert migrated.stdout.endswith(f" to {VERSION}\n"), migrated.stderr
        load.until_ended(2)
        restarted = [(replicas[0], replicas[0].program), (replicas[1], program), (replicas[0], program)]
        for replica, released in restarted:
            number = replicas.index(replica)
            load.serving.remove(number)
            replica.stop()
            replica.program = released
            replica.start()
            load.serving.add(number)
            load.until_ended(2)
            time.sleep(seconds)
        load.fault_is_over()
        load.until_normal()
        proven(load.figures("upgrade one after the other, 2 x 1"))
