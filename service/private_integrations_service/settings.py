"""Read the service's settings once at start, from its options and the environment (PRIVATE_INTEGRATIONS_…)."""

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import urlsplit

from private_integrations.contract import LONGEST_INACTIVITY, SHORTEST_INACTIVITY
from private_integrations.errors import ConfigurationError
from private_integrations.rotation.durations import parse_duration

from .sealing import Sealer
from .webhooks.destinations import Destinations, Network, networks

KEYS_VARIABLE = "PRIVATE_INTEGRATIONS_SEALING_KEYS"

_LARGEST = 1_000_000_000

SecurityLogTo = Literal["file", "stderr", "off"]
"""List the targets of the security log."""


@dataclass(frozen=True)
class IdentityProvider:
    """Describe the identity provider that people sign in with (OpenID Connect)."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Settings:
    """Hold the limits that an operator may change, and the upstream."""

    minimum_period: timedelta = timedelta(hours=1)
    """The shortest rotation period accepted; PRIVATE_INTEGRATIONS_MINIMUM_PERIOD."""
    inactive_after: timedelta | None = timedelta(days=90)
    """The inactivity period after which a token is ended, None: never; PRIVATE_INTEGRATIONS_INACTIVE_AFTER.
    An account may have a rule of its own."""
    superseded_tokens: int = 3
    """How many superseded tokens of an integration are live at most."""
    body_limit: int = 64 * 1024
    """Bytes accepted in a body of the management API."""
    cached_grants: int = 100_000
    """How many live tokens a worker keeps in memory."""
    rate_limit: int = 100
    """Requests of an account that the sandbox accepts in `rate_interval`; PRIVATE_INTEGRATIONS_RATE_LIMIT."""
    rate_interval: timedelta = timedelta(seconds=10)
    """How long a window of the rate limit is; PRIVATE_INTEGRATIONS_RATE_INTERVAL."""
    daily_rate_limit: int = 200_000
    """Requests of an account that the sandbox accepts on a day in UTC; PRIVATE_INTEGRATIONS_DAILY_RATE_LIMIT."""
    upstream: str | None = None
    """The base URL to which allowed requests are forwarded; None: the sandbox answers them."""
    sealer: Sealer | None = None
    """The keys that seal upstream credentials and webhook secrets."""
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
    request_timeout: timedelta = timedelta(minutes=10)
    """How long a forwarded request may take in all, from its head to the end of the answer;
    PRIVATE_INTEGRATIONS_REQUEST_TIMEOUT."""
    public_url: str | None = None
    """The address of the settings pages, `https://host` or with a port; None: the host that a browser names;
    PRIVATE_INTEGRATIONS_PUBLIC_URL."""
    identity_provider: IdentityProvider | None = None
    """The identity provider, if people sign in with one; PRIVATE_INTEGRATIONS_OIDC_…."""
    password_sign_in: bool = True
    """Tells whether people may sign in with a password; PRIVATE_INTEGRATIONS_PASSWORD_SIGN_IN is `on` or `off`."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """The reverse proxies of which X-Forwarded-For is believed; PRIVATE_INTEGRATIONS_TRUSTED_PROXIES."""
    connections_per_address: int | None = None
    """Connections of one address at once, per worker; None: a quarter of all, without a limit for this machine's own;
    PRIVATE_INTEGRATIONS_CONNECTIONS_PER_ADDRESS."""
    webhook_ports: frozenset[int] = frozenset({443})
    """The ports to which webhooks may be sent; PRIVATE_INTEGRATIONS_WEBHOOK_PORTS."""
    webhook_networks: tuple[Network, ...] = ()
    """The networks to which webhooks may be sent although they aren't public; PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS."""
    webhook_retention: timedelta = timedelta(days=30)
    """How long delivered and failed messages are kept; PRIVATE_INTEGRATIONS_WEBHOOK_RETENTION."""
    lease: timedelta = timedelta(seconds=15)
    """How long a replica serves without its database, and about how long a change waits for a silent replica (D);
    PRIVATE_INTEGRATIONS_LEASE."""
    security_log: SecurityLogTo = "file"
    """Where the security log goes: `file` in the data folder, `stderr` or `off`; PRIVATE_INTEGRATIONS_SECURITY_LOG."""

    @property
    def destinations(self) -> Destinations:
        """Return the rules on where webhooks may be sent."""
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
        """Read the settings.

        Args:
            environment: The environment's variables.
            data_dir: The data folder, in which the file `sealing_keys` must not be.
            upstream: The base URL of the upstream.
            sealing_keys: A file with sealing keys.

        Raises:
            ConfigurationError: A variable or option is wrong; the message names it.

        """
        sealer = _sealer(environment.get(KEYS_VARIABLE, ""), sealing_keys, data_dir)
        if upstream and sealer is None:
            raise ConfigurationError(
                "--upstream needs a sealing key for the credentials that it is asked with: write one to a file of "
                "your own with `private-integrations upstreams new-key` and give it as --sealing-keys FILE "
                f"(or {KEYS_VARIABLE}_FILE, or the keys themselves as {KEYS_VARIABLE})"
            )
        return cls(upstream=upstream or None, sealer=sealer, **_limits(environment), **_sign_in(environment))


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


_OIDC = "PRIVATE_INTEGRATIONS_OIDC"
_PUBLIC_URL = "PRIVATE_INTEGRATIONS_PUBLIC_URL"
_PASSWORD_SIGN_IN = "PRIVATE_INTEGRATIONS_PASSWORD_SIGN_IN"  # noqa: S105 - the name of a variable


def _sign_in(environment: Mapping[str, str]) -> dict[str, Any]:
    """Read the settings of the sign-in to the settings pages."""
    public_url = _url(environment, _PUBLIC_URL)
    if public_url is not None and urlsplit(public_url).path:
        raise ConfigurationError(
            f"{_PUBLIC_URL} has a path: give the address alone, such as https://tokens.example.com"
        )
    provider = _identity_provider(environment)
    if provider is not None and public_url is None:
        raise ConfigurationError(f"{_PUBLIC_URL} must be set, so that the identity provider can lead people back")
    passwords = environment.get(_PASSWORD_SIGN_IN) or "on"
    if passwords not in ("on", "off"):
        raise ConfigurationError(f'{_PASSWORD_SIGN_IN} "{passwords}" is neither "on" nor "off"')
    if passwords == "off" and provider is None:
        raise ConfigurationError(f"{_PASSWORD_SIGN_IN} is off and there is no {_OIDC}_ISSUER: nobody could sign in")
    return {"public_url": public_url, "identity_provider": provider, "password_sign_in": passwords == "on"}


def _identity_provider(environment: Mapping[str, str]) -> IdentityProvider | None:
    issuer, client_id = _url(environment, f"{_OIDC}_ISSUER"), environment.get(f"{_OIDC}_CLIENT_ID", "").strip()
    client_secret, file = environment.get(f"{_OIDC}_CLIENT_SECRET", ""), environment.get(f"{_OIDC}_CLIENT_SECRET_FILE")
    if client_secret and file:
        raise ConfigurationError(f"give {_OIDC}_CLIENT_SECRET or {_OIDC}_CLIENT_SECRET_FILE, not both")
    secret = (_read_private(Path(file).expanduser(), "client secret") if file else client_secret).strip()
    given = {f"{_OIDC}_ISSUER": issuer, f"{_OIDC}_CLIENT_ID": client_id, f"{_OIDC}_CLIENT_SECRET": secret}
    if not any(given.values()):
        return None
    missing = [variable for variable, value in given.items() if not value]
    if missing:
        raise ConfigurationError(f"{' and '.join(missing)} must be set too, for people to sign in by {_OIDC}_ISSUER")
    return IdentityProvider(issuer or "", client_id, secret)


def _url(environment: Mapping[str, str], variable: str) -> str | None:
    """Read an https URL, or http on this machine; raises ConfigurationError."""
    text = environment.get(variable, "").strip().rstrip("/")
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.username or parts.password or parts.query or parts.fragment or not text.isascii():
        raise ConfigurationError(f"{variable} is no URL such as https://login.example.com")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(host)):
        raise ConfigurationError(f"{variable} must begin with https://; http is for this machine alone")
    return text


def is_this_machine(host: str) -> bool:
    """Tell whether a host is a loopback address or `localhost`."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


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
    if after.total_seconds() > LONGEST_INACTIVITY:
        raise ValueError(f'"{text}" is longer than uses are remembered: write "366d" or less, or "off"')
    return after


def _lease(text: str) -> timedelta:
    lease = parse_duration(text)
    if not timedelta(seconds=2) <= lease <= timedelta(minutes=5):
        raise ValueError(f'"{text}" is not between "2s" and "5m"')
    return lease


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= _LARGEST):
        raise ValueError(f'"{text}" is not a whole number between 1 and {_LARGEST}')
    return int(text)


def _ports(text: str) -> frozenset[int]:
    given = re.split(r"[\s,]+", text.strip())
    if not all(re.fullmatch("[0-9]{1,5}", port) and 1 <= int(port) <= 65_535 for port in given):
        raise ValueError(f'"{text}" is not a list of ports such as "443, 8443"')
    return frozenset(map(int, given))


def _security_log(text: str) -> SecurityLogTo:
    known: dict[str, SecurityLogTo] = {"file": "file", "stderr": "stderr", "off": "off"}
    to = known.get(text.strip().lower())
    if to is None:
        raise ValueError(f'"{text}" is not "file", "stderr" or "off"')
    return to


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
        "request_timeout": ("PRIVATE_INTEGRATIONS_REQUEST_TIMEOUT", _interval),
        "trusted_proxies": ("PRIVATE_INTEGRATIONS_TRUSTED_PROXIES", networks),
        "connections_per_address": ("PRIVATE_INTEGRATIONS_CONNECTIONS_PER_ADDRESS", _number),
        "webhook_ports": ("PRIVATE_INTEGRATIONS_WEBHOOK_PORTS", _ports),
        "webhook_networks": ("PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS", networks),
        "webhook_retention": ("PRIVATE_INTEGRATIONS_WEBHOOK_RETENTION", _days),
        "lease": ("PRIVATE_INTEGRATIONS_LEASE", _lease),
        "security_log": ("PRIVATE_INTEGRATIONS_SECURITY_LOG", _security_log),
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
    lines = (line.partition("#")[0] for line in _read_private(file, "sealing keys").splitlines())
    keys = " ".join(lines).split()
    if not keys:
        raise ConfigurationError(
            f"there is no sealing key in {file}; `private-integrations upstreams new-key` makes one"
        )
    return Sealer(keys)


def _read_private(file: Path, what: str) -> str:
    """Read a file that only its owner may read and write; the check is on the opened file itself."""
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if stat.S_IMODE(found.st_mode) & 0o077:
                raise ConfigurationError(f"{file} can be used by others than its owner; run: chmod 600 {file}")
            if found.st_uid not in (0, os.geteuid()):
                raise ConfigurationError(
                    f"{file} belongs to another user (uid {found.st_uid}); run: chown {os.geteuid()} {file}"
                )
            return opened.read(64 * 1024).decode(errors="replace")
    except OSError as error:
        raise ConfigurationError(f"the {what} can't be read from {file}: {error.strerror}") from error
