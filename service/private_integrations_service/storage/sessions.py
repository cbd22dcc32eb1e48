"""Store sessions, one-time codes, known browsers and failed sign-ins; secrets as digests only."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import LABEL_STYLE_TABLENAME_PLUS_COL, Connection, Row, delete, insert, select, update

from ..access.people import Session, User
from .tables import known_browsers, one_time_codes, sessions, sign_in_failures, users
from .users import user_of


@dataclass(frozen=True)
class Code:
    """Hold a one-time code: its user, a digest of the memberships that it is for, and its maker's id."""

    user: User
    places: bytes
    made_by: str


@dataclass(frozen=True)
class Failures:
    """Hold the number of failed sign-ins, and the last instant."""

    count: int
    last_at: datetime


def session_with_digest(connection: Connection, digest: bytes) -> Session | None:
    """Return the session with this digest, of a user who is not disabled."""
    found = select(sessions, users).join(users).where(sessions.c.digest == digest, users.c.disabled_at.is_(None))
    row = connection.execute(found.set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)).one_or_none()
    return None if row is None else _session(row)


def sessions_of(connection: Connection, user_id: str) -> list[Session]:
    """Return a user's sessions, the one seen last first."""
    found = select(sessions, users).join(users).where(sessions.c.user_id == user_id)
    ordered = found.order_by(sessions.c.seen_at.desc()).set_label_style(LABEL_STYLE_TABLENAME_PLUS_COL)
    return [_session(row) for row in connection.execute(ordered)]


def add_session(connection: Connection, session: Session) -> None:
    """Store a new session."""
    connection.execute(
        insert(sessions).values(
            digest=session.digest,
            id=session.id,
            user_id=session.user.id,
            form_key=session.form_key,
            created_at=session.created_at,
            seen_at=session.seen_at,
            address=session.address,
            agent=session.agent,
        )
    )


def touch_session(connection: Connection, digest: bytes, now: datetime) -> None:
    """Store that a session is in use."""
    connection.execute(update(sessions).where(sessions.c.digest == digest).values(seen_at=now))


def remove_session(connection: Connection, digest: bytes) -> None:
    """Delete a session."""
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def remove_session_with_id(connection: Connection, user_id: str, session_id: str) -> bool:
    """Delete a session of this user; return whether there was one."""
    gone = connection.execute(delete(sessions).where(sessions.c.user_id == user_id, sessions.c.id == session_id))
    return gone.rowcount > 0


def remove_sessions_of(connection: Connection, user_id: str, *, but: bytes | None = None) -> int:
    """Delete all sessions of a user, except the one with the digest `but`; return how many there were."""
    ended = delete(sessions).where(sessions.c.user_id == user_id)
    return connection.execute(ended if but is None else ended.where(sessions.c.digest != but)).rowcount


def add_code(
    connection: Connection, digest: bytes, user_id: str, expires_at: datetime, *, places: bytes, made_by: str
) -> None:
    """Store a one-time code, by its digest, with the memberships that it is for and its maker."""
    connection.execute(
        insert(one_time_codes).values(
            digest=digest, user_id=user_id, expires_at=expires_at, places=places, made_by=made_by
        )
    )


def code_with_digest(connection: Connection, digest: bytes, now: datetime) -> Code | None:
    """Return the one-time code with this digest, of a user who is not disabled, unless it has expired."""
    found = (
        select(users, one_time_codes.c.places, one_time_codes.c.made_by)
        .join(one_time_codes)
        .where(one_time_codes.c.digest == digest, one_time_codes.c.expires_at > now, users.c.disabled_at.is_(None))
    )
    row = connection.execute(found).one_or_none()
    return None if row is None else Code(user_of(row), row.places, row.made_by)


def remove_codes_of(connection: Connection, user_id: str) -> int:
    """Delete a user's one-time codes; return how many there were."""
    return connection.execute(delete(one_time_codes).where(one_time_codes.c.user_id == user_id)).rowcount


def remove_codes_made_by(connection: Connection, maker_id: str) -> None:
    """Delete the one-time codes that a person or a management key made."""
    connection.execute(delete(one_time_codes).where(one_time_codes.c.made_by == maker_id))


def remove_browsers_of(connection: Connection, user_id: str) -> int:
    """Delete the known browsers of a user; return how many there were."""
    return connection.execute(delete(known_browsers).where(known_browsers.c.user_id == user_id)).rowcount


def user_id_of_browser(connection: Connection, digest: bytes) -> str | None:
    """Return the id of the user that signed in before with the browser that holds this secret."""
    found = select(known_browsers.c.user_id).where(known_browsers.c.digest == digest)
    return connection.execute(found).scalar_one_or_none()


def add_browser(connection: Connection, digest: bytes, user_id: str, now: datetime) -> None:
    """Store the browser of a sign-in, by the digest of a secret that it holds."""
    connection.execute(insert(known_browsers).values(digest=digest, user_id=user_id, used_at=now))


def touch_browser(connection: Connection, digest: bytes, now: datetime) -> None:
    """Store another sign-in with a known browser."""
    connection.execute(update(known_browsers).where(known_browsers.c.digest == digest).values(used_at=now))


def failures(connection: Connection, counted: Collection[bytes], now: datetime) -> Mapping[bytes, Failures]:
    """Return the stored failures by their count."""
    found = select(sign_in_failures).where(
        sign_in_failures.c.counted.in_(counted), sign_in_failures.c.forgotten_at > now
    )
    return {row.counted: Failures(row.failures, row.last_at) for row in connection.execute(found)}


def save_failures(connection: Connection, counted: bytes, known: Failures, forgotten_at: datetime) -> None:
    """Store failures until an instant."""
    forget_failures(connection, counted)
    connection.execute(
        insert(sign_in_failures).values(
            counted=counted, failures=known.count, last_at=known.last_at, forgotten_at=forgotten_at
        )
    )


def forget_failures(connection: Connection, counted: bytes) -> None:
    """Delete failures."""
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.counted == counted))


def purge_failures(connection: Connection, now: datetime) -> None:
    """Remove expired failures."""
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.forgotten_at <= now))


def purge(connection: Connection, now: datetime, *, seen: datetime, created: datetime, browsers: datetime) -> None:
    """Remove expired rows.

    These are expired codes, sessions not seen since `seen` or made before `created`, and browsers not used since then.
    """
    connection.execute(delete(sessions).where((sessions.c.seen_at <= seen) | (sessions.c.created_at <= created)))
    connection.execute(delete(one_time_codes).where(one_time_codes.c.expires_at <= now))
    connection.execute(delete(known_browsers).where(known_browsers.c.used_at <= browsers))


def _session(row: Row[Any]) -> Session:
    user = User(
        row.users_id,
        row.users_email,
        row.users_name,
        row.users_created_at,
        row.users_disabled_at,
        row.users_password is not None,
    )
    return Session(
        row.sessions_digest,
        row.sessions_id,
        user,
        row.sessions_form_key,
        row.sessions_created_at,
        row.sessions_seen_at,
        row.sessions_address,
        row.sessions_agent,
    )
