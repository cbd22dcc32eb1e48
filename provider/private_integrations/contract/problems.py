"""Problem documents (RFC 9457): answers of the service that refuse a request."""

from typing import Any

from pydantic import ConfigDict

from .values import Answer

PROBLEM_PREFIX = "urn:private-integrations:problem:"


class Problem(Answer):
    """RFC 9457 problem details; `type` is stable, everything beyond `detail` belongs to the type."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    type: str
    title: str
    status: int
    detail: str

    @property
    def slug(self) -> str:
        """Return the problem's stable short name, such as `external-id-taken`."""
        return self.type.removeprefix(PROBLEM_PREFIX)

    @property
    def about(self) -> dict[str, Any]:
        """Return the members beyond the standard ones."""
        return dict(self.model_extra or {})
