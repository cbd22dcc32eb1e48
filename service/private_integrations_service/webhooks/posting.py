"""One attempt: a POST over TLS to an address that was looked at before, within bounds of time and size.

The name is resolved once and the connection goes to what that gave, so no second answer of a name server leads
elsewhere. Redirects aren't followed, the environment's proxies not used, and of the answer only its status is read.
"""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import httptools

from ..destinations import Destination, Destinations, destination, refuse_addresses
from ..redelivery import Outcome, Tried

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a name, as text; raises OSError or UnicodeError."""

_CHUNK = 16 * 1024


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes of one attempt."""

    connect: float = 5
    """To connect, TLS included."""
    total: float = 15
    """For all of it, but for resolving the name, which the system bounds."""
    farewell: float = 1
    """For the body of an answer whose status is known: it is read to its end, so that receivers see no error."""
    answer: int = 64 * 1024
    """Bytes of an answer that are read."""


class Interrupted(Exception):
    """The service ends: nobody knows what came of the attempt."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name by the system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Poster:
    """Sends single messages to where they may go; used by many threads.

    Certificates are verified by the system's authorities, or those in the file that SSL_CERT_FILE names.
    """

    def __init__(self, allowed: Destinations, resolver: Resolve = resolve, limits: Limits | None = None) -> None:
        self._allowed = allowed
        self._resolve = resolver
        self._limits = limits or Limits()
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Tried:
        """Send a message and say what came of it; raises Interrupted when `close` came first."""
        begun = time.monotonic()
        tried = self._try(url, headers, body)
        if self._closed:
            raise Interrupted
        return replace(tried, milliseconds=round((time.monotonic() - begun) * 1000))

    def close(self) -> None:
        """Break off what is on its way, and send nothing more."""
        with self._lock:
            self._closed = True
            for handle in self._open:
                # It may not be connected yet, or no more.
                with suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    def _try(self, url: str, headers: Mapping[str, str], body: bytes) -> Tried:
        goal = destination(url, self._allowed)
        if isinstance(goal, str):
            return Tried("not-allowed")
        try:
            found = self._resolve(goal.host, goal.port)
        except (OSError, UnicodeError):
            return Tried("no-address")
        if refuse_addresses(found, self._allowed) is not None:
            return Tried("no-address")
        try:
            return self._exchange(goal, found, _request(goal, headers, body))
        except TimeoutError:
            return Tried("timed-out")
        except ssl.SSLCertVerificationError:
            return Tried("untrusted")
        except OSError:
            return Tried("unreachable")
        except httptools.HttpParserError:
            return Tried("unreadable")

    def _exchange(self, goal: Destination, found: Sequence[str], request: bytes) -> Tried:
        begun = time.monotonic()
        by = begun + self._limits.total
        with self._connected(found, goal.port, begun + self._limits.connect) as plain:
            plain.settimeout(_remaining(begun + self._limits.connect))
            with self._tls.wrap_socket(plain, server_hostname=goal.host) as connection:
                for start in range(0, len(request), _CHUNK):
                    connection.settimeout(_remaining(by))
                    connection.sendall(request[start : start + _CHUNK])
                return self._answer(connection, by)

    @contextmanager
    def _connected(self, found: Sequence[str], port: int, by: float) -> Iterator[socket.socket]:
        """A connection to the first of these addresses that takes one; `close` can break it off."""
        failure: OSError = ConnectionError("no address")
        for address in found:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as plain, self._breakable(plain):
                try:
                    plain.settimeout(_remaining(by))
                    plain.connect((address, port))
                except OSError as error:
                    failure = error
                    continue
                yield plain
                return
        raise failure

    @contextmanager
    def _breakable(self, plain: socket.socket) -> Iterator[None]:
        # A duplicate: TLS takes the socket itself over.
        with plain.dup() as handle:
            with self._lock:
                if self._closed:
                    raise Interrupted
                self._open.add(handle)
            try:
                yield
            finally:
                with self._lock:
                    self._open.discard(handle)

    def _answer(self, connection: socket.socket, by: float) -> Tried:
        answer = _Answer()
        read = 0
        try:
            while not answer.ended and read < self._limits.answer:
                connection.settimeout(_remaining(by))
                arrived = connection.recv(_CHUNK)
                if not arrived:
                    break
                read += len(arrived)
                answer.feed(arrived)
                if answer.tried is not None:
                    by = min(by, time.monotonic() + self._limits.farewell)
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Whatever becomes of a body: the status has been said.
            if answer.tried is None:
                raise
        if answer.tried is not None:
            return answer.tried
        return Tried("unreadable" if read >= self._limits.answer else "unreachable")


class _Answer:
    """What an answer says as far as it has arrived; called back by the parser."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._retry_after: timedelta | None = None
        self.tried: Tried | None = None
        self.ended = False

    def feed(self, arrived: bytes) -> None:
        """Read on; raises HttpParserError, and HttpParserUpgrade after a 101."""
        self._parser.feed_data(arrived)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note how long to wait; a date instead of seconds says nothing to us."""
        if name.lower() == b"retry-after" and re.fullmatch(rb"[0-9]{1,9}", value):
            self._retry_after = timedelta(seconds=int(value))

    def on_headers_complete(self) -> None:
        """Note the status, unless it only announces another one."""
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:
            self.tried = Tried(_outcome(status), status, retry_after=self._retry_after)

    def on_message_complete(self) -> None:
        """Note the end."""
        self.ended = self.tried is not None


def _outcome(status: int) -> Outcome:
    if status == 410:
        return "gone"
    return "accepted" if 200 <= status < 300 else "answered"


def _request(goal: Destination, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = {
        "host": goal.authority,
        "user-agent": "private-integrations",
        "content-length": str(len(body)),
        "connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {goal.target} HTTP/1.1\r\n{head}\r\n".encode() + body


def _remaining(by: float) -> float:
    """Seconds until then; raises TimeoutError when there are none."""
    remaining = by - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining
