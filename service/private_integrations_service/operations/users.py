"""Users of the settings pages: invite them, let them choose a password, sign them in and out."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error
from sqlalchemy import Connection

from private_integrations.contract import Invitation, UserRequest, digest_of

from ..actor import Actor
from ..domain import Refused
from ..permissions import Membership, managed_accounts
from ..storage import accounts, audit
from ..storage import users as stored
from ..storage.database import Write
from ..storage.users import Session, User
from ..tokens import new_id

INVITATION = timedelta(days=3)
"""How long a one-time link is good."""
IDLE = timedelta(hours=12)
"""A session ends when it was not used for so long."""
LONGEST = timedelta(days=7)
"""And when it is so old, however much it is used."""
SHORTEST_PASSWORD = 12

_HASHER = PasswordHasher()
_SIGN_IN_REFUSED = Refused("sign-in-refused", "this email and password don't belong together")


@dataclass(frozen=True)
class SignedIn:
    """A new session; `secret` is handed to the browser and kept nowhere."""

    session: Session
    secret: str = field(repr=False)


def invite(write: Write, email: str, request: UserRequest, *, actor: Actor) -> Invitation | Refused:
    """Make a user, or give one other memberships, with a one-time code to choose a password with."""
    for place in request.memberships:
        if accounts.account_by_id(write.connection, place.account) is None or not actor.reaches(place.account):
            return Refused("account-unknown", f"there is no account {place.account}")
    user = stored.user_by_email(write.connection, email)
    if user is None:
        user = User(new_id("usr_"), email.lower(), request.name or email, write.now)
        stored.add_user(write.connection, user)
    places = [Membership(place.account, place.role) for place in request.memberships]
    stored.save_memberships(write.connection, user.id, places)
    code = secrets.token_urlsafe(32)
    expires = write.now + INVITATION
    stored.add_code(write.connection, digest_of(code), user.id, expires)
    held = [place.model_dump() for place in request.memberships]
    audit.record_key(write, actor=actor, action="invite user", user=user.id, email=user.email, memberships=held)
    return Invitation(user_id=user.id, email=user.email, code=code, expires_at=expires)


def welcome(write: Write, code: str, password: str, *, address: str, agent: str) -> SignedIn | Refused:
    """Use up a one-time code: from now on the password is the user's, and they are signed in."""
    user = stored.user_of_code(write.connection, digest_of(code), write.now)
    if user is None:
        return Refused("code-unknown", "this link was used or has expired; ask for a new one")
    if len(password) < SHORTEST_PASSWORD:
        return Refused("password-weak", f"a password has at least {SHORTEST_PASSWORD} characters")
    stored.set_password(write.connection, user.id, _HASHER.hash(password))
    stored.remove_codes_of(write.connection, user.id)
    stored.remove_sessions_of(write.connection, user.id)
    audit.record_key(write, actor=person(write.connection, user, address, agent), action="choose password")
    return _signed_in(write, user)


def sign_in(write: Write, email: str, password: str) -> SignedIn | Refused:
    """A session for whoever knows the password; which of the two is wrong is not said."""
    user = stored.user_by_email(write.connection, email)
    if user is None or user.disabled_at is not None:
        return _SIGN_IN_REFUSED
    known = stored.password_of(write.connection, user.id)
    if known is None:
        return _SIGN_IN_REFUSED
    try:
        _HASHER.verify(known, password)
    except Argon2Error:
        return _SIGN_IN_REFUSED
    return _signed_in(write, user)


def sign_out(write: Write, session: Session) -> None:
    """End a session."""
    stored.remove_session(write.connection, session.digest)


def session_of(connection: Connection, secret: str, now: datetime) -> Session | None:
    """The live session that a browser shows, or None."""
    session = stored.session_with_digest(connection, digest_of(secret))
    if session is None or now >= session.seen_at + IDLE or now >= session.created_at + LONGEST:
        return None
    return session


def person(connection: Connection, user: User, address: str, agent: str) -> Actor:
    """A user as operations know them: reaching the accounts whose integrations they manage, and no other."""
    held = stored.memberships_of(connection, user.id)
    reached = managed_accounts(held, accounts.list_accounts(connection))
    return Actor(f"person/{user.email}/{user.id}", reached, address, agent)


def _signed_in(write: Write, user: User) -> SignedIn:
    secret = secrets.token_urlsafe(32)
    session = Session(digest_of(secret), user, secrets.token_urlsafe(32), write.now, write.now)
    stored.add_session(write.connection, session)
    return SignedIn(session, secret)
