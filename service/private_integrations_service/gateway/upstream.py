"""The upstream: the API behind the gateway, as its base URL names it."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from private_integrations.errors import ConfigurationError

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class Upstream:
    """The upstream's address, and the prefix of every path."""

    secure: bool
    host: str
    port: int
    prefix: bytes
    authority: bytes
    """The `Host` header: with a port only if it isn't the scheme's default."""

    @classmethod
    def parse(cls, url: str) -> "Upstream":
        """Parse a base URL: https, or http for a loopback address, with or without a path prefix.

        Raises:
            ConfigurationError: The URL is something else, or has credentials, a query or a fragment.

        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ConfigurationError(f"upstream is not a URL: {error}") from None
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError("upstream must not contain credentials; they are set per account")
        shown = f"[{host}]" if ":" in host else host
        written = shown if port is None else f"{shown}:{port}"
        if parts.scheme not in _DEFAULT_PORTS or not _is_host(host) or port == 0 or parts.netloc.lower() != written:
            raise ConfigurationError(f"upstream {url!r} is not a base URL such as https://services.example.com")
        if parts.query or parts.fragment or not _PREFIX.fullmatch(parts.path.rstrip("/")):
            raise ConfigurationError(f"upstream {url!r} may have a plain path after the host, and nothing else")
        if any(segment in (".", "..") for segment in parts.path.split("/")):
            raise ConfigurationError(f"upstream {url!r} has a dot segment in its path")
        secure = parts.scheme == "https"
        if not secure and not _is_loopback(host):
            raise ConfigurationError(f"upstream {url!r} must be https: the credential would be sent in the clear")
        authority = shown if port == _DEFAULT_PORTS[parts.scheme] else written
        return cls(
            secure=secure,
            host=host,
            port=port or _DEFAULT_PORTS[parts.scheme],
            prefix=parts.path.rstrip("/").encode(),
            authority=authority.encode(),
        )


def _is_host(host: str) -> bool:
    """Return whether a host is a name that a resolver accepts, or an address."""
    return all(_LABEL.fullmatch(label) for label in host.split(".")) or _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
