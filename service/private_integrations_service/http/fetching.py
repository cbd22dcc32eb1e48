"""Send one request to another server; every request that the service makes by itself goes through this module.

Everything about it is bounded: resolving the name, connecting, TLS, sending and the whole answer by one deadline, and
the bytes that are read. Redirects aren't followed, and the environment's proxies are not used. (What a gateway forwards
has limits of its own, in `gateway`.)
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
from ipaddress import ip_address
from urllib.parse import urlsplit

import httptools

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a name, as text; raises OSError or UnicodeError."""

_CHUNK = 16 * 1024
# Names that may be looked up at once: a name server that hangs keeps a thread for as long as the system waits for it.
_LOOKUPS = 16


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes of one exchange."""

    connect: float = 5
    """To connect, TLS included."""
    total: float = 15
    """For all of it, resolving the name included."""
    farewell: float = 1
    """For the body of an answer of which only the status counts: it is read, so that the other side sees no error."""
    answer: int = 64 * 1024
    """Bytes of an answer that are read, its head included."""


@dataclass(frozen=True)
class Target:
    """Where a request goes: `host` a name or an IP address, `path` with its query."""

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
class Answer:
    """Hold an answer: `headers` by lower-case name, the last of each; `body` only if the caller asked for it."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class NoAddressError(OSError):
    """The name has no address, or none that may be asked."""


class UnreadableError(OSError):
    """Report an answer that is no HTTP, is cut off, or is larger than the limit."""


class Interrupted(Exception):
    """Report that the service ends before the result of the request is known."""


class Fetcher:
    """Sends single requests; used by many threads.

    Certificates are verified by the system's authorities, or those in the file that SSL_CERT_FILE names.
    """

    def __init__(self, limits: Limits | None = None, resolver: Resolve | None = None) -> None:
        self._limits = limits or Limits()
        self._resolve = resolver or resolve
        self._tls = ssl.create_default_context()
        self._tls.set_alpn_protocols(["http/1.1"])
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
    ) -> Answer:
        """Ask, and give the answer, before the limits' total is over, and before `by` on the monotonic clock.

        `refuse` says why these addresses of the name may not be asked. Raises TimeoutError, NoAddressError,
        UnreadableError, ssl.SSLCertVerificationError, another OSError when there is no connection or it breaks,
        ValueError for what can't be sent, and Interrupted when `close` came first.
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
        """Break off what is on its way, and send nothing more."""
        with self._lock:
            self._closed = True
            for handle in self._open:
                # It may not be connected yet, or no more.
                with suppress(OSError):
                    handle.shutdown(socket.SHUT_RDWR)

    def _looked_up(self, target: Target, by: float) -> Sequence[str]:
        """Return the addresses of a name, by a thread that may be left: the system's resolver knows no deadline."""
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

    def _exchange(self, target: Target, found: Sequence[str], request: bytes, by: float, wants_body: bool) -> Answer:
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
        """Yield a connection to the first of these addresses that takes one; `close` can break it off."""
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

    def _answer(self, connection: socket.socket, by: float, wants_body: bool) -> Answer:
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
            # A fault after the status doesn't matter to a caller that wants no body.
            if answer.status is None or wants_body:
                raise
        if answer.status is None and read < self._limits.answer:
            raise ConnectionError("the connection ended before the answer")
        if answer.status is None or (wants_body and not answer.ended):
            raise UnreadableError("the answer is cut off, or larger than the limit")
        return Answer(answer.status, answer.headers, bytes(answer.body))


class _Arriving:
    """An answer as far as it has arrived; called back by the parser."""

    def __init__(self, keeps_body: bool) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._keeps_body = keeps_body
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.ended = False

    def feed(self, arrived: bytes) -> None:
        """Read on; raises HttpParserError, and HttpParserUpgrade after a 101."""
        self._parser.feed_data(arrived)

    def end(self) -> None:
        """Note that nothing more comes: the end of a body whose length wasn't said."""
        if self.status is not None and not {"content-length", "transfer-encoding"} & self.headers.keys():
            self.ended = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Note the status, unless it only announces another one."""
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
    """Seconds until then; raises TimeoutError when there are none."""
    remaining = by - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("it takes too long")
    return remaining
