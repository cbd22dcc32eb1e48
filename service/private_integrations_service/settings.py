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
