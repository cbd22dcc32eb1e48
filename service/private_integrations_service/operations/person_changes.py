"""Change a person's rights and ways to sign in, and end the credentials that must not outlive the change.

Only this module writes places, passwords, identities and one-time codes, so that no change can forget what it ends.
`ENDS` is the whole rule; docs/security.md shows it as a table.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from sqlalchemy import Connection

from private_integrations.contract import MembershipRole, Role, digest_of

from ..access import permissions
from ..access.actors import Actor
from ..access.people import User
from ..access.permissions import Membership
from ..storage import accounts, keys
from ..storage import person_events as events
from ..storage import sessions as signing_in
from ..storage import users as stored
from ..storage.engine import Write
from ..storage.person_events import PersonEvent, PersonEventKind

LINK_LIFETIME = timedelta(days=3)
"""How long a one-time link is good, if nothing ends it before."""


class PersonChange(StrEnum):
    """List the changes of a person's rights and of the ways in which they sign in."""

    PLACE_ADDED = "place added"
    PLACE_WIDENED = "place widened"
    RIGHTS_NOT_VOUCHED_FOR = "right gained that the password isn't vouched for"
    PLACE_NARROWED = "place narrowed"
    PLACE_REMOVED = "place removed"
    DISABLED = "person disabled"
    ENABLED = "person enabled"
    LINK_MADE = "link made"
    PASSWORD_CHOSEN = "password chosen with a link"  # noqa: S105 - a change, no password
    PASSWORD_CHANGED = "password changed"  # noqa: S105
    IDENTITY_LINKED = "identity linked"
    IDENTITIES_FORGOTTEN = "identities forgotten"
    SIGNED_OUT_EVERYWHERE = "signed out everywhere"
    OTHER_SESSIONS_ENDED = "other sessions ended"
    KEY_REVOKED = "management key revoked"


class Held(StrEnum):
    """List the credentials with which a person, or a thief, can sign in or stay signed in."""

    LINKS = "links for them"
    LINKS_MADE = "links they made"
    PRESENT_SESSION = "present session"
    OTHER_SESSIONS = "other sessions"
    PASSWORD = "password"  # noqa: S105 - the name of a thing
    BROWSERS = "remembered browsers"


# Another person may have signed in before, so their credentials must no longer work.
_SESSIONS = frozenset({Held.PRESENT_SESSION, Held.OTHER_SESSIONS})
_ALL_BUT_THE_PASSWORD = _SESSIONS | {Held.LINKS, Held.LINKS_MADE, Held.BROWSERS}

ENDS: Mapping[PersonChange, frozenset[Held]] = MappingProxyType(
    {
        # A link was made by an admin for the places of that moment: it must not open another one.
        PersonChange.PLACE_ADDED: frozenset({Held.LINKS}),
        PersonChange.PLACE_WIDENED: frozenset({Held.LINKS}),
        # The maker of the link with which the password was chosen may know it, and doesn't have this right.
        PersonChange.RIGHTS_NOT_VOUCHED_FOR: _ALL_BUT_THE_PASSWORD | {Held.PASSWORD},
        # The person made links for others with rights that they no longer have.
        PersonChange.PLACE_NARROWED: frozenset({Held.LINKS, Held.LINKS_MADE}),
        PersonChange.PLACE_REMOVED: frozenset({Held.LINKS, Held.LINKS_MADE}),
        PersonChange.DISABLED: _ALL_BUT_THE_PASSWORD,
        PersonChange.ENABLED: _ALL_BUT_THE_PASSWORD,
        PersonChange.LINK_MADE: frozenset({Held.LINKS}),
        PersonChange.PASSWORD_CHOSEN: _ALL_BUT_THE_PASSWORD,
        # The person's other browsers stay remembered: this only spares them the throttle for unknown browsers.
        PersonChange.PASSWORD_CHANGED: _SESSIONS | {Held.LINKS, Held.LINKS_MADE},
        # The provider vouches for this person, but not for the one who chose the password by an invitation's link.
        PersonChange.IDENTITY_LINKED: _ALL_BUT_THE_PASSWORD | {Held.PASSWORD},
        PersonChange.IDENTITIES_FORGOTTEN: _ALL_BUT_THE_PASSWORD,
        # A stolen session may have made links.
        PersonChange.SIGNED_OUT_EVERYWHERE: _SESSIONS | {Held.LINKS, Held.LINKS_MADE},
        PersonChange.OTHER_SESSIONS_ENDED: frozenset({Held.LINKS, Held.LINKS_MADE, Held.OTHER_SESSIONS}),
        PersonChange.KEY_REVOKED: frozenset({Held.LINKS_MADE}),
    }
)
"""Map each change to the credentials that it ends. All others stay valid."""


@dataclass(frozen=True)
class Ended:
    """How much a change ended: links, sessions, remembered browsers, and whether a password was removed."""

    links: int = 0
    sessions: int = 0
    browsers: int = 0
    password: bool = False


@dataclass(frozen=True)
class Saved:
    """A place that was stored; whether links for the person, and their password, ended by it."""

    links_ended: bool
    password_ended: bool


@dataclass(frozen=True)
class Link:
    """A new one-time code; handed out once and stored as a digest."""

    code: str
    expires_at: datetime

    def __repr__(self) -> str:
        """Never the code."""
        return "Link(…)"


def save_place(write: Write, user: User, after: Membership) -> Saved | None:
    """Store a person's place in an account; None if they have it already."""
    before = place_in(write.connection, user, after.account_id)
    changes = changes_of_place(before, after)
    if before == after:
        return None
    stored.save_membership(write.connection, user.id, after)
    links = sum(end(write, user.id, change).links for change in changes)
    is_more = PersonChange.PLACE_ADDED in changes or PersonChange.PLACE_WIDENED in changes
    if is_more and not is_vouched_for(write.connection, user, after.account_id):
        return Saved(links > 0, end(write, user.id, PersonChange.RIGHTS_NOT_VOUCHED_FOR).password)
    return Saved(links > 0, password_ended=False)


def remove_place(write: Write, user: User, account_id: str) -> bool:
    """Take a person's place in an account away; returns whether there was one."""
    if place_in(write.connection, user, account_id) is None:
        return False
    stored.remove_membership(write.connection, user.id, account_id)
    end(write, user.id, PersonChange.PLACE_REMOVED)
    return True


def changes_of_place(before: Membership | None, after: Membership) -> list[PersonChange]:
    """List the changes that a new place in the same account means; it can give and take rights at once."""
    if before is None:
        return [PersonChange.PLACE_ADDED]
    had, has = _rights(before), _rights(after)
    return [
        *([PersonChange.PLACE_WIDENED] if has - had else []),
        *([PersonChange.PLACE_NARROWED] if had - has else []),
    ]


def disable(write: Write, user: User) -> None:
    """Let a person in no more."""
    stored.set_disabled(write.connection, user.id, write.now)
    end(write, user.id, PersonChange.DISABLED)


def enable(write: Write, user: User) -> None:
    """Let a person in again, with the password and the places that they had."""
    stored.set_disabled(write.connection, user.id, None)
    end(write, user.id, PersonChange.ENABLED)


def choose_password(write: Write, user: User, code: str, hashed: str, *, address: str, agent: str) -> None:
    """Store the hash of a password that was chosen with a one-time link, and who made the link."""
    link = signing_in.code_with_digest(write.connection, digest_of(code), write.now)
    stored.set_password(write.connection, user.id, hashed)
    # A link that an admin made for themselves doesn't change who vouches for the password.
    if link is not None and link.made_by != user.id:
        stored.set_password_maker(write.connection, user.id, link.made_by)
    end(write, user.id, PersonChange.PASSWORD_CHOSEN)
    note_event(write, user.id, PersonEventKind.PASSWORD_CHOSEN, address=address, agent=agent)


def change_password(write: Write, user: User, hashed: str, *, address: str, agent: str) -> None:
    """Store the hash of a new password of a person who knows the present one."""
    stored.set_password(write.connection, user.id, hashed)
    end(write, user.id, PersonChange.PASSWORD_CHANGED)
    note_event(write, user.id, PersonEventKind.PASSWORD_CHANGED, address=address, agent=agent)


def rehash_password(write: Write, user: User, hashed: str) -> None:
    """Store the same password's hash by today's parameters: nothing changes for the person."""
    stored.set_password(write.connection, user.id, hashed)


def link_identity(write: Write, user: User, issuer: str, subject: str, *, address: str, agent: str) -> Ended:
    """Link a provider's subject to a person, and tell them what was ended by it."""
    stored.add_identity(write.connection, issuer, subject, user.id, write.now)
    ended = end(write, user.id, PersonChange.IDENTITY_LINKED)
    detail = {"password": ended.password, "sessions": ended.sessions}
    note_event(write, user.id, PersonEventKind.IDENTITY_LINKED, address=address, agent=agent, detail=detail)
    return ended


def forget_identities(write: Write, user: User) -> None:
    """Forget whom a provider means by this person."""
    stored.remove_identities(write.connection, user.id)
    end(write, user.id, PersonChange.IDENTITIES_FORGOTTEN)


def make_link(write: Write, user: User, *, actor: Actor) -> Link:
    """Make a one-time code for a person, bound to the places that they have now and to who makes it."""
    end(write, user.id, PersonChange.LINK_MADE)
    code, expires_at = secrets.token_urlsafe(32), write.now + LINK_LIFETIME
    signing_in.add_code(
        write.connection,
        digest_of(code),
        user.id,
        expires_at,
        places=_places(write.connection, user.id),
        made_by=actor.id,
    )
    note_event(
        write,
        user.id,
        PersonEventKind.LINK_MADE,
        address=actor.address,
        agent=actor.agent,
        detail={"by": actor.name},
    )
    return Link(code, expires_at)


def recipient_of(connection: Connection, code: str, now: datetime) -> User | None:
    """Return the person whom a one-time code lets choose a password; None if it opens nothing (any more).

    Ask again in the transaction that uses the code: the person's places must be those that it was made for, and who
    made it must still be allowed to make one.
    """
    found = signing_in.code_with_digest(connection, digest_of(code), now)
    if found is None or found.places != _places(connection, found.user.id):
        return None
    return found.user if _may_link(connection, found.made_by, found.user) else None


def administers_all_of(connection: Connection, editor: User, user: User) -> bool:
    """Tell whether an editor administers each account that a person belongs to, and so has all of their rights.

    Only then may the editor make a link, because its holder can sign in as that person.
    """
    held = stored.memberships_of(connection, editor.id)
    places = [accounts.account_by_id(connection, place.account_id) for place in _held(connection, user.id)]
    return all(account is not None and permissions.administers(held, account) for account in places)


def is_vouched_for(connection: Connection, user: User, account_id: str) -> bool:
    """Tell whether a person's password may open this account too: only people with rights there can have chosen it.

    The maker of the link with which the password was chosen could have used it. So the maker must administer the
    account, or be a management key, which administers every one. A person without a password signs in by a provider,
    or with the next link.
    """
    if stored.password_of(connection, user.id) is None:
        return True
    made_by = stored.password_maker(connection, user.id)
    maker = None if made_by is None else stored.user_by_id(connection, made_by)
    if maker is None:
        return made_by is not None
    account = accounts.account_by_id(connection, account_id)
    held = stored.memberships_of(connection, maker.id)
    return maker.disabled_at is None and account is not None and permissions.administers(held, account)


def end(write: Write, holder_id: str, change: PersonChange, *, kept_session: bytes | None = None) -> Ended:
    """End what ENDS says of this change to a person, or to a management key.

    `kept_session` is the digest of the present session, for changes that spare it.
    """
    connection, what = write.connection, ENDS[change]
    links = signing_in.remove_codes_of(connection, holder_id) if Held.LINKS in what else 0
    if Held.LINKS_MADE in what:
        signing_in.remove_codes_made_by(connection, holder_id)
    sessions = 0
    if Held.OTHER_SESSIONS in what:
        kept = None if Held.PRESENT_SESSION in what else kept_session
        sessions = signing_in.remove_sessions_of(connection, holder_id, but=kept)
    browsers = signing_in.remove_browsers_of(connection, holder_id) if Held.BROWSERS in what else 0
    password = Held.PASSWORD in what and stored.remove_password(connection, holder_id)
    return Ended(links, sessions, browsers, password)


def note_event(
    write: Write,
    user_id: str,
    kind: PersonEventKind,
    *,
    address: str,
    agent: str,
    session_id: str | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Note something that a person should find on their own page."""
    events.add(
        write.connection,
        PersonEvent(0, user_id, write.now, kind, address, agent, session_id, dict(detail or {}), noticed=False),
    )


def place_in(connection: Connection, user: User, account_id: str) -> Membership | None:
    """Return a person's place in an account, if they have one."""
    return next((place for place in _held(connection, user.id) if place.account_id == account_id), None)


def _held(connection: Connection, user_id: str) -> list[Membership]:
    return stored.memberships_of(connection, user_id)


def _rights(place: Membership) -> frozenset[str]:
    return place.held | ({"admin"} if place.role == MembershipRole.ADMIN else frozenset())


def _places(connection: Connection, user_id: str) -> bytes:
    """Return a digest of all places of a person, with their roles and permissions."""
    places = [[p.account_id, p.role, p.own, p.sub_accounts] for p in _held(connection, user_id)]
    return digest_of(json.dumps(sorted(places, key=str)))


def _may_link(connection: Connection, made_by: str, user: User) -> bool:
    """Tell whether the maker of a link could still make it now."""
    maker = stored.user_by_id(connection, made_by)
    if maker is not None:
        return maker.disabled_at is None and administers_all_of(connection, maker, user)
    key = keys.key_with_id(connection, made_by)
    if key is None:
        # A management key is never deleted; other makers are the service itself.
        return not made_by.startswith("usr_")
    reached = key.accounts is None or all(place.account_id in key.accounts for place in _held(connection, user.id))
    return key.revoked_at is None and key.role == Role.ADMIN and reached
