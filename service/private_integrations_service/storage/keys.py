"""Management keys as stored: digests only."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from .tables import management_keys


@dataclass(frozen=True)
class ManagementKey:
    """Who calls the management API, and with which role: `admin` or `viewer`."""

    id: str
    name: str
    role: str
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_live(self, now: datetime) -> bool:
        """Whether the key is good at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def key_with_digest(connection: Connection, digest: bytes) -> ManagementKey | None:
    """The key with this digest, live or not."""
    row = connection.execute(select(management_keys).where(management_keys.c.digest == digest)).one_or_none()
    if row is None:
        return None
    return ManagementKey(id=row.id, name=row.name, role=row.role, expires_at=row.expires_at, revoked_at=row.revoked_at)


def has_any_key(connection: Connection) -> bool:
    """Whether a key was ever made."""
    return connection.execute(select(func.count()).select_from(management_keys)).scalar_one() > 0


def add_key(
    connection: Connection, *, key_id: str, name: str, role: str, digest: bytes, hash_version: int, now: datetime
) -> None:
    """Store a new key's digest."""
    connection.execute(
        insert(management_keys).values(
            id=key_id, name=name, role=role, digest=digest, hash_version=hash_version, created_at=now
        )
    )
