"""Count round trips to a server, by a proxy: one begins when a client sends after an answer, or at first."""

import socket
import threading
from contextlib import suppress
from typing import Self

from server_processes import HOST


class RoundTrips:
    """A proxy before a server; a context manager that listens. Set `count` to 0 before what is counted."""

    host = HOST

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self.count = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._open.append(one)
                asks = threading.Event()
                asks.set()
                threading.Thread(target=self._pass_on, args=(client, server, asks), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client, asks), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket, asks: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if asks.is_set():
                    asks.clear()
                    self.count += 1
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket, asks: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                asks.set()
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
