"""A TCP proxy on loopback that notes requests, and holds back one, or its answer, or loses the answer."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

_CHUNK = 65536


class HoldingProxy:
    """Forwards connections to a service; requests always arrive, if late, some answers don't."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sought: bytes | None = None
        self._losing = self._before = False
        self._released = threading.Event()
        self.held = threading.Event()
        self.dropped = 0
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        """Where to connect in place of the service."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def hold(self, sought: bytes, *, before: bool = False) -> None:
        """Hold the answer to the next request whose head contains these bytes, until `release`.

        With `before`, hold the request itself: it arrives when its sender may be long gone.
        """
        self._sought, self._losing, self._before = sought, False, before
        self._released.clear()

    def drop(self, sought: bytes) -> None:
        """Lose the answer to the next such request and cut its connection."""
        self._sought, self._losing, self._before = sought, True, False

    def release(self) -> None:
        """Let a held answer go and hold no other."""
        self._sought = None
        self._released.set()

    def __enter__(self) -> "HoldingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        asked_for = threading.Event()
        with client, socket.create_connection(self._target) as upstream, suppress(OSError):
            threading.Thread(target=self._forward, args=(client, upstream, asked_for), daemon=True).start()
            while answer := _message(upstream):
                if asked_for.is_set() and not self._deliver():
                    client.shutdown(socket.SHUT_RDWR)
                    return
                asked_for.clear()
                client.sendall(answer)

    def _forward(self, client: socket.socket, upstream: socket.socket, asked_for: threading.Event) -> None:
        late = False
        with suppress(OSError):
            while request := client.recv(_CHUNK):
                if self._sought is not None and self._sought in request:
                    # Its sender may be ended as soon as it is held, and may not have sent the body yet.
                    request = _message(client, request)
                    if self._before:
                        late = self._deliver()
                    else:
                        asked_for.set()
                head = request.split(b"\r\n", 1)[0]
                if head.endswith(b" HTTP/1.1"):
                    self.requests.append(head.removesuffix(b" HTTP/1.1").decode())
                upstream.sendall(request)
            if not late:
                # A server drops the request of a sender who hangs up; what arrives late is to be carried out.
                upstream.shutdown(socket.SHUT_WR)

    def _deliver(self) -> bool:
        if self._losing:
            self._sought = None
            self.dropped += 1
            return False
        self.held.set()
        return self._released.wait(60)


def _message(source: socket.socket, message: bytes = b"") -> bytes:
    """One whole message, of which a part may be there; empty at the end of the connection. All say their length."""
    while b"\r\n\r\n" not in message:
        more = source.recv(_CHUNK)
        if not more:
            return b""
        message += more
    head, _, body = message.partition(b"\r\n\r\n")
    lengths = (line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    length = int(next(lengths, 0))
    while len(body) < length:
        body += source.recv(_CHUNK)
    return head + b"\r\n\r\n" + body
