"""Sign people in and out, by passwords, sign-in links or an identity provider, and manage their sessions."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from private_integrations.contract import AuditAction, Problem, Refused, digest_of

from ..access.actors import Actor
from ..access.people import Session, User
from ..storage import accounts, audit
from ..storage import person_events as events
from ..storage import sessions as stored
from ..storage import users as people
from ..storage.engine import StorageEngine, Write
from ..storage.person_events import PersonEvent, PersonEventKind
from ..tokens.format import new_id
from . import person_changes, throttle
from .operation import ends_access, reads, writes
from .password_strength import Words
from .passwords import Passwords, TooManySignInsError, Turn, refuse_password
from .person_changes import Ended, PersonChange

IDLE = timedelta(hours=12)
"""End a session that was not used for so long."""
LONGEST = timedelta(days=7)
"""End a session that is so old, even if it is in use."""
SEEN_EVERY = timedelta(minutes=5)
"""Store the use of a session once in so long."""
BROWSER = timedelta(days=180)
"""Remember a browser without a sign-in for so long."""

_MOST_NAMES = 50
"""The number of accounts whose names a password may not contain, which bounds the time of its examination."""

_REFUSED = Refused(Problem.SIGN_IN_REFUSED, "this email and password don't belong together")
_BUSY = Refused(Problem.SIGN_IN_BUSY, "too many people sign in at this moment; try it again")
_CODE_UNKNOWN = Refused(Problem.CODE_UNKNOWN, "this link was used or has expired; ask for a new one")


@dataclass(frozen=True)
class Browser:
    """Describe the browser of a sign-in, with the secrets of its session and of former sign-ins, if it holds any."""

    address: str
    agent: str
    session: Session | None = None
    known: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SignedIn:
    """Hold a new session; the browser gets the secrets, and the service stores only digests.

    `ended` is what ended because the person's identity at a provider was linked by this sign-in; None if it wasn't.
    """

    session: Session
    secret: str = field(repr=False)
    known: str = field(repr=False)
    is_new_browser: bool
    ended: Ended | None = None


@dataclass(frozen=True)
class Claims:
    """Hold a provider's verified claims about a person; `email` only if the provider has verified it."""

    issuer: str
    subject: str
    email: str | None


@reads
def session_of(connection: Connection, secret: str, now: datetime) -> Session | None:
    """Return the live session of a browser, or None."""
    session = stored.session_with_digest(connection, digest_of(secret))
    return None if session is None or not is_live(session, now) else session


def is_live(session: Session, now: datetime) -> bool:
    """Tell whether a session was used lately and is not too old."""
    return now < session.seen_at + IDLE and now < session.created_at + LONGEST


@reads
def live_sessions(connection: Connection, user: User, now: datetime) -> list[Session]:
    """Return a user's sessions, the one used last first."""
    return [session for session in stored.sessions_of(connection, user.id) if is_live(session, now)]


def note_use(engine: StorageEngine, session: Session, now: datetime) -> None:
    """Store that a session is in use, if that wasn't stored lately."""
    if now >= session.seen_at + SEEN_EVERY:
        with engine.write(yielding=True) as write:
            stored.touch_session(write.connection, session.digest, write.now)


def sign_in(
    engine: StorageEngine, passwords: Passwords, email: str, password: str, browser: Browser, now: datetime
) -> SignedIn | Refused:
    """Start a session for a right password; neither answer nor time shows whether address or password is wrong."""
    with engine.read() as connection:
        user = people.user_by_email(connection, email)
        counted = _counted(connection, user, email, browser)
        refused = throttle.refuse(connection, counted, now)
        known = None if user is None else people.password_of(connection, user.id)
        is_known = user is not None and _is_known(connection, user, browser)
    if refused is not None:
        return refused
    try:
        with passwords.turn(user.id if user is not None and is_known else None) as turn:
            return _compared(engine, passwords, turn, _Try(user, known, password, counted), browser, now)
    except TooManySignInsError:
        return _BUSY


@dataclass(frozen=True)
class _Try:
    """Hold a try with a password: the user, who may not exist, their hash at that moment, and the counts of the try."""

    user: User | None
    known: str | None
    password: str = field(repr=False)
    counted: tuple[throttle.FailureCount, ...]


def _compared(
    engine: StorageEngine, passwords: Passwords, turn: Turn, made: _Try, browser: Browser, now: datetime
) -> SignedIn | Refused:
    """Count a try, check it, and sign in if it is right; within the limit on hashing, so that a flood writes little."""
    refused = _counted_now(engine, made.counted, now)
    if refused is not None:
        return refused
    user, known, password = made.user, made.known, made.password
    fits = turn.fits(password, known)
    if not fits or user is None:
        return _REFUSED
    better = turn.hash(password) if known and passwords.is_outdated(known) else known
    with engine.write(yielding=True) as write:
        present = people.user_by_id(write.connection, user.id)
        if present is None or present.disabled_at or people.password_of(write.connection, user.id) != known:
            return _REFUSED
        throttle.forgive(write, made.counted)
        if better is not None and better != known:
            person_changes.rehash_password(write, present, better)
        audit.record_service(write, actor=actor_of(present, browser), action=AuditAction.SIGN_IN)
        return _signed_in(write, present, browser)


@reads
def user_with(connection: Connection, email: str) -> User | None:
    """Return the user with this address."""
    return people.user_by_email(connection, email)


@reads
def recipient_of(connection: Connection, code: str, now: datetime) -> User | Refused:
    """Return the person that a one-time code lets choose a password."""
    return person_changes.recipient_of(connection, code, now) or _CODE_UNKNOWN


def welcome(
    engine: StorageEngine, passwords: Passwords, code: str, password: str, browser: Browser, now: datetime
) -> SignedIn | Refused:
    """Use up a one-time code: store the user's password, end all sessions, and sign in this browser."""
    with engine.read() as connection:
        user = recipient_of.step(connection, code, now)
        if isinstance(user, Refused):
            return user
        words = _words_of(connection, user)
    try:
        with passwords.turn(user.id) as turn:
            refused = refuse_password(password, words)
            if refused is not None:
                return refused
            hashed = turn.hash(password)
    except TooManySignInsError:
        return _BUSY
    with engine.write() as write:
        present = recipient_of.step(write.connection, code, write.now)
        if isinstance(present, Refused):
            return present
        person_changes.choose_password(write, present, code, hashed, address=browser.address, agent=browser.agent)
        return _with_new_password(write, present, browser)


def change_password(
    engine: StorageEngine,
    passwords: Passwords,
    session: Session,
    present: str,
    new: str,
    browser: Browser,
    now: datetime,
) -> SignedIn | Refused:
    """Change the password of a user who knows the present one; end every session, and give this browser a new one."""
    counted = throttle.of_browser(session.digest)
    with engine.read() as connection:
        refused = throttle.refuse(connection, counted, now)
        known = people.password_of(connection, session.user.id)
        words = _words_of(connection, session.user)
    if refused is not None:
        return refused
    try:
        with passwords.turn(session.user.id) as turn:
            weak = refuse_password(new, words)
            if weak is not None:
                return weak
            refused = _counted_now(engine, counted, now)
            if refused is not None:
                return refused
            if not turn.fits(present, known):
                return Refused(Problem.SIGN_IN_REFUSED, "the present password is another one")
            hashed = turn.hash(new)
    except TooManySignInsError:
        return _BUSY
    with engine.write() as write:
        throttle.forgive(write, counted)
        # If the session was ended while this was hashed, for example by disabling the user, there is no new one.
        lives = stored.session_with_digest(write.connection, session.digest) is not None
        if not lives or people.password_of(write.connection, session.user.id) != known:
            return Refused(Problem.SIGN_IN_REFUSED, "you were signed out or the password was changed meanwhile")
        person_changes.change_password(write, session.user, hashed, address=browser.address, agent=browser.agent)
        return _with_new_password(write, session.user, browser)


def sign_in_by_provider(engine: StorageEngine, claims: Claims, browser: Browser, now: datetime) -> SignedIn | Refused:
    """Start a session for an invited user that a provider has authenticated; from then on its subject identifies them.

    If the provider gives the address to another person one day, that person can't sign in: the subject differs.
    """
    with engine.read() as connection:
        known = people.user_of_identity(connection, claims.issuer, claims.subject)
        invited = known or _invited(connection, claims)
    # The provider knows other people, too; only a person who may sign in causes a change.
    if isinstance(invited, Refused):
        return invited
    with engine.write(yielding=True) as write:
        user = people.user_of_identity(write.connection, claims.issuer, claims.subject)
        ended = None
        if user is None:
            invited = _invited(write.connection, claims)
            if isinstance(invited, Refused):
                return invited
            user, ended = invited, _linked(write, invited, claims, browser)
        if user.disabled_at is not None:
            return _not_invited(claims)
        audit.record_service(write, actor=actor_of(user, browser), action=AuditAction.SIGN_IN, provider=claims.issuer)
        return _signed_in(write, user, browser, ended)


@ends_access
def sign_out(write: Write, session: Session) -> None:
    """End a session."""
    stored.remove_session(write.connection, session.digest)


@ends_access
def end_session(write: Write, user: User, session_id: str, *, actor: Actor) -> None:
    """End one of a user's sessions; one that has ended is no error."""
    if stored.remove_session_with_id(write.connection, user.id, session_id):
        audit.record_service(write, actor=actor, action=AuditAction.END_SESSION, session=session_id)


@ends_access
def sign_out_everywhere(write: Write, user: User, *, actor: Actor) -> None:
    """End all sessions of a user, and the links that they made."""
    person_changes.end(write, user.id, PersonChange.SIGNED_OUT_EVERYWHERE)
    audit.record_service(write, actor=actor, action=AuditAction.END_ALL_SESSIONS)


@ends_access
def end_other_sessions(write: Write, session: Session, up_to: int, *, actor: Actor) -> None:
    """End all sessions of a user but this one, and the links that they made; the events up to this one are no news."""
    ended = person_changes.end(write, session.user.id, PersonChange.OTHER_SESSIONS_ENDED, kept_session=session.digest)
    audit.record_service(write, actor=actor, action=AuditAction.END_OTHER_SESSIONS, sessions=ended.sessions)
    events.mark_noticed(write.connection, session.user.id, up_to)


@reads
def latest_events(connection: Connection, user: User) -> list[PersonEvent]:
    """List the events of a user's ways to sign in, the latest first."""
    return events.events_of(connection, user.id)


def news_among(found: Sequence[PersonEvent], session: Session, known: str | None) -> list[PersonEvent]:
    """Return the events that a person should be asked about: not confirmed, and none of the browser before them.

    `found` is the latest first, `known` the secret of having signed in before with this browser.
    """
    browser = None if known is None else digest_of(known).hex()
    news, is_link_over = [], False
    for event in found:
        is_link_over = is_link_over or event.kind in (PersonEventKind.PASSWORD_CHOSEN, PersonEventKind.IDENTITY_LINKED)
        is_news = {
            PersonEventKind.SIGNED_IN_NEW_BROWSER: session.id != event.session_id
            and event.detail.get("browser") != browser,
            # It is no news to a person who had neither a password nor a session, since it ended none.
            PersonEventKind.IDENTITY_LINKED: bool(event.detail.get("password") or event.detail.get("sessions")),
            PersonEventKind.LINK_MADE: not is_link_over,
        }.get(event.kind, False)
        if is_news and not event.noticed:
            news.append(event)
    return news


@writes
def confirm_events(write: Write, user: User, up_to: int) -> None:
    """Store that a user knows of their events up to this one."""
    events.mark_noticed(write.connection, user.id, up_to)


def actor_of(user: User, browser: Browser) -> Actor:
    """Return a user who signs in as an actor, which reaches no account yet."""
    return Actor(f"person/{user.email}/{user.id}", frozenset(), browser.address, browser.agent)


def _words_of(connection: Connection, user: User) -> Words:
    """Collect the words about a user that an attacker may know, so that no password is made of them."""
    held = [place.account_id for place in people.memberships_of(connection, user.id)]
    names = [account.name for account in accounts.accounts_within(connection, held)][:_MOST_NAMES]
    return Words.of(user.email, user.name, *names)


def _is_known(connection: Connection, user: User, browser: Browser) -> bool:
    """Tell whether this person has signed in with this browser before."""
    return browser.known is not None and stored.user_id_of_browser(connection, digest_of(browser.known)) == user.id


def _counted(
    connection: Connection, user: User | None, email: str, browser: Browser
) -> tuple[throttle.FailureCount, ...]:
    if user is not None and browser.known is not None and _is_known(connection, user, browser):
        return throttle.of_browser(digest_of(browser.known))
    return throttle.of_strangers(email, browser.address)


def _counted_now(engine: StorageEngine, counted: tuple[throttle.FailureCount, ...], now: datetime) -> Refused | None:
    """Count a try before it is compared, or say why it is refused: others may have been counted meanwhile."""
    with engine.read() as connection:
        refused = throttle.refuse(connection, counted, now)
    if refused is not None:
        return refused
    with engine.write(yielding=True) as write:
        refused = throttle.refuse(write.connection, counted, write.now)
        if refused is None:
            throttle.count(write, counted)
    return refused


def _with_new_password(write: Write, user: User, browser: Browser) -> SignedIn:
    throttle.forgive(write, throttle.of_strangers(user.email, browser.address)[:1])
    audit.record_service(write, actor=actor_of(user, browser), action=AuditAction.CHOOSE_PASSWORD)
    return _signed_in(write, user, browser)


def _invited(connection: Connection, claims: Claims) -> User | Refused:
    """Return the user whom a provider's subject is to be linked to."""
    if claims.email is None:
        return Refused(Problem.EMAIL_UNVERIFIED, "the provider doesn't vouch for your email address")
    user = people.user_by_email(connection, claims.email)
    if user is None or user.disabled_at is not None:
        return _not_invited(claims)
    # The Kelvin sign in lower case is a k, here, and another letter to whom the provider has verified.
    if claims.email.isascii() != user.email.isascii():
        return _not_invited(claims)
    if people.has_identity(connection, user.id, claims.issuer):
        detail = f"{user.email} belongs to another person at the provider than here; ask whoever runs this service"
        return Refused(Problem.IDENTITY_OTHER, detail)
    return user


def _linked(write: Write, user: User, claims: Claims, browser: Browser) -> Ended:
    ended = person_changes.link_identity(
        write, user, claims.issuer, claims.subject, address=browser.address, agent=browser.agent
    )
    audit.record_service(
        write,
        actor=actor_of(user, browser),
        action=AuditAction.LINK_IDENTITY,
        issuer=claims.issuer,
        password_removed=ended.password,
        sessions_ended=ended.sessions,
    )
    return ended


def _not_invited(claims: Claims) -> Refused:
    who = "you" if claims.email is None else claims.email
    return Refused(Problem.USER_NOT_INVITED, f"nobody has invited {who}; ask an admin of your account")


def _signed_in(write: Write, user: User, browser: Browser, ended: Ended | None = None) -> SignedIn:
    stored.purge(
        write.connection, write.now, seen=write.now - IDLE, created=write.now - LONGEST, browsers=write.now - BROWSER
    )
    if browser.session is not None:
        stored.remove_session(write.connection, browser.session.digest)
    secret = secrets.token_urlsafe(32)
    session = Session(
        digest=digest_of(secret),
        id=new_id("ses_"),
        user=user,
        form_key=secrets.token_urlsafe(32),
        created_at=write.now,
        seen_at=write.now,
        address=browser.address,
        agent=browser.agent,
    )
    stored.add_session(write.connection, session)
    known = _remembered(write, user, browser)
    is_new = known != browser.known
    person_changes.note_event(
        write,
        user.id,
        PersonEventKind.SIGNED_IN_NEW_BROWSER if is_new else PersonEventKind.SIGNED_IN,
        address=browser.address,
        agent=browser.agent,
        session_id=session.id,
        detail={"browser": digest_of(known).hex()} if is_new else {},
    )
    return SignedIn(session, secret, known, is_new, ended)


def _remembered(write: Write, user: User, browser: Browser) -> str:
    """Make the secret by which this browser is known as the user's from now on."""
    if browser.known is not None:
        digest = digest_of(browser.known)
        if stored.user_id_of_browser(write.connection, digest) == user.id:
            stored.touch_browser(write.connection, digest, write.now)
            return browser.known
    known = secrets.token_urlsafe(32)
    stored.add_browser(write.connection, digest_of(known), user.id, write.now)
    return known
