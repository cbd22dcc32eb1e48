"""Create, adopt, edit and delete integrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from private_integrations.contract import (
    AccountClass,
    AuditAction,
    EndReason,
    Event,
    Integration,
    IntegrationEdit,
    IntegrationRequest,
    Problem,
    Refused,
    RotationPolicy,
    ScopeRule,
    ServiceRules,
    instant_text,
)
from private_integrations.rotation.acceptance import refuse_period
from private_integrations.rotation.policy import refuse_policy
from private_integrations.rotation.schedules import read_schedule

from ..access.actors import Actor
from ..catalogue.endpoints import Catalogue
from ..settings import Settings
from ..storage import accounts, audit, data_endpoints, integrations
from ..storage import tokens as stored_tokens
from ..storage.engine import Write
from ..storage.published_events import published_until
from ..tokens.format import new_id
from ..tokens.lifecycle import StoredToken, plan_overlap
from ..tokens.policy_defaults import POLICY_DEFAULTS, in_force
from . import data_events
from .events import publish, publish_end
from .operation import ends_access, reads, writes


@dataclass(frozen=True)
class Rules:
    """Check an integration against the existing scopes and the limits in force."""

    catalogue: Catalogue
    settings: Settings

    def refuse(
        self, account_kind: AccountClass, scopes: Sequence[str], rotation: RotationPolicy | None
    ) -> Refused | None:
        """Refuse an integration with these values, or None."""
        for scope in scopes:
            refusal = self.catalogue.refuse_scope(scope, account_kind)
            if refusal is not None:
                return Refused(Problem.SCOPE_NOT_ALLOWED, refusal, {"scope": scope})
        return self._refuse_rotation(rotation)

    def _refuse_rotation(self, rotation: RotationPolicy | None) -> Refused | None:
        refusal = _impossible(rotation) or refuse_period(in_force(rotation), self.settings.minimum_period)
        return None if refusal is None else Refused(Problem.ROTATION_NOT_ALLOWED, refusal)

    def on_the_wire(self) -> ServiceRules:
        """Return the rules for the API, so that a client can decide by the same functions before its request."""
        return ServiceRules(
            minimum_period_seconds=int(self.settings.minimum_period.total_seconds()),
            superseded_tokens=self.settings.superseded_tokens,
            policy_defaults=POLICY_DEFAULTS,
            scopes=[
                ScopeRule(name=name, account_kinds=sorted(scope.account_kinds), oauth_only=scope.pit_refused)
                for name, scope in sorted(self.catalogue.scopes.items())
            ],
        )


@dataclass(frozen=True)
class Declared:
    """Hold the integration of a declaration, and whether it is new."""

    integration: Integration
    created: bool


@writes
def declare(
    write: Write, external_id: str, request: IntegrationRequest, rules: Rules, *, actor: Actor
) -> Declared | Refused:
    """Create an integration, answer a repetition of its creation, replace abandoned remains, or adopt one."""
    refusal = _refuse(write, request.account, request.scopes, request.rotation, rules, actor)
    if refusal is not None:
        return refusal
    existing = integrations.integration_by_external_id(write.connection, request.account, external_id)
    if existing is not None and existing.owner_nonce == request.owner_nonce:
        return Declared(existing, created=False)
    if integrations.owner_nonce_was_used(write.connection, request.account, request.owner_nonce):
        return Refused(
            Problem.OWNER_NONCE_USED, f"this owner_nonce on {external_id} was used before and is not the present one"
        )
    if request.adopts is not None:
        return _adopt(write, external_id, request, existing, actor=actor)
    if existing is not None:
        issued = stored_tokens.was_ever_issued(write.connection, existing.id)
        if issued or request.replaces != existing.id:
            return _taken(existing, issued=issued)
        _remove(write, existing, actor=actor, action=AuditAction.REPLACE)
    return _create(write, external_id, request, actor=actor)


@writes
def edit(
    write: Write,
    integration_id: str,
    change: IntegrationEdit,
    rules: Rules,
    *,
    actor: Actor,
    owner_nonce: str | None = None,
    expected_version: int | None = None,
) -> Integration | Refused:
    """Change name, description, scopes or rotation policy; the tokens stay as they are.

    With `owner_nonce`, only for its present owner; with `expected_version`, only if it is unchanged since, so that a
    late duplicate of an edit does not undo a newer one.
    """
    old = find.step(write.connection, integration_id, actor)
    if isinstance(old, Refused):
        return old
    if owner_nonce is not None and owner_nonce != old.owner_nonce:
        return _taken_over(old)
    given = {field: getattr(change, field) for field in change.model_fields_set}
    # Only `rotation` can be emptied; null in another field leaves it as it is.
    values = {field: value for field, value in given.items() if value is not None or field == "rotation"}
    new = old.model_copy(update=values)
    if new == old:
        # Also with an old version: this may be the repetition of the edit that made the present one.
        return old
    if expected_version is not None and expected_version != old.version:
        detail = (
            f"{integration_id} was changed by somebody else meanwhile: version {old.version}, not {expected_version}"
        )
        return Refused(Problem.VERSION_OLD, f"{detail}; look at it again and repeat")
    refusal = _refuse(write, new.account, new.scopes, new.rotation, rules, actor)
    if refusal is not None:
        return refusal
    new = new.model_copy(update={"version": old.version + 1, "updated_at": write.now})
    integrations.save_integration(write, new)
    _move_deadlines(write, old, new, actor=actor)
    data_events.withhold(write, new)
    changed = sorted(field for field in values if getattr(new, field) != getattr(old, field))
    audit.record(write, new, actor=actor, action=AuditAction.EDIT, name=new.name, changed=changed, scopes=new.scopes)
    _publish(write, new, Event.INTEGRATION_EDITED, actor=actor, changed=changed, scopes=new.scopes)
    return new


@ends_access
def delete(write: Write, integration_id: str, owner_nonce: str | None, *, actor: Actor) -> bool | Refused:
    """Delete an integration with all its tokens; False if `owner_nonce` is not the present owner's: nothing happens."""
    integration = find.step(write.connection, integration_id, actor)
    if isinstance(integration, Refused):
        return integration
    if owner_nonce is not None and owner_nonce != integration.owner_nonce:
        return False
    _remove(write, integration, actor=actor, action=AuditAction.DELETE)
    return True


@reads
def listed(
    connection: Connection,
    *,
    account: str | None = None,
    under: str | None = None,
    ids: Sequence[str] = (),
    after: str = "",
    limit: int,
    actor: Actor,
) -> list[Integration]:
    """Return the integrations that the actor reaches by id, at most `limit`, beginning behind the id `after`.

    `account` takes those of this account, `under` those whose external id is this path or lies below it, and `ids`
    those with one of these ids.
    """
    return integrations.list_integrations(
        connection, account=account, under=under, ids=ids, accounts=actor.accounts, after=after, limit=limit
    )


@reads
def declared_as(connection: Connection, account_id: str, external_id: str) -> Integration | None:
    """Return the live integration that has this external id in this account."""
    return integrations.integration_by_external_id(connection, account_id, external_id)


@reads
def find(connection: Connection, integration_id: str, actor: Actor) -> Integration | Refused:
    """Return the integration with this id; the actor can't find one in an account that it doesn't reach."""
    found = integrations.integration_by_id(connection, integration_id, actor.accounts)
    return found or Refused(Problem.INTEGRATION_UNKNOWN, f"there is no integration {integration_id}")


def _impossible(rotation: RotationPolicy | None) -> str | None:
    if rotation is None:
        return None
    try:
        if rotation.schedule is not None:
            read_schedule(rotation.schedule, rotation.timezone or "UTC")
    except ValueError as error:
        return str(error)
    return refuse_policy(rotation, POLICY_DEFAULTS)


@reads
def moved_deadlines(connection: Connection, old: Integration, new: Integration, now: datetime) -> Sequence[StoredToken]:
    """Return the tokens that get another overlap or deadline by an edited policy, as they are to be stored.

    A running overlap follows an edited one; ending the schedule, or a shorter default, ends no token earlier.
    """
    before, after = in_force(old.rotation), in_force(new.rotation)
    same_rule = (before.every, before.schedule) == (after.every, after.schedule)
    if new.rotation is None or after.overlap == before.overlap or (after.overlap < before.overlap and not same_rule):
        return ()
    tokens_now = stored_tokens.tokens_of(connection, [new.id])[new.id]
    return plan_overlap(tokens_now, before.overlap, after.overlap, now).tokens


def refuse_owner(integration: Integration, owner: str | None) -> Refused | None:
    """Refuse a caller that acts as the owner of this external id without being its owner, or None."""
    return None if owner is None or owner == integration.external_id else _taken_over(integration)


def _taken_over(integration: Integration) -> Refused:
    return Refused(Problem.OWNER_NONCE_OLD, f"{integration.id} was taken over by {integration.external_id}")


def _refuse(
    write: Write,
    account_id: str,
    scopes: Sequence[str],
    rotation: RotationPolicy | None,
    rules: Rules,
    actor: Actor,
) -> Refused | None:
    account = accounts.account_by_id(write.connection, account_id)
    if account is None or not actor.reaches(account_id):
        return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account_id}")
    return rules.refuse(account.kind, scopes, rotation)


def _adopt(
    write: Write, external_id: str, request: IntegrationRequest, existing: Integration | None, *, actor: Actor
) -> Declared | Refused:
    target = integrations.integration_by_id(write.connection, request.adopts or "", [request.account])
    if target is None:
        return Refused(
            Problem.INTEGRATION_UNKNOWN, f"there is no integration {request.adopts} in account {request.account}"
        )
    if request.adopts_from is not None and request.adopts_from != target.owner_nonce:
        return _taken_over(target)
    if existing is not None and existing.id != target.id:
        return _taken(existing, issued=stored_tokens.was_ever_issued(write.connection, existing.id))
    adopted = target.model_copy(
        update={
            "external_id": external_id,
            "name": request.name,
            "description": request.description,
            "scopes": request.scopes,
            "rotation": request.rotation,
            "owner_nonce": request.owner_nonce,
            "version": target.version + 1,
            "updated_at": write.now,
        }
    )
    integrations.save_integration(write, adopted)
    integrations.add_owner_nonce(write.connection, adopted, write.now)
    data_events.withhold(write, adopted)
    audit.record(
        write,
        adopted,
        actor=actor,
        action=AuditAction.ADOPT,
        external_id=external_id,
        before=target.external_id,
        scopes=adopted.scopes,
    )
    fields = ("external_id", "name", "description", "scopes", "rotation")
    changed = sorted(field for field in fields if getattr(adopted, field) != getattr(target, field))
    _publish(write, adopted, Event.INTEGRATION_EDITED, actor=actor, changed=changed, scopes=adopted.scopes)
    return Declared(adopted, created=False)


def _create(write: Write, external_id: str, request: IntegrationRequest, *, actor: Actor) -> Declared:
    integration = Integration(
        id=new_id("int_"),
        account=request.account,
        external_id=external_id,
        name=request.name,
        description=request.description,
        scopes=request.scopes,
        rotation=request.rotation,
        owner_nonce=request.owner_nonce,
        version=1,
        last_generation=0,
        created_at=write.now,
        updated_at=write.now,
    )
    integrations.add_integration(write.connection, integration)
    integrations.add_owner_nonce(write.connection, integration, write.now)
    audit.record(
        write,
        integration,
        actor=actor,
        action=AuditAction.CREATE,
        name=integration.name,
        external_id=external_id,
        scopes=integration.scopes,
    )
    _publish(write, integration, Event.INTEGRATION_CREATED, actor=actor, scopes=integration.scopes)
    return Declared(integration, created=True)


def _move_deadlines(write: Write, old: Integration, new: Integration, *, actor: Actor) -> None:
    moved = moved_deadlines.step(write.connection, old, new, write.now)
    if not moved:
        return
    stored_tokens.save_tokens(write, new.id, moved)
    published = published_until(write.connection, Event.TOKEN_RETIRED)
    for token in moved:
        # The job publishes those whose overlap ended since its last run.
        if token.expires_at is not None and token.expires_at <= published:
            publish_end(write, new, token, because=EndReason.OVERLAP_ENDED, actor=actor)


def _remove(write: Write, integration: Integration, *, actor: Actor, action: AuditAction) -> None:
    stored_tokens.end_all(write, integration.id, EndReason.INTEGRATION_DELETED)
    integrations.mark_deleted(write.connection, integration.id, write.now)
    data_endpoints.remove_endpoints_of(write.connection, integration.id)
    audit.record(
        write, integration, actor=actor, action=action, name=integration.name, external_id=integration.external_id
    )
    _publish(write, integration, Event.INTEGRATION_DELETED, actor=actor)


def _publish(write: Write, integration: Integration, event: Event, *, actor: Actor, **data: object) -> None:
    publish(write, event, account=integration.account, integration=integration, actor=actor.name, **data)


def _taken(existing: Integration, *, issued: bool) -> Refused:
    since = instant_text(existing.created_at)
    return Refused(
        Problem.EXTERNAL_ID_TAKEN,
        f"{existing.external_id} is {existing.id} since {since}",
        {"id": existing.id, "since": since, "issued": issued},
    )
