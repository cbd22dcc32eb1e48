"""A gateway in a process of its own, and consumers that ask it: well-behaved ones, and over a bare socket."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import forked
from management import Management
from private_integrations.contract import new_sealing_key
from throwaway import listening_address

_PROGRAM = Path(__file__).with_name("gateway_service.py")

SCOPES = ("contacts.readonly", "contacts.write", "locations.readonly", "medias.write", "invoices.readonly")


@dataclass(frozen=True)
class Answer:
    """What a consumer got; `whole` is False if the connection broke in the middle of the body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    whole: bool = True

    @property
    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)

    @property
    def refused(self) -> tuple[int, str]:
        """Status and reason of a refusal of our own, in the API's error shape."""
        body = self.json
        assert body["statusCode"] == self.status
        assert body["message"]
        assert self.headers["X-PIT-Problem"] == body["reason"]
        return self.status, body["reason"]


@dataclass(frozen=True)
class Gateway:
    """A running gateway and a token that it issued."""

    url: str
    account: str
    management: Management = field(repr=False)
    token: str = field(repr=False)
    process: "subprocess.Popen[str]" = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def headers(self, **more: str) -> dict[str, str]:
        """What every consumer sends."""
        return {"Authorization": f"Bearer {self.token}", "Version": "2021-07-28", **more}

    def ask(self, method: str, target: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request over a new connection; a body that isn't bytes or an iterable of them is sent as JSON."""
        sent = self.headers(**(headers or {}))
        if isinstance(body, dict):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            try:
                connection.request(method, target, body, sent, encode_chunked=not isinstance(body, str | bytes | None))
                answer = connection.getresponse()
            except (BrokenPipeError, ConnectionResetError):
                # Answered, and closed, before the body was there.
                answer = http.client.HTTPResponse(connection.sock, method=method)
                answer.begin()
            try:
                return Answer(answer.status, answer.headers, answer.read())
            except http.client.IncompleteRead as error:
                return Answer(answer.status, answer.headers, error.partial, whole=False)
        finally:
            connection.close()

    def head(self, request_line: bytes, *headers: bytes, authorized: bool = True) -> bytes:
        """A request's head as bytes, with the token and the version."""
        lines = [request_line, b"Host: crm.test"]
        if authorized:
            lines += [b"Authorization: Bearer " + self.token.encode(), b"Version: 2021-07-28"]
        return b"\r\n".join([*lines, *headers, b"", b""])

    def raw(self, data: bytes) -> bytes:
        """Send bytes over a socket; everything that comes back until it is closed."""
        with socket.create_connection(self.address, timeout=20) as client:
            client.sendall(data)
            got = b""
            while part := client.recv(65536):
                got += part
            return got


@contextmanager
def running_gateway(
    data_dir: Path,
    upstream: str,
    credentials: Mapping[str, str],
    account: str,
    *,
    environment: Mapping[str, str] | None = None,
    **limits: float,
) -> Iterator[Gateway]:
    """Run the service as a gateway until the block ends, and issue a token of the account that opens `SCOPES`."""
    keys = data_dir.with_suffix(".keys")
    keys.touch(0o600)
    keys.write_text(new_sealing_key() + "\n")
    command = [sys.executable, str(_PROGRAM), str(data_dir), upstream, str(keys), json.dumps(limits)]
    with forked.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | (environment or {})
    ) as process:
        try:
            url = listening_address(process)
            management = Management(url, (data_dir / "admin.key").read_text().strip(), account)
            for owner, credential in credentials.items():
                answer = management.ask("PUT", f"/upstreams/{owner}", {"credential": credential})
                assert answer.ok, answer.text
            yield Gateway(url, account, management, issued_token(management), process)
        finally:
            process.terminate()


def issued_token(management: Management, *scopes: str) -> str:
    """A token of a new integration; with all of `SCOPES` unless said otherwise."""
    made = management.integration(scopes=list(scopes or SCOPES))
    answer = management.issue(made["id"], 1)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])
