"""HTTP/1.1 in the bytes that a test chooses, over TLS and a Unix socket."""

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SECONDS = 10


@dataclass(frozen=True)
class Answer:
    """What came back; the names of headers in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The JSON in it."""
        return json.loads(self.content)


@dataclass(frozen=True)
class Door:
    """A server that listens on a Unix socket, with a certificate of `ca` for `name`."""

    path: Path
    ca: Path
    name: str

    def open(self) -> ssl.SSLSocket:
        """A new connection."""
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(_SECONDS)
        plain.connect(str(self.path))
        return ssl.create_default_context(cafile=str(self.ca)).wrap_socket(plain, server_hostname=self.name)

    def send(self, *lines: str, body: bytes = b"") -> Answer:
        """Send these lines as a request's head, then the body, and read the answer."""
        with self.open() as connection:
            connection.sendall(head(*lines) + body)
            return read_answer(connection, lines[0].partition(" ")[0])

    def ask(self, method: str, target: str, token: str | None = None, *more: str, body: bytes = b"") -> Answer:
        """A well-formed request with a token, as clients of the platform send it."""
        lines = [f"{method} {target} HTTP/1.1", "Host: api.example.com", "Version: 2021-07-28", *more]
        lines += [f"Authorization: Bearer {token}"] if token else []
        lines += [f"Content-Length: {len(body)}"] if body else []
        return self.send(*lines, body=body)


def head(*lines: str) -> bytes:
    """These lines as a request's head; a character is a byte."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next answer on a connection, whole."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
