"""Measure what requests cost while tokens are ended: CPU per request against the same without changes, in one run.

A gateway knows N tokens, of which each request uses another one. Requests without changes and requests with 1, 10 and
40 ended tokens a second come one after the other; the ended tokens are not among those in use. The CPU of a change is
measured without requests, and taken off.

    python bench/token_ends.py [--tokens 700 100000] [--rounds 5] [--seconds 4] [--save]

Linux with two cores, wrk and taskset. Listens on loopback only, and ends all that it starts.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests
import results
from load import check, turn
from programs import Bench, prepare, say
from stock import integration

from private_integrations.contract import API

RATES = (1, 10, 40)
TARGET = 1.05
HEADS = ("tokens in use", "ended a second", "CPU ÷ without changes", "min", "max", "target", "")


@dataclass
class Ends:
    """End one token after the other, each of another integration, by the management API."""

    address: str
    key: str
    following: int
    """The number of the integration whose token is ended next."""

    @contextmanager
    def at(self, rate: int) -> Iterator[list[float]]:
        """End so many tokens a second for the block; yields the seconds that each took."""
        stopping, taken = threading.Event(), []

        def run() -> None:
            with requests.Session() as session:
                due = time.monotonic()
                while not stopping.wait(max(0.0, due - time.monotonic())):
                    due += 1 / rate
                    taken.append(self._end(session))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield taken
        finally:
            stopping.set()
            thread.join()

    def _end(self, session: requests.Session) -> float:
        begun = time.monotonic()
        url = f"http://{self.address}{API}/integrations/{integration(self.following)}/expire"
        headers = {"Authorization": f"Bearer {self.key}"}
        session.post(url, json={"generations": [1]}, headers=headers, timeout=30).raise_for_status()
        self.following += 1
        return time.monotonic() - begun


def cpu_of_a_change(ends: Ends, process: psutil.Process) -> float:
    """Return the CPU seconds that the server takes for one ended token."""
    count = 100
    before = sum(process.cpu_times()[:2])
    with requests.Session() as session:
        for _ in range(count):
            ends._end(session)
    return (sum(process.cpu_times()[:2]) - before) / count


def measured(bench: Bench, tokens: int, rounds: int, seconds: int) -> tuple[list[list[str]], float]:
    """Return the rows for so many tokens in use, and the CPU seconds of a change."""
    spare = rounds * (seconds + 4) * sum(RATES) + 200
    data = bench.stocked(tokens + spare)
    gateway = bench.gateway(f"{tokens} tokens", bench.upstream(), data)
    contender = replace(gateway, credentials=bench.credentials(tokens, tokens))
    ends = Ends(urlsplit(gateway.url).netloc, (data / "admin.key").read_text().strip(), tokens + 1)
    change = cpu_of_a_change(ends, gateway.processes[0])
    check(contender)
    # Until each token is remembered.
    turn(contender, max(2, tokens // 2000))
    ratios: dict[int, list[float]] = {rate: [] for rate in RATES}
    for _ in range(rounds):
        without = turn(contender, seconds).cpu
        for rate in RATES:
            with ends.at(rate) as taken:
                sample = turn(contender, seconds)
                of_changes = len(taken) * change
            requests_sent = sample.throughput * seconds
            ratios[rate].append((sample.cpu - of_changes / requests_sent) / without)
    return [_row(tokens, rate, found) for rate, found in ratios.items()], change


def _row(tokens: int, rate: int, ratios: list[float]) -> list[str]:
    ratio = statistics.median(ratios)
    figures = [f"{ratio:.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}"]
    return [f"{tokens:,}", str(rate), *figures, f"≤ {TARGET:g}", "met" if ratio <= TARGET else "missed"]


def main() -> None:
    """Measure each number of tokens, and print the table."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--tokens", type=int, nargs="+", default=[700, 100_000])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=4, help="of every turn")
    results.add_option(arguments)
    options = arguments.parse_args()
    # As for Ctrl-C: end the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    prepare()
    rows, changes = [], []
    with tempfile.TemporaryDirectory(prefix="token-ends-") as folder:
        for tokens in options.tokens:
            say(f"{tokens:,} tokens, {options.rounds} rounds")
            with ExitStack() as stack:
                found, change = measured(Bench(Path(folder), stack), tokens, options.rounds, options.seconds)
            rows += found
            changes.append([f"{tokens:,}", f"{change * 1000:.2f}", "≤ 1.5", "met" if change <= 0.0015 else "missed"])
    heads = ("tokens in use", "CPU of a change, ms", "target", "")
    results.show("token-ends", {"requests": (HEADS, rows), "changes": (heads, changes)}, options.save)


if __name__ == "__main__":
    main()
