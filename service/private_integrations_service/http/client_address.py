"""Where a request came from and which program it names: for people to read, never for permission."""

import unicodedata
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

Networks = Sequence[IPv4Network | IPv6Network]

LONGEST_AGENT = 200
"""Characters that are kept of the program's name."""


def client_address(scope: Scope, trusted: Networks) -> str:
    """The address of the client of an ASGI request; empty where the server knows none.

    A reverse proxy among the `trusted` is believed what it says in X-Forwarded-For: the rightmost entry that is none
    of them is the client. Whatever stands to the left of it the client may have written. Where an entry that counts
    is no address, the peer itself is the answer.
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
    """The program that a request names in User-Agent, in one line of at most LONGEST_AGENT characters."""
    named = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    text = named[: 4 * LONGEST_AGENT].decode("utf-8", "replace")
    shown = "".join(" " if unicodedata.category(character).startswith("C") else character for character in text)
    return " ".join(shown.split())[:LONGEST_AGENT]


def _forwarded_for(scope: Scope) -> Iterator[str]:
    """The entries of all X-Forwarded-For headers, the last one first."""
    for name, value in reversed(scope["headers"]):
        if name == b"x-forwarded-for":
            yield from reversed(value.decode("latin-1").split(","))


def _address(text: str) -> str:
    """The address in its one spelling, an IPv4 address that is mapped into IPv6 as itself; empty if it is none."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        # A zone is text of the sender's own choice.
        return "" if address.scope_id else str(address.ipv4_mapped or address)
    return str(address)


def _is_among(address: str, trusted: Networks) -> bool:
    return bool(address) and any(ip_address(address) in network for network in trusted)
