"""Create an integration together with its first token, and rotate one, for a person without a deployment."""

import re
from dataclasses import dataclass, field
from datetime import timedelta

from private_integrations.contract import (
    GenerationRequest,
    Integration,
    IntegrationRequest,
    IssuedToken,
    Problem,
    Refused,
)

from ..access.actors import Actor
from ..storage.engine import StorageEngine, Write
from . import generations, integrations
from .integrations import Rules
from .operation import writes

# Characters that an external id or an issuer has no other meaning for; a slash would be a level of its own.
_OTHERS = re.compile(r"[^A-Za-z0-9._@+-]")


@dataclass(frozen=True)
class Created:
    """Hold a new integration and its first token, which is in this value and nowhere else."""

    integration: Integration
    issued: IssuedToken = field(repr=False)


def own_name(email: str, action: str) -> str:
    """Return the external id, or issuer, of a person's action; each action has its own."""
    return f"person/{_OTHERS.sub('-', email)}/{action}"


@writes
def create(write: Write, email: str, request: IntegrationRequest, rules: Rules, *, actor: Actor) -> Created | Refused:
    """Create an integration and issue its first token, both or neither.

    `request.owner_nonce` marks this one action. Its repetition is refused as `owner-nonce-used`: the token was shown.
    """
    declared = integrations.declare.step(write, own_name(email, request.owner_nonce), request, rules, actor=actor)
    if isinstance(declared, Refused):
        return declared
    if not declared.created:
        return Refused(Problem.OWNER_NONCE_USED, f"{declared.integration.id} was created by this form before")
    first = _request(email, request.owner_nonce, None, "created")
    limit = rules.settings.superseded_tokens
    issued = generations.issue_beside_others.step(write, declared.integration.id, 1, first, limit, actor=actor)
    return issued if isinstance(issued, Refused) else Created(declared.integration, issued)


def rotate(
    engine: StorageEngine,
    integration_id: str,
    generation: int,
    *,
    email: str,
    action: str,
    overlap: timedelta,
    reason: str,
    rules: Rules,
    actor: Actor,
) -> IssuedToken | Refused:
    """Issue the generation that the person saw as the next one; it replaces a new token that was never used.

    `action` is the mark of this one action: a repeated request is refused, as is a generation that is taken already.
    """
    request = _request(email, action, overlap, reason)
    limit = rules.settings.superseded_tokens
    return generations.issue(engine, integration_id, generation, request, limit, actor=actor)


def _request(email: str, action: str, overlap: timedelta | None, reason: str) -> GenerationRequest:
    return GenerationRequest(
        issuer=own_name(email, action),
        run=action,
        attempt=1,
        replace_pending=True,
        overlap_seconds=None if overlap is None else int(overlap.total_seconds()),
        reason=reason,
    )
