"""Read the client's address and program of a request: for people, and for limits, never for permission."""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

Networks = Sequence[IPv4Network | IPv6Network]

LONGEST_AGENT = 200
"""Characters of the program's name that are kept."""


def client_address(scope: Scope, trusted: Networks) -> str:
    """Return the address of the client of an ASGI request, empty if the server doesn't know it.

    X-Forwarded-For of a `trusted` proxy is believed: its rightmost entry that is not such a proxy is the client,
    because the client itself may have written the entries to the left of that. If one of the entries that count is no
    address, the answer is the peer's address.
    """
    peer = _address((scope.get("client") or ("",))[0])
    if not _is_among(peer, trusted):
        return peer
    client = peer
    for entry in _forwarded_for(scope):
        client = _address(entry)
        if not client:
            return peer
        if not _is_among(client, trusted):
            return client
    return client


def client_agent(scope: Scope) -> str:
    """Return the program that a request names in User-Agent, in one line of at most LONGEST_AGENT characters."""
    named = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return _agent(named[: 4 * LONGEST_AGENT])


@lru_cache(maxsize=1024)
def _agent(named: bytes) -> str:
    """Return the named program in one line; programs repeat."""
    text = named.decode("utf-8", "replace")
    shown = "".join(" " if unicodedata.category(character).startswith("C") else character for character in text)
    return " ".join(shown.split())[:LONGEST_AGENT]


def _forwarded_for(scope: Scope) -> Iterator[str]:
    """Yield the entries of all X-Forwarded-For headers, the last one first."""
    for name, value in reversed(scope["headers"]):
        if name == b"x-forwarded-for":
            yield from reversed(value.decode("latin-1").split(","))


# Clients send many requests from one address.
@lru_cache(maxsize=4096)
def _address(text: str) -> str:
    """Return an address in one spelling (IPv4 also if it is mapped into IPv6), empty if the text is no address."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        # The sender chooses the text of a zone.
        return "" if address.scope_id else str(address.ipv4_mapped or address)
    return str(address)


def _is_among(address: str, trusted: Networks) -> bool:
    return bool(address) and any(ip_address(address) in network for network in trusted)
