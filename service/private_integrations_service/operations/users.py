"""Users of the settings pages: who they are, where they belong, and what they may there."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from private_integrations.contract import (
    Account,
    AuditAction,
    Invitation,
    MembershipEdit,
    MembershipRole,
    Problem,
    Refused,
    UserPlace,
    UserReport,
    UserRequest,
)

from ..access import permissions
from ..access.actors import Actor
from ..access.people import Session, User
from ..access.permissions import Admission, Membership
from ..storage import accounts, audit
from ..storage import users as stored
from ..storage.engine import Write
from ..tokens.format import new_id
from . import person_changes
from .operation import ends_access, reads, writes
from .person_changes import place_in
from .sign_in import session_of


@dataclass(frozen=True)
class Person:
    """A user as the pages know them: their places, and the accounts that those have to do with."""

    user: User
    memberships: tuple[Membership, ...]
    accounts: tuple[Account, ...]
    switched_off: frozenset[str]

    def actor(self, address: str, agent: str) -> Actor:
        """As operations know them: reaching the accounts whose integrations they manage, and no other."""
        reached = permissions.managed_accounts(self.memberships, self.accounts, self.switched_off)
        return Actor(f"person/{self.user.email}/{self.user.id}", reached, address, agent)

    def admission(self, account_id: str | None = None) -> Admission:
        """What pages about an account, or about all that they manage, are to them."""
        return permissions.admission(self.memberships, self.accounts, self.switched_off, account_id)

    def may_decide_in(self, account_id: str) -> bool:
        """Whether they decide anything about the people of an account."""
        return any(a.id == account_id and permissions.grantable(self.memberships, a) for a in self.accounts)

    def account(self, account_id: str) -> Account | Refused:
        """An account that they have a place in, or above."""
        return next((a for a in self.accounts if a.id == account_id), _no_account(account_id))


@dataclass(frozen=True)
class Changed:
    """A person whose place an admin changed; whether links for them, or their password, ended by it."""

    user: User
    links_ended: bool = False
    password_ended: bool = False


@dataclass(frozen=True)
class Place:
    """Somebody's place in an account, or in the agency above it."""

    user: User
    membership: Membership
    inherited: bool


def person_of(connection: Connection, user: User) -> Person:
    """What the pages must know of a user."""
    held = tuple(stored.memberships_of(connection, user.id))
    reached = tuple(accounts.accounts_within(connection, [place.account_id for place in held]))
    return Person(user, held, reached, stored.switched_off(connection))


@reads
def signed_in_by(connection: Connection, secret: str, now: datetime) -> tuple[Session, Person] | None:
    """Return the live session that a browser shows, and what its pages must know of the person; None without one."""
    session = session_of.step(connection, secret, now)
    return None if session is None else (session, person_of(connection, session.user))


@writes
def invite(write: Write, email: str, request: UserRequest, *, actor: Actor, links: bool = True) -> Invitation | Refused:
    """Make a user, with a one-time code to choose a password with unless `links` are of no use.

    Repeated before the code was used, it gives another one. Nothing else is changed of a user that there is.
    """
    wanted = {place.account: place.role for place in request.memberships}
    for account in wanted:
        if accounts.account_by_id(write.connection, account) is None or not actor.reaches(account):
            return _no_account(account)
    user = stored.user_by_email(write.connection, email)
    if user is None:
        user = User(new_id("usr_"), email.lower(), request.name or email, write.now)
        stored.add_user(write.connection, user)
        for account, role in wanted.items():
            person_changes.save_place(write, user, Membership(account, role))
            audit.record_account(
                write, account, actor=actor, action=AuditAction.INVITE_USER, user=user.id, email=user.email, role=role
            )
    elif not _is_repetition(write.connection, user, wanted):
        return Refused(Problem.USER_EXISTS, f"there is a user {user.email} already; nothing was changed")
    elif links:
        audit.record_service(write, actor=actor, action=AuditAction.MAKE_SIGN_IN_LINK, user=user.id, email=user.email)
    return _invitation(write, user, actor=actor, links=links)


@writes
def link(write: Write, email: str, *, actor: Actor, links: bool = True) -> Invitation | Refused:
    """Another one-time code for a user, who chooses a new password with it; until then nothing changes for them.

    Without `links`, where nobody signs in with a password, there is none.
    """
    user = _find(write.connection, email, actor)
    return user if isinstance(user, Refused) else _link(write, user, actor=actor, links=links)


@ends_access
def disable(write: Write, email: str, *, actor: Actor) -> UserReport | Refused:
    """Let a user in no more: their sessions and one-time codes end now, and come back by nothing."""
    user = _find(write.connection, email, actor)
    if isinstance(user, Refused):
        return user
    if user.disabled_at is None:
        person_changes.disable(write, user)
        audit.record_service(write, actor=actor, action=AuditAction.DISABLE_USER, user=user.id, email=user.email)
    return _report(write.connection, replace(user, disabled_at=user.disabled_at or write.now))


@writes
def enable(write: Write, email: str, *, actor: Actor) -> UserReport | Refused:
    """Let a user in again, with the password and the places that they had."""
    user = _find(write.connection, email, actor)
    if isinstance(user, Refused):
        return user
    if user.disabled_at is not None:
        person_changes.enable(write, user)
        audit.record_service(write, actor=actor, action=AuditAction.ENABLE_USER, user=user.id, email=user.email)
    return _report(write.connection, replace(user, disabled_at=None))


@ends_access
def forget_identities(write: Write, email: str, *, actor: Actor) -> UserReport | Refused:
    """Forget whom a provider means by this user: the next one there whose verified address it is, is taken for them."""
    user = _find(write.connection, email, actor)
    if isinstance(user, Refused):
        return user
    person_changes.forget_identities(write, user)
    audit.record_service(write, actor=actor, action=AuditAction.UNLINK_IDENTITY, user=user.id, email=user.email)
    return _report(write.connection, user)


@reads
def listed(connection: Connection) -> list[UserReport]:
    """Every user, by address, the disabled ones too."""
    return [_report(connection, user) for user in stored.all_users(connection)]


@ends_access
def place(write: Write, email: str, account_id: str, edit: MembershipEdit, *, actor: Actor) -> UserReport | Refused:
    """Give a user a place in an account, or change it: what isn't given stays as it is."""
    user, account = _find(write.connection, email), accounts.account_by_id(write.connection, account_id)
    if isinstance(user, Refused):
        return user
    if account is None or not actor.reaches(account_id):
        return _no_account(account_id)
    if edit.sub_accounts not in (None, "default") and not account.kind.has_sub_accounts:
        return Refused(Problem.PERMISSION_NOT_THERE, f"{account_id} is no agency: it has no sub-accounts to permit")
    saved = _save(write, user, changed(place_in(write.connection, user, account_id), account_id, edit), actor)
    return _report(write.connection, replace(user, has_password=user.has_password and not saved.password_ended))


@ends_access
def displace(write: Write, email: str, account_id: str, *, actor: Actor) -> UserReport | Refused:
    """Take a user's place in an account away; without one there is nothing to do."""
    user = _find(write.connection, email)
    if isinstance(user, Refused):
        return user
    if not actor.reaches(account_id):
        return _no_account(account_id)
    _remove(write, user, account_id, actor)
    return _report(write.connection, user)


def changed(before: Membership | None, account_id: str, edit: MembershipEdit) -> Membership:
    """A place as an edit leaves it."""
    kept = before or Membership(account_id, edit.role or MembershipRole.USER)
    return Membership(
        account_id,
        edit.role or kept.role,
        kept.own if edit.own is None else permissions.setting(edit.own),
        kept.sub_accounts if edit.sub_accounts is None else permissions.setting(edit.sub_accounts),
    )


# What an admin does in the pages, where their own permissions say what they may.


@reads
def people_of(connection: Connection, account: Account) -> list[Place]:
    """Everybody who has to do with an account: its own people, then those of its agency who manage it from there."""
    own = [Place(user, place, inherited=False) for user, place in stored.users_in(connection, [account.id])]
    above = stored.users_in(connection, [account.agency_id] if account.agency_id else [])
    return own + [Place(user, place, inherited=True) for user, place in above if place.manages_sub_accounts]


@reads
def administrators_of(connection: Connection, wanted: Collection[Account]) -> list[User]:
    """Who decides about the people of any of these accounts, by address."""
    found: dict[str, User] = {}
    for account in wanted:
        for one in people_of.step(connection, account):
            if one.user.disabled_at is None and permissions.administers([one.membership], account):
                found[one.user.id] = one.user
    return sorted(found.values(), key=lambda user: user.email)


@writes
def invite_into(
    write: Write,
    account_id: str,
    email: str,
    name: str,
    edit: MembershipEdit,
    *,
    actor: Actor,
    editor: User,
    links: bool = True,
) -> Invitation | Refused:
    """Invite somebody into an account that the editor administers.

    A person who has places elsewhere gets one here too, but no code: it would let the inviter be them there. If an
    admin from elsewhere could know their password, the place is refused, for that admin would get it.
    """
    account = _administered(write.connection, account_id, editor)
    if isinstance(account, Refused):
        return account
    user = stored.user_by_email(write.connection, email)
    if user is None:
        user = User(new_id("usr_"), email.lower(), name or email, write.now)
        stored.add_user(write.connection, user)
        needs_link = True
    else:
        if user.disabled_at is not None:
            return Refused(Problem.USER_DISABLED, f"{user.email} was disabled by whoever runs this service; ask there")
        if place_in(write.connection, user, account_id) is not None:
            return Refused(Problem.USER_EXISTS, f"{user.email} belongs to this account already")
        is_vouched_for = person_changes.is_vouched_for(write.connection, user, account_id)
        administers_all = person_changes.administers_all_of(write.connection, editor, user)
        if not is_vouched_for and not administers_all:
            detail = (
                f"{user.email} has a password that was chosen with a link of another account's admin, who may know it; "
                "the operator of this service gives them a place here, and a new link"
            )
            return Refused(Problem.PERMISSION_NOT_YOURS, detail)
        needs_link = administers_all and not (is_vouched_for and user.has_password)
    saved = person_changes.save_place(write, user, changed(None, account_id, edit))
    audit.record_account(
        write,
        account_id,
        actor=actor,
        action=AuditAction.INVITE_USER,
        user=user.id,
        email=user.email,
        role=edit.role or MembershipRole.USER,
        **({"password": "ended"} if saved is not None and saved.password_ended else {}),
    )
    return _invitation(write, user, actor=actor, links=links and needs_link)


@ends_access
def change_place(
    write: Write, account_id: str, user_id: str, edit: MembershipEdit | None, *, actor: Actor, editor: User
) -> Changed | Refused:
    """Change somebody's role and permissions in an account, or with None take their place away, as a person there."""
    account, user = _visible(write.connection, account_id, editor), stored.user_by_id(write.connection, user_id)
    before = None if user is None else place_in(write.connection, user, account_id)
    if isinstance(account, Refused):
        return account
    if user is None or before is None:
        return Refused(Problem.USER_UNKNOWN, "there is no such person in this account")
    after = None if edit is None else changed(before, account_id, edit)
    why_not = permissions.refuse_change(stored.memberships_of(write.connection, editor.id), account, before, after)
    if why_not is not None:
        return Refused(Problem.PERMISSION_NOT_YOURS, why_not)
    if not _keeps_an_administrator(write.connection, account, user, after):
        detail = "nobody would be left who decides about this account; make somebody else an admin first"
        return Refused(Problem.ACCOUNT_WITHOUT_ADMIN, detail)
    if after is None:
        _remove(write, user, account_id, actor)
        return Changed(user)
    return _save(write, user, after, actor)


@writes
def link_for(
    write: Write, account_id: str, user_id: str, *, actor: Actor, editor: User, links: bool = True
) -> Invitation | Refused:
    """A one-time code for somebody who belongs nowhere but to accounts that the editor administers."""
    account, user = _administered(write.connection, account_id, editor), stored.user_by_id(write.connection, user_id)
    if isinstance(account, Refused):
        return account
    if user is None or place_in(write.connection, user, account_id) is None:
        return Refused(Problem.USER_UNKNOWN, "there is no such person in this account")
    if not person_changes.administers_all_of(write.connection, editor, user):
        detail = f"{user.email} belongs to other accounts too; whoever runs this service makes a new link for them"
        return Refused(Problem.PERMISSION_NOT_YOURS, detail)
    return _link(write, user, actor=actor, links=links)


@ends_access
def switch_labs(write: Write, account_id: str, *, on: bool, actor: Actor, editor: User) -> Account | Refused:
    """Switch private integrations of an account on or off for people; nothing else changes by it."""
    account = _administered(write.connection, account_id, editor)
    if isinstance(account, Refused):
        return account
    if on == (account_id in stored.switched_off(write.connection)):
        if on:
            stored.switch_on(write.connection, account_id)
        else:
            stored.switch_off(write.connection, account_id, write.now)
        audit.record_account(
            write, account_id, actor=actor, action=AuditAction.SWITCH_LABS_ON if on else AuditAction.SWITCH_LABS_OFF
        )
    return account


def _keeps_an_administrator(connection: Connection, account: Account, user: User, after: Membership | None) -> bool:
    """Whether somebody decides about the account once this user's place is another one."""
    if after is not None and permissions.administers([after], account):
        return True
    return any(
        one.user.disabled_at is None and permissions.administers([one.membership], account)
        for one in people_of.step(connection, account)
        if one.inherited or one.user.id != user.id
    )


def _visible(connection: Connection, account_id: str, editor: User) -> Account | Refused:
    """An account in which the editor may change something."""
    person = person_of(connection, editor)
    account = person.account(account_id)
    if isinstance(account, Refused) or permissions.grantable(person.memberships, account):
        return account
    return _no_account(account_id)


def _administered(connection: Connection, account_id: str, editor: User) -> Account | Refused:
    person = person_of(connection, editor)
    account = person.account(account_id)
    if isinstance(account, Refused) or permissions.administers(person.memberships, account):
        return account
    if not permissions.grantable(person.memberships, account):
        return _no_account(account_id)
    return Refused(Problem.PERMISSION_NOT_YOURS, "only an admin with every permission of the account does this")


def _is_repetition(connection: Connection, user: User, wanted: dict[str, MembershipRole]) -> bool:
    held = {place.account_id: place.role for place in stored.memberships_of(connection, user.id)}
    return held == wanted and not user.has_password and user.disabled_at is None


def _link(write: Write, user: User, *, actor: Actor, links: bool) -> Invitation | Refused:
    if user.disabled_at is not None:
        return Refused(Problem.USER_DISABLED, f"{user.email} is disabled; enable them first")
    if links:
        audit.record_service(write, actor=actor, action=AuditAction.MAKE_SIGN_IN_LINK, user=user.id, email=user.email)
    return _invitation(write, user, actor=actor, links=links)


def _invitation(write: Write, user: User, *, actor: Actor, links: bool) -> Invitation:
    if not links:
        return Invitation(user_id=user.id, email=user.email)
    made = person_changes.make_link(write, user, actor=actor)
    return Invitation(user_id=user.id, email=user.email, code=made.code, expires_at=made.expires_at)


def _find(connection: Connection, email: str, actor: Actor | None = None) -> User | Refused:
    """Return the user with this address; with an actor, only one who has no place that the actor does not reach."""
    user = stored.user_by_email(connection, email)
    if user is None or (
        actor is not None and not all(actor.reaches(p.account_id) for p in stored.memberships_of(connection, user.id))
    ):
        return Refused(Problem.USER_UNKNOWN, f"there is no user {email}")
    return user


def _save(write: Write, user: User, after: Membership, actor: Actor) -> Changed:
    saved = person_changes.save_place(write, user, after)
    if saved is None:
        return Changed(user)
    audit.record_account(
        write,
        after.account_id,
        actor=actor,
        action=AuditAction.CHANGE_ROLE,
        user=user.id,
        email=user.email,
        role=after.role,
        own=permissions.source(after.own),
        sub_accounts=permissions.source(after.sub_accounts),
        **({"password": "ended"} if saved.password_ended else {}),
    )
    return Changed(user, saved.links_ended, saved.password_ended)


def _remove(write: Write, user: User, account_id: str, actor: Actor) -> None:
    if person_changes.remove_place(write, user, account_id):
        audit.record_account(
            write, account_id, actor=actor, action=AuditAction.REMOVE_USER, user=user.id, email=user.email
        )


def _report(connection: Connection, user: User) -> UserReport:
    places = [
        UserPlace(
            account=place.account_id,
            role=place.role,
            own=permissions.source(place.own),
            sub_accounts=permissions.source(place.sub_accounts),
        )
        for place in stored.memberships_of(connection, user.id)
    ]
    return UserReport(
        id=user.id,
        email=user.email,
        name=user.name,
        created_at=user.created_at,
        disabled_at=user.disabled_at,
        has_password=user.has_password,
        memberships=places,
    )


def _no_account(account_id: str) -> Refused:
    return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account_id}")
