"""Grants: the integration, account and scopes of a token."""

from dataclasses import dataclass
from datetime import datetime

from private_integrations.contract import AccountClass
from private_integrations.rotation.decisions import is_live


@dataclass(frozen=True, slots=True)
class Grant:
    """A token's integration, account and scopes, and the facts that its life depends on.

    `ended` says why it was ended; None: it wasn't. `agency_id` is None for an agency's own token.
    """

    token_id: int
    generation: int
    role: str
    delivered: bool
    issued_at: datetime
    expires_at: datetime | None
    ended: str | None
    integration_id: str
    integration_name: str
    scopes: frozenset[str]
    account_id: str
    account_kind: AccountClass
    agency_id: str | None

    def is_live(self, now: datetime) -> bool:
        """Return whether the token is live at `now`."""
        return is_live(ended=self.ended is not None, expires_at=self.expires_at, now=now)
