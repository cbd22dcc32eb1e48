"""Make, list and revoke management keys."""

from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection

from private_integrations.contract import AuditAction, Key, KeyRequest, Problem, Refused, Role

from ..access.actors import Actor
from ..access.principals import ManagementKey
from ..storage import accounts, audit
from ..storage import keys as stored
from ..storage.engine import Write
from ..tokens.format import new_id
from . import person_changes
from .operation import ends_access, reads, writes
from .person_changes import PersonChange


@dataclass(frozen=True)
class MadeKey:
    """Hold the key of a request, and whether it is new."""

    key: Key
    created: bool


@writes
def make(write: Write, name: str, request: KeyRequest, *, actor: Actor) -> MadeKey | Refused:
    """Register a key by its digest, or answer the repeated request; only one live key has a name at a time."""
    digest = bytes.fromhex(request.digest)
    known = stored.key_with_digest(write.connection, digest)
    if known is not None:
        repeated = known.name == name and known.role == request.role and known.is_live(write.now)
        return MadeKey(_shown(known), created=False) if repeated else _used_before()
    if any(key.name == name and key.is_live(write.now) for key in stored.all_keys(write.connection)):
        return Refused(Problem.KEY_NAME_TAKEN, f"there is a key {name} already; revoke it first or take another name")
    for account in request.accounts:
        if accounts.account_by_id(write.connection, account) is None:
            return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account}")
    lifetime = request.lifetime_seconds
    key = ManagementKey(
        id=new_id("key_"),
        name=name,
        role=request.role,
        digest=digest,
        accounts=frozenset(request.accounts) or None,
        created_at=write.now,
        expires_at=None if lifetime is None else write.now + timedelta(seconds=lifetime),
    )
    stored.add_key(write.connection, key)
    audit.record_service(
        write,
        actor=actor,
        action=AuditAction.CREATE_KEY,
        key=key.id,
        name=name,
        role=key.role,
        accounts=request.accounts,
    )
    return MadeKey(_shown(key), created=True)


@reads
def listed(connection: Connection) -> list[Key]:
    """Return every key that was ever made, the oldest first."""
    return [_shown(key) for key in stored.all_keys(connection)]


@ends_access
def revoke(write: Write, key_id: str, *, actor: Actor) -> Key | Refused:
    """End a key; refuse to end the last admin's key, because no other key can make a new one."""
    every = stored.all_keys(write.connection)
    key = next((key for key in every if key.id == key_id), None)
    if key is None:
        return Refused(Problem.KEY_NOT_FOUND, f"there is no management key {key_id}")
    if key.is_live(write.now):
        if not any(other.role == Role.ADMIN and other.is_live(write.now) for other in every if other is not key):
            return Refused(Problem.KEY_LAST_ADMIN, f"{key.name} is the last admin key; make another one first")
        stored.mark_revoked(write, key_id)
        person_changes.end(write, key_id, PersonChange.KEY_REVOKED)
        audit.record_service(write, actor=actor, action=AuditAction.REVOKE_KEY, key=key.id, name=key.name)
        key = replace(key, revoked_at=write.now)
    return _shown(key)


def _shown(key: ManagementKey) -> Key:
    return Key(
        id=key.id,
        name=key.name,
        role=key.role,
        accounts=sorted(key.accounts or ()),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )


def _used_before() -> Refused:
    return Refused(
        Problem.KEY_USED, "this key was made before, under another name or role, or has ended; make a new one"
    )
