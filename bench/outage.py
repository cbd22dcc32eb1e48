"""Measure how long a command takes to fail when the service is down or does not answer.

Deploys N integrations, then runs `refresh` against a port where no program listens, and against a server that accepts
connections and never answers. Prints the seconds of each and the number of connections that the server saw.

    python bench/outage.py --integrations 200
"""

import argparse
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pulumi.automation as auto

import private_integrations as pi

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from throwaway import engine_environment, make_stack, running_service

TARGETS = {"down": 15, "hanging": 25}
"""Limit a `refresh` of 200 integrations to so many seconds."""


class Hanging:
    """Accept and count connections, and answer none."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self.connections.append(self.server.accept()[0])


def unused_url() -> str:
    """Return a loopback address where no program listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def failing(stack: auto.Stack) -> float:
    """Return the seconds that a `refresh` takes until it fails."""
    begin = time.perf_counter()
    try:
        stack.refresh()
    except auto.CommandError:
        return time.perf_counter() - begin
    raise RuntimeError("refresh succeeded without a service")


def main() -> None:
    """Deploy, take the service away in both ways, and print the figures."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--integrations", type=int, default=200)
    count = arguments.parse_args().integrations

    def program() -> None:
        for number in range(count):
            pi.PrivateIntegration(f"crm-{number}", scopes=["contacts.readonly"])

    with tempfile.TemporaryDirectory(prefix="outage-") as name, running_service(Path(name) / "service") as service:
        settings = {**service.environment, "PYTHONDONTWRITEBYTECODE": ""}
        stack = make_stack(Path(name), "outage", program, engine_environment(Path(name), settings))
        stack.up()
        begin = time.perf_counter()
        stack.refresh()
        print(f"refresh of {count} integrations, service up: {time.perf_counter() - begin:.1f} s", flush=True)
        hanging = Hanging()
        for state, url in (("down", unused_url()), ("hanging", hanging.url)):
            stack.workspace.env_vars["PRIVATE_INTEGRATIONS_URL"] = url
            seconds = failing(stack)
            seen = f", {len(hanging.connections)} connections" if state == "hanging" else ""
            print(
                f"refresh of {count} integrations, service {state}: {seconds:.1f} s (target {TARGETS[state]} s){seen}"
            )


if __name__ == "__main__":
    main()
