"""Find the service's address and key: both in the environment, or both in the stack's configuration.

A management key goes to one host only. So a URL and a key from two places are refused, unless the key names its host:
`pmk-…@integrations.example.com`.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, ip_address
from typing import Literal
from urllib.parse import urlsplit

from .errors import ConfigurationError

URL_VARIABLE = "PRIVATE_INTEGRATIONS_URL"
KEY_VARIABLE = "PRIVATE_INTEGRATIONS_KEY"
ACCOUNT_VARIABLE = "PRIVATE_INTEGRATIONS_ACCOUNT"

StackConfig = Callable[[str], str | None]
Source = Literal["environment", "stack"]

_KEY_SETTING = "private-integrations:adminKey"
_URL_SETTING = "private-integrations:url"
_DEFAULT_PORTS = {"https": "443", "http": "80"}
_LOOPBACK = IPv4Network("127.0.0.0/8")
# One reading only: no user, no backslash, no escapes, no query, nothing that a URL library would drop or convert.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[a-z0-9._~-]*)*)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ServiceConnection:
    """A service's address and a management key for it; the key is empty for commands that need none.

    `key_from` and `url_from` say where they were found: `refresh` and `destroy` see a stack's old configuration.
    """

    url: str
    key: str = field(default="", repr=False)
    key_from: Source = "environment"
    url_from: Source = "environment"


@dataclass(frozen=True)
class _Found:
    value: str = field(repr=False)
    source: Source


def _no_stack(_: str) -> None:
    return None


def find_connection(environment: Mapping[str, str] = os.environ, stack: StackConfig = _no_stack) -> ServiceConnection:
    """Find the URL and the key to use; the environment wins over the stack's configuration.

    Raises:
        ConfigurationError: one is missing or malformed, or the key may not go to this host; never shows the key.

    """
    url = _find(URL_VARIABLE, _URL_SETTING, environment, stack)
    found = _find(KEY_VARIABLE, _KEY_SETTING, environment, stack)
    if not found.value.isascii() or not found.value.isprintable() or " " in found.value:
        raise ConfigurationError(
            "the management key has characters that no key has; copy it again, without line breaks"
        )
    key, at, bound = found.value.partition("@")
    address = _checked(url)
    if at:
        _refuse_other_host(bound, address)
    else:
        _refuse_mixture(address, url.source, found.source)
    return ServiceConnection(address, key, found.source, url.source)


def find_service(environment: Mapping[str, str] = os.environ) -> ServiceConnection:
    """Find the service for commands that need no key; raises ConfigurationError as `find_connection` does."""
    return ServiceConnection(_checked(_find(URL_VARIABLE, _URL_SETTING, environment, _no_stack)))


def find_account(environment: Mapping[str, str] = os.environ, stack: StackConfig = _no_stack) -> str | None:
    """Return the default account, if one is configured."""
    return (environment.get(ACCOUNT_VARIABLE) or stack("private-integrations:account") or "").strip() or None


def is_this_machine(url: str) -> bool:
    """Tell whether a URL leads to this machine: by `localhost`, an address in 127.0.0.0/8, or `[::1]`, as written.

    Other spellings (`*.localhost`, `localhost.`, `127.1`, `[::ffff:127.0.0.1]`) are left to DNS or to the system by
    some programs, so they don't count.
    """
    try:
        host = urlsplit(url).hostname or ""
        address = None if host == "localhost" else ip_address(host)
    except ValueError:
        return False
    if address is None:
        return True
    return address == IPv6Address("::1") if isinstance(address, IPv6Address) else address in _LOOPBACK


def _find(variable: str, setting: str, environment: Mapping[str, str], stack: StackConfig) -> _Found:
    given = (environment.get(variable) or "").strip()
    if given:
        return _Found(given, "environment")
    configured = (stack(setting) or "").strip()
    if configured:
        return _Found(configured, "stack")
    secret = "--secret " if setting == _KEY_SETTING else ""
    raise ConfigurationError(f"{variable} is not set; set it, or run: pulumi config set {secret}{setting} …")


def _checked(url: _Found) -> str:
    """Check a URL and drop its trailing slash; plain http may only reach this machine, as every request has the key."""
    name = URL_VARIABLE if url.source == "environment" else _URL_SETTING
    if "@" in url.value:
        raise ConfigurationError(f"{name} must not contain a user or password; the key goes into {KEY_VARIABLE}")
    if not url.value.isascii():
        raise ConfigurationError(f"{name} has characters that are not ASCII; write such a host as xn--…")
    parts = _URL.fullmatch(url.value)
    if parts is None or not _is_possible(parts):
        raise ConfigurationError(f"{name} is not a URL; write one like https://integrations.example.com")
    address = url.value.rstrip("/")
    if parts["scheme"].lower() == "http" and not is_this_machine(address):
        raise ConfigurationError(f"{name} must be https, or the key to {parts['host']} could be read on the way")
    return address


def _is_possible(parts: re.Match[str]) -> bool:
    port = parts["port"]
    if port is not None and not 1 <= int(port) <= 65_535:
        return False
    if any(segment in (".", "..") for segment in parts["path"].split("/")):
        return False
    if parts["host"].startswith("["):
        try:
            ip_address(parts["host"].strip("[]"))
        except ValueError:
            return False
    return True


def _refuse_other_host(bound: str, address: str) -> None:
    if bound.lower() != _authority(address):
        raise ConfigurationError(
            f"the management key is for another host than {_authority(address)}; it is sent to its own host only"
        )


def _refuse_mixture(address: str, url_from: Source, key_from: Source) -> None:
    """Raise ConfigurationError where a change of the stack's file alone could bring the key to another host."""
    host = _authority(address)
    if url_from != key_from:
        where = {"environment": (URL_VARIABLE, KEY_VARIABLE), "stack": (_URL_SETTING, _KEY_SETTING)}
        raise ConfigurationError(
            f"{where[url_from][0]} ({address}) and {where[key_from][1]} are from two places, so the key is not sent; "
            f"set both in the environment or both in the stack, or write the key with its host: pmk-…@{host}"
        )
    if url_from == "stack" and not is_this_machine(address):
        raise ConfigurationError(
            f"{_KEY_SETTING} does not say which host it is for, so it is not sent to {host}; "
            f"run: pulumi config set --secret {_KEY_SETTING} pmk-…@{host}"
        )


def _authority(address: str) -> str:
    """Return the host of a checked URL in lower case, with the port unless it is the scheme's own."""
    parts = urlsplit(address)
    host, _, port = parts.netloc.lower().rpartition(":") if parts.port is not None else (parts.netloc.lower(), "", "")
    return host if port in ("", _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
