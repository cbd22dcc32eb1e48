"""What a token opens, read by the authorizer's one hand-written statement."""

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from private_integrations.rotation.decisions import is_live

from .columns import from_milliseconds
from .sqlite.database import Database

_GRANT = """
SELECT tokens.id, tokens.generation, tokens.role, tokens.delivered_at, tokens.expires_at, tokens.ended_at,
       integrations.id, integrations.name, integrations.scopes, accounts.id, accounts.kind,
       accounts.agency_id
FROM tokens
JOIN integrations ON integrations.id = tokens.integration_id
JOIN accounts ON accounts.id = integrations.account_id
WHERE tokens.digest = ?
"""
# Asked of dead tokens only, so that those in use don't pay for it.
_WHY_ENDED = "SELECT ended_because FROM tokens WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Grant:
    """A token's integration, account and scopes, and the facts that its life depends on.

    `ended` says why it was ended; None: it wasn't. `agency_id` is None for an agency's own token.
    """

    token_id: int
    generation: int
    role: str
    delivered: bool
    expires_at: datetime | None
    ended: str | None
    integration_id: str
    integration_name: str
    scopes: frozenset[str]
    account_id: str
    account_kind: str
    agency_id: str | None

    def is_live(self, now: datetime) -> bool:
        """Whether the token opens anything at `now`."""
        return is_live(ended=self.ended is not None, expires_at=self.expires_at, now=now)


class GrantReader:
    """Reads grants over a connection of its own; used by one thread."""

    def __init__(self, database: Database) -> None:
        self._connection = database.verdict_connection()

    def read(self, digest: bytes) -> Grant | None:
        """The grant of the token with this digest, live or not; None if there was never one."""
        row = self._connection.execute(_GRANT, (digest,)).fetchone()
        if row is None:
            return None
        (token_id, generation, role, delivered, expires, ended, integration, name, scopes, account, kind, agency) = row
        return Grant(
            token_id=token_id,
            generation=generation,
            role=sys.intern(role),
            delivered=delivered is not None,
            expires_at=None if expires is None else from_milliseconds(expires),
            ended=None if ended is None else self._why_ended(token_id),
            integration_id=integration,
            integration_name=name,
            scopes=_scope_set(scopes),
            # Kept a hundred thousand times, and there are few of them.
            account_id=sys.intern(account),
            account_kind=sys.intern(kind),
            agency_id=None if agency is None else sys.intern(agency),
        )

    def _why_ended(self, token_id: int) -> str:
        (because,) = self._connection.execute(_WHY_ENDED, (token_id,)).fetchone()
        return because or ""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@lru_cache(maxsize=1024)
def _scope_set(scopes: str) -> frozenset[str]:
    """The scopes as stored; integrations with the same ones share a set, most of what a grant would weigh."""
    return frozenset(json.loads(scopes))
