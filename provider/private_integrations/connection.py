"""Where the service is and with which key: from the environment, else from the stack's configuration."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from .errors import ConfigurationError

URL_VARIABLE = "PRIVATE_INTEGRATIONS_URL"
KEY_VARIABLE = "PRIVATE_INTEGRATIONS_KEY"
ACCOUNT_VARIABLE = "PRIVATE_INTEGRATIONS_ACCOUNT"

StackConfig = Callable[[str], str | None]


@dataclass(frozen=True)
class Connection:
    """A service's address and a management key for it; the key is empty for what everybody may ask."""

    url: str
    key: str = field(default="", repr=False)


def _no_stack(_: str) -> None:
    return None


def find_connection(environment: Mapping[str, str] = os.environ, stack: StackConfig = _no_stack) -> Connection:
    """The connection to use; the environment wins, because `refresh` and `destroy` see a stack's old configuration.

    Raises ConfigurationError naming what is missing or malformed; never shows the key.
    """
    url = _find(URL_VARIABLE, "url", environment, stack)
    key = _find(KEY_VARIABLE, "adminKey", environment, stack)
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            "the management key has characters that no key has; copy it again, without line breaks"
        )
    return Connection(_checked(url), key)


def find_service(environment: Mapping[str, str] = os.environ) -> Connection:
    """The connection without a key, for what everybody may ask; raises ConfigurationError as `find_connection` does."""
    return Connection(_checked(_find(URL_VARIABLE, "url", environment, _no_stack)))


def find_account(environment: Mapping[str, str] = os.environ, stack: StackConfig = _no_stack) -> str | None:
    """The default account, if one is configured."""
    return (environment.get(ACCOUNT_VARIABLE) or stack("private-integrations:account") or "").strip() or None


def _find(variable: str, name: str, environment: Mapping[str, str], stack: StackConfig) -> str:
    value = (environment.get(variable) or stack(f"private-integrations:{name}") or "").strip()
    if not value:
        secret = "--secret " if name == "adminKey" else ""
        raise ConfigurationError(
            f"{variable} is not set; set it, or run: pulumi config set {secret}private-integrations:{name} …"
        )
    return value


def _checked(url: str) -> str:
    """The URL without a trailing slash; plain http only to this machine, since the key travels with every request."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ConfigurationError(
            f"{URL_VARIABLE} is not a URL; write one like https://integrations.example.com"
        ) from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ConfigurationError(f"{URL_VARIABLE} is not a URL; write one like https://integrations.example.com")
    if parts.username or parts.password:
        raise ConfigurationError(
            f"{URL_VARIABLE} must not contain a user or password; the key goes into {KEY_VARIABLE}"
        )
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(f"{URL_VARIABLE} must be https, or the key to {host} could be read on the way")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
