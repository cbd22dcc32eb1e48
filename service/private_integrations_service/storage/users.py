"""Store users, their memberships and identities, and the accounts that have Labs off."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from private_integrations.contract import MembershipRole

from ..access.people import User
from ..access.permissions import Membership
from .tables import identities, labs_off, memberships, users


def user_by_email(connection: Connection, email: str) -> User | None:
    """Return the user with this address, in any case of its letters."""
    row = connection.execute(select(users).where(users.c.email == email.lower())).one_or_none()
    return None if row is None else user_of(row)


def user_by_id(connection: Connection, user_id: str) -> User | None:
    """Return the user with this id."""
    row = connection.execute(select(users).where(users.c.id == user_id)).one_or_none()
    return None if row is None else user_of(row)


def all_users(connection: Connection) -> list[User]:
    """Return every user, by address, the disabled ones too."""
    return [user_of(row) for row in connection.execute(select(users).order_by(users.c.email))]


def users_in(connection: Connection, account_ids: Collection[str]) -> list[tuple[User, Membership]]:
    """Return the members of these accounts, with their memberships, by address."""
    query = select(users, memberships).join(memberships).where(memberships.c.account_id.in_(account_ids))
    return [(user_of(row), _membership(row)) for row in connection.execute(query.order_by(users.c.email))]


def password_of(connection: Connection, user_id: str) -> str | None:
    """Return the argon2 hash of a user's password; None if they have none yet."""
    stored: str | None = connection.execute(select(users.c.password).where(users.c.id == user_id)).scalar_one()
    return stored


def password_maker(connection: Connection, user_id: str) -> str | None:
    """Return the id of the maker of the link with which a password was chosen; None without one, or if unknown."""
    made_by: str | None = connection.execute(select(users.c.password_by).where(users.c.id == user_id)).scalar_one()
    return made_by


def add_user(connection: Connection, user: User) -> None:
    """Store a new user, who can't sign in before they have a password or an identity."""
    connection.execute(insert(users).values(id=user.id, email=user.email, name=user.name, created_at=user.created_at))


def set_password(connection: Connection, user_id: str, password: str) -> None:
    """Store the argon2 hash of a user's password."""
    connection.execute(update(users).where(users.c.id == user_id).values(password=password))


def set_password_maker(connection: Connection, user_id: str, made_by: str) -> None:
    """Store the id of the maker of the link with which a user's password was chosen."""
    connection.execute(update(users).where(users.c.id == user_id).values(password_by=made_by))


def remove_password(connection: Connection, user_id: str) -> bool:
    """Delete a user's password; return whether there was one."""
    had = users.c.password.is_not(None)
    removed = update(users).where(users.c.id == user_id, had).values(password=None, password_by=None)
    return connection.execute(removed).rowcount > 0


def set_disabled(connection: Connection, user_id: str, at: datetime | None) -> None:
    """Store the instant since which a user may not sign in; None: they may."""
    connection.execute(update(users).where(users.c.id == user_id).values(disabled_at=at))


def memberships_of(connection: Connection, user_id: str) -> list[Membership]:
    """Return a user's memberships, by account."""
    found = select(memberships).where(memberships.c.user_id == user_id)
    rows = connection.execute(found.order_by(memberships.c.account_id))
    return [_membership(row) for row in rows]


def save_membership(connection: Connection, user_id: str, place: Membership) -> None:
    """Store a user's membership in an account, in place of the former one."""
    remove_membership(connection, user_id, place.account_id)
    connection.execute(
        insert(memberships).values(
            user_id=user_id,
            account_id=place.account_id,
            role=place.role,
            own=place.own,
            sub_accounts=place.sub_accounts,
        )
    )


def remove_membership(connection: Connection, user_id: str, account_id: str) -> None:
    """Delete a user's membership in an account."""
    connection.execute(
        delete(memberships).where(memberships.c.user_id == user_id, memberships.c.account_id == account_id)
    )


def user_of_identity(connection: Connection, issuer: str, subject: str) -> User | None:
    """Return the user that a provider's subject was linked to."""
    found = select(users).join(identities).where(identities.c.issuer == issuer, identities.c.subject == subject)
    row = connection.execute(found).one_or_none()
    return None if row is None else user_of(row)


def has_identity(connection: Connection, user_id: str, issuer: str) -> bool:
    """Tell whether a user was linked to a subject of this provider."""
    found = select(identities.c.subject).where(identities.c.user_id == user_id, identities.c.issuer == issuer)
    return connection.execute(found).one_or_none() is not None


def add_identity(connection: Connection, issuer: str, subject: str, user_id: str, now: datetime) -> None:
    """Link a provider's subject to a user."""
    connection.execute(insert(identities).values(issuer=issuer, subject=subject, user_id=user_id, linked_at=now))


def remove_identities(connection: Connection, user_id: str) -> None:
    """Delete the linked subjects of a user."""
    connection.execute(delete(identities).where(identities.c.user_id == user_id))


def switched_off(connection: Connection) -> frozenset[str]:
    """Return the ids of all accounts that have private integrations switched off in Labs."""
    return frozenset(connection.execute(select(labs_off.c.account_id)).scalars())


def switch_off(connection: Connection, account_id: str, now: datetime) -> None:
    """Switch private integrations of an account off in Labs."""
    connection.execute(insert(labs_off).values(account_id=account_id, since=now))


def switch_on(connection: Connection, account_id: str) -> None:
    """Switch private integrations of an account on in Labs."""
    connection.execute(delete(labs_off).where(labs_off.c.account_id == account_id))


def user_of(row: Row[Any]) -> User:
    """Return the user in a row of their table."""
    return User(row.id, row.email, row.name, row.created_at, row.disabled_at, row.password is not None)


def _membership(row: Row[Any]) -> Membership:
    return Membership(row.account_id, MembershipRole(row.role), row.own, row.sub_accounts)
