"""Manage the users of the settings pages, their memberships and their permissions."""

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
    """Hold a user with their memberships, and the accounts of these memberships."""

    user: User
    memberships: tuple[Membership, ...]
    accounts: tuple[Account, ...]
    switched_off: frozenset[str]

    def actor(self, address: str, agent: str) -> Actor:
        """Return the person as an actor, which reaches the accounts whose integrations they manage."""
        reached = permissions.managed_accounts(self.memberships, self.accounts, self.switched_off)
        return Actor(f"person/{self.user.email}/{self.user.id}", reached, address, agent)

    def admission(self, account_id: str | None = None) -> Admission:
        """Decide on pages about an account, or about all that they manage."""
        return permissions.admission(self.memberships, self.accounts, self.switched_off, account_id)

    def may_decide_in(self, account_id: str) -> bool:
        """Tell whether they can change any permission of the people of an account."""
        return any(a.id == account_id and permissions.grantable(self.memberships, a) for a in self.accounts)

    def account(self, account_id: str) -> Account | Refused:
        """Return an account that they belong to, directly or as an admin of its agency."""
        return next((a for a in self.accounts if a.id == account_id), _no_account(account_id))


@dataclass(frozen=True)
class MembershipChange:
    """Hold a person whose membership an admin changed; tells whether this ended their links, or their password."""

    user: User
    links_ended: bool = False
    password_ended: bool = False


@dataclass(frozen=True)
class AccountMember:
    """Hold a person's membership in an account, or in the agency above it."""

    user: User
    membership: Membership
    inherited: bool


def person_of(connection: Connection, user: User) -> Person:
    """Return the person that the pages need of a user."""
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
    """Create a user, with a one-time code for choosing a password unless `links` is false.

    A repeated request returns another code if the first was not used. An existing user stays as it is otherwise.
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
    """Make another one-time code for a user, who chooses a new password with it; until then nothing changes for them.

    Without `links`, because people sign in without passwords, there is none.
    """
    user = _find(write.connection, email, actor)
    return user if isinstance(user, Refused) else _link(write, user, actor=actor, links=links)


@ends_access
def disable(write: Write, email: str, *, actor: Actor) -> UserReport | Refused:
    """Disable a user: their sessions and one-time codes end now, for good."""
    user = _find(write.connection, email, actor)
    if isinstance(user, Refused):
        return user
    if user.disabled_at is None:
        person_changes.disable(write, user)
        audit.record_service(write, actor=actor, action=AuditAction.DISABLE_USER, user=user.id, email=user.email)
    return _report(write.connection, replace(user, disabled_at=user.disabled_at or write.now))


@writes
def enable(write: Write, email: str, *, actor: Actor) -> UserReport | Refused:
    """Enable a user again, with the password and the memberships that they had."""
    user = _find(write.connection, email, actor)
    if isinstance(user, Refused):
        return user
    if user.disabled_at is not None:
        person_changes.enable(write, user)
        audit.record_service(write, actor=actor, action=AuditAction.ENABLE_USER, user=user.id, email=user.email)
    return _report(write.connection, replace(user, disabled_at=None))


@ends_access
def forget_identities(write: Write, email: str, *, actor: Actor) -> UserReport | Refused:
    """Delete a user's identities at providers: the next sign-in with their verified address links a new one."""
    user = _find(write.connection, email, actor)
    if isinstance(user, Refused):
        return user
    person_changes.forget_identities(write, user)
    audit.record_service(write, actor=actor, action=AuditAction.UNLINK_IDENTITY, user=user.id, email=user.email)
    return _report(write.connection, user)


@reads
def listed(connection: Connection) -> list[UserReport]:
    """Return every user, by address, the disabled ones too."""
    return [_report(connection, user) for user in stored.all_users(connection)]


@ends_access
def place(write: Write, email: str, account_id: str, edit: MembershipEdit, *, actor: Actor) -> UserReport | Refused:
    """Give a user a membership in an account, or change the given values of it."""
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
    """Remove a user's membership in an account; without one, do nothing."""
    user = _find(write.connection, email)
    if isinstance(user, Refused):
        return user
    if not actor.reaches(account_id):
        return _no_account(account_id)
    _remove(write, user, account_id, actor)
    return _report(write.connection, user)


def changed(before: Membership | None, account_id: str, edit: MembershipEdit) -> Membership:
    """Return a membership after an edit."""
    kept = before or Membership(account_id, edit.role or MembershipRole.USER)
    return Membership(
        account_id,
        edit.role or kept.role,
        kept.own if edit.own is None else permissions.setting(edit.own),
        kept.sub_accounts if edit.sub_accounts is None else permissions.setting(edit.sub_accounts),
    )


# Changes by an admin in the pages, limited by their own permissions.


@reads
def places_in(connection: Connection, account_ids: Collection[str]) -> list[tuple[User, Membership]]:
    """Return the members of these accounts, each with a place in one of them."""
    return stored.users_in(connection, account_ids)


@reads
def people_of(connection: Connection, account: Account) -> list[AccountMember]:
    """Return the people of an account: its own members, then those of its agency who manage it from there."""
    own = [AccountMember(user, place, inherited=False) for user, place in stored.users_in(connection, [account.id])]
    above = stored.users_in(connection, [account.agency_id] if account.agency_id else [])
    return own + [AccountMember(user, place, inherited=True) for user, place in above if place.manages_sub_accounts]


@reads
def administrators_of(connection: Connection, wanted: Collection[Account]) -> list[User]:
    """Return the people who manage the members of any of these accounts, by address."""
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
    """Invite a person into an account that the editor administers.

    A member of other accounts gets a membership here, too, but no code: with it, the inviter could sign in as them
    there. If an admin of another account could know their password, the invitation is refused: that admin would get
    in here as well.
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
) -> MembershipChange | Refused:
    """Change a person's role and permissions in an account, or with None remove their membership."""
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
        return MembershipChange(user)
    return _save(write, user, after, actor)


@writes
def link_for(
    write: Write, account_id: str, user_id: str, *, actor: Actor, editor: User, links: bool = True
) -> Invitation | Refused:
    """Make a one-time code for a person who belongs only to accounts that the editor administers."""
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
    """Tell whether the account still has an admin after this change of a user's membership."""
    if after is not None and permissions.administers([after], account):
        return True
    return any(
        one.user.disabled_at is None and permissions.administers([one.membership], account)
        for one in people_of.step(connection, account)
        if one.inherited or one.user.id != user.id
    )


def _visible(connection: Connection, account_id: str, editor: User) -> Account | Refused:
    """Return an account in which the editor has rights to change."""
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


def _save(write: Write, user: User, after: Membership, actor: Actor) -> MembershipChange:
    saved = person_changes.save_place(write, user, after)
    if saved is None:
        return MembershipChange(user)
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
    return MembershipChange(user, saved.links_ended, saved.password_ended)


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
