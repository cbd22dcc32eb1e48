"""Issue, deliver, acknowledge and end the tokens of an integration."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import Connection

from private_integrations.contract import (
    AuditAction,
    Event,
    GenerationRequest,
    Integration,
    Introspection,
    IssuedToken,
    Refused,
    TokenReport,
    TokenState,
    fingerprint,
    rfc3339,
)

from ..access.actors import Actor
from ..storage import audit, integrations
from ..storage import tokens as stored
from ..storage.engine import StorageEngine, Write
from ..tokens.format import new_token, presented_token
from ..tokens.inactivity import announced
from ..tokens.introspection import introspection
from ..tokens.lifecycle import (
    StoredToken,
    TokenChanges,
    plan_acknowledgement,
    plan_cancellation,
    plan_expiry,
    plan_first_use,
    plan_issue,
)
from ..tokens.policy_defaults import in_force
from .events import publish, publish_delivered, publish_retired
from .integrations import find, listed, refuse_owner
from .operation import ends_access, reads, writes

LastUsed = Callable[[Collection[int]], Mapping[int, datetime]]
"""Return the last uses of the tokens with these ids; tokens without a known use are missing."""

NoteUse = Callable[[int, str, int], None]
"""Receive each introspected live token: its id, its integration's id, and its generation."""

_CONSUMER = Actor("first use")
_UNASKED: Mapping[int, datetime] = MappingProxyType({})


@reads
def token_states(
    connection: Connection, found: Sequence[Integration], now: datetime, last_used: LastUsed | None = None
) -> list[TokenState]:
    """Return the token states of these integrations at `now`, in the same order; with last uses on request."""
    tokens = stored.tokens_of(connection, [integration.id for integration in found])
    used = last_used([token.id for of in tokens.values() for token in of]) if last_used else {}
    return [_state(integration, tokens[integration.id], now, used) for integration in found]


@reads
def states_of(
    connection: Connection,
    now: datetime,
    last_used: LastUsed | None,
    *,
    under: str | None,
    ids: Sequence[str],
    after: str,
    limit: int,
    actor: Actor,
) -> tuple[list[Integration], list[TokenState]]:
    """Return integrations, chosen as `integrations.listed` does, and the states of their tokens in the same order."""
    found = listed.step(connection, under=under, ids=ids, after=after, limit=limit, actor=actor)
    return found, token_states.step(connection, found, now, last_used)


def issue(
    engine: StorageEngine,
    integration_id: str,
    generation: int,
    request: GenerationRequest,
    superseded_limit: int,
    *,
    actor: Actor,
) -> IssuedToken | Refused:
    """Issue a generation as a pending token that already works; its value is in this answer only."""
    # Without overlap it ends the other tokens, so it must not fail for want of room. One that is left out may be none.
    ends = not request.overlap_seconds and generation > 1
    operation = issue_ending_others if ends else issue_beside_others
    return operation(engine, integration_id, generation, request, superseded_limit, actor=actor)


def _issue(
    write: Write,
    integration_id: str,
    generation: int,
    request: GenerationRequest,
    superseded_limit: int,
    *,
    actor: Actor,
) -> IssuedToken | Refused:
    integration = find.step(write.connection, integration_id, actor)
    if isinstance(integration, Refused):
        return integration
    refused = refuse_owner(integration, request.owner)
    if refused is not None:
        return refused
    if request.overlap_seconds is None:
        overlap = in_force(integration.rotation).overlap
        request = request.model_copy(update={"overlap_seconds": int(overlap.total_seconds())})
    plan = plan_issue(
        _tokens(write, integration),
        integration.last_generation,
        generation,
        request,
        write.now,
        superseded_limit,
    )
    if isinstance(plan, Refused):
        return plan
    stored.save_tokens(write, integration_id, plan.tokens)
    secret = new_token()
    stored.add_token(write.connection, integration_id, plan.generation, request, secret.digest, write.now)
    issued = IssuedToken(
        token=secret.value,
        generation=plan.generation,
        fingerprint=fingerprint(secret.digest),
        issued_at=write.now,
    )
    audit.record(
        write,
        integration,
        actor=actor,
        action=AuditAction.ISSUE,
        generation=issued.generation,
        fingerprint=issued.fingerprint,
        issuer=request.issuer,
        attempt=request.attempt,
        reason=request.reason,
        changed=sorted(token.generation for token in plan.tokens),
    )
    # A request for the next generation shows that the one before was stored.
    publish_delivered(write, integration, plan.tokens, actor=actor)
    publish_retired(write, integration, plan.tokens, actor=actor)
    publish(
        write,
        Event.ROTATION_ROTATED,
        account=integration.account,
        integration=integration,
        actor=actor.name,
        generation=issued.generation,
        fingerprint=issued.fingerprint,
        issuer=request.issuer,
        reason=request.reason,
    )
    return issued


issue_beside_others = writes(_issue)
issue_ending_others = ends_access(_issue)


@writes
def deliver(write: Write, digest: bytes) -> None:
    """Record the first authenticated use of a token: a pending one becomes the current one."""
    found = stored.integration_of_digest(write.connection, digest)
    integration = found and integrations.integration_by_id(write.connection, found[0])
    if found is None or integration is None:
        return
    change = plan_first_use(_tokens(write, integration), found[1], write.now)
    _apply(write, integration, change, actor=_CONSUMER, action=AuditAction.DELIVER)
    publish_delivered(write, integration, change.tokens, actor=_CONSUMER)


@writes
def acknowledge(
    write: Write, integration_id: str, generation: int, token_fingerprint: str, *, actor: Actor
) -> TokenState | Refused:
    """Record that the caller has stored the token, which counts like a first use."""
    integration = find.step(write.connection, integration_id, actor)
    if isinstance(integration, Refused):
        return integration
    change = plan_acknowledgement(_tokens(write, integration), generation, token_fingerprint, write.now)
    if isinstance(change, Refused):
        return change
    publish_delivered(write, integration, change.tokens, actor=actor)
    return _apply(write, integration, change, actor=actor, action=AuditAction.ACKNOWLEDGE)


@ends_access
def expire(write: Write, integration_id: str, generations: Sequence[int], *, actor: Actor) -> TokenState | Refused:
    """End the named generations; after the commit they open nothing."""
    integration = find.step(write.connection, integration_id, actor)
    if isinstance(integration, Refused):
        return integration
    change = plan_expiry(_tokens(write, integration), integration.last_generation, generations, write.now)
    if isinstance(change, Refused):
        return change
    publish_retired(write, integration, change.tokens, actor=actor)
    return _apply(write, integration, change, actor=actor, action=AuditAction.EXPIRE)


@ends_access
def cancel(
    write: Write, integration_id: str, generation: int, hold: timedelta, *, actor: Actor
) -> TokenState | Refused:
    """Cancel a rotation: go back to the token before this generation, and hold the schedule."""
    integration = find.step(write.connection, integration_id, actor)
    if isinstance(integration, Refused):
        return integration
    change = plan_cancellation(_tokens(write, integration), integration.last_generation, generation, write.now)
    if isinstance(change, Refused):
        return change
    if change.tokens:
        # A late repetition changes nothing, not even the end of the hold.
        integration = integration.model_copy(update={"held_until": write.now + hold})
        integrations.hold(write.connection, integration_id, write.now + hold)
        publish(
            write,
            Event.ROTATION_CANCELLED,
            account=integration.account,
            integration=integration,
            actor=actor.name,
            generation=generation,
            held_until=rfc3339(write.now + hold),
        )
    return _apply(write, integration, change, actor=actor, action=AuditAction.CANCEL)


def introspect(
    engine: StorageEngine, token: str, now: datetime, *, actor: Actor, note: NoteUse | None = None
) -> Introspection:
    """Introspect a token at `now`; one that has ended, or that the actor doesn't reach, is just "not active".

    A passed deadline is stored before the answer, so that a token that was not active once never becomes active again.
    """
    with engine.read() as connection:
        integration, secret = _known(connection, token, actor)
    if integration is not None and secret is not None and secret.is_live(now):
        if note is not None:
            note(secret.id, integration.id, secret.generation)
        return introspection(
            secret,
            now,
            integration_id=integration.id,
            name=integration.name,
            account=integration.account,
            scopes=integration.scopes,
        )
    if secret is not None:
        engine.keep_ended(secret.expires_at)
    return Introspection(active=False)


def _known(connection: Connection, token: str, actor: Actor) -> tuple[Integration | None, StoredToken | None]:
    """Return the integration and the stored token of a given one, as far as the actor reaches."""
    digest = presented_token(token.encode(errors="replace"))
    found = digest and stored.integration_of_digest(connection, digest)
    integration = found and integrations.integration_by_id(connection, found[0], actor.accounts)
    if not found or not integration:
        return None, None
    tokens = stored.tokens_of(connection, [integration.id])[integration.id]
    return integration, next((token for token in tokens if token.id == found[1]), None)


def _apply(
    write: Write, integration: Integration, change: TokenChanges, *, actor: Actor, action: AuditAction
) -> TokenState:
    stored.save_tokens(write, integration.id, change.tokens)
    if change.tokens:
        touched = sorted(token.generation for token in change.tokens)
        audit.record(write, integration, actor=actor, action=action, generations=touched)
    return _state(integration, _tokens(write, integration), write.now)


def _tokens(write: Write, integration: Integration) -> list[StoredToken]:
    return stored.tokens_of(write.connection, [integration.id])[integration.id]


def _state(
    integration: Integration, tokens: Sequence[StoredToken], now: datetime, last_used: Mapping[int, datetime] = _UNASKED
) -> TokenState:
    return TokenState(
        integration_id=integration.id,
        external_id=integration.external_id,
        last_generation=integration.last_generation,
        held_until=integration.held_until,
        inactive=announced(tokens, now, last_used),
        tokens=[_report(token, now, last_used.get(token.id)) for token in tokens],
    )


def _report(token: StoredToken, now: datetime, last_used: datetime | None) -> TokenReport:
    live = token.is_live(now)
    return TokenReport(
        generation=token.generation,
        role=token.role if live else "ended",
        fingerprint=token.fingerprint,
        issuer=token.issuer,
        issued_at=token.issued_at,
        delivered_at=token.delivered_at,
        expires_at=token.expires_at,
        ended_at=None if live else (token.ended_at or token.expires_at),
        ended_because=token.ended_because,
        end_reason=token.end_reason,
        overlap_seconds=int(token.overlap.total_seconds()),
        last_used_at=last_used,
    )
