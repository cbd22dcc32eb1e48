"""Receivers of webhooks: real TLS on loopback, which keep what they got and answer as a test says."""

import contextlib
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCEPT = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def answer(status: int, *headers: str) -> bytes:
    """An answer with this status and no body."""
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {status} Whatever\r\n{lines}content-length: 0\r\n\r\n".encode()


@dataclass(frozen=True)
class Received:
    """A request as it arrived; names of headers in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[ssl.SSLSocket, Received], None]


class Receiver:
    """Listens on a free port of 127.0.0.1; `got` holds each request, answered by `behave`, which a test may change."""

    def __init__(self, certificates: Path, name: str) -> None:
        self.got: queue.Queue[Received] = queue.Queue()
        self.connections = 0
        self.behave: Behaviour = says(ACCEPT)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificates / f"{name}.crt", certificates / f"{name}.key")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"https://{name}:{self.port}/hook"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        # Closing alone doesn't wake the thread that waits.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        # A sender that doesn't trust us, or has had enough, breaks off.
        with plain, contextlib.suppress(OSError), self._tls.wrap_socket(plain, server_side=True) as connection:
            received = _read(connection)
            if received is not None:
                self.got.put(received)
                self.behave(connection, received)


def says(*answers: bytes) -> Behaviour:
    """Give these answers, one for each request, and the last one from then on."""
    left = list(answers)

    def behave(connection: ssl.SSLSocket, _: Received) -> None:
        connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return behave


def _read(connection: ssl.SSLSocket) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        arrived = connection.recv(65_536)
        if not arrived:
            return None
        data += arrived
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = dict(entry.split(": ", 1) for entry in lines)
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65_536)
    return Received(line, headers, body)


@contextmanager
def receiving(certificates: Path, name: str) -> Iterator[Receiver]:
    """A receiver with the certificate of this name."""
    receiver = Receiver(certificates, name)
    try:
        yield receiver
    finally:
        receiver.close()
