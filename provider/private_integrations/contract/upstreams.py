"""The credentials that requests are sent to the upstream with."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .values import Instant, RequestModel, ResponseModel


def _bearer_value(value: str) -> str:
    if not re.fullmatch("[!-~]+", value):
        raise ValueError("must be printable ASCII without spaces: the token alone, without `Bearer` before it")
    return value


Credential = Annotated[str, Field(min_length=1, max_length=4096, repr=False), AfterValidator(_bearer_value)]


class UpstreamRequest(RequestModel):
    """The credential that requests for an account are sent to the upstream with.

    With `verify` the upstream is asked first, and only what it accepts is stored.
    """

    credential: Credential
    verify: bool = False


Outcome = Literal["accepted", "refused", "unexpected", "timed-out", "untrusted", "unreachable"]
"""The upstream's reaction to a credential: a 2xx; a 401 or 403; another status; no answer in time; a
certificate that is not trusted; no connection."""


class Verification(ResponseModel):
    """When the upstream was asked with a credential and what came of it; `status` is that of its answer, if any."""

    at: Instant
    outcome: Outcome
    status: int | None = None

    @property
    def in_words(self) -> str:
        """Return the outcome, in one line."""
        return {
            "accepted": f"the upstream accepts it ({self.status})",
            "refused": f"the upstream refuses it ({self.status}): it ended there, or may not read its own location",
            "unexpected": f"the upstream answers {self.status}, which says nothing about it",
            "timed-out": "the upstream does not answer in time",
            "untrusted": "the upstream's certificate is not trusted",
            "unreachable": "the upstream can't be reached",
        }[self.outcome]


class UpstreamCredential(ResponseModel):
    """Describe an account's upstream credential; never the credential itself.

    `sealed_with` is the id of the key that it is sealed with; not `readable`: that key isn't at hand, or what is
    stored was tampered with. `verification` is the last one.
    """

    account: str
    set_at: Instant
    set_by: str
    sealed_with: str
    readable: bool
    verification: Verification | None = None


class UpstreamCredentialList(ResponseModel):
    """The upstream credentials of the accounts that the key reaches."""

    upstreams: list[UpstreamCredential]


class Resealed(ResponseModel):
    """How many credentials were sealed anew with the first key, how many were already, and which can't be opened."""

    sealed_with: str
    resealed: int
    unchanged: int
    unreadable: list[str]
