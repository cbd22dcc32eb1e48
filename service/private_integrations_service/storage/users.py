"""Users, their memberships, sessions and one-time codes, as stored: secrets as digests only."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import LABEL_STYLE_TABLENAME_PLUS_COL, Connection, Row, delete, insert, select, update

from ..permissions import Membership
from .tables import memberships, one_time_codes, sessions, users


@dataclass(frozen=True)
class User:
    """A person who signs in; `email` is in lower case."""

    id: str
    email: str
    name: str
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True)
class Session:
    """A signed-in browser; `form_key` is what its forms carry, so that no other site can send them."""

    digest: bytes
    user: User
    form_key: str
    created_at: datetime
    seen_at: datetime


def user_by_email(connection: Connection, email: str) -> User | None:
    """The user with this address, in any case of its letters."""
    row = connection.execute(select(users).where(users.c.email == email.lower())).one_or_none()
    return None if row is None else _user(row)


def password_of(connection: Connection, user_id: str) -> str | None:
    """The argon2 hash of a user's password; None if they have none yet."""
    stored: str | None = connection.execute(select(users.c.password).where(users.c.id == user_id)).scalar_one()
    return stored


def add_user(connection: Connection, user: User) -> None:
    """Store a new user, who can't sign in before they have a password."""
    connection.execute(insert(users).values(id=user.id, email=user.email, name=user.name, created_at=user.created_at))


def set_password(connection: Connection, user_id: str, password: str) -> None:
    """Store the argon2 hash of a user's password."""
    connection.execute(update(users).where(users.c.id == user_id).values(password=password))


def memberships_of(connection: Connection, user_id: str) -> list[Membership]:
    """A user's places in accounts."""
    rows = connection.execute(select(memberships).where(memberships.c.user_id == user_id))
    return [Membership(row.account_id, row.role, row.own, row.sub_accounts) for row in rows]


def save_memberships(connection: Connection, user_id: str, held: Iterable[Membership]) -> None:
    """Store a user's places in accounts, instead of those they had."""
    connection.execute(delete(memberships).where(memberships.c.user_id == user_id))
    for place in held:
        connection.execute(
            insert(memberships).values(
                user_id=user_id,
                account_id=place.account_id,
                role=place.role,
                own=place.own,
                sub_accounts=place.sub_accounts,
            )
        )


def session_with_digest(connection: Connection, digest: bytes) -> Session | None:
    """The session with this digest, of a user who is not disabled."""
    found = select(sessions, users).join(users).where(sessions.c.digest == digest, users.c.disabled_at.is_(None))
    row = connection.execute(found.set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)).one_or_none()
    if row is None:
        return None
    user = User(row.users_id, row.users_email, row.users_name, row.users_created_at)
    return Session(row.sessions_digest, user, row.sessions_form_key, row.sessions_created_at, row.sessions_seen_at)


def add_session(connection: Connection, session: Session) -> None:
    """Store a new session."""
    connection.execute(
        insert(sessions).values(
            digest=session.digest,
            user_id=session.user.id,
            form_key=session.form_key,
            created_at=session.created_at,
            seen_at=session.seen_at,
        )
    )


def touch_session(connection: Connection, digest: bytes, now: datetime) -> None:
    """Note that a session is in use."""
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(seen_at=now))


def remove_session(connection: Connection, digest: bytes) -> None:
    """Forget a session."""
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def remove_sessions_of(connection: Connection, user_id: str) -> None:
    """Forget all sessions of a user."""
    connection.execute(delete(sessions).where(sessions.c.user_id == user_id))


def add_code(connection: Connection, digest: bytes, user_id: str, expires_at: datetime) -> None:
    """Store a one-time code, by its digest; the user's former ones are worth nothing from now on."""
    connection.execute(delete(one_time_codes).where(one_time_codes.c.user_id == user_id))
    connection.execute(insert(one_time_codes).values(digest=digest, user_id=user_id, expires_at=expires_at))


def user_of_code(connection: Connection, digest: bytes, now: datetime) -> User | None:
    """Whose one-time code this is, if it is still good."""
    found = (
        select(users)
        .join(one_time_codes)
        .where(one_time_codes.c.digest == digest, one_time_codes.c.expires_at > now, users.c.disabled_at.is_(None))
    )
    row = connection.execute(found).one_or_none()
    return None if row is None else _user(row)


def remove_codes_of(connection: Connection, user_id: str) -> None:
    """Forget a user's one-time codes."""
    connection.execute(delete(one_time_codes).where(one_time_codes.c.user_id == user_id))


def _user(row: Row[Any]) -> User:
    return User(row.id, row.email, row.name, row.created_at, row.disabled_at)
