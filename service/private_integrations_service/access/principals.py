"""Principals: who calls the management API."""

from dataclasses import dataclass
from datetime import datetime

from private_integrations.contract import Role


@dataclass(frozen=True)
class ManagementKey:
    """A management key, with its role; `accounts` is None if it reaches every account."""

    id: str
    name: str
    role: Role
    digest: bytes
    accounts: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Return whether the key is valid at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
