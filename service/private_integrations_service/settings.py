"""The service's settings, read once at start: from its options and the environment (PRIVATE_INTEGRATIONS_…)."""

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from private_integrations.contract import SHORTEST_INACTIVITY
from private_integrations.durations import parse_duration
from private_integrations.errors import ConfigurationError

from .destinations import Destinations, Network, networks
from .sealing import Sealer

KEYS_VARIABLE = "PRIVATE_INTEGRATIONS_SEALING_KEYS"

_LARGEST = 1_000_000_000


@dataclass(frozen=True)
class Settings:
    """Limits that an operator may move, and what the service stands in front of."""

    minimum_period: timedelta = timedelta(hours=1)
    """The shortest rotation period accepted; PRIVATE_INTEGRATIONS_MINIMUM_PERIOD."""
    inactive_after: timedelta | None = timedelta(days=90)
    """After how long a token that nobody uses is ended, None: never; PRIVATE_INTEGRATIONS_INACTIVE_AFTER.
    An account may have a rule of its own."""
    superseded_tokens: int = 3
    """How many superseded tokens of an integration may live at once."""
    body_limit: int = 64 * 1024
    """Bytes accepted in a body of the management API."""
    cached_grants: int = 100_000
    """How many live tokens are remembered between requests."""
    rate_limit: int = 100
    """Requests that the sandbox takes of an account in `rate_interval`; PRIVATE_INTEGRATIONS_RATE_LIMIT."""
    rate_interval: timedelta = timedelta(seconds=10)
    """How long a window of the rate limit is; PRIVATE_INTEGRATIONS_RATE_INTERVAL."""
    daily_rate_limit: int = 200_000
    """Requests that the sandbox takes of an account on a day in UTC; PRIVATE_INTEGRATIONS_DAILY_RATE_LIMIT."""
    upstream: str | None = None
    """The base URL that authorized requests are forwarded to; None: the sandbox answers them."""
    sealer: Sealer | None = None
    """Opens and seals upstream credentials."""
    checked_body_limit: int = 1024 * 1024
    """Bytes accepted in a forwarded body that is read before it is sent: JSON, forms and text;
    PRIVATE_INTEGRATIONS_CHECKED_BODY_LIMIT."""
    streamed_body_limit: int = 512 * 1024 * 1024
    """Bytes accepted in any other forwarded body; PRIVATE_INTEGRATIONS_STREAMED_BODY_LIMIT."""
    upstream_connections: int = 100
    """Connections to the upstream at once, per worker; PRIVATE_INTEGRATIONS_UPSTREAM_CONNECTIONS."""
    upstream_timeout: timedelta = timedelta(seconds=60)
    """How long the gateway waits for the next byte of the upstream, or of the consumer;
    PRIVATE_INTEGRATIONS_UPSTREAM_TIMEOUT."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """The reverse proxies whose X-Forwarded-For is believed; PRIVATE_INTEGRATIONS_TRUSTED_PROXIES."""
    webhook_ports: frozenset[int] = frozenset({443})
    """The ports that webhooks may be sent to; PRIVATE_INTEGRATIONS_WEBHOOK_PORTS."""
    webhook_networks: tuple[Network, ...] = ()
    """Networks that webhooks may be sent to although they aren't public; PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS."""
    webhook_retention: timedelta = timedelta(days=30)
    """How long what was sent, or was given up, is kept; PRIVATE_INTEGRATIONS_WEBHOOK_RETENTION."""

    @property
    def destinations(self) -> Destinations:
        """Where webhooks may be sent."""
        return Destinations(self.webhook_ports, self.webhook_networks)

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] = os.environ,
        *,
        data_dir: Path | None = None,
        upstream: str | None = None,
        sealing_keys: Path | None = None,
    ) -> "Settings":
        """Read the settings; raises ConfigurationError naming the variable or option that is wrong.

        The file `sealing_keys` must not lie in `data_dir`.
        """
        sealer = _sealer(environment.get(KEYS_VARIABLE, ""), sealing_keys, data_dir)
        if upstream and sealer is None:
            raise ConfigurationError(
                "--upstream needs a sealing key for the credentials that it is asked with: write one to a file of "
                "your own with `private-integrations upstreams new-key` and give it as --sealing-keys FILE "
                f"(or {KEYS_VARIABLE}_FILE, or the keys themselves as {KEYS_VARIABLE})"
            )
        return cls(upstream=upstream or None, sealer=sealer, **_limits(environment))


def _limits(environment: Mapping[str, str]) -> dict[str, Any]:
    given = {}
    for name, (variable, read) in _VARIABLES.items():
        text = environment.get(variable)
        if text:
            try:
                given[name] = read(text)
            except ValueError as error:
                raise ConfigurationError(f"{variable} {error}") from None
    return given


def _interval(text: str) -> timedelta:
    interval = parse_duration(text)
    if not timedelta(seconds=1) <= interval <= timedelta(days=1):
        raise ValueError(f'"{text}" is not between "1s" and "1d"')
    return interval


def _inactive_after(text: str) -> timedelta | None:
    if text.strip().lower() == "off":
        return None
    try:
        after = parse_duration(text)
    except ValueError as error:
        raise ValueError(f'{error}, or "off"') from None
    if after.total_seconds() < SHORTEST_INACTIVITY:
        raise ValueError(f'"{text}" leaves no day to warn of it: write "2d" or more, or "off"')
    return after


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= _LARGEST):
        raise ValueError(f'"{text}" is not a whole number between 1 and {_LARGEST}')
    return int(text)


def _ports(text: str) -> frozenset[int]:
    given = re.split(r"[\s,]+", text.strip())
    if not all(re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65_535 for port in given):
        raise ValueError(f'"{text}" is not a list of ports such as "443, 8443"')
    return frozenset(map(int, given))


def _days(text: str) -> timedelta:
    kept = parse_duration(text)
    if not timedelta(days=1) <= kept <= timedelta(days=366):
        raise ValueError(f'"{text}" is not between "1d" and "366d"')
    return kept


_VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = MappingProxyType(
    {
        "minimum_period": ("PRIVATE_INTEGRATIONS_MINIMUM_PERIOD", parse_duration),
        "inactive_after": ("PRIVATE_INTEGRATIONS_INACTIVE_AFTER", _inactive_after),
        "rate_limit": ("PRIVATE_INTEGRATIONS_RATE_LIMIT", _number),
        "rate_interval": ("PRIVATE_INTEGRATIONS_RATE_INTERVAL", _interval),
        "daily_rate_limit": ("PRIVATE_INTEGRATIONS_DAILY_RATE_LIMIT", _number),
        "checked_body_limit": ("PRIVATE_INTEGRATIONS_CHECKED_BODY_LIMIT", _number),
        "streamed_body_limit": ("PRIVATE_INTEGRATIONS_STREAMED_BODY_LIMIT", _number),
        "upstream_connections": ("PRIVATE_INTEGRATIONS_UPSTREAM_CONNECTIONS", _number),
        "upstream_timeout": ("PRIVATE_INTEGRATIONS_UPSTREAM_TIMEOUT", _interval),
        "trusted_proxies": ("PRIVATE_INTEGRATIONS_TRUSTED_PROXIES", networks),
        "webhook_ports": ("PRIVATE_INTEGRATIONS_WEBHOOK_PORTS", _ports),
        "webhook_networks": ("PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS", networks),
        "webhook_retention": ("PRIVATE_INTEGRATIONS_WEBHOOK_RETENTION", _days),
    }
)


def _sealer(listed: str, file: Path | None, data_dir: Path | None) -> Sealer | None:
    if file is None:
        return Sealer(listed.split()) if listed.strip() else None
    if listed.strip():
        raise ConfigurationError(f"give the sealing keys as --sealing-keys FILE or as {KEYS_VARIABLE}, not both")
    if data_dir is not None and data_dir.resolve() in file.resolve().parents:
        raise ConfigurationError(
            f"{file} is inside the data folder, so that every copy of the folder would hold the credentials and the "
            "key to them; keep the sealing keys elsewhere"
        )
    lines = (line.partition("#")[0] for line in _read_private(file).splitlines())
    keys = " ".join(lines).split()
    if not keys:
        raise ConfigurationError(
            f"there is no sealing key in {file}; `private-integrations upstreams new-key` makes one"
        )
    return Sealer(keys)


def _read_private(file: Path) -> str:
    """The text of a file that nobody but its owner may touch: asked of the very file that is read."""
    try:
        with file.open("rb") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise ConfigurationError(f"{file} can be used by others than its owner; run: chmod 600 {file}")
            return opened.read(64 * 1024).decode(errors="replace")
    except OSError as error:
        raise ConfigurationError(f"the sealing keys can't be read from {file}: {error.strerror}") from error
