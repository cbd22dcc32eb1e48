"""End inactive tokens, and warn beforehand; the rules are in tokens/inactivity.py."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from private_integrations.contract import (
    AuditAction,
    Event,
    Inactivity,
    InactivityRequest,
    Integration,
    Problem,
    Refused,
    rfc3339,
)
from private_integrations.rotation.decisions import days_left

from ..access.actors import Actor
from ..settings import Settings
from ..storage import accounts, audit, integrations
from ..storage import tokens as stored
from ..storage.activity import ActivityStore
from ..storage.engine import StorageEngine, Write
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
from ..tokens.lifecycle import StoredToken
from . import activity as recorded
from .events import publish
from .operation import ends_access, reads, writes

FRESH = timedelta(minutes=5)
"""Draw no conclusion from missing uses if the latest complete record of uses is older than this."""

_SERVICE = Actor("service")
_PAGE = 500


@dataclass(frozen=True)
class Swept:
    """Hold the result of a sweep, by integration id; `is_behind`: it did nothing, because uses may be missing."""

    warned: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    is_behind: bool = False


def sweep(engine: StorageEngine, activity: ActivityStore, settings: Settings) -> Swept:
    """Warn of the inactive tokens of all integrations, and end those whose announced end has come.

    Raises StorageError: what was done holds, and the next sweep goes on.
    """
    now = engine.now()
    recorded_until, observed_since = recorded.watermark(activity, now), recorded.observed_since(activity)
    if recorded_until is None or observed_since is None or now - recorded_until > FRESH:
        return Swept(is_behind=True)
    warned, ended = [], []
    for page in _pages(engine):
        use = TokenUse(recorded.last_used(activity, page.token_ids(now)), observed_since, recorded_until)
        steps = page.steps(use, settings.inactive_after, now)
        kept = [step.token.id for step in steps.values() if isinstance(step, Confirm)]
        if kept:
            confirm(engine, kept)
        for integration_id, step in steps.items():
            if isinstance(step, Leave | Confirm):
                continue
            operation = end_inactive if isinstance(step, End) else warn_or_recall
            done = operation(engine, integration_id, use, settings)
            warned += [integration_id] if isinstance(done, Warn) else []
            ended += [integration_id] if isinstance(done, End) else []
    return Swept(tuple(warned), tuple(ended))


@writes
def confirm(write: Write, token_ids: Sequence[int]) -> None:
    """Note that nothing has changed about the announced ends of these tokens."""
    stored.confirm_notices(write.connection, token_ids, write.now)


@reads
def rule_of(connection: Connection, account_id: str, settings: Settings, *, actor: Actor) -> Inactivity | Refused:
    """Return when inactive tokens of an account are ended."""
    if accounts.account_by_id(connection, account_id) is None or not actor.reaches(account_id):
        return _unknown(account_id)
    own = accounts.inactive_after(connection, [account_id])[account_id]
    return _inactivity(account_id, own, settings)


@writes
def set_rule(
    write: Write, account_id: str, request: InactivityRequest, settings: Settings, *, actor: Actor
) -> Inactivity | Refused:
    """Set an account's rule for inactive tokens.

    A shorter time never ends a token at once: the service warns first, as always.
    """
    if accounts.account_by_id(write.connection, account_id) is None or not actor.reaches(account_id):
        return _unknown(account_id)
    own = {"service": None, "off": 0, "after": request.after_seconds}[request.rule]
    if own != accounts.inactive_after(write.connection, [account_id])[account_id]:
        accounts.save_inactive_after(write.connection, account_id, own)
        rule = request.model_dump(exclude_none=True)
        audit.record_account(write, account_id, actor=actor, action=AuditAction.SET_INACTIVITY, **rule)
    return _inactivity(account_id, own, settings)


@dataclass(frozen=True)
class _Page:
    """Hold some integrations with their tokens, and the accounts' own rules."""

    integrations: list[Integration]
    tokens: Mapping[str, list[StoredToken]]
    rules: Mapping[str, int | None]

    def token_ids(self, now: datetime) -> list[int]:
        """Return the ids of the tokens whose use matters."""
        return [token.id for tokens in self.tokens.values() if (token := single(tokens, now)) is not None]

    def steps(self, use: TokenUse, service: timedelta | None, now: datetime) -> dict[str, Step]:
        """Return the planned steps, by integration id."""
        return {
            integration.id: plan_inactivity(
                self.tokens[integration.id], time_in_force(self.rules[integration.account], service), use, now
            )
            for integration in self.integrations
        }


def _pages(engine: StorageEngine) -> Iterator[_Page]:
    after = ""
    while True:
        with engine.read() as connection:
            page = integrations.list_integrations(connection, after=after, limit=_PAGE)
            if not page:
                return
            tokens = stored.tokens_of(connection, [integration.id for integration in page])
            rules = accounts.inactive_after(connection, {integration.account for integration in page})
        yield _Page(page, tokens, rules)
        after = page[-1].id


def _decide_again(write: Write, integration_id: str, use: TokenUse, settings: Settings) -> Step:
    """Do what is right by the time of this transaction: since it was planned, much may have happened."""
    integration = integrations.integration_by_id(write.connection, integration_id)
    if integration is None:
        return Leave()
    tokens = stored.tokens_of(write.connection, [integration_id])[integration_id]
    own = accounts.inactive_after(write.connection, [integration.account])
    after = time_in_force(own[integration.account], settings.inactive_after)
    step = plan_inactivity(tokens, after, use, write.now)
    _store(write, integration, step)
    return step


warn_or_recall = writes(_decide_again)
end_inactive = ends_access(_decide_again)


def _store(write: Write, integration: Integration, step: Step) -> None:
    if isinstance(step, Recall):
        for token in step.tokens:
            stored.save_notice(write.connection, token)
    elif isinstance(step, Warn):
        stored.save_notice(write.connection, step.token)
        _publish(
            write,
            integration,
            step.token,
            Event.TOKEN_INACTIVE_WARNING,
            inactive_since=rfc3339(step.notice.since),
            ends_at=rfc3339(step.notice.ends_at),
            days_left=days_left(step.notice.ends_at, write.now),
        )
    elif isinstance(step, End):
        token = step.token
        stored.save_tokens(write, integration.id, [token])
        audit.record(
            write,
            integration,
            actor=_SERVICE,
            action=AuditAction.EXPIRE_INACTIVE,
            generation=token.generation,
            fingerprint=token.fingerprint,
            reason=token.ended_because,
        )
        _publish(write, integration, token, Event.TOKEN_EXPIRED_INACTIVE, reason=token.ended_because)


def _publish(write: Write, integration: Integration, token: StoredToken, event: Event, **about: object) -> None:
    publish(
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
    return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account_id}")
