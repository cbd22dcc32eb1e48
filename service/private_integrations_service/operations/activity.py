"""Report the use of tokens: the last use, the number of requests, the callers, and advice that follows from them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from private_integrations.contract import (
    ActivityReport,
    CallerActivity,
    GenerationActivity,
    Hint,
    Integration,
    Period,
    Reason,
    RefusalActivity,
    Refused,
    ScopeActivity,
    TokenReport,
    TokenState,
    UnusedScope,
    instant_text,
)
from private_integrations.rotation.status import in_pulumi

from ..access.actors import Actor
from ..storage import audit
from ..storage.activity import DEAD, HOURS_KEPT, LastUse, RecordedCaller, RequestCount
from ..storage.activity import ActivityStore as ActivityStore
from ..storage.engine import StorageEngine, StorageError
from ..tokens import advice
from .generations import token_states
from .integrations import find

BEHIND = timedelta(minutes=1)
"""Draw no conclusion from missing uses with an older watermark; it is far younger in a working service."""

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_PARTS: dict[Period, tuple[int, timedelta]] = {"day": (24, _HOUR), "week": (168, _HOUR), "month": (30, _DAY)}


@dataclass(frozen=True)
class RefusedScope:
    """Hold a scope that an integration lacks, and the number of requests that were refused for it."""

    integration_id: str
    scope: str
    requests: int


def last_used(activity: ActivityStore, token_ids: Collection[int]) -> dict[int, datetime]:
    """Return the last use of each token (`tokens.id`) while it was live, with any answer.

    A token that is missing was not used since `observed_since`. Raises StorageError, like all of this module.
    """
    with activity.read() as recorded:
        return recorded.last_uses(token_ids)


def last_used_if_readable(activity: ActivityStore, token_ids: Collection[int]) -> dict[int, datetime]:
    """Return the last uses, or an empty mapping if they can't be read, for lists that have other columns, too."""
    try:
        return last_used(activity, token_ids)
    except StorageError:
        return {}


def watermark(activity: ActivityStore, now: datetime) -> datetime | None:
    """Return the instant up to which every use is recorded: the oldest of the live workers' last flushes.

    It is never in the future; None if the service has recorded nothing since its start.
    """
    flushes = activity.flushes()
    return min(*flushes, now) if flushes else None


def is_behind(activity: ActivityStore, now: datetime) -> bool:
    """Tell whether uses may be missing, so that no conclusion may be drawn from their absence."""
    recorded = watermark(activity, now)
    return recorded is None or now - recorded > BEHIND


def observed_since(activity: ActivityStore) -> datetime | None:
    """Return the instant since which uses are recorded without a gap."""
    with activity.read() as recorded:
        return recorded.observed_since()


def callers_if_readable(activity: ActivityStore, integration_id: str, since: datetime) -> list[CallerActivity] | None:
    """Return the callers that used the integration's tokens since then; None if they can't be read."""
    try:
        with activity.read() as recorded:
            return [_caller(*found) for found in recorded.callers_of(integration_id, since)]
    except StorageError:
        return None


def refused_scopes(activity: ActivityStore, since: datetime, at_least: int) -> list[RefusedScope]:
    """Return the missing scopes for which at least so many requests were refused since the hour of this instant."""
    with activity.read() as recorded:
        return [RefusedScope(*found) for found in recorded.refused_scopes(since, at_least)]


def report(
    engine: StorageEngine, activity: ActivityStore, integration_id: str, period: Period, *, actor: Actor
) -> ActivityReport | Refused:
    """Return what an integration's tokens were used for in the period that ends now, and what that says."""
    with engine.read() as connection:
        integration = find.step(connection, integration_id, actor)
        if isinstance(integration, Refused):
            return integration
        return usage_of(activity, connection, integration, period, engine.now())


def usage_of(
    activity: ActivityStore, connection: Connection, integration: Integration, period: Period, now: datetime
) -> ActivityReport:
    """Report the use of the integration's tokens in the period that ends at `now`, with advice.

    `connection` reads the main database.
    """
    parts, width = _PARTS[period]
    since = _start_of(now, width) - (parts - 1) * width
    with activity.read() as recorded:
        counted = recorded.counted(integration.id, since, width)
        uses = recorded.uses_of(integration.id)
        callers = recorded.callers_of(integration.id, now - HOURS_KEPT)
        observed = recorded.observed_since()
    (state,) = token_states.step(connection, [integration], now)
    unused = [] if is_behind(activity, now) else _unused(connection, integration, uses, observed, now)
    whole = _Tally(since, width, parts)
    by_scope: dict[str, _Tally] = defaultdict(whole.empty)
    by_generation: dict[int, _Tally] = defaultdict(whole.empty)
    for row in counted:
        for tally in (whole, by_scope[row.scope], by_generation[row.generation]):
            tally.add(row)
    return ActivityReport(
        integration_id=integration.id,
        now=now,
        period=period,
        since=since,
        part_seconds=int(width.total_seconds()),
        requests=whole.requests,
        refused=whole.refused,
        recorded_until=watermark(activity, now),
        observed_since=observed,
        scopes=_by_scope(integration, by_scope, uses),
        generations=_by_generation(state, by_generation, uses),
        refusals=_refusals(counted, uses),
        callers=[_caller(generation, caller) for generation, caller in callers if caller.last_at >= since],
        unused=unused,
        hints=[
            *_previous_in_use(state, callers),
            *_ended_in_use(state, callers),
            *_missing(integration, counted),
            *_to_drop(integration, unused),
        ],
    )


class _Tally:
    """Count requests by the parts of a period."""

    def __init__(self, since: datetime, width: timedelta, parts: int) -> None:
        self._since = since
        self._width = width
        self.requests = [0] * parts
        self.refused = [0] * parts

    def empty(self) -> "_Tally":
        """Return a tally of the same period without any request."""
        return _Tally(self._since, self._width, len(self.requests))

    def add(self, row: RequestCount) -> None:
        """Count a row."""
        # Before the clock was set back, it has counted in a part that is the future now.
        part = min((row.start - self._since) // self._width, len(self.requests) - 1)
        (self.refused if row.reason else self.requests)[part] += row.requests


def _by_scope(integration: Integration, tallies: dict[str, _Tally], uses: Sequence[LastUse]) -> list[ScopeActivity]:
    """Return the granted scopes, then those that were needed and are not granted."""
    last = _last_by_scope(uses)
    asked = tallies.keys() - {"", *integration.scopes}
    return [
        ScopeActivity(
            scope=scope,
            granted=scope in integration.scopes,
            requests=tallies[scope].requests,
            refused=sum(tallies[scope].refused),
            last_used_at=last.get(scope),
        )
        for scope in [*integration.scopes, *sorted(asked)]
    ]


def _by_generation(state: TokenState, tallies: dict[int, _Tally], uses: Sequence[LastUse]) -> list[GenerationActivity]:
    """Return the generations that are shown or were used in the period, the newest first."""
    last: dict[int, datetime] = {}
    for use in uses:
        if not use.reason.startswith(DEAD):
            last[use.generation] = max(use.at, last.get(use.generation, use.at))
    found = []
    for generation in sorted({secret.generation for secret in state.tokens} | tallies.keys(), reverse=True):
        secret = state.of_generation(generation)
        found.append(
            GenerationActivity(
                generation=generation,
                role=secret.role if secret else "ended",
                requests=tallies[generation].requests,
                refused=sum(tallies[generation].refused),
                last_used_at=last.get(generation),
            )
        )
    return found


def _refusals(counted: Sequence[RequestCount], uses: Sequence[LastUse]) -> list[RefusalActivity]:
    """Return the period's refusals, the most frequent first."""
    numbers: dict[tuple[str, str], int] = {}
    for row in counted:
        if row.reason:
            numbers[row.reason, row.scope] = numbers.get((row.reason, row.scope), 0) + row.requests
    return [
        RefusalActivity(
            reason=reason,
            scope=scope,
            requests=requests,
            last_at=max(use.at for use in uses if (use.reason, use.scope) == (reason, scope)),
            remedy=advice.remedy(reason, scope),
        )
        for (reason, scope), requests in sorted(numbers.items(), key=lambda found: (-found[1], found[0]))
    ]


def _unused(
    connection: Connection, integration: Integration, uses: Sequence[LastUse], observed: datetime | None, now: datetime
) -> list[UnusedScope]:
    history = audit.scopes_over_time(connection, integration.id)
    granted = {scope: advice.granted_since(history, scope) or integration.updated_at for scope in integration.scopes}
    return [
        UnusedScope(scope=found.scope, last_used_at=found.last_used, observed_since=found.observed_since)
        for found in advice.resting(granted, _last_by_scope(uses), observed, now)
    ]


def _last_by_scope(uses: Iterable[LastUse]) -> dict[str, datetime]:
    """Return the last allowed request for each scope."""
    last: dict[str, datetime] = {}
    for use in uses:
        if not use.reason:
            last[use.scope] = max(use.at, last.get(use.scope, use.at))
    return last


def _previous_in_use(state: TokenState, callers: Sequence[tuple[int, RecordedCaller]]) -> list[Hint]:
    """Return superseded tokens that still work, and their callers since another one was in use."""
    present = state.in_role("current")
    found = []
    for secret in _by_number(state):
        if secret.role != "previous" or present is None or present.delivered_at is None or secret.expires_at is None:
            continue
        using = _using(secret, present.delivered_at, callers)
        if using:
            text = (
                f"the token of generation {secret.generation} is superseded and still in use by {advice.among(using)}; "
                f"it works until {instant_text(secret.expires_at)}: give them the token of generation "
                f"{present.generation} before"
            )
            found.append(Hint(kind="previous-in-use", text=text))
    return found


def _ended_in_use(state: TokenState, callers: Sequence[tuple[int, RecordedCaller]]) -> list[Hint]:
    """Return ended tokens that are still sent, and their callers."""
    found = []
    for secret in _by_number(state):
        using = [] if secret.ended_at is None else _using(secret, secret.ended_at, callers)
        if using:
            text = f"the token of generation {secret.generation} is dead and still sent by {advice.among(using)}"
            present = f": give them that of generation {state.present.generation}" if state.present else ""
            found.append(Hint(kind="ended-in-use", text=text + present))
    return found


def _by_number(state: TokenState) -> list[TokenReport]:
    """Return one token of each generation: an earlier try, whose answer was lost, has no callers of its own."""
    secrets = (state.of_generation(generation) for generation in sorted({each.generation for each in state.tokens}))
    return [secret for secret in secrets if secret is not None]


def _using(
    secret: TokenReport, since: datetime, callers: Sequence[tuple[int, RecordedCaller]]
) -> list[advice.Presence]:
    return [
        advice.Presence(caller.address, caller.agent, caller.last_at)
        for generation, caller in callers
        if generation == secret.generation and caller.last_at > since
    ]


def _missing(integration: Integration, counted: Sequence[RequestCount]) -> list[Hint]:
    """Return missing scopes for which requests were refused, and that are still not granted."""
    numbers: dict[str, int] = {}
    for row in counted:
        if row.reason == Reason.SCOPE_MISSING and row.scope not in integration.scopes:
            numbers[row.scope] = numbers.get(row.scope, 0) + row.requests
    found = []
    for scope, requests in sorted(numbers.items()):
        some = "1 request was" if requests == 1 else f"{requests} requests were"
        text = f"{some} refused for the missing scope {scope}: add it if they are meant"
        found.append(Hint(kind="scope-missing", text=text, change=_change(integration, [*integration.scopes, scope])))
    return found


def _to_drop(integration: Integration, unused: Sequence[UnusedScope]) -> list[Hint]:
    """Return one hint for all unused scopes, since one edit drops them."""
    if not unused:
        return []
    dropped = {found.scope for found in unused}
    kept = [scope for scope in integration.scopes if scope not in dropped]
    days = advice.UNUSED_AFTER.days
    named = ", ".join(sorted(dropped))
    if not kept:
        text = f"no scope was used in {days} days ({named}): delete the integration if nobody needs it"
    else:
        text = f"granted and not used in {days} days: {named}; drop {'it' if len(dropped) == 1 else 'them'}"
    return [Hint(kind="scopes-unused", text=text, change=_change(integration, kept))]


def _change(integration: Integration, scopes: Sequence[str]) -> list[str]:
    before, after = integration.scopes, sorted(scopes)
    return advice.change_of_scopes(integration.id, before, after, in_code=in_pulumi(integration))


def _caller(generation: int, caller: RecordedCaller) -> CallerActivity:
    return CallerActivity(
        generation=generation,
        address=caller.address,
        agent=caller.agent,
        requests=caller.requests,
        first_at=caller.first_at,
        last_at=caller.last_at,
    )


def _start_of(now: datetime, width: timedelta) -> datetime:
    start = now.replace(minute=0, second=0, microsecond=0)
    return start if width == _HOUR else start.replace(hour=0)
