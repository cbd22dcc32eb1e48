"""Decide where a webhook may be sent, from its URL and addresses, so that the service reaches no internal host.

A user types the URL, and the service runs inside a network that the user can't reach. So it only sends to public
addresses and to those that an operator has allowed. docs/webhooks.md gives the reason for each rule.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL = 2048

# Python's own `is_global` differs between versions. IANA's special-purpose registries, as of 2026; 192.88.99.0/24
# leads to any relay of 6to4.
_NOT_PUBLIC = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Of IPv6 only global unicast addresses are allowed, without the parts for protocols: Teredo, ORCHID, 6to4,
# documentation.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(IPv6Network(n) for n in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
# Both carry an IPv4 address in their last 32 bits, and lead to it: RFC 4291, 2.5.5.2; RFC 6052.
_CARRIERS = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))

_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?", re.IGNORECASE)
# C libraries read these as an IPv4 address: decimal, octal, hexadecimal, of one to four parts.
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Destinations:
    """Hold an operator's rules: allowed TCP ports, and networks that are allowed although they are not public."""

    ports: frozenset[int] = frozenset({443})
    networks: tuple[Network, ...] = ()


@dataclass(frozen=True)
class Destination:
    """Hold an allowed URL's parts: `host` is a DNS name or an IP address, `target` the path with its query."""

    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Return the value of the request's `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


def destination(url: str, allowed: Destinations) -> Destination | str:
    """Return the destination of a URL, or in words why it may not be a webhook's."""
    if len(url) > LONGEST_URL or not re.fullmatch(r"[!-~]+", url):
        return f"a webhook's URL has at most {LONGEST_URL} characters, all printable ASCII; encode others"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", 443 if parts.port is None else parts.port
    except ValueError:
        return "this is not a URL"
    refusal = _refuse_parts(parts, host, port, allowed)
    if refusal is not None:
        return refusal
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(host, port, target)


def refuse_addresses(found: Sequence[str], allowed: Destinations) -> str | None:
    """Refuse a name with these addresses, if one of them is not allowed; None if all are."""
    if not found:
        return "the name has no address"
    for text in found:
        try:
            # Behind a `%`: the interface that a link-local one is on.
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return "the name has no address"
        if not _may_be_asked(address, allowed.networks):
            return "the name leads to an address that is not public"
    return None


def networks(text: str) -> tuple[Network, ...]:
    """Read an operator's list of networks: `10.1.0.0/16, fd00::/8`; raises ValueError."""
    return tuple(_network(part) for part in re.split(r"[\s,]+", text.strip()))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f'"{text}" is neither an address nor a network such as 10.0.0.0/8') from None


def _refuse_parts(parts: SplitResult, host: str, port: int, allowed: Destinations) -> str | None:
    if parts.scheme != "https":
        return "a webhook's URL begins with https://"
    if "@" in parts.netloc:
        return "a webhook's URL has no user or password in it: receivers know us by the signature"
    if parts.fragment:
        return "a webhook's URL has no #fragment: nothing of it would be sent"
    if "\\" in parts.netloc + parts.path:
        return "a webhook's URL has no backslash in it"
    if port not in allowed.ports:
        listed = ", ".join(str(number) for number in sorted(allowed.ports))
        return f"webhooks are sent to port {listed} only"
    return _refuse_host(host, allowed.networks)


def _refuse_host(host: str, allowed: Collection[Network]) -> str | None:
    try:
        address = ip_address(host)
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2]
        if not _NAME.fullmatch(host) or len(host) > 253 or _NUMBER.fullmatch(last):
            return "the URL's host is neither a DNS name nor an IP address in its usual form"
        return None
    return None if _may_be_asked(address, allowed) else "the URL's host is an address that is not public"


def _may_be_asked(address: Address, allowed: Collection[Network]) -> bool:
    """Tell whether an address is public or allowed by an operator; one that carries another counts as the other."""
    if isinstance(address, IPv6Address) and any(address in carrier for carrier in _CARRIERS):
        return _may_be_asked(IPv4Address(int(address) & 0xFFFFFFFF), allowed)
    if any(address in network for network in allowed if network.version == address.version):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)
