"""Store upstream credentials, sealed, at most one for each account."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from private_integrations.contract import Verification

from .engine import StorageEngine, Write
from .tables import upstream_credentials

_SEALED = "SELECT sealed FROM upstream_credentials WHERE account_id = ?"


@dataclass(frozen=True)
class StoredCredential:
    """Hold an account's sealed upstream credential: its age, its setter, and its last verification."""

    account_id: str
    sealed: bytes
    set_at: datetime
    set_by: str
    verification: Verification | None = None


def all_credentials(connection: Connection, among: Collection[str] | None = None) -> list[StoredCredential]:
    """Return every credential in the order of its account's id; only those `among` these accounts if given."""
    query = select(upstream_credentials).order_by(upstream_credentials.c.account_id)
    if among is not None:
        query = query.where(upstream_credentials.c.account_id.in_(among))
    return [_credential(row) for row in connection.execute(query)]


def credential_of(connection: Connection, account_id: str) -> StoredCredential | None:
    """Return the account's credential."""
    return next(iter(all_credentials(connection, [account_id])), None)


def put_credential(write: Write, credential: StoredCredential) -> None:
    """Store a credential in place of the account's former one."""
    remove_credential(write, credential.account_id)
    verification = credential.verification
    write.connection.execute(
        insert(upstream_credentials).values(
            account_id=credential.account_id,
            sealed=credential.sealed,
            set_at=credential.set_at,
            set_by=credential.set_by,
            **({} if verification is None else _asked(verification)),
        )
    )


def remove_credential(write: Write, account_id: str) -> bool:
    """Delete an account's credential; return whether there was one."""
    write.move_epoch(account_id)
    query = delete(upstream_credentials).where(upstream_credentials.c.account_id == account_id)
    return write.connection.execute(query).rowcount > 0


def put_sealed(write: Write, account_id: str, sealed: bytes) -> None:
    """Store the same credential under another key."""
    write.move_epoch(account_id)
    query = update(upstream_credentials).where(upstream_credentials.c.account_id == account_id)
    write.connection.execute(query.values(sealed=sealed))


def put_verification(connection: Connection, credential: StoredCredential, verification: Verification) -> bool:
    """Store the result of a verification; False if the account has another credential by now."""
    query = update(upstream_credentials).where(
        upstream_credentials.c.account_id == credential.account_id,
        upstream_credentials.c.set_at == credential.set_at,
    )
    return connection.execute(query.values(**_asked(verification))).rowcount > 0


class CredentialReader:
    """Read sealed credentials over a connection of its own; used by one event loop."""

    def __init__(self, engine: StorageEngine) -> None:
        self._connection = engine.decision_connection()

    async def read(self, account_id: str) -> bytes | None:
        """Return the account's credential as it is sealed, None without one; raises StorageError."""
        row = await self._connection.row(_SEALED, account_id)
        return None if row is None else bytes(row[0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _asked(verification: Verification) -> dict[str, object]:
    return {"asked_at": verification.at, "outcome": verification.outcome, "status": verification.status}


def _credential(row: Row[Any]) -> StoredCredential:
    asked = row.asked_at is not None
    return StoredCredential(
        account_id=row.account_id,
        sealed=row.sealed,
        set_at=row.set_at,
        set_by=row.set_by,
        verification=Verification(at=row.asked_at, outcome=row.outcome, status=row.status) if asked else None,
    )
