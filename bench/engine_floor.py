"""What integrations cost beyond the engine's own floor.

N integrations (a PrivateIntegration and its Token each) against 2 N no-op dynamic resources, in one run
and in turns, each command timed from outside. Prints, for every command, the ratio of the two as the
median of the rounds, with the smallest and the largest; seconds mean nothing on a shared machine.

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
from noop import Noop

import private_integrations as pi

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from throwaway import engine_environment, make_stack, running_service

COMMANDS = ("up", "preview", "refresh", "up again", "destroy")


def floor(count: int) -> Callable[[], None]:
    """The program that costs the engine alone."""

    def program() -> None:
        for number in range(2 * count):
            Noop(f"noop-{number}")

    return program


def integrations(count: int) -> Callable[[], None]:
    """The same number of resources, of ours."""

    def program() -> None:
        for number in range(count):
            pi.PrivateIntegration(
                f"crm-{number}",
                scopes=["contacts.readonly"],
                rotation=pi.Rotation(every="90d"),
            )

    return program


def timed(stack: auto.Stack, command: str) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    getattr(stack, command.split()[0])()
    return time.perf_counter() - begin


def one_round(count: int, folder: Path, settings: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Seconds of the floor and of the integrations for every command, command by command in turns."""
    settings = {**settings, "PYTHONPATH": str(Path(__file__).parent)}
    programs = {"floor": floor(count), "integrations": integrations(count)}
    stacks = [
        make_stack(folder / name, name, program, engine_environment(folder / name, settings))
        for name, program in programs.items()
    ]
    return {command: (timed(stacks[0], command), timed(stacks[1], command)) for command in COMMANDS}


def report(count: int, rounds: list[dict[str, tuple[float, float]]]) -> None:
    """A line for every command."""
    print(f"\n{count} integrations against {2 * count} no-op resources, {len(rounds)} rounds")
    print(f"{'command':<10} {'ratio':>6} {'min':>6} {'max':>6}   floor s  ours s")
    for command in COMMANDS:
        ratios = [ours / noop for noop, ours in (each[command] for each in rounds)]
        noop, ours = (statistics.median(each[command][which] for each in rounds) for which in (0, 1))
        middle = statistics.median(ratios)
        print(
            f"{command:<10} {middle:6.2f} {min(ratios):6.2f} {max(ratios):6.2f}   {noop:7.2f} {ours:7.2f}", flush=True
        )


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
