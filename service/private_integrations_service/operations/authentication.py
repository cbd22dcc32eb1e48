"""Authenticate a caller of the management API by its key, and check the rights of the key's role."""

from datetime import datetime

from sqlalchemy import Connection

from private_integrations.contract import KEY_PREFIX, Problem, Refused, Role, digest_of
from private_integrations.rotation.acceptance import refuse_writing

from ..access.actors import Actor
from ..access.principals import ManagementKey
from ..storage.keys import key_with_digest
from .operation import reads

_READING = frozenset({"GET", "HEAD"})


@reads
def identify(connection: Connection, presented: str | None, now: datetime) -> ManagementKey | Refused:
    """Return the live key of a request, or a refusal, which repeats no part of the request."""
    if not presented:
        return Refused(Problem.KEY_MISSING, "send a management key: Authorization: Bearer pmk-…")
    if not presented.startswith(KEY_PREFIX):
        return Refused(Problem.KEY_UNKNOWN, "this is not a management key (those begin with pmk-)")
    key = key_with_digest(connection, digest_of(presented))
    if key is None:
        return Refused(Problem.KEY_UNKNOWN, "this management key is not known here")
    if not key.is_live(now):
        return Refused(Problem.KEY_ENDED, f"management key {key.name} has expired or was revoked", {"key": key.id})
    return key


def actor_of(key: ManagementKey, address: str, agent: str) -> Actor:
    """Return a key as an actor; names may be given again once a key has ended, ids never."""
    return Actor(f"key/{key.name}/{key.id}", key.accounts, address, agent)


def refuse_method(key: ManagementKey, method: str) -> Refused | None:
    """Refuse a method that the key's role forbids: a viewer only reads, an introspector does not even that."""
    refusal = refuse_writing(key.role, key.name)
    if refusal is None or (key.role == Role.VIEWER and method in _READING):
        return None
    return Refused(Problem.KEY_NOT_ALLOWED, refusal)


def refuse_administration(key: ManagementKey, of: str) -> Refused | None:
    """Refuse a key that may not manage these objects, such as `keys`: only an admin's key may."""
    if key.role == Role.ADMIN:
        return None
    return Refused(
        Problem.KEY_NOT_ALLOWED, f"management key {key.name} is a {key.role}'s; only an admin's manages {of}"
    )
