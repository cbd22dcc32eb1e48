"""Measure for how long a credential still works after its end was answered: for our gateway, and for others.

Each trial ends another token while eight connections send requests with it, one after the other. A request counts as
stale if it was sent after the end was answered, and was let through.

    python bench/stale.py [--trials 20] [--save]

Our gateway runs with one worker, with two, and as two replicas on PostgreSQL, of which one ends the tokens and both are
asked. nginx has the keys in a map, and is reloaded; Envoy has them in its configuration, a file that it watches. They
don't say when a change holds: the end counts as answered when the signal was sent, or the file is in its place.

Linux with two cores; nginx as Debian has it. Listens on loopback only, and ends all that it starts.
"""

import argparse
import asyncio
import http.client
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import results
from load import VERSION, free_port
from peers import envoy_configuration, key_filters
from programs import CONTACT, FORWARD, Bench, give_credential, pool, prepare, say
from stock import integration, stock_postgresql, token

from private_integrations.contract import API, new_sealing_key

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/service/programs"))

from postgres import Postgres

CONNECTIONS = 8
# Requests go on for so many seconds after an end.
AFTER = 2.0
HEADS = ("", "ends", "stale requests", "trials with any", "last stale after, ms")


@dataclass(frozen=True)
class Subject:
    """A program that lets requests with tokens through at these addresses, and the way to end one by its number."""

    name: str
    addresses: Sequence[str]
    end: Callable[[int], None]


@dataclass
class Trial:
    """The requests of one trial: when each was sent, and whether it was let through."""

    sent: list[tuple[float, bool]]
    answered: float

    def stale(self) -> list[float]:
        """Return how long after the answer each stale request was sent, in seconds."""
        return [at - self.answered for at, passed in self.sent if passed and at > self.answered]


async def trial(subject: Subject, number: int) -> Trial:
    """End a token while it is used."""
    loop = asyncio.get_running_loop()
    made = Trial([], float("inf"))
    over = asyncio.Event()

    async def ask(address: str) -> None:
        host, port = address.split(":")
        lines = [
            f"GET {CONTACT} HTTP/1.1",
            f"Host: {address}",
            f"Version: {VERSION}",
            f"Authorization: Bearer {token(number)}",
        ]
        head = "\r\n".join([*lines, "", ""])
        reader, writer = await asyncio.open_connection(host, int(port))
        while not over.is_set():
            at = time.monotonic()
            writer.write(head.encode())
            try:
                answer = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in answer.lower().splitlines() if line.startswith(b"content-length:")]
                await reader.readexactly(int(length[0].split(b":")[1]) if length else 0)
            except (asyncio.IncompleteReadError, OSError):
                # nginx closes the connections of its former workers.
                reader, writer = await asyncio.open_connection(host, int(port))
                continue
            made.sent.append((at, answer.startswith(b"HTTP/1.1 200")))
            if b"connection: close" in answer.lower():
                # Envoy drains the connections of a former listener.
                writer.close()
                reader, writer = await asyncio.open_connection(host, int(port))
        writer.close()

    asking = [loop.create_task(ask(subject.addresses[each % len(subject.addresses)])) for each in range(CONNECTIONS)]
    await asyncio.sleep(0.1)
    await asyncio.to_thread(subject.end, number)
    made.answered = time.monotonic()
    await asyncio.sleep(AFTER)
    over.set()
    await asyncio.gather(*asking)
    before = [passed for at, passed in made.sent if at < made.answered - 0.05]
    if not any(before) or any(passed for at, passed in made.sent if at > made.answered + AFTER - 0.01):
        sys.exit(f"stale: error: {subject.name}: the token did not work before, or never ended")
    return made


def ours(bench: Bench, name: str, upstream: str, *options: str) -> Subject:
    """Run our gateway on SQLite."""
    data = bench.few()
    gateway = bench.gateway(name, upstream, data, *options)
    address = urlsplit(gateway.url).netloc
    return Subject(name, [address], _expire(address, data))


def _expire(address: str, data: Path) -> Callable[[int], None]:
    key = (data / "admin.key").read_text().strip()

    def end(number: int) -> None:
        asked = http.client.HTTPConnection(address, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        asked.request(
            "POST", f"{API}/integrations/{integration(number)}/expire", json.dumps({"generations": [1]}), headers
        )
        answer = asked.getresponse()
        if answer.status != 200:
            sys.exit(f"stale: error: the service answers {answer.status}: {answer.read()[:300]!r}")
        asked.close()

    return end


def our_replicas(bench: Bench, name: str, upstream: str) -> Subject:
    """Run two replicas of our gateway on PostgreSQL."""
    server = bench.stack.enter_context(Postgres())
    database = server.new_database()
    folders = [Path(tempfile.mkdtemp(dir=bench.folder, prefix="replica-")) for _ in range(2)]
    for folder in folders:
        folder.chmod(0o700)
    stock_postgresql(database, folders[0], 1000)
    sealing = {"PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key()}
    options = ("--upstream", f"http://{upstream}", "--database", database)
    addresses = []
    for number, folder in enumerate(folders):
        if number:
            (folder / "admin.key").write_text((folders[0] / "admin.key").read_text())
            (folder / "admin.key").chmod(0o600)
        addresses.append(bench.serve(f"{name} {number}", folder, *options, **sealing)[1])
        if not number:
            give_credential(folder, addresses[0])
    return Subject(name, addresses, _expire(addresses[0], folders[0]))


def nginx(bench: Bench, upstream: str) -> Subject:
    """Run nginx with the keys in a file of its configuration."""
    keys = {f"Bearer {token(number)}" for number in range(1, 1001)}
    file = Path(tempfile.mkdtemp(dir=bench.folder, prefix="keys-")) / "keys"

    def write() -> None:
        file.write_text("".join(f'"{key}" 1;\n' for key in sorted(keys)))

    write()
    known = f"map_hash_bucket_size 128; map $http_authorization $is_known {{ default 0; include {file}; }}\n"
    refusing = f"location / {{ if ($is_known = 0) {{ return 401; }} proxy_pass http://behind; {FORWARD} }}"
    running = bench.nginx("nginx", refusing, known + pool("behind", upstream))

    def end(number: int) -> None:
        keys.remove(f"Bearer {token(number)}")
        write()
        running.processes[0].send_signal(signal.SIGHUP)

    return Subject("nginx, keys in a map, reloaded", [urlsplit(running.url).netloc], end)


def envoy(bench: Bench, upstream: str) -> Subject:
    """Run Envoy with the keys in a listener that it reads from a watched file."""
    port, folder = free_port(), Path(tempfile.mkdtemp(dir=bench.folder, prefix="envoy-"))
    keys = {token(number) for number in range(1, 1001)}
    versions = iter(range(1, 10**6))

    def write() -> None:
        static = envoy_configuration(port, upstream, key_filters(sorted(keys)))["static_resources"]
        kind = "type.googleapis.com/envoy.config.listener.v3.Listener"
        listeners = [{"@type": kind, **listener} for listener in static["listeners"]]
        new = folder / "new.json"
        new.write_text(json.dumps({"version_info": str(next(versions)), "resources": listeners}))
        os.replace(new, folder / "listeners.json")

    write()
    clusters = envoy_configuration(port, upstream, [])["static_resources"]["clusters"]
    watched = {"path": str(folder / "listeners.json"), "watched_directory": {"path": str(folder)}}
    bootstrap = {
        "node": {"id": "bench", "cluster": "bench"},
        "static_resources": {"clusters": clusters},
        "dynamic_resources": {"lds_config": {"path_config_source": watched, "resource_api_version": "V3"}},
    }
    (folder / "bootstrap.json").write_text(json.dumps(bootstrap))
    program = str(Path(sys.executable).with_name("envoy"))
    command = [program, "-c", str(folder / "bootstrap.json"), "--disable-hot-restart", "--concurrency", "1"]
    bench.start(
        "envoy", [*command, "--log-level", "error", "--drain-time-s", "1", "--drain-strategy", "immediate"], port
    )

    def end(number: int) -> None:
        keys.remove(token(number))
        write()

    return Subject("Envoy, keys in a watched file", [f"127.0.0.1:{port}"], end)


def row(subject: Subject, trials: int) -> list[str]:
    """Run the trials, and return their row."""
    found = [asyncio.run(trial(subject, number)).stale() for number in range(1, trials + 1)]
    longest = max((max(stale) for stale in found if stale), default=None)
    figures = [sum(map(len, found)), sum(map(bool, found))]
    return [subject.name, str(trials), *map(str, figures), "" if longest is None else f"{longest * 1000:.1f}"]


def main() -> None:
    """Run the trials of each program, and print the table."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--trials", type=int, default=20)
    results.add_option(arguments)
    options = arguments.parse_args()
    # As for Ctrl-C: end the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    prepare()
    rows = []
    with tempfile.TemporaryDirectory(prefix="stale-") as folder:
        Path(folder).chmod(0o711)
        for make in (
            lambda bench, upstream: ours(bench, "our gateway, one worker", upstream),
            lambda bench, upstream: ours(bench, "our gateway, two workers", upstream, "--workers", "2"),
            lambda bench, upstream: our_replicas(bench, "our gateway, two replicas", upstream),
            nginx,
            envoy,
        ):
            with ExitStack() as stack:
                bench = Bench(Path(folder), stack)
                subject = make(bench, bench.upstream())
                say(f"{subject.name}: {options.trials} trials")
                rows.append(row(subject, options.trials))
    results.show("stale", {"windows": (HEADS, rows)}, options.save)


if __name__ == "__main__":
    main()
