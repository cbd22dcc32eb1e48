"""Problem documents (RFC 9457): answers of the service that refuse a request."""

from typing import Any

from pydantic import ConfigDict

from .outcomes import Problem
from .values import ResponseModel

PROBLEM_PREFIX = "urn:private-integrations:problem:"


class ProblemDocument(ResponseModel):
    """RFC 9457 problem details; `type` is stable, everything beyond `detail` belongs to the type."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    type: str
    title: str
    status: int
    detail: str

    @property
    def problem(self) -> Problem | str:
        """Return the problem, or its bare name where only a newer service has it."""
        return Problem.named(self.type.removeprefix(PROBLEM_PREFIX))

    @property
    def about(self) -> dict[str, Any]:
        """Return the members beyond the standard ones."""
        return dict(self.model_extra or {})
