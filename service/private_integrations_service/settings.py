"""The service's settings, read once at start from the environment (PRIVATE_INTEGRATIONS_…)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from private_integrations.durations import parse_duration
from private_integrations.errors import ConfigurationError


@dataclass(frozen=True)
class Settings:
    """Limits that an operator may move."""

    minimum_period: timedelta = timedelta(hours=1)
    """The shortest rotation period accepted; PRIVATE_INTEGRATIONS_MINIMUM_PERIOD."""
    superseded_tokens: int = 3
    """How many superseded tokens of an integration may live at once."""
    body_limit: int = 64 * 1024
    """Bytes accepted in a body of the management API."""
    cached_grants: int = 100_000
    """How many live tokens are remembered between requests."""
    upstream: str | None = None
    """The base URL that authorized requests are forwarded to; None: the sandbox answers them."""
    checked_body_limit: int = 1024 * 1024
    """Bytes accepted in a forwarded body that is read before it is sent: JSON, forms and text."""
    streamed_body_limit: int = 512 * 1024 * 1024
    """Bytes accepted in any other forwarded body."""
    upstream_connections: int = 100
    """Connections to the upstream at once, per worker."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings; raises ConfigurationError naming the variable that is wrong."""
        text = environment.get("PRIVATE_INTEGRATIONS_MINIMUM_PERIOD")
        if not text:
            return cls()
        try:
            return cls(minimum_period=parse_duration(text))
        except ValueError as error:
            raise ConfigurationError(f"PRIVATE_INTEGRATIONS_MINIMUM_PERIOD {error}") from None
