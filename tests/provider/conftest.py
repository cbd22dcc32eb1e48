"""The command line as people and scripts run it, piped or on a terminal."""

import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import typer.main

import forked
import throwaway
from forked import running_service
from private_integrations.cli import run
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection

COMMAND = [sys.executable, "-m", "private_integrations.cli"]

# Typer reads the signatures of all commands anew in each call, which takes half of the time of most.
_get_command = cache(typer.main.get_command)


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed for programs."""
        return json.loads(self.out)

    @property
    def facts(self) -> dict[str, list[str]]:
        """The names and values that it printed for people; a value may have several lines."""
        found: dict[str, list[str]] = {}
        for line in self.out.splitlines():
            name, _, value = line.partition("  ") if line[:1].strip() else (list(found)[-1], "", line)
            found.setdefault(name, []).append(value.strip())
        return found


class CommandLine:
    """Runs `private-integrations` against one service."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> Finished:
        """Run a command in this process: to start one takes longer than most commands do. `serve` needs `process`."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        with pytest.MonkeyPatch.context() as here, redirect_stdout(out), redirect_stderr(err):
            here.setattr(sys, "stdin", given)
            here.setattr(typer.main, "get_command", _get_command)
            for name, value in (self.environment | environment).items():
                here.setenv(name, value)
            code = run(arguments)
        return Finished(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))

    def process(self, *arguments: str, stdin: str = "", stdout: int = subprocess.PIPE, **environment: str) -> Finished:
        """Run a command in a process of its own, with pipes for input and output."""
        done = forked.run(
            [*COMMAND, *arguments],
            input=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | self.environment | environment,
            timeout=60,
        )
        return Finished(done.returncode, done.stdout or "", done.stderr)

    def on_terminal(
        self, *arguments: str, at: str = "", do: str = "", columns: int = 80, **environment: str
    ) -> Finished:
        """Run a command on a terminal of this width; `out` is all that it shows there.

        When it shows `at`, what is in `do` is typed; nothing to type stands for Ctrl-C.
        """
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = forked.Popen(
            [*COMMAND, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=os.environ | {"TERM": "xterm"} | self.environment | environment,
            # Or it would ask the developer's terminal for a token.
            start_new_session=True,
        )
        os.close(terminal)
        overdue = threading.Timer(60, process.kill)
        overdue.start()
        shown = ""
        while at and at not in shown:
            shown += os.read(screen, 4096).decode()
        if do:
            os.write(screen, do.encode())
        elif at:
            # The question is shown just before Python waits; a signal in between is noticed only after the answer.
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
        shown += b"".join(_until_it_ends(screen)).decode()
        os.close(screen)
        overdue.cancel()
        return Finished(process.wait(timeout=60), shown.replace("\r\n", "\n"), "")

    def create(self, name: str, *options: str) -> Any:
        """Create an integration; its token and all that is known of it."""
        created = self("create", name, "--scope", "contacts.readonly", *options, "--json")
        assert created.code == 0, created.err
        return created.json


def _until_it_ends(screen: int) -> Iterator[bytes]:
    while True:
        try:
            shown = os.read(screen, 4096)
        except OSError:
            # Linux says EIO when the last program has left the terminal.
            return
        if not shown:
            return
        yield shown


@pytest.fixture
def cli(service: Any) -> CommandLine:
    """The command line against the running service, as its administrator."""
    return CommandLine(service.environment)


@pytest.fixture
def cli_of_a_new_service(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line against a service that has no integration yet."""
    with running_service(tmp_path) as started:
        yield CommandLine(started.environment)


@pytest.fixture
def use(service: Any) -> Callable[[Any], None]:
    """Take a token, as `create` and `rotate` give it as JSON, into use."""

    def acknowledge(issued: Any) -> None:
        path = f"integrations/{issued['integration']['id']}/generations/{issued['generation']}/ack"
        answer = requests.post(
            f"{service.url}/private-integrations/v1/{path}",
            json={"fingerprint": issued["fingerprint"]},
            headers={"Authorization": f"Bearer {service.key}"},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text

    return acknowledge


@pytest.fixture
def age(service: Any) -> Iterator[Callable[[str, timedelta], None]]:
    """Make an integration's tokens that much older; it is deleted at the end, alarms and all."""
    client, aged = Client(ServiceConnection(service.url, service.key)), set()

    def earlier(integration_id: str, by: timedelta) -> None:
        aged.add(integration_id)
        throwaway.age(service, integration_id, by)

    yield earlier
    for integration_id in aged:
        client.delete(integration_id)


@contextmanager
def _relay(url: str, refuses: str) -> Iterator[str]:
    class Relay(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if refuses in self.path:
                self.send_error(503)
                return
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
            answer = requests.request(self.command, url + self.path, data=body, headers=headers, timeout=10)
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_PUT = do_DELETE = _pass_on

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def without_issuing(service: Any) -> Iterator[CommandLine]:
    """The command line behind a way to the service on which every request about a generation is lost."""
    with _relay(service.url, refuses="/generations/") as url:
        yield CommandLine(service.environment | {"PRIVATE_INTEGRATIONS_URL": url})


@pytest.fixture
def without_keys(service: Any) -> Iterator[CommandLine]:
    """The command line behind a way to the service on which every request about keys is lost."""
    with _relay(service.url, refuses="/keys") as url:
        yield CommandLine(service.environment | {"PRIVATE_INTEGRATIONS_URL": url})
