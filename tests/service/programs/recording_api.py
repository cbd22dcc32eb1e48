"""An API behind a gateway: it answers everything, and keeps every request as the bytes that came."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_SECONDS = 10


@dataclass
class Received:
    """A request as it came: `headers` in their order, names in lower case; `body` fills up while it arrives."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for known, value in self.headers if known == name]


@dataclass
class RecordingApi:
    """Answers 200 over TLS. A target with `stream` is answered in two parts, the second when `go_on` is set.

    A target with `refuse` is answered 403, with a redirect and a body of its own.
    """

    listener: socket.socket
    context: ssl.SSLContext
    received: list[Received] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                plain, _ = self.listener.accept()
                threading.Thread(target=self._converse, args=(plain,), daemon=True).start()

    def _converse(self, plain: socket.socket) -> None:
        plain.settimeout(_SECONDS)
        with suppress(OSError, ValueError), self.context.wrap_socket(plain, server_side=True) as connection:
            stream = connection.makefile("rwb")
            while line := stream.readline():
                self._answer(stream, line)

    def _answer(self, stream, line: bytes) -> None:
        method, target, _ = line.decode("latin-1").split(" ")
        headers = []
        while (header := stream.readline().decode("latin-1").rstrip("\r\n")) != "":
            name, _, value = header.partition(":")
            headers.append((name.lower(), value.strip()))
        received = Received(method, target, headers)
        self.received.append(received)
        self._read_body(stream, received)
        if "stream" in target:
            stream.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            stream.flush()
            assert self.go_on.wait(_SECONDS)
            stream.write(b"6\r\nsecond\r\n0\r\n\r\n")
        elif "refuse" in target:
            stream.write(b"HTTP/1.1 403 Forbidden\r\nLocation: https://api/\r\nContent-Length: 6\r\n\r\nits no")
        else:
            stream.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        stream.flush()

    def _read_body(self, stream, received: Received) -> None:
        if received.all("transfer-encoding") == ["chunked"]:
            while size := int(stream.readline(), 16):
                received.body += stream.read(size)
                self.begun.set()
                stream.readline()
            stream.readline()
        else:
            received.body = stream.read(int((received.all("content-length") or ["0"])[0]))


@contextmanager
def recording_api(certificates: Path, name: str) -> Iterator[RecordingApi]:
    """Serve with the certificate of `name` on a free port of 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        api = RecordingApi(listener, context)
        thread = threading.Thread(target=api.serve, daemon=True)
        thread.start()
        yield api
        # Closing alone would leave the thread in accept.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(_SECONDS)
