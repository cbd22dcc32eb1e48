"""An upstream that says on the wire exactly what a test wants, and keeps every byte that it was sent."""

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


class Peer:
    """One connection of the gateway's."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection = connection
        self.number = number
        self.received = bytearray()
        self.closed = threading.Event()
        """The gateway has closed it."""
        self._read = 0

    def more(self) -> bytes:
        """The next bytes; empty when the gateway has closed the connection."""
        try:
            data = self.connection.recv(65536)
        except OSError:
            data = b""
        self.received += data
        if not data:
            self.closed.set()
        return data

    def head(self) -> bytes:
        """Read a request's head; empty if none comes."""
        while (end := self.received.find(b"\r\n\r\n", self._read)) < 0:
            if not self.more():
                return b""
        head = bytes(self.received[self._read : end + 4])
        self._read = end + 4
        return head

    def request(self) -> bytes:
        """Read a whole request; empty if none comes."""
        head = self.head()
        length = re.search(rb"(?im)^content-length: (\d+)\r$", head)
        end = self._read + int(length[1]) if length else self._read
        if b"transfer-encoding: chunked" in head:
            while (end := self.received.find(b"0\r\n\r\n", self._read)) < 0:
                if not self.more():
                    return head
            end += 5
        while len(self.received) < end:
            if not self.more():
                return head
        body = bytes(self.received[self._read : end])
        self._read = end
        return head + body

    def send(self, data: bytes) -> None:
        """Send bytes, if the gateway still takes them."""
        try:
            self.connection.sendall(data)
        except OSError:
            self.closed.set()

    def reset(self) -> None:
        """Close with a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Script = Callable[[Peer], None]


class RawUpstream:
    """Listens on loopback; each connection is handled by a script in a thread of its own, and ended after it.

    With `tls` it speaks TLS; connections whose handshake fails are not handled.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.peers: list[Peer] = []
        self._threads: list[threading.Thread] = []
        self._script: Script = answer(OK)
        self._marker: tuple[Any, threading.Event] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, script: Script) -> list[Peer]:
        """From now on connections are handled by this script; answers the list that they will be in.

        Waits until the gateway has closed all earlier ones, so that none is used again.
        """
        self._accept_all()
        for peer in self.peers:
            with suppress(OSError):
                peer.connection.shutdown(socket.SHUT_WR)
        for thread in self._threads:
            thread.join(20)
        self.peers = []
        self._threads = []
        self._script = script
        return self.peers

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def _accept_all(self) -> None:
        """Wait until every connection made so far is accepted: they are, in their order, and one of our own is last."""
        with socket.socket() as marker:
            marker.bind(("127.0.0.1", 0))
            accepted = threading.Event()
            self._marker = (marker.getsockname(), accepted)
            marker.connect(self._listener.getsockname())
            assert accepted.wait(20)

    def _accept(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            if self._marker is not None and self._marker[0] == address:
                self._marker[1].set()
                connection.close()
                continue
            if self._tls is not None:
                try:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                except OSError:
                    continue
            peer = Peer(connection, len(self.peers))
            self.peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(self._script, peer), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, script: Script, peer: Peer) -> None:
        with peer.connection:
            script(peer)
            with suppress(OSError):
                peer.connection.shutdown(socket.SHUT_WR)
            while peer.more():
                pass


def answer(*parts: bytes) -> Script:
    """Read a request, send these parts, close."""

    def script(peer: Peer) -> None:
        peer.request()
        for part in parts:
            peer.send(part)

    return script
