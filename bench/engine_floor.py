"""Measure the cost of integrations beyond the engine's own floor.

N integrations (a PrivateIntegration and its Token each) against 2 N no-op dynamic resources, in one run
and interleaved, each command timed from outside. Prints, for every command, the ratio of the two as the
median of the rounds, with the smallest and the largest; seconds mean little on a shared machine.
The last column is the ratio to resources that are as large as ours in the state and do nothing: it shows
our own work, without the cost of a larger state.

    python bench/engine_floor.py --integrations 50 300 --rounds 3
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pulumi.automation as auto
from noop import Noop, Shape

import private_integrations as pi

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from throwaway import engine_environment, make_stack, running_service

COMMANDS = ("up", "preview", "refresh", "up again", "destroy")


def floor(count: int) -> Callable[[], None]:
    """Declare resources that cost the engine alone."""

    def program() -> None:
        for number in range(2 * count):
            Noop(f"noop-{number}")

    return program


def shape(count: int) -> Callable[[], None]:
    """Declare resources that are as large as ours and do nothing."""

    def program() -> None:
        for number in range(count):
            Shape(f"crm-{number}")

    return program


def integrations(count: int) -> Callable[[], None]:
    """Declare the same number of resources, of ours."""

    def program() -> None:
        for number in range(count):
            pi.PrivateIntegration(
                f"crm-{number}",
                scopes=["contacts.readonly"],
                rotation=pi.Rotation(every="90d"),
            )

    return program


def timed(stack: auto.Stack, command: str) -> float:
    """Return the seconds that a command takes."""
    begin = time.perf_counter()
    getattr(stack, command.split()[0])()
    return time.perf_counter() - begin


def one_round(count: int, folder: Path, settings: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return the seconds of every command for each of the three programs, interleaved command by command."""
    # As installed, not as developed: with the bytecode kept.
    settings = {**settings, "PYTHONPATH": str(Path(__file__).parent), "PYTHONDONTWRITEBYTECODE": ""}
    programs = {"floor": floor(count), "shape": shape(count), "integrations": integrations(count)}
    stacks = {
        name: make_stack(folder / name, name, program, engine_environment(folder / name, settings))
        for name, program in programs.items()
    }
    return {command: {name: timed(stack, command) for name, stack in stacks.items()} for command in COMMANDS}


def report(count: int, rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print a line for every command."""
    print(f"\n{count} integrations against {2 * count} no-op resources, {len(rounds)} rounds")
    print(f"{'command':<10} {'ratio':>6} {'min':>6} {'max':>6} {'to as large':>12}")
    for command in COMMANDS:
        ours = ratios(rounds, command, "floor")
        large = statistics.median(ratios(rounds, command, "shape"))
        print(
            f"{command:<10} {statistics.median(ours):6.2f} {min(ours):6.2f} {max(ours):6.2f} {large:12.2f}", flush=True
        )


def ratios(rounds: list[dict[str, dict[str, float]]], command: str, to: str) -> list[float]:
    """Return the ratios of integrations to something else, round by round."""
    return [each[command]["integrations"] / each[command][to] for each in rounds]


def main() -> None:
    """Run the rounds."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--integrations", type=int, nargs="+", default=[50, 300])
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="engine-floor-") as name:
        folder = Path(name)
        with running_service(folder / "service") as service:
            for count in options.integrations:
                rounds = [
                    one_round(count, folder / f"{count}-{number}", service.environment)
                    for number in range(options.rounds)
                ]
                report(count, rounds)


if __name__ == "__main__":
    main()
