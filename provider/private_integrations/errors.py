"""The one exception tree. Only edges (provider, CLI, HTTP) raise or translate it.

PrivateIntegrationError
├── ConfigurationError      could not ask: the URL, the key or the account is missing or malformed
├── ServiceUnreachable      could not ask: no answer, or an answer that is not the service's
└── ServiceRefused          the answer was no
    ├── NotAuthorized       401, 403: the key is wrong or has no right to this
    ├── NotFound            404: no such integration or account, by the service's own word
    ├── Conflict            409, 412: another change came first
    └── InvalidRequest      400, 413, 422: the values sent are not acceptable
"""

from collections.abc import Mapping

from .contract import Problem


class PrivateIntegrationError(Exception):
    """Something went wrong with a private integration."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.default_message())

    @classmethod
    def default_message(cls) -> str:
        """Return the class docstring's first line: advice for when nothing more is known."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


class ConfigurationError(PrivateIntegrationError):
    """Set PRIVATE_INTEGRATIONS_URL and PRIVATE_INTEGRATIONS_KEY, or the stack's configuration."""


class ServiceUnreachable(PrivateIntegrationError):
    """The service can't be reached; check that it runs and that the URL is right."""


class ServiceRefused(PrivateIntegrationError):
    """The service refused the request."""

    def __init__(
        self, message: str | None = None, *, problem: Problem | str = "", about: Mapping[str, object] | None = None
    ) -> None:
        """Keep the problem, as a bare name where only a newer service has it, and the facts beside its sentence."""
        super().__init__(message)
        self.problem = problem
        self.about = about or {}


class NotAuthorized(ServiceRefused):
    """The management key is wrong or lacks the right; check PRIVATE_INTEGRATIONS_KEY."""


class NotFound(ServiceRefused):
    """There is no such thing in the service (any more)."""


class Conflict(ServiceRefused):
    """Another change came first; look at it again."""


class InvalidRequest(ServiceRefused):
    """The values are not acceptable to the service."""
