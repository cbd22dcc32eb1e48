"""Serve the routes of management keys."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from private_integrations.contract import Identifier, Key, KeyList, KeyRequest, PrincipalReport

from ..operations import accounts, keys
from .callers import Asking, RequestContext, administrator, unless_refused

router = APIRouter()

Administering = Annotated[RequestContext, Depends(administrator("keys"))]
_KeyName = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._@-]+$")]


@router.put("/keys/{name}", responses={201: {"model": Key}})
def make_key(name: _KeyName, body: KeyRequest, asking: Administering, response: Response) -> Key:
    """Register a management key by its digest (201), or answer the repeated request (200)."""
    made = unless_refused(keys.make(asking.engine, name, body, actor=asking.actor))
    response.status_code = 201 if made.created else 200
    return made.key


@router.get("/keys")
def list_keys(asking: Administering) -> KeyList:
    """List every management key, never its value or digest."""
    return KeyList(now=asking.now, keys=keys.listed(asking.engine))


@router.delete("/keys/{key_id}")
def revoke_key(key_id: Identifier, asking: Administering) -> Key:
    """End a management key: the next request with it is refused."""
    return unless_refused(keys.revoke(asking.engine, key_id, actor=asking.actor))


@router.get("/whoami")
def read_principal(asking: Asking) -> PrincipalReport:
    """Describe the calling key: its role, its end, and the accounts that it reaches."""
    reached = accounts.listed(asking.engine, actor=asking.actor)
    key = asking.principal
    return PrincipalReport(
        now=asking.now,
        id=key.id,
        name=key.name,
        role=key.role,
        expires_at=key.expires_at,
        bound=key.accounts is not None,
        accounts=reached,
    )
