"""Note which connections of clients serve known clients, and limit each of those to its share (docs/operating.md)."""

from starlette.types import Scope

from .fair_shares import ShareHolder, Shares, Short

Peer = tuple[str, str]
"""The address and port of a client, both as text."""


class Clients:
    """Note which connections serve known clients, and limit each of those to its share of the `capacity`.

    Used by the event loop.
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

    def forget(self, peer: Peer) -> None:
        """Note that a connection is closed."""
        self.known.discard(peer)


def _peer(scope: Scope) -> Peer:
    return scope.get("client") or ("", "")
