"""People who sign in, and their sessions."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class User:
    """A person who signs in; `email` is in lower case."""

    id: str
    email: str
    name: str
    created_at: datetime
    disabled_at: datetime | None = None
    has_password: bool = False


@dataclass(frozen=True)
class Session:
    """A signed-in browser; `form_key` is what its forms carry, so that no other site can send them."""

    digest: bytes
    id: str
    user: User
    form_key: str
    created_at: datetime
    seen_at: datetime
    address: str
    agent: str
