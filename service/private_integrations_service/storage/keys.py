"""Store management keys, as digests only."""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from private_integrations.contract import Role

from ..access.principals import ManagementKey
from ..instants import from_milliseconds
from ..tokens.format import HASH_VERSION
from .engine import StorageEngine, Write
from .tables import management_keys

_KEY = """
SELECT id, name, role, accounts, created_at, expires_at, revoked_at
FROM management_keys
WHERE digest = ?
"""


class KeyReader:
    """Read keys over a connection of its own, without the cost of Core; used by one event loop."""

    def __init__(self, engine: StorageEngine) -> None:
        self._connection = engine.decision_connection()

    async def read(self, digest: bytes) -> ManagementKey | None:
        """Return the key with this digest, live or not; raises StorageError."""
        row = await self._connection.row(_KEY, digest)
        if row is None:
            return None
        key_id, name, role, accounts, created, expires, revoked = row
        return ManagementKey(
            id=key_id,
            name=name,
            role=Role(role),
            digest=digest,
            accounts=None if accounts is None else frozenset(json.loads(accounts)),
            created_at=from_milliseconds(created),
            expires_at=None if expires is None else from_milliseconds(expires),
            revoked_at=None if revoked is None else from_milliseconds(revoked),
        )

    def close(self) -> None:
        """Close the connection; from then on every query raises StorageUnavailable."""
        self._connection.close()


def key_with_digest(connection: Connection, digest: bytes) -> ManagementKey | None:
    """Return the key with this digest, live or not."""
    row = connection.execute(select(management_keys).where(management_keys.c.digest == digest)).one_or_none()
    return None if row is None else _key(row)


def key_with_id(connection: Connection, key_id: str) -> ManagementKey | None:
    """Return the key with this id, live or not."""
    row = connection.execute(select(management_keys).where(management_keys.c.id == key_id)).one_or_none()
    return None if row is None else _key(row)


def all_keys(connection: Connection) -> list[ManagementKey]:
    """Return every key that was ever made, the oldest first."""
    rows = connection.execute(select(management_keys).order_by(management_keys.c.created_at, management_keys.c.id))
    return [_key(row) for row in rows]


def has_any_key(connection: Connection) -> bool:
    """Tell whether a key was ever made."""
    return connection.execute(select(func.count()).select_from(management_keys)).scalar_one() > 0


def add_key(connection: Connection, key: ManagementKey) -> None:
    """Store a new key's digest."""
    connection.execute(
        insert(management_keys).values(
            id=key.id,
            name=key.name,
            role=key.role,
            digest=key.digest,
            hash_version=HASH_VERSION,
            accounts=_listed(key.accounts),
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
    )


def mark_revoked(write: Write, key_id: str) -> None:
    """Store the end of a key."""
    write.move_epoch(key_id)
    values = update(management_keys).where(management_keys.c.id == key_id).values(revoked_at=write.now)
    write.connection.execute(values)


def _key(row: Row[Any]) -> ManagementKey:
    return ManagementKey(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        digest=row.digest,
        accounts=None if row.accounts is None else frozenset(row.accounts),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _listed(accounts: Iterable[str] | None) -> list[str] | None:
    return None if accounts is None else sorted(accounts)
