"""Track the clients' connections, and close some of them when the server runs out of connections (docs/operating.md).

The server has a limit of connections, and closes one on which no request head is complete within 30 seconds. It has no
limit per address, and lets new clients wait when it is full. So a thread shuts down idle connections. It finds them
among the process's descriptors, because the server (Granian) does not show its sockets.
"""

import os
import socket
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address

from starlette.types import Scope

from .client_address import Networks
from .fair_shares import ShareHolder, Shares, Short

Peer = tuple[str, str]
"""The address and port of a client; Granian's ASGI scope has both as text."""

# Seconds between two looks: near the limit, and otherwise.
_PRESSED, _USUAL = 0.25, 1.0
# In the kernel's tcp_info (linux/tcp.h): milliseconds since the client last sent something.
_LAST_DATA_RECEIVED = slice(52, 56)
# The server closes an idle connection after half of that; one that is left has a client that doesn't read its answer.
_LONGEST_IDLE = 60.0


class Clients:
    """Note which connections serve known clients, and limit each of those to its share of the `capacity`.

    Used by the event loop; the thread of a Keeper reads `busy` and `known`.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        """How many connections the server accepts at once."""
        self.busy: set[Peer] = set()
        """The peers of which a request with a known credential is being answered."""
        self.known: set[Peer] = set()
        """The peers that ever sent such a request."""
        self._shares = Shares(capacity)

    def begin(self, scope: Scope, owner: ShareHolder) -> Short | None:
        """Note that a request of a known client is being answered, or return which share of the capacity is used up."""
        short = self._shares.take(owner)
        if short is None:
            peer = _peer(scope)
            self.busy.add(peer)
            self.known.add(peer)
        return short

    def end(self, scope: Scope, owner: ShareHolder) -> None:
        """Note that it was answered."""
        self.busy.discard(_peer(scope))
        self._shares.give_back(owner)

    def note(self, scope: Scope) -> None:
        """Note that a client showed a known credential, if its request is answered at once."""
        self.known.add(_peer(scope))


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A connection that the server has accepted: its descriptor, the socket's inode, and the client."""

    descriptor: int
    inode: int
    peer: Peer


class Keeper:
    """A thread that closes connections of one worker: first those that never served a known client, idle for longest.

    An address keeps at most `per_address` connections, not counting those with a request of a known client. None is a
    quarter of the capacity, with an exemption for this machine's own address. The `trusted` proxies are always exempt.
    """

    def __init__(self, clients: Clients, port: int, per_address: int | None, trusted: Networks) -> None:
        self._clients = clients
        self._port = port
        self._per_address = per_address or max(1, clients.capacity // 4)
        self._spares_own = per_address is None
        self._trusted = trusted
        self._peers: dict[tuple[int, int], Peer | None] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="connections", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        pause = _USUAL
        while not self._stopping.wait(pause):
            pause = _PRESSED
            # Fails without a free descriptor.
            with suppress(OSError):
                pause = _PRESSED if self._look() else _USUAL

    def _look(self) -> bool:
        """Close the surplus connections, and return whether the server is near its limit."""
        capacity = self._clients.capacity
        names = _descriptors()
        if len(names) <= min(self._per_address, capacity * 3 // 4):
            return False
        accepted = list(self._accepted(names))
        self._clients.known.intersection_update({each.peer for each in accepted})
        busy = self._clients.busy.copy()
        idle = [(self._reluctance(each), each) for each in accepted if each.peer not in busy]
        idle.sort(key=lambda found: found[0])
        counted = Counter(each.peer[0] for each in accepted)
        is_pressed = len(accepted) > capacity * 7 // 8
        surplus = len(accepted) - capacity * 3 // 4 if is_pressed else 0
        for (_, since), each in idle:
            address = each.peer[0]
            if surplus > 0 or -since > _LONGEST_IDLE or self._is_crowded(address, counted[address]):
                _shut_down(each)
                counted[address] -= 1
                surplus -= 1
        return is_pressed

    def _is_crowded(self, address: str, connections: int) -> bool:
        if connections <= self._per_address:
            return False
        plain = ip_address(address.removeprefix("::ffff:"))
        return not (self._spares_own and plain.is_loopback) and not any(plain in network for network in self._trusted)

    def _reluctance(self, each: _Accepted) -> tuple[bool, float]:
        """Return a sort key: connections of known clients, and those that sent something lately, are closed last."""
        return each.peer in self._clients.known, -_idle_seconds(each)

    def _accepted(self, names: list[str]) -> Iterator[_Accepted]:
        """List the connections that the server has accepted; each descriptor's peer is looked up once."""
        peers = {}
        for name in names:
            with suppress(OSError):
                status = os.fstat(int(name))
                if stat.S_ISSOCK(status.st_mode):
                    key = (int(name), status.st_ino)
                    peers[key] = self._peers[key] if key in self._peers else self._peer_of(key[0])
        self._peers = peers
        for (descriptor, inode), peer in peers.items():
            if peer is not None:
                yield _Accepted(descriptor, inode, peer)

    def _peer_of(self, descriptor: int) -> Peer | None:
        with _socket_of(descriptor) as own:
            if own.family not in (socket.AF_INET, socket.AF_INET6) or own.getsockname()[1] != self._port:
                return None
            with suppress(OSError):
                address, port, *_ = own.getpeername()
                return address, str(port)
            return None


def _peer(scope: Scope) -> Peer:
    return scope.get("client") or ("", "")


def _descriptors() -> list[str]:
    return os.listdir("/dev/fd")


@contextmanager
def _socket_of(descriptor: int) -> Iterator[socket.socket]:
    """Yield a server's socket by a descriptor of our own, which stays valid if the server closes its own meanwhile."""
    with closing(socket.socket(fileno=os.dup(descriptor))) as own:
        yield own


def _idle_seconds(each: _Accepted) -> float:
    """Return the seconds since the client last sent something, 0 on a system without that figure."""
    if sys.platform != "linux":
        return 0.0
    with suppress(OSError), _socket_of(each.descriptor) as own:
        info = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.stop)
        return int.from_bytes(info[_LAST_DATA_RECEIVED], sys.byteorder) / 1000
    return 0.0


def _shut_down(each: _Accepted) -> None:
    with suppress(OSError), _socket_of(each.descriptor) as own:
        # The descriptor may be another socket's by now.
        if os.fstat(own.fileno()).st_ino == each.inode:
            own.shutdown(socket.SHUT_RDWR)
