"""Read the grant of a token, by the authorizer's one hand-written statement."""

import json
import sys
from functools import lru_cache

from private_integrations.contract import AccountClass

from ..instants import from_milliseconds
from ..tokens.grant import Grant
from .engine import StorageEngine

_GRANT = """
SELECT tokens.id, tokens.generation, tokens.role, tokens.issued_at, tokens.delivered_at, tokens.expires_at,
       tokens.ended_at, integrations.id, integrations.name, integrations.scopes, accounts.id,
       accounts.kind, accounts.agency_id
FROM tokens
JOIN integrations ON integrations.id = tokens.integration_id
JOIN accounts ON accounts.id = integrations.account_id
WHERE tokens.digest = ?
"""
# Read for ended tokens only, so that those in use don't pay for it.
_WHY_ENDED = "SELECT end_reason FROM tokens WHERE id = ?"


class GrantReader:
    """Read grants over a connection of its own; used by one event loop."""

    def __init__(self, engine: StorageEngine) -> None:
        self._connection = engine.decision_connection()

    async def read(self, digest: bytes) -> Grant | None:
        """Return the grant of the token with this digest, live or not; None if there was never one."""
        row = await self._connection.row(_GRANT, digest)
        if row is None:
            return None
        token_id, generation, role, issued, delivered, expires, ended, *opened = row
        integration, name, scopes, account, kind, agency = opened
        return Grant(
            token_id=token_id,
            generation=generation,
            role=sys.intern(role),
            delivered=delivered is not None,
            issued_at=from_milliseconds(issued),
            expires_at=None if expires is None else from_milliseconds(expires),
            ended=None if ended is None else await self._why_ended(token_id),
            integration_id=integration,
            integration_name=name,
            scopes=_scope_set(scopes),
            # A hundred thousand grants share a few values.
            account_id=sys.intern(account),
            account_kind=AccountClass(kind),
            agency_id=None if agency is None else sys.intern(agency),
        )

    async def _why_ended(self, token_id: int) -> str:
        row = await self._connection.row(_WHY_ENDED, token_id)
        return row[0] if row and row[0] else ""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@lru_cache(maxsize=1024)
def _scope_set(scopes: str) -> frozenset[str]:
    """Return the stored scopes; integrations with the same ones share a set, the largest part of a grant."""
    return frozenset(json.loads(scopes))
