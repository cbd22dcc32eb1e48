"""End tokens that nobody uses, and say so beforehand; the rules are in tokens/inactivity.py."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from private_integrations.contract import Inactivity, InactivityRequest, Integration, rfc3339
from private_integrations.rotation.decisions import days_left

from ..access.actors import Actor
from ..settings import Settings
from ..storage import accounts, audit, integrations
from ..storage import tokens as stored
from ..storage.sqlite.activity import Activity
from ..storage.sqlite.database import Database, Write
from ..tokens.inactivity import (
    Confirm,
    End,
    Leave,
    Recall,
    Step,
    TokenUse,
    Warn,
    plan_inactivity,
    single,
    time_in_force,
)
from ..tokens.lifecycle import Refused, Token
from . import activity as recorded
from .events import announce

FRESH = timedelta(minutes=5)
"""How old the latest complete record of uses may be: with an older one nothing is concluded from what isn't in it."""

_SERVICE = Actor("service")
_PAGE = 500


@dataclass(frozen=True)
class Swept:
    """What a sweep did, by integration id; `is_behind`: nothing, because uses are not recorded completely."""

    warned: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    is_behind: bool = False


def sweep(database: Database, activity: Activity, settings: Settings, now: datetime) -> Swept:
    """Look at the tokens of every integration: warn of those that nobody uses, end those whose announced end has come.

    Raises SQLAlchemyError: what was done holds, and the next sweep goes on.
    """
    now = max(now, database.high_water)
    recorded_until, observed_since = recorded.watermark(activity, now), recorded.observed_since(activity)
    if recorded_until is None or observed_since is None or now - recorded_until > FRESH:
        return Swept(is_behind=True)
    warned, ended = [], []
    for page in _pages(database):
        use = TokenUse(recorded.last_used(activity, page.token_ids(now)), observed_since, recorded_until)
        steps = page.steps(use, settings.inactive_after, now)
        kept = [step.token.id for step in steps.values() if isinstance(step, Confirm)]
        if kept:
            with database.write(now, verdicts=False) as write:
                stored.confirm_notices(write.connection, kept, write.now)
        for integration_id, step in steps.items():
            if isinstance(step, Leave | Confirm):
                continue
            done = _carry_out(database, integration_id, step, use, settings, now)
            warned += [integration_id] if isinstance(done, Warn) else []
            ended += [integration_id] if isinstance(done, End) else []
    return Swept(tuple(warned), tuple(ended))


def rule_of(database: Database, account_id: str, settings: Settings, *, actor: Actor) -> Inactivity | Refused:
    """When an account's tokens that nobody uses are ended."""
    with database.read() as connection:
        if accounts.account_by_id(connection, account_id) is None or not actor.reaches(account_id):
            return _unknown(account_id)
        own = accounts.inactive_after(connection, [account_id])[account_id]
    return _inactivity(account_id, own, settings)


def set_rule(
    write: Write, account_id: str, request: InactivityRequest, settings: Settings, *, actor: Actor
) -> Inactivity | Refused:
    """Say when an account's tokens that nobody uses are ended.

    A shorter time is never sudden: its end of a token is announced first, like any other.
    """
    if accounts.account_by_id(write.connection, account_id) is None or not actor.reaches(account_id):
        return _unknown(account_id)
    own = {"service": None, "off": 0, "after": request.after_seconds}[request.rule]
    if own != accounts.inactive_after(write.connection, [account_id])[account_id]:
        accounts.save_inactive_after(write.connection, account_id, own)
        rule = request.model_dump(exclude_none=True)
        audit.record_account(write, account_id, actor=actor, action="set inactivity", **rule)
    return _inactivity(account_id, own, settings)


@dataclass(frozen=True)
class _Page:
    """Some integrations with their tokens, and the accounts' own rules."""

    integrations: list[Integration]
    tokens: Mapping[str, list[Token]]
    rules: Mapping[str, int | None]

    def token_ids(self, now: datetime) -> list[int]:
        """The tokens whose use matters."""
        return [token.id for tokens in self.tokens.values() if (token := single(tokens, now)) is not None]

    def steps(self, use: TokenUse, service: timedelta | None, now: datetime) -> dict[str, Step]:
        """What would be done, by integration id."""
        return {
            integration.id: plan_inactivity(
                self.tokens[integration.id], time_in_force(self.rules[integration.account], service), use, now
            )
            for integration in self.integrations
        }


def _pages(database: Database) -> Iterator[_Page]:
    after = ""
    while True:
        with database.read() as connection:
            page = integrations.list_integrations(connection, after=after, limit=_PAGE)
            if not page:
                return
            tokens = stored.tokens_of(connection, [integration.id for integration in page])
            rules = accounts.inactive_after(connection, {integration.account for integration in page})
        yield _Page(page, tokens, rules)
        after = page[-1].id


def _carry_out(
    database: Database, integration_id: str, planned: Step, use: TokenUse, settings: Settings, now: datetime
) -> Step:
    """Do what is right by the time that it is this transaction's turn: since it was planned, much may have happened."""

    def decided(write: Write) -> Step:
        integration = integrations.integration_by_id(write.connection, integration_id)
        if integration is None:
            return Leave()
        tokens = stored.tokens_of(write.connection, [integration_id])[integration_id]
        own = accounts.inactive_after(write.connection, [integration.account])
        after = time_in_force(own[integration.account], settings.inactive_after)
        step = plan_inactivity(tokens, after, use, write.now)
        if isinstance(step, End) and not isinstance(planned, End):
            # Only a transaction that was begun to end tokens moves the revision; the next sweep begins one.
            return Leave()
        _store(write, integration, step)
        return step

    if isinstance(planned, End):
        return database.ending(now, decided)
    with database.write(now, verdicts=False) as write:
        return decided(write)


def _store(write: Write, integration: Integration, step: Step) -> None:
    if isinstance(step, Recall):
        for token in step.tokens:
            stored.save_notice(write.connection, token)
    elif isinstance(step, Warn):
        stored.save_notice(write.connection, step.token)
        _tell(
            write,
            integration,
            step.token,
            "token.inactive_warning",
            inactive_since=rfc3339(step.notice.since),
            ends_at=rfc3339(step.notice.ends_at),
            days_left=days_left(step.notice.ends_at, write.now),
        )
    elif isinstance(step, End):
        token = step.token
        stored.save_tokens(write.connection, [token])
        audit.record(
            write,
            integration,
            actor=_SERVICE,
            action="expire inactive",
            generation=token.generation,
            fingerprint=token.fingerprint,
            reason=token.ended_because,
        )
        _tell(write, integration, token, "token.expired_inactive", reason=token.ended_because)


def _tell(write: Write, integration: Integration, token: Token, event: str, **about: object) -> None:
    announce(
        write,
        event,
        account=integration.account,
        integration=integration,
        actor=_SERVICE.name,
        generation=token.generation,
        fingerprint=token.fingerprint,
        **about,
    )


def _inactivity(account_id: str, own: int | None, settings: Settings) -> Inactivity:
    after = time_in_force(own, settings.inactive_after)
    return Inactivity(
        account=account_id,
        rule="service" if own is None else "after" if own else "off",
        after_seconds=None if after is None else int(after.total_seconds()),
    )


def _unknown(account_id: str) -> Refused:
    return Refused("account-unknown", f"there is no account {account_id}")
