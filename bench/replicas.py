"""Measure the cost of replicas on PostgreSQL, against SQLite and against the same statements without the service.

Each measure has a PostgreSQL 18 of its own, which waits for its disk (fsync), and real services. The programs take
turns, so that a busy second of the machine falls on all alike; a figure is a ratio within one run.

    python bench/replicas.py                      # everything, about ten minutes
    python bench/replicas.py --only revocations   # one of: see --help

Linux with two cores; wrk, nginx, taskset and PgBouncer as Debian has them. Listens on loopback only, and ends all that
it starts.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/service/programs"))

from load import CLIENT_CORE, VERSION, Contender, missing_tools, rounds, turn
from programs import CONTACT, Bench, give_credential
from stock import ACCOUNT, integration, stock, stock_postgresql, token

from pgbouncer import PgBouncer
from postgres import Postgres
from private_integrations.contract import digest_of, new_sealing_key
from private_integrations_service.authorizer import Allowed, Authorizer
from private_integrations_service.authorizer.authorizer import DataRequest
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.engine import StorageEngine
from private_integrations_service.storage.grants import GrantReader
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.postgresql.lease import LeaseTimes
from private_integrations_service.storage.sqlite.engine import open_database
from throwaway import UNLIMITED, Service, listening_address, running_service

API = "/private-integrations/v1"
FEW, MANY = 1_000, 1_000_000
HEARTBEAT = LeaseTimes().heartbeat
START_SECONDS = 2.0
LOG = {"log_destination": "jsonlog", "logging_collector": "on", "log_directory": "log"}


@dataclass(frozen=True)
class Ratio:
    """Hold a line of the table: the ratio of each round, or of the medians of all, and its limit."""

    label: str
    ratios: Sequence[float]
    at_most: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        ratio = statistics.median(self.ratios)
        cells = [self.label, f"{ratio:.2f}", f"{min(self.ratios):.2f}", f"{max(self.ratios):.2f}"]
        if self.at_most is not None:
            cells += [f"≤ {self.at_most:g}", "met" if ratio <= self.at_most else "missed"]
        elif self.at_least is not None:
            cells += [f"≥ {self.at_least:g}", "met" if ratio >= self.at_least else "missed"]
        else:
            cells += ["", ""]
        return f"| {' | '.join(cells)} |"


@dataclass
class Report:
    """Collect the lines of the table, and further figures, each as a sentence."""

    ratios: list[Ratio] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.figures.append(text)
        say(text)


class Caller:
    """Send requests to a service over one connection that stays open."""

    def __init__(self, url: str, credential: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {credential}",
            "Version": VERSION,
            "Content-Type": "application/json",
        }

    def send(self, method: str, path: str, body: object = None, *, credential: str | None = None) -> int:
        """Send a request; return the status of its answer."""
        more = {} if credential is None else {"Authorization": f"Bearer {credential}"}
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, self._headers | more)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def expect(self, status: int, method: str, path: str, body: object = None) -> float:
        """Send a request that must be answered so; return the seconds."""
        began = time.perf_counter()
        found = self.send(method, path, body)
        took = time.perf_counter() - began
        if found != status:
            sys.exit(f"replicas: error: {method} {path} was answered {found}")
        return took


@dataclass(frozen=True)
class Place:
    """Start what a measure needs, and end it with `stack`."""

    folder: Path
    stack: ExitStack

    def new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder, prefix="data-"))

    def server(self, **more: Any) -> Postgres:
        return self.stack.enter_context(Postgres(18, fsync=True, **more))

    def stocked(self, server: Postgres, count: int) -> str:
        """Make a database with so many tokens; return its address."""
        address = server.new_database()
        stock_postgresql(address, self.new_folder(), count)
        return address

    def replica(self, address: str, key: str = "") -> Service:
        """Run a replica; the first one on a database makes the key, which the others are given."""
        folder = self.new_folder()
        if key:
            (folder / "admin.key").write_text(key)
        return self.stack.enter_context(running_service(folder, "--database", address))

    def replicas(self, address: str, count: int) -> list[Service]:
        first = self.replica(address)
        return [first, *(self.replica(address, first.key) for _ in range(count - 1))]


def requests(place: Place, report: Report, rounds_wanted: int) -> None:
    """Compare a remembered token's request: in the whole service by its CPU, and the decision alone."""
    bench = Bench(place.folder, place.stack)
    # The measured program has a core for itself.
    server = place.server(inside=("taskset", "--cpu-list", str(CLIENT_CORE)), settings=LOG)
    upstream, in_file, address = bench.upstream(), bench.few(), place.stocked(server, FEW)
    services = []
    for name, data, options in (("SQLite", in_file, ()), ("PostgreSQL", place.new_folder(), ("--database", address))):
        sealing = {"PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key()}
        process, at = bench.serve(name, data, "--upstream", f"http://{upstream}", *options, **sealing)
        give_credential(data, at)
        services.append(Contender(name, f"http://{at}{CONTACT}", bench.credentials(), (process,)))
    samples = rounds(services, rounds_wanted, 1)
    pairs = zip(samples["PostgreSQL"], samples["SQLite"], strict=True)
    report.ratios.append(Ratio("a request through the gateway, CPU", [a.cpu / b.cpu for a, b in pairs], at_most=1.05))
    report.note(
        ", ".join(
            f"{name}: {statistics.median(s.cpu for s in found) * 1e6:.0f} µs CPU" for name, found in samples.items()
        )
        + " for a request through the gateway"
    )
    found = logged(server, lambda: turn(services[1], 5))
    asked = Counter(purpose(statement.text) for statement in found)
    if "of a token" in asked:
        sys.exit(f"replicas: error: remembered tokens were asked for: {asked}")
    report.note(
        f"statements in 5 seconds at {statistics.median(s.throughput for s in samples['PostgreSQL']):,.0f} requests a "
        f"second, none for a request: {', '.join(f'{count} {name}' for name, count in asked.most_common())}"
    )


def decisions(place: Place, report: Report, rounds_wanted: int) -> None:
    """Compare the authorizer's decision alone, in one process, by the thread's own CPU time."""
    in_file, address = place.new_folder(), place.stocked(place.server(), FEW)
    stock(in_file, FEW)
    catalogue = Catalogue.load()
    asked = [
        DataRequest(
            "GET",
            CONTACT.encode(),
            b"",
            [(b"authorization", f"Bearer {token(number)}".encode()), (b"version", VERSION.encode())],
        )
        for number in range(1, FEW + 1)
    ]
    with (
        closing(open_database(in_file, utc_now)) as first,
        closing(open_postgresql(address, place.new_folder())) as second,
    ):
        second.begin()
        pair = [Authorizer(engine, catalogue, FEW) for engine in (first, second)]
        spent: list[list[float]] = [[], []]

        async def run() -> None:
            for number in range(rounds_wanted * 10 + 1):
                for which, authorizer in enumerate(pair):
                    began = time.thread_time()
                    for request in asked:
                        assert isinstance(await authorizer.decide(request), Allowed)
                    # In the first round they are read.
                    if number:
                        spent[which].append((time.thread_time() - began) / FEW)

        asyncio.run(run())
        for authorizer in pair:
            authorizer.close()
    ratios = [theirs / ours for ours, theirs in zip(*spent, strict=True)]
    report.ratios.append(Ratio("a decision alone, CPU", ratios, at_most=1.05))
    report.note("a decision takes {:.1f} µs with SQLite, {:.1f} with PostgreSQL".format(*(min(s) * 1e6 for s in spent)))


def revocations(place: Place, report: Report, rounds_wanted: int) -> None:
    """Compare the time until a revocation is answered with that of one COMMIT, with NOTIFY and without."""
    count = rounds_wanted * 10
    server = place.server()
    answered: dict[str, float] = {}
    for label, replicas in (("3 replicas", 3), ("1 replica", 1), ("3 replicas without NOTIFY", 3)):
        with ExitStack() as stack:
            within = Place(place.folder, stack)
            address = within.stocked(server, FEW)
            reached = address
            if "without" in label:
                # It passes no notifications in transaction mode.
                reached = stack.enter_context(PgBouncer(server)).dsn(urlsplit(address).path[1:])
            services = within.replicas(reached, replicas)
            by_hand = stack.enter_context(psycopg.connect(address, autocommit=True))
            by_hand.execute("CREATE TABLE hand (number integer)")
            by_hand.execute("INSERT INTO hand VALUES (0)")
            engine = stack.enter_context(closing(open_postgresql(address, within.new_folder())))
            spent = revoke(services, engine, by_hand, count)
        commit, change, asked, ended = map(statistics.median, spent)
        report.note(
            f"{label}, p50 (p95) in ms: a COMMIT {1000 * commit:.1f}, a change and its acknowledgements "
            f"{1000 * change:.1f} ({1000 * p95(spent[1]):.1f}), a request that reads {1000 * asked:.1f}, "
            f"a revocation {1000 * ended:.1f} ({1000 * p95(spent[3]):.1f})"
        )
        answered[label] = ended
        if "without" not in label:
            report.ratios.append(Ratio(f"{label}: a revocation ÷ a COMMIT", [ended / commit], at_most=4))
            without_http = Ratio(f"{label}: a change and its acknowledgements ÷ a COMMIT", [change / commit], at_most=4)
            report.ratios.append(without_http)
    limit = HEARTBEAT + answered["3 replicas"]
    without = answered["3 replicas without NOTIFY"] / limit
    report.ratios.append(Ratio("without NOTIFY ÷ (H + the same with it)", [without], at_most=1))


def revoke(
    services: Sequence[Service], engine: StorageEngine, by_hand: Any, count: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Return the seconds of so many COMMITs, changes of nothing, requests that read, and revocations, by turns.

    The engine is no replica. Its change has the same transaction around it as a revocation, and waits as long.
    """
    callers = [Caller(service.url, service.key) for service in services]
    spent: tuple[list[float], list[float], list[float], list[float]] = ([], [], [], [])
    for number in range(1, count + 6):
        caller, path = callers[number % len(callers)], f"{API}/integrations/{integration(number)}"

        def change() -> None:
            with engine.write() as write:
                write.move_epoch(None)

        steps: Sequence[Callable[[], object]] = (
            lambda: by_hand.execute("UPDATE hand SET number = number + 1"),
            change,
            lambda caller=caller, path=path: caller.expect(200, "GET", path),
            lambda caller=caller, path=path: caller.expect(200, "POST", f"{path}/expire", {"generations": [1]}),
        )
        for step, seconds in zip(steps, spent, strict=True):
            began = time.perf_counter()
            step()
            # The first ones open connections.
            if number > 5:
                seconds.append(time.perf_counter() - began)
            time.sleep(random.random() * 0.03)
    return spent


def p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


def writes(place: Place, report: Report, rounds_wanted: int) -> None:
    """Compare management writes with the same statements that one connection sends."""
    server = place.server(settings=LOG)
    address = place.stocked(server, FEW)
    service = place.replica(address)
    # As the first one was before the writes, so that theirs are the same statements.
    elsewhere = place.stocked(server, FEW)
    clients = 4
    callers = [Caller(service.url, service.key) for _ in range(clients)]
    numbers, unused = itertools.count(1), itertools.count(1_000_000)

    def create(caller: Caller) -> None:
        number = next(numbers)
        body = {
            "account": ACCOUNT,
            "name": "CRM sync",
            "scopes": ["contacts.readonly"],
            "owner_nonce": f"own_{number:020d}",
        }
        caller.expect(201, "PUT", f"{API}/integrations/by-external-id/bench/write/{number}", body)

    def edit(caller: Caller) -> None:
        number = next(numbers)
        path = f"{API}/integrations/{integration(number % FEW + 1)}"
        caller.expect(200, "PATCH", path, {"description": f"edit {number}"})

    for name, write in (("creating integrations", create), ("editing integrations", edit)):
        write(callers[0])
        found = logged(server, lambda write=write: write(callers[0]), seconds=0.0)
        statements = of_writer(found)
        by_hand = ByHand(place.stack, elsewhere, statements, unused)
        ratios: dict[int, list[float]] = {1: [], clients: []}
        for _ in range(rounds_wanted):
            for using in (1, clients):
                hand = by_hand.per_second(0.5)
                ratios[using].append(per_second(write, callers[:using], 0.5) / hand)
        for using, of in ratios.items():
            with_clients = f"{name}, {using} client{'s' if using > 1 else ''} ÷ by hand"
            report.ratios.append(Ratio(with_clients, of, at_least=0.5))
        report.note(
            f"{name}: {len(statements)} round trips of the writer; by hand "
            f"{statistics.median(by_hand.rates):,.0f} a second"
        )


def per_second(write: Callable[[Caller], None], callers: Sequence[Caller], seconds: float) -> float:
    """Return how many writes per second the service answers to these clients."""
    end = time.perf_counter() + seconds

    def client(caller: Caller) -> int:
        for done in itertools.count():
            if time.perf_counter() >= end:
                return done
            write(caller)
        raise AssertionError

    began = time.perf_counter()
    with ThreadPoolExecutor(len(callers)) as pool:
        done = sum(pool.map(client, callers))
    return done / (time.perf_counter() - began)


@dataclass(frozen=True)
class Statement:
    """Hold a statement that the server has logged, with the values of its parameters."""

    session: str
    text: str
    values: tuple[str | None, ...] = ()


_VALUE = re.compile(r"\$\d+ = (?:(NULL)|'((?:[^']|'')*)')")


def logged(server: Postgres, step: Callable[[], object], *, seconds: float = 1.0) -> list[Statement]:
    """Return the statements that a server with the settings LOG was sent while a step ran."""
    server.configure(log_statement="all", log_parameter_max_length="-1")
    time.sleep(0.5)
    before = len(log_of(server))
    step()
    time.sleep(seconds)
    found = log_of(server)[before:]
    server.configure(log_statement="none")
    time.sleep(0.5)
    return [*parsed(found)]


def log_of(server: Postgres) -> str:
    return "".join(file.read_text() for file in sorted((server.data / "log").glob("*.json")))


def parsed(text: str) -> Iterator[Statement]:
    for line in text.splitlines():
        entry = json.loads(line)
        kind, _, statement = entry["message"].partition(": ")
        if kind == "statement" or kind.startswith("execute "):
            values = _VALUE.findall(entry.get("detail", ""))
            yield Statement(
                entry["session_id"],
                statement,
                tuple(None if null else value.replace("''", "'") for null, value in values),
            )


_PURPOSES = (
    ("of a token", "WHERE tokens.digest"),
    ("heartbeats", "WITH beaten AS"),
    ("readings of the revision", "settled, (SELECT mark"),
    ("readings of the list", "LEFT JOIN replicas"),
    ("of activity", "activity_"),
)


def purpose(statement: str) -> str:
    """Return what a statement is for."""
    return next((name for name, part in _PURPOSES if part in statement), "of jobs and transactions")


def of_writer(statements: Sequence[Statement]) -> list[Statement]:
    """Return the statements of the session that has written, those of one round trip joined, without its waits."""
    writers = {each.session for each in statements if "pg_advisory_xact_lock" in each.text}
    assert len(writers) == 1, writers
    return [each for each in statements if each.session in writers]


_INSERT = re.compile(r"INSERT INTO \w+ \(([\w, ]+)\)")
_REVISION = re.compile(r"(number = |VALUES \(|NOTIFY \w+, ')\d+")
_NAMES = ("id", "external_id", "owner_nonce")


class ByHand:
    """Send the statements of a write over one connection to another database, again and again.

    Values of columns that are unique, and the number of the revision, are other ones each time.
    """

    def __init__(self, stack: ExitStack, address: str, statements: Sequence[Statement], numbers: Iterator[int]) -> None:
        self._connection = stack.enter_context(
            psycopg.connect(address, autocommit=True, prepare_threshold=None, cursor_factory=psycopg.RawCursor)
        )
        self._statements = statements
        self._names = {name for each in statements for name in inserted(each, *_NAMES)}
        self._numbers = numbers
        self.rates: list[float] = []

    def write(self) -> None:
        number = next(self._numbers)
        for each in self._statements:
            other = {*self._names, *inserted(each, "sequence")}
            values = [str(number) if value in other else value for value in each.values]
            text = _REVISION.sub(rf"\g<1>{number}", each.text) if "INSERT INTO revisions" in each.text else each.text
            self._connection.execute(text, values or None)

    def per_second(self, seconds: float) -> float:
        """Return how many writes per second it makes."""
        began = time.perf_counter()
        done = 0
        while time.perf_counter() - began < seconds:
            self.write()
            done += 1
        self.rates.append(done / (time.perf_counter() - began))
        return self.rates[-1]


def inserted(statement: Statement, *columns: str) -> list[str]:
    """Return the values that an INSERT gives to these columns."""
    found = _INSERT.match(statement.text)
    names = found[1].split(", ") if found else []
    return [value for name, value in zip(names, statement.values, strict=False) if name in columns and value]


def lookups(place: Place, report: Report, rounds_wanted: int) -> None:
    """Compare reading one of a million tokens with reading one of a thousand."""
    server = place.server(settings={"shared_buffers": "1GB", "max_wal_size": "8GB"})
    say("making a million tokens")
    engines = []
    for count in (FEW, MANY):
        engine = place.stack.enter_context(closing(open_postgresql(place.stocked(server, count), place.new_folder())))
        engine.begin()
        engines.append(engine)
    spent: list[list[float]] = [[], []]
    source = random.Random(1)

    async def run() -> None:
        readers = [GrantReader(engine) for engine in engines]
        for number in range(rounds_wanted * 5 + 2):
            for which, (reader, count) in enumerate(zip(readers, (FEW, MANY), strict=True)):
                digests = [digest_of(token(source.randint(1, count))) for _ in range(200)]
                began = time.perf_counter()
                for digest in digests:
                    assert await reader.read(digest) is not None
                if number > 1:
                    spent[which].append((time.perf_counter() - began) / len(digests))

    asyncio.run(run())
    ratios = [many / few for few, many in zip(*spent, strict=True)]
    report.ratios.append(Ratio("a lookup among 1,000,000 tokens ÷ among 1,000", ratios, at_most=1.3))
    report.note(
        "a lookup takes {:.2f} ms among 1,000 tokens, {:.2f} among 1,000,000".format(
            *(1000 * statistics.median(each) for each in spent)
        )
    )


def memory(place: Place, report: Report, _: int) -> None:
    """Compare the memory of 100,000 cached tokens: see lookups.py."""
    server = place.server()
    grown = {}
    for name, options in (("SQLite", ()), ("PostgreSQL", ("--database", server.new_database()))):
        command = [
            sys.executable,
            str(Path(__file__).with_name("lookups.py")),
            "memory",
            str(place.new_folder()),
            *options,
        ]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        report.note(f"100,000 cached tokens with {name}: {printed.splitlines()[2]} {printed.splitlines()[3]}")
        grown[name] = [float(line.split("|")[2]) for line in printed.splitlines()[2:4]]
    objects, resident = ([a / b] for a, b in zip(grown["PostgreSQL"], grown["SQLite"], strict=True))
    report.ratios.append(Ratio("100,000 cached tokens, objects, ÷ with SQLite", objects, at_most=1.05))
    report.ratios.append(Ratio("100,000 cached tokens, growth of the process, ÷ with SQLite", resident, at_most=1.05))


def joins(place: Place, report: Report, rounds_wanted: int) -> None:
    """Count refused requests while a replica joins, and the seconds until it serves."""
    server = place.server()
    address = place.stocked(server, FEW)
    running = place.replicas(address, 2)
    answers: Counter[int] = Counter()
    stop = threading.Event()

    def client(url: str) -> None:
        caller = Caller(url, "")
        source = random.Random(url)
        while not stop.is_set():
            answers[caller.send("GET", f"/locations/{ACCOUNT}", credential=token(source.randint(1, FEW)))] += 1
            time.sleep(0.005)

    clients = [threading.Thread(target=client, args=(service.url,)) for service in running for _ in range(2)]
    for each in clients:
        each.start()
    seconds: dict[str, list[float]] = {"PostgreSQL": [], "SQLite": []}
    in_file = place.new_folder()
    stock(in_file, FEW)
    joined: Counter[int] = Counter()
    for _ in range(rounds_wanted):
        for name in seconds:
            folder = in_file if name == "SQLite" else place.new_folder()
            began = time.perf_counter()
            url, end = started(folder, address if name == "PostgreSQL" else None)
            caller = Caller(url, "")
            for number in range(200):
                status = caller.send("GET", f"/locations/{ACCOUNT}", credential=token(number + 1))
                if number == 0:
                    seconds[name].append(time.perf_counter() - began)
                if name == "PostgreSQL":
                    joined[status] += 1
            end()
    stop.set()
    for each in clients:
        each.join()
    refused = [sum(count for status, count in of.items() if status != 200) for of in (answers, joined)]
    report.note(
        f"{rounds_wanted} replicas joined and left: {refused[0]} of {answers.total():,} requests refused at the others "
        f"and {refused[1]} of {joined.total():,} at them"
    )
    for name, of in seconds.items():
        report.note(
            f"a service on {name} answers {statistics.median(of):.2f} s after its start ({max(of):.2f} at most)"
        )
    pairs = zip(seconds["PostgreSQL"], seconds["SQLite"], strict=True)
    report.ratios.append(Ratio("refused requests while replicas join", [float(sum(refused))], at_most=0))
    report.ratios.append(Ratio("seconds until a replica serves", seconds["PostgreSQL"], at_most=START_SECONDS))
    report.ratios.append(Ratio("the same ÷ with SQLite", [a / b for a, b in pairs]))


def started(folder: Path, address: str | None) -> tuple[str, Callable[[], None]]:
    """Start a service; return its address, and how to end it."""
    command = [sys.executable, "-m", "private_integrations.cli", "serve", "--port", "0", "--data-dir", str(folder)]
    command += [] if address is None else ["--database", address]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | UNLIMITED
    )

    def end() -> None:
        process.terminate()
        process.communicate()

    return listening_address(process), end


MEASURES: dict[str, Callable[[Place, Report, int], None]] = {
    "requests": requests,
    "decisions": decisions,
    "revocations": revocations,
    "writes": writes,
    "lookups": lookups,
    "memory": memory,
    "joins": joins,
}


def main() -> None:
    """Run the chosen measures, and print the table."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--only", choices=MEASURES, action="append", default=[])
    arguments.add_argument("--rounds", type=int, default=12)
    options = arguments.parse_args()
    # As for Ctrl-C: end the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    missing = missing_tools()
    if missing:
        sys.exit(f"replicas: error: missing: install Debian's {' '.join(missing)}")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="replicas-") as folder:
        for name in options.only or MEASURES:
            say(f"{name}: {options.rounds} rounds")
            with ExitStack() as stack:
                MEASURES[name](Place(Path(folder), stack), report, options.rounds)
    print("| PostgreSQL 18 | ratio | min | max | target | |\n|---|---|---|---|---|---|", *report.ratios, sep="\n")
    print("", *(f"- {figure}" for figure in report.figures), sep="\n")


def say(text: str) -> None:
    print(f"replicas: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
