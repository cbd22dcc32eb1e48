"""Store the service's one signing key for data webhooks, with its private half sealed."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from .tables import signing_key


@dataclass(frozen=True)
class SigningKey:
    """Hold an Ed25519 key: the public half as SPKI (RFC 8410) in base64, the private half sealed, and its age."""

    public: str
    sealed: bytes = field(repr=False)
    made_at: datetime


def read_key(connection: Connection) -> SigningKey | None:
    """Return the key; None if there is none yet."""
    row = connection.execute(select(signing_key)).one_or_none()
    return None if row is None else SigningKey(row.public, row.sealed, row.made_at)


def add_key(connection: Connection, key: SigningKey) -> None:
    """Store the first and only key."""
    connection.execute(insert(signing_key).values(id=1, public=key.public, sealed=key.sealed, made_at=key.made_at))


def put_sealed(connection: Connection, sealed: bytes) -> None:
    """Store the same private half under another sealing key."""
    connection.execute(update(signing_key).values(sealed=sealed))
