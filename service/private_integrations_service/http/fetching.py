"""Send one request to another server; the service sends all its own requests through this module.

One deadline bounds resolving the name, connecting, TLS, sending and the whole answer; the bytes that are read are
bounded too. Redirects aren't followed, and the environment's proxies are not used. (Requests that the gateway forwards
have their own limits, in `gateway`.)
"""

import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from urllib.parse import urlsplit

import httptools

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a name, as text; raises OSError or UnicodeError."""

_CHUNK = 16 * 1024
# Look-ups at once: a name server that hangs holds a thread for as long as the system waits for it.
_LOOKUPS = 16


@dataclass(frozen=True)
class FetchLimits:
    """The limits of one exchange, in seconds and bytes."""

    connect: float = 5
    """To connect, TLS included."""
    total: float = 15
    """For the whole exchange, resolving the name included."""
    farewell: float = 1
    """To read the body of an answer when only the status counts, so that the server sees no error."""
    answer: int = 64 * 1024
    """Bytes of an answer that are read, its head included."""


@dataclass(frozen=True)
class Target:
    """The target of a request: `host` is a name or an IP address, `path` includes the query."""

    host: str
    port: int
    path: str
    secure: bool = True

    @classmethod
    def of(cls, url: str) -> "Target":
        """Return the target of an http or https URL; raises ValueError if it is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not re.fullmatch("[!-~]+", url):
            raise ValueError("this is no http or https URL")
        secure = parts.scheme == "https"
        port = parts.port if parts.port is not None else 443 if secure else 80
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname, port, path, secure)

    @property
    def authority(self) -> str:
        """Return the value of the request's `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


@dataclass(frozen=True)
class FetchedResponse:
    """Hold an answer: `headers` by lower-case name, the last of each; `body` only if the caller asked for it."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class NoAddressError(OSError):
    """The name has no address, or none that is allowed."""


class UnreadableError(OSError):
    """The answer is no HTTP, is cut off, or is larger than the limit."""


class Interrupted(Exception):
    """The service stops before the result of the request is known."""


class Fetcher:
    """Send single requests; used by many threads.

    The system's authorities verify certificates, or those in the file that SSL_CERT_FILE names.
    """

    def __init__(self, limits: FetchLimits | None = None, resolver: Resolve | None = None) -> None:
        self._limits = limits or FetchLimits()
        self._resolve = resolver or resolve
        self._lookups = threading.BoundedSemaphore(_LOOKUPS)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    def fetch(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        by: float | None = None,
        wants_body: bool = True,
        refuse: Callable[[Sequence[str]], str | None] = lambda _: None,
    ) -> FetchedResponse:
        """Send a request, and return the answer.

        Args:
            method: The request's method.
            target: The request's target.
            headers: Further headers, or other values of the usual ones.
            body: The request's body.
            by: A deadline on the monotonic clock, if it is earlier than the limits' total.
            wants_body: False if only the status counts.
            refuse: Returns why these addresses of the name must not be asked, None if they may.

        Raises:
            TimeoutError: The deadline has passed.
            NoAddressError: The name has no address, or none that may be asked.
            UnreadableError: The answer is no HTTP, is cut off, or is too large.
            ssl.SSLCertVerificationError: The server's certificate is not valid for the name.
            OSError: There is no connection, or it broke.
            ValueError: The request can't be sent.
            Interrupted: `close` was called meanwhile.

        """
        now = time.monotonic()
        by = min(now + self._limits.total, by if by is not None else now + self._limits.total)
        request = _request(method, target, headers, body)
        try:
            found = self._looked_up(target, by)
            if refuse(found) is not None:
                raise NoAddressError("the name has no address that may be asked")
            return self._exchange(target, found, request, by, wants_body)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise UnreadableError("the answer is no HTTP") from None
        finally:
            if self._closed:
                raise Interrupted

    def close(self) -> None:
        """End the running exchanges, and refuse new ones."""
        with self._lock:
            self._closed = True
            for handle in self._open:
                # It may not be connected yet, or no more.
                with suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading the authorities takes longer than the rest of a start, and few processes send requests.
        made = ssl.create_default_context()
        made.set_alpn_protocols(["http/1.1"])
        return made

    def _looked_up(self, target: Target, by: float) -> Sequence[str]:
        """Return the addresses of a name, by a thread that can be left: the system's resolver has no deadline."""
        if _is_address(target.host):
            return self._resolve(target.host, target.port)
        if not self._lookups.acquire(timeout=_remaining(by)):
            raise TimeoutError("too many names are being looked up")
        found: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                found.put(self._resolve(target.host, target.port))
            except Exception as error:
                found.put(error)
            finally:
                self._lookups.release()

        threading.Thread(target=look_up, name="resolver", daemon=True).start()
        try:
            answer = found.get(timeout=_remaining(by))
        except queue.Empty:
            raise TimeoutError("the name was not resolved in time") from None
        if isinstance(answer, OSError | UnicodeError):
            raise NoAddressError("the name has no address") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _exchange(
        self, target: Target, found: Sequence[str], request: bytes, by: float, wants_body: bool
    ) -> FetchedResponse:
        connected_by = min(by, time.monotonic() + self._limits.connect)
        with self._connected(found, target.port, connected_by) as plain:
            plain.settimeout(_remaining(connected_by))
            with self._secured(plain, target) as connection:
                for start in range(0, len(request), _CHUNK):
                    connection.settimeout(_remaining(by))
                    connection.sendall(request[start : start + _CHUNK])
                return self._answer(connection, by, wants_body)

    def _secured(self, plain: socket.socket, target: Target) -> "ssl.SSLSocket | nullcontext[socket.socket]":
        return self._tls.wrap_socket(plain, server_hostname=target.host) if target.secure else nullcontext(plain)

    @contextmanager
    def _connected(self, found: Sequence[str], port: int, by: float) -> Iterator[socket.socket]:
        """Yield a connection to the first of these addresses that accepts one; `close` can end it."""
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
        # A duplicate, because TLS takes over the socket itself.
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

    def _answer(self, connection: socket.socket, by: float, wants_body: bool) -> FetchedResponse:
        answer = _Arriving(wants_body)
        read = 0
        try:
            while not answer.ended and read < self._limits.answer:
                connection.settimeout(_remaining(by))
                arrived = connection.recv(_CHUNK)
                if not arrived:
                    answer.end()
                    break
                read += len(arrived)
                answer.feed(arrived)
                if answer.status is not None and not wants_body:
                    by = min(by, time.monotonic() + self._limits.farewell)
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Without interest in the body, a fault after the status doesn't matter.
            if answer.status is None or wants_body:
                raise
        if answer.status is None and read < self._limits.answer:
            raise ConnectionError("the connection ended before the answer")
        if answer.status is None or (wants_body and not answer.ended):
            raise UnreadableError("the answer is cut off, or larger than the limit")
        return FetchedResponse(answer.status, answer.headers, bytes(answer.body))


class _Arriving:
    """An answer as far as it has arrived; the parser calls its methods."""

    def __init__(self, keeps_body: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._keeps_body = keeps_body
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.ended = False

    def feed(self, arrived: bytes) -> None:
        """Parse more bytes; raises HttpParserError, and HttpParserUpgrade after a 101."""
        self._parser.feed_data(arrived)

    def end(self) -> None:
        """Note that nothing more comes, which ends a body without a length."""
        if self.status is not None and not {"content-length", "transfer-encoding"} & self.headers.keys():
            self.ended = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note the status, unless the answer is an interim one (1xx)."""
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:
            self.status = status
        else:
            self.headers.clear()

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        if self._keeps_body:
            self.body += part

    def on_message_complete(self) -> None:
        """Note the end."""
        self.ended = self.status is not None


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name by the system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _request(method: str, target: Target, headers: Mapping[str, str], body: bytes | None) -> bytes:
    lines = {
        "host": target.authority,
        "user-agent": "private-integrations",
        "connection": "close",
        **({} if body is None else {"content-length": str(len(body))}),
        **headers,
    }
    if any(re.search(r"[\r\n\0]", name + value) for name, value in lines.items()):
        raise ValueError("a header has a line end in it")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def _remaining(by: float) -> float:
    """Return the seconds that remain; raises TimeoutError if there are none."""
    remaining = by - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("it takes too long")
    return remaining
