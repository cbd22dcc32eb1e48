"""Authenticate a caller of the management API by its key."""

from datetime import datetime

from sqlalchemy import Connection

from private_integrations.contract import KEY_PREFIX, Problem, Refused, digest_of

from ..access.principals import ManagementKey
from ..storage.keys import key_with_digest
from .operation import reads


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
    return refuse_ended(key, now)


def refuse_ended(key: ManagementKey, now: datetime) -> ManagementKey | Refused:
    """Return the key, or a refusal if it is not live."""
    if not key.is_live(now):
        return Refused(Problem.KEY_ENDED, f"management key {key.name} has expired or was revoked", {"key": key.id})
    return key
