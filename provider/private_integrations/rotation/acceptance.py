"""Decide whether the service accepts a declaration or the next token, by pure functions that both sides share.

The provider's preview calls the same functions as the service, so that it never promises what the `up` refuses.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from ..contract import AccountClass, Problem, Refused, Role, instant_text
from .durations import format_duration
from .policy import EffectivePolicy


class LiveToken(Protocol):
    """Describe the fields of a working token that a decision reads: from the service's record, or from its API."""

    @property
    def generation(self) -> int:
        """Return its number, which no other working token of the integration has."""

    @property
    def role(self) -> str:
        """Return `pending`, `current` or `previous`."""

    @property
    def issuer(self) -> str:
        """Return the name of its issuer."""

    @property
    def issued_at(self) -> datetime:
        """Return the instant at which it was issued."""

    @property
    def delivered_at(self) -> datetime | None:
        """Return when it was first used or acknowledged."""

    @property
    def expires_at(self) -> datetime | None:
        """Return its deadline, if it has one."""


LiveTokenT = TypeVar("LiveTokenT", bound=LiveToken)


def refuse_writing(role: Role, key_name: str) -> str | None:
    """Say why a key with this role may change nothing, or None."""
    if role == Role.INTROSPECTOR:
        return f"management key {key_name} is an introspector's and may only introspect"
    return f"management key {key_name} is a viewer's and may only read" if role == Role.VIEWER else None


def refuse_scope(scope: str, held_by: Collection[str], *, oauth_only: bool, account_kind: AccountClass) -> str | None:
    """Say why an integration of an account of this kind can't hold a scope that exists, or None.

    `held_by` are the kinds of accounts that may hold it; none where that is undocumented, and then all may.
    """
    if oauth_only:
        return f"scope {scope} is for OAuth apps only; no private integration can hold it"
    if held_by and account_kind not in held_by:
        others = " and ".join(sorted(AccountClass.plural(kind) for kind in held_by))
        return f"scope {scope} is for {others} only, not for {account_kind.many}"
    return None


def refuse_period(policy: EffectivePolicy, minimum: timedelta) -> str | None:
    """Say why a policy rotates more often than the service allows, or None."""
    period = policy.period
    if period is None or period >= minimum:
        return None
    rule = policy.rule if policy.schedule is None else f"{policy.rule} fires after {format_duration(period)}, which"
    return f"{rule} is below the service's minimum of {format_duration(minimum)}"


def refuse_open_rotation(live: Sequence[LiveToken], issuer: str) -> Refused | None:
    """Say why `issuer` can't issue a token beside one that another issuer's rotation waits to see used, or None."""
    pending = next((token for token in live if token.role == "pending"), None)
    if pending is None or pending.issuer == issuer:
        return None
    since = instant_text(pending.issued_at)
    return Refused(
        Problem.ROTATION_OPEN,
        f"generation {pending.generation} was started by {pending.issuer} at {since} and is not in use yet; "
        "use its token, or cancel it",
        {"issuer": pending.issuer, "since": since, "generation": pending.generation},
    )


def make_room(live: Sequence[LiveTokenT], holding: int | None, limit: int) -> list[LiveTokenT] | Refused:
    """List unused tokens that give way so that the next one's delivery leaves at most `limit` superseded ones.

    A pending token whose generation the sender is `holding` has arrived there, so it does not give way.
    """
    superseded = sorted(live, key=lambda token: token.generation)
    unused = [t for t in superseded if t.delivered_at is None and not (t.role == "pending" and t.generation == holding)]
    surplus = max(0, len(superseded) - limit)
    return unused[:surplus] if surplus <= len(unused) else _too_many(superseded, limit)


def refuse_issue(
    live: Sequence[LiveToken], *, issuer: str, holding: int | None, overlap: timedelta, limit: int
) -> Refused | None:
    """Say why the service would not issue the next generation, or None; without overlap all other tokens end."""
    refused = refuse_open_rotation(live, issuer)
    if refused is not None or not overlap:
        return refused
    room = make_room(live, holding, limit)
    return room if isinstance(room, Refused) else None


def _too_many(superseded: Sequence[LiveToken], limit: int) -> Refused:
    named = ", ".join(
        f"{token.generation} (until {instant_text(token.expires_at)})" if token.expires_at else f"{token.generation}"
        for token in superseded
    )
    return Refused(
        Problem.TOO_MANY_LIVE_TOKENS,
        f"generations {named} are all alive and at most {limit} superseded ones may be; expire one or wait",
        {"generations": [token.generation for token in superseded]},
    )
