"""Write the figures of docs/revocation-protocol.md: each rule switched off in turn, in simulated histories.

    python bench/revocation_protocol.py --histories 20000 --rules-off 2000
    python bench/revocation_protocol.py --crowd 50 --changes 1000

The second command simulates a minute of many replicas without faults, and prints the waits of the changes and the
messages, with NOTIFY and without.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pool
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/service/programs"))

from replica_ablations import ABLATIONS, table
from replica_simulation import KINDS, Crowd, History, Rules

PAGE = ROOT / "docs/revocation-protocol.md"


def broken(number: int, histories: int) -> int:
    """Count the histories that break a rule's promise while it is switched off."""
    rule = ABLATIONS[number]
    return sum(rule.breaks(seed) for seed in range(histories))


def counted(seed: int) -> tuple[str, int, int, int, int, int, int]:
    """Return what a history with all rules has counted."""
    it = History(seed, Rules()).run()
    return it.faults.kind, it.changes, it.passed, it.stale, it.late, it.lost, it.undetected


def summary(histories: int, pool: "Pool") -> Iterator[str]:
    """Yield a table row for each kind of history, with all rules in force."""
    results = pool.map(counted, range(histories), chunksize=100)
    for kind in KINDS:
        of_kind = [counts for name, *counts in results if name == kind]
        yield (
            f"| {kind} | {len(of_kind):,} | "
            + " | ".join(f"{sum(each):,}" for each in zip(*of_kind, strict=True))
            + " |"
        )


def crowd(replicas: int, changes: int) -> Iterator[str]:
    """Yield a line for a minute with NOTIFY, and one without."""
    for notify in (True, False):
        it = Crowd(1, replicas, changes, notify=notify)
        it.run(70)
        waits = sorted(it.waits)
        yield (
            f"{replicas} replicas, {len(waits)} changes, {'with' if notify else 'without'} NOTIFY: "
            f"wait p50 {waits[len(waits) // 2] * 1000:.0f} ms, p99 {waits[int(len(waits) * 0.99)] * 1000:.0f} ms; per second "
            f"{it.heartbeats / 70:.0f} heartbeats, {it.readings / 60:.0f} readings of the list, "
            f"{it.notifications / 60:.0f} notifications"
        )


def main() -> None:
    """Write the tables, or print the figures of a crowd."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=20_000)
    parser.add_argument("--rules-off", type=int, default=2_000)
    parser.add_argument("--crowd", type=int)
    parser.add_argument("--changes", type=int, default=1_000)
    options = parser.parse_args()
    if options.crowd:
        print("\n".join(crowd(options.crowd, options.changes)))
        return
    with Pool() as pool:
        off = pool.map(partial(broken, histories=options.rules_off), range(len(ABLATIONS)), chunksize=1)
        rows = [*summary(options.histories, pool)]
    page = PAGE.read_text()
    page = table("all rules", rows, page)
    page = table(
        "rules off", [rule.row(options.rules_off, count) for rule, count in zip(ABLATIONS, off, strict=True)], page
    )
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
