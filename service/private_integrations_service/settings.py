"""The service's settings, read once at start from the environment (PRIVATE_INTEGRATIONS_…)."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from private_integrations.durations import parse_duration
from private_integrations.errors import ConfigurationError

_MOST_REQUESTS = 1_000_000_000


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
    rate_limit: int = 100
    """Requests that the sandbox takes of an account in `rate_interval`; PRIVATE_INTEGRATIONS_RATE_LIMIT."""
    rate_interval: timedelta = timedelta(seconds=10)
    """How long a window of the rate limit is; PRIVATE_INTEGRATIONS_RATE_INTERVAL."""
    daily_rate_limit: int = 200_000
    """Requests that the sandbox takes of an account on a day in UTC; PRIVATE_INTEGRATIONS_DAILY_RATE_LIMIT."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the settings; raises ConfigurationError naming the variable that is wrong."""
        given = {}
        for name, (variable, read) in _VARIABLES.items():
            text = environment.get(variable)
            if text:
                try:
                    given[name] = read(text)
                except ValueError as error:
                    raise ConfigurationError(f"{variable} {error}") from None
        return cls(**given)


def _interval(text: str) -> timedelta:
    interval = parse_duration(text)
    if not timedelta(seconds=1) <= interval <= timedelta(days=1):
        raise ValueError(f'"{text}" is not between "1s" and "1d"')
    return interval


def _requests(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= _MOST_REQUESTS):
        raise ValueError(f'"{text}" is not a number of requests: write one between 1 and {_MOST_REQUESTS}')
    return int(text)


_VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = MappingProxyType(
    {
        "minimum_period": ("PRIVATE_INTEGRATIONS_MINIMUM_PERIOD", parse_duration),
        "rate_limit": ("PRIVATE_INTEGRATIONS_RATE_LIMIT", _requests),
        "rate_interval": ("PRIVATE_INTEGRATIONS_RATE_INTERVAL", _interval),
        "daily_rate_limit": ("PRIVATE_INTEGRATIONS_DAILY_RATE_LIMIT", _requests),
    }
)
