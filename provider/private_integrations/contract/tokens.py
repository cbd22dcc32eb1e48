"""Tokens: issuing them, what is known of them, ending them, and asking what one opens."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator

from .outcomes import EndReason
from .rules import PolicyDefaults
from .values import (
    LAST_GENERATION,
    ExternalId,
    Generation,
    Identifier,
    Instant,
    RequestModel,
    ResponseModel,
    Seconds,
    lines,
)

MAX_LEAKED = 100
"""The number of tokens that one report may name."""

TOKEN_PATTERN = re.compile(r"pit-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The shape of a token: `pit-` and 16 random bytes as 8-4-4-4-12 lower-case hex digits."""


class TokenReport(ResponseModel):
    """Report a token of an integration, without its value.

    `pending` works already but was not used yet; `current` is in use; `previous` was superseded and
    lives until `expires_at`; `ended` opens nothing any more.
    """

    generation: int
    role: Literal["pending", "current", "previous", "ended"]
    fingerprint: str
    issuer: str
    issued_at: Instant
    delivered_at: Instant | None
    expires_at: Instant | None
    ended_at: Instant | None
    ended_because: str | None = None
    end_reason: Annotated[EndReason | str, PlainValidator(EndReason.named)] | None = None
    """Why it ended: a member, or the bare name where only a newer service has it; `ended_because` says it in words."""
    overlap_seconds: int
    last_used_at: Instant | None = None
    """Its last authenticated use while it was live. Only where it was asked for; else, and if no use is known, None."""


class InactiveToken(ResponseModel):
    """Announce the end of the only token that works: it was not used since `since`, and ends at `ends_at` if unused."""

    generation: int
    since: Instant
    ends_at: Instant


class TokenState(ResponseModel):
    """Report an integration's tokens: the live ones and the latest ended ones.

    After a cancelled rotation the schedule is not due before `held_until`. `inactive` is there once the end of an
    inactive token was announced.
    """

    integration_id: str
    external_id: str
    last_generation: int
    held_until: Instant | None = None
    inactive: InactiveToken | None = None
    tokens: list[TokenReport]

    @property
    def present(self) -> TokenReport | None:
        """Return the token in use, else the one that waits for its first use."""
        return self.in_role("current") or self.in_role("pending")

    @property
    def newest(self) -> TokenReport | None:
        """Return the token that a rule counts from: the one that waits for its first use, else the one in use."""
        return self.in_role("pending") or self.in_role("current")

    def in_role(self, role: str) -> TokenReport | None:
        """Return the newest token in this role."""
        found = [token for token in self.tokens if token.role == role]
        return max(found, key=lambda token: token.generation, default=None)

    def of_generation(self, generation: int) -> TokenReport | None:
        """Return the token of this generation: the live one, else the last that was issued for it."""
        found = [token for token in reversed(self.tokens) if token.generation == generation]
        return max(found, key=lambda token: (token.role != "ended", token.issued_at), default=None)


class TokenStates(ResponseModel):
    """List the tokens asked for, with the service's clock and policy defaults, the only ones that decide."""

    now: Instant
    policy_defaults: PolicyDefaults
    tokens: list[TokenState]
    cursor: str | None = None


class GenerationRequest(RequestModel):
    """Make a generation exist.

    `issuer` says who asks, `run` which process, `attempt` counts within the run (an answer may be
    lost), `holding` is the generation that the sender has stored safely. With `replace_pending` a
    person ends a token that another issuer issued and that was not used yet. `owner` is the external id that
    the sender acts for: a former owner's request is refused, however late it arrives.
    """

    issuer: ExternalId
    run: Identifier
    attempt: Generation
    holding: Annotated[int, Field(ge=0, le=LAST_GENERATION)] | None = None
    replace_pending: bool = False
    owner: ExternalId | None = None
    overlap_seconds: Seconds | None = None
    reason: Annotated[str, Field(max_length=500), AfterValidator(lines)] = ""


class IssuedToken(ResponseModel):
    """The only answer that carries a token, and it is given once."""

    token: str
    generation: int
    fingerprint: str
    issued_at: Instant


class Acknowledgement(RequestModel):
    """The token with this fingerprint is safely stored."""

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class Expiry(RequestModel):
    """The generations to end at once."""

    generations: Annotated[list[Generation], Field(min_length=1, max_length=100)]


class LeakReport(RequestModel):
    """Report tokens that were found where none should be, and where; to hold a token is enough to report it.

    A text that isn't shaped like a token is no error.
    """

    tokens: Annotated[
        list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=MAX_LEAKED, repr=False)
    ]
    where: Annotated[str, Field(max_length=1000)] = ""


class LeakReceipt(ResponseModel):
    """None of the tokens that were reported opens anything now; `ended` of them did until then."""

    received: int
    ended: int


class Introspection(ResponseModel):
    """Describe what a token opens (RFC 7662); anything that isn't live is `{"active": false}` and nothing more.

    `client_id` is the integration, `sub` the account, instants are whole seconds since 1970 in UTC. An answer
    may be used again until `cache_until`, at most a second later: revoking holds at once only for those who ask.
    """

    active: bool
    client_id: str | None = None
    sub: str | None = None
    token_type: Literal["Bearer"] | None = None
    iat: int | None = None
    cache_until: int | None = None
    integration_id: str | None = None
    integration: str | None = None
    account: str | None = None
    scope: str | None = None
    generation: int | None = None
    role: str | None = None
    exp: int | None = None
