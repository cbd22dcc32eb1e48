"""Try the rotation over a faulty network, with all rules of the protocol and without each of them.

Trials with all rules in force, at losses of 5 to 20 % and with crashes, must break no promise. Then the
same trials run against the service with one rule switched off, and break some: this shows the purpose of
the rule. Prints a line for each, with the number of trials that broke a promise, the number of those that
left an actor with a dead token, and the injected faults. A broken promise with all rules in force is printed
with its seed and its steps, and the exit code is 1. See tools/trials/trial.py and docs/faults.md.

    python bench/faults.py --trials 10000 --rules-off 1000
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from trials.lane import lane
from trials.trial import Result, run_trial
from trials.weakened_service import RULES

# Trials per service: its database stays small, and its start costs little.
CHUNK = 250


@dataclass
class Tally:
    """Sum up the results of many trials."""

    trials: int = 0
    broken: list[Result] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        self.trials += other.trials
        self.broken += other.broken
        self.injected += other.injected
        self.steps += other.steps

    @property
    def in_hand(self) -> int:
        """Count the trials that left an actor with a dead token."""
        return sum(any(broken.in_hand for broken in result.broken) for result in self.broken)

    @property
    def promises(self) -> Counter[str]:
        """Count the first broken promise of each trial."""
        return Counter(result.broken[0].promise for result in self.broken)


def run_chunk(rule: str, seeds: Sequence[int], losses: tuple[float, float]) -> Tally:
    """Run trials one after another on a service of their own."""
    tally = Tally(trials=len(seeds))
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, lane(Path(folder), rule) as running:
        results = [run_trial(running, seed, losses) for seed in seeds]
        tally.broken = [result for result in results if result.broken]
        tally.injected, tally.steps = running.proxy.counts, running.done
        tally.injected["copies that arrived late"] = running.proxy.arrived_late
    return tally


def run(rule: str, seeds: Sequence[int], losses: tuple[float, float], lanes: int) -> Tally:
    """Run all trials of one line, in several processes."""
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    tally, begin = Tally(), time.perf_counter()
    with ProcessPoolExecutor(lanes, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(run_chunk, rule, chunk, losses) for chunk in chunks]
        for each in running:
            tally.add(each.result())
            if sys.stderr.isatty():
                print(f"\r{tally.trials} of {len(seeds)}", end="\r", file=sys.stderr)
    report(rule or "none", tally, time.perf_counter() - begin)
    return tally


def report(rule: str, tally: Tally, seconds: float) -> None:
    promises = ", ".join(f"{promise}: {count}" for promise, count in tally.promises.most_common())
    print(
        f"{rule:<10} {tally.trials:>7} {len(tally.broken):>7} {tally.in_hand:>8} {seconds:>7.0f}  {promises}",
        flush=True,
    )


def report_counts(title: str, counts: Counter[str]) -> None:
    print(f"\n{title}")
    for name, count in counts.most_common():
        print(f"  {name:<26} {count:>8}")


def replayable(results: Iterable[Result]) -> str:
    """Return seeds, steps and broken promises, so that you can repeat them."""
    return "\n".join(
        "\n  ".join([f"seed {result.seed}", *result.log, *(f"BROKEN {broken}" for broken in result.broken)])
        for result in results
    )


def main() -> int:
    """Run the trials; 1 if a promise was broken with all rules in force."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--trials", type=int, default=10_000, help="with all rules in force")
    arguments.add_argument("--rules-off", type=int, default=1000, metavar="TRIALS", help="for each rule, 0 for none")
    arguments.add_argument("--rules", nargs="*", default=list(RULES), choices=list(RULES), metavar="RULE")
    arguments.add_argument("--loss", type=float, nargs=2, default=(0.05, 0.2), metavar=("LEAST", "MOST"))
    arguments.add_argument("--seed", type=int, default=1, help="of the first trial; the next ones count on")
    arguments.add_argument("--lanes", type=int, default=3, help="processes, each with a service of its own")
    options = arguments.parse_args()
    losses = (options.loss[0], options.loss[1])
    seeds = range(options.seed, options.seed + options.trials)
    print(f"{'rule off':<10} {'trials':>7} {'broken':>7} {'in hand':>8} {'seconds':>7}  promises broken first")
    tally = run("", seeds, losses, options.lanes)
    if tally.broken:
        print(replayable(tally.broken))
    if options.rules_off:
        for rule in options.rules:
            run(rule, range(options.seed, options.seed + options.rules_off), losses, options.lanes)
    report_counts("Requests, with all rules in force", tally.injected)
    report_counts("Steps, with all rules in force", tally.steps)
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
