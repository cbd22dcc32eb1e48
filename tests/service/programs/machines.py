"""Machines of one service: each has a home, runs the service as documents say it, and has its commands pasted there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from management import Management
from server_processes import wait_until
from throwaway import UNLIMITED

_BLOCK = re.compile(r"<!-- (?P<name>run: [^>]+) -->\n```\w*\n(?P<text>.*?)```", re.DOTALL)


def blocks(page: Path) -> dict[str, str]:
    """Return the commands of a document, by the name in the comment before them."""
    return {found["name"]: found["text"] for found in _BLOCK.finditer(page.read_text())}


class Machine:
    """A machine on which one person starts the service and types commands.

    Args:
        home: The home folder, which is made.
        programs: A further folder of programs.

    """

    def __init__(self, home: Path, programs: Path | None = None) -> None:
        self.home = home
        self.data_dir = home / ".local/share/private-integrations"
        self.url = ""
        home.mkdir()
        path = [Path(sys.executable).parent, *([programs] if programs else []), os.environ["PATH"]]
        self._environment = UNLIMITED | {"HOME": str(home), "PATH": os.pathsep.join(map(str, path))}
        self._log = home / "log"

    @property
    def said(self) -> str:
        """Everything that the service has said since its last start."""
        return self._log.read_text()

    @property
    def key(self) -> str:
        """The first management key, on the machine that made it."""
        return (self.data_dir / "admin.key").read_text().strip()

    def run(self, commands: str, **variables: str) -> str:
        """Run commands as they are written; returns what they print."""
        done = subprocess.run(
            ["sh", "-euc", commands],
            cwd=self.home,
            env=self._environment | variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self, command: str = "private-integrations serve", **variables: str) -> Iterator[None]:
        """Run the service by this command, on a free port, until the block ends."""
        with (
            self._log.open("w") as log,
            subprocess.Popen(
                ["sh", "-euc", f"exec {command.partition(' #')[0]} --port 0"],
                env=self._environment | variables,
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                wait_until(lambda: "listening on " in self.said or process.poll() is not None, "the service listens")
                self.url = self.said.partition("listening on ")[2].partition("\n")[0]
                assert self.url, self.said
                yield
            finally:
                process.terminate()

    def management(self, key: str, account: str = "") -> Management:
        """Return the management API of this machine, for its first sub-account unless another account is given."""
        management = Management(self.url, key, account)
        if not account:
            accounts = management.ask("GET", "/accounts").json()["accounts"]
            management.account = next(found["id"] for found in accounts if found["kind"] == "sub_account")
        return management

    def status(self, token: str, account: str) -> int:
        """Send a request with a token; returns the status."""
        headers = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
        parameters = {"locationId": account}
        return requests.get(f"{self.url}/contacts/", headers=headers, params=parameters, timeout=10).status_code


def new_token(management: Management) -> tuple[str, str]:
    """Make an integration; returns its id and its token."""
    made = management.integration()["id"]
    return made, management.issue(made, 1).json()["token"]
