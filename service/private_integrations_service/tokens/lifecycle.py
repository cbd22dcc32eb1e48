"""Decide what a request changes in an integration's tokens, or why it is refused. Pure decisions.

A token is `pending` when issued (it works already), `current` from its first use or acknowledgement,
`previous` once superseded, with a deadline. A promised deadline is never moved forward in time by
another rotation. The rules and the counterexamples behind them: docs/how-it-works.md.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from private_integrations.contract import EndReason, GenerationRequest, Problem, Refused
from private_integrations.rotation.acceptance import make_room, refuse_open_rotation
from private_integrations.rotation.decisions import is_live

Role = Literal["pending", "current", "previous"]


@dataclass(frozen=True)
class Notice:
    """The announced end of an inactive token (inactivity.py).

    Inactive `since`, ended at `ends_at`; `warned` is the last of the warnings, in days, that was given; `seen_at` when
    it was last found that nothing has changed.
    """

    since: datetime
    ends_at: datetime
    warned: int
    seen_at: datetime


@dataclass(frozen=True)
class StoredToken:
    """A stored token, without its value; `superseded_by` is the generation whose delivery ended its time as current."""

    id: int
    generation: int
    role: Role
    issuer: str
    run: str
    attempt: int
    fingerprint: str
    overlap: timedelta
    issued_at: datetime
    delivered_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    end_detail: str | None = None
    superseded_by: int | None = None
    notice: Notice | None = None

    @property
    def ended_because(self) -> str | None:
        """Why it ended, in words."""
        return None if self.end_reason is None else self.end_reason.in_words(self.end_detail)

    def is_live(self, now: datetime) -> bool:
        """Return whether the token opens anything at `now`."""
        return is_live(ended=self.ended_at is not None, expires_at=self.expires_at, now=now)


@dataclass(frozen=True)
class TokenChanges:
    """Tokens as they are to be stored, in this order: the schema allows one current and one pending."""

    tokens: tuple[StoredToken, ...] = ()


@dataclass(frozen=True)
class Issue(TokenChanges):
    """Store the changed tokens, then a new pending one of this generation."""

    generation: int = 0


def plan_issue(
    tokens: Sequence[StoredToken],
    last_generation: int,
    generation: int,
    request: GenerationRequest,
    now: datetime,
    superseded_limit: int,
) -> Issue | Refused:
    """Decide on `PUT generations/{n}`: issue it, issue it again for another attempt of the same run, or refuse.

    `request.overlap_seconds` is the overlap in force, never None.
    """
    live = [token for token in tokens if token.is_live(now)]
    if generation <= last_generation:
        return _repeat(_in_role(live, "pending"), last_generation, generation, request, now)
    settled = _settle_pending(live, request, now)
    if isinstance(settled, Refused):
        return settled
    remaining = [token for token in _merged(live, settled) if token.ended_at is None]
    given_way = _give_way(remaining, request, superseded_limit, now)
    if isinstance(given_way, Refused):
        return given_way
    retired = [_retired(token) for token in tokens if token.ended_at is None and not token.is_live(now)]
    return Issue(tokens=(*retired, *_merged(settled, given_way, add=True)), generation=generation)


def plan_first_use(tokens: Sequence[StoredToken], token_id: int, now: datetime) -> TokenChanges:
    """Decide on an authenticated use: a pending token becomes the current one.

    A replaced token that is used after all counts as delivered and keeps its deadline.
    """
    live = [token for token in tokens if token.is_live(now)]
    used = next((token for token in live if token.id == token_id), None)
    if used is None or used.delivered_at is not None:
        return TokenChanges()
    if used.role == "pending":
        return TokenChanges(tuple(_delivered(live, used, now)))
    return TokenChanges((replace(used, delivered_at=now),))


def plan_acknowledgement(
    tokens: Sequence[StoredToken], generation: int, fingerprint: str, now: datetime
) -> TokenChanges | Refused:
    """Decide on "I have stored it", which counts like a first use and may be repeated."""
    of_generation = [token for token in tokens if token.generation == generation]
    meant = next((token for token in of_generation if token.fingerprint == fingerprint), None)
    if meant is None:
        return Refused(
            Problem.FINGERPRINT_UNKNOWN,
            f"generation {generation} has no token with the fingerprint {fingerprint}; compare it with the list",
        )
    if not meant.is_live(now):
        return Refused(
            Problem.GENERATION_ENDED, f"generation {generation} is not alive any more; rotate to get a new one"
        )
    return plan_first_use(tokens, meant.id, now)


def plan_expiry(
    tokens: Sequence[StoredToken], last_generation: int, generations: Collection[int], now: datetime
) -> TokenChanges | Refused:
    """Decide on ending the named generations at once; an ended one stays as it is."""
    if max(generations) > last_generation:
        return _never_issued(max(generations), last_generation)
    return TokenChanges(
        tuple(
            _ended(token, now, EndReason.EXPIRED_ON_REQUEST)
            for token in tokens
            if token.generation in generations and token.is_live(now)
        )
    )


def plan_leak(tokens: Sequence[StoredToken], token_id: int, now: datetime) -> TokenChanges:
    """Decide on a report that this token leaked: it alone ends, in any role; an ended one stays as it is."""
    reported = next((token for token in tokens if token.id == token_id and token.ended_at is None), None)
    if reported is None:
        return TokenChanges()
    return TokenChanges((_ended(reported, now, EndReason.LEAKED) if reported.is_live(now) else _retired(reported),))


def plan_cancellation(
    tokens: Sequence[StoredToken], last_generation: int, generation: int, now: datetime
) -> TokenChanges | Refused:
    """Decide on going back from this generation to the one before, which has no deadline from then on.

    Possible while the new one is pending, and during the overlap; done already, it changes nothing.
    """
    if generation > last_generation:
        return _never_issued(generation, last_generation)
    live = [token for token in tokens if token.is_live(now)]
    meant = next((token for token in live if token.generation == generation), None)
    if meant is None:
        if any(token.generation == generation and token.end_reason == EndReason.CANCELLED for token in tokens):
            return TokenChanges()
        return _too_late(f"generation {generation} has ended")
    pending, current = _in_role(live, "pending"), _in_role(live, "current")
    if meant is pending:
        return (
            TokenChanges((_ended(meant, now, EndReason.CANCELLED),)) if current else _nothing_to_go_back_to(generation)
        )
    if meant is not current:
        return _too_late(f"generation {generation} was superseded by a newer one")
    if pending is not None:
        return _rotation_open(live)
    before = next((token for token in live if token.superseded_by == generation), None)
    if before is None:
        return _nothing_to_go_back_to(generation)
    return TokenChanges(
        (_ended(meant, now, EndReason.CANCELLED), replace(before, role="current", expires_at=None, superseded_by=None))
    )


def plan_overlap(tokens: Sequence[StoredToken], before: timedelta, overlap: timedelta, now: datetime) -> TokenChanges:
    """Decide on a declared overlap that was `before`: the running one ends that long after the delivery that began it.

    An ended token stays as it is, and a generation that is not in use yet will be followed by the new overlap. One
    that a person chose for a single rotation is left alone.
    """
    live = [token for token in tokens if token.is_live(now)]
    declared = [token for token in live if token.role != "previous" and token.overlap == before]
    changed = [replace(token, overlap=overlap) for token in declared]
    for successor in declared:
        if successor.delivered_at is not None:
            deadline = successor.delivered_at + overlap
            changed += [replace(t, expires_at=deadline) for t in live if t.superseded_by == successor.generation]
    return TokenChanges(tuple(changed))


def _settle_pending(
    live: Sequence[StoredToken], request: GenerationRequest, now: datetime
) -> list[StoredToken] | Refused:
    """Decide what becomes of the pending token when the next generation is asked for; return the changed tokens."""
    pending = _in_role(live, "pending")
    if pending is None:
        return []
    if pending.issuer != request.issuer:
        return (
            [_ended(pending, now, EndReason.REPLACED_ON_REQUEST)]
            if request.replace_pending
            else _rotation_open(live, request.issuer)
        )
    if request.holding == pending.generation:
        return _delivered(live, pending, now)
    # Its answer may have been lost, or may have arrived: it works on for the overlap.
    return [replace(pending, role="previous", expires_at=now + _overlap(request))]


def _give_way(
    remaining: Sequence[StoredToken], request: GenerationRequest, superseded_limit: int, now: datetime
) -> list[StoredToken] | Refused:
    """End the tokens that have to give way to the new one: all of them without an overlap, else the surplus."""
    if not _overlap(request):
        return [_ended(token, now, EndReason.REPLACED_WITHOUT_OVERLAP) for token in remaining]
    room = make_room(remaining, request.holding, superseded_limit)
    if isinstance(room, Refused):
        return room
    return [_ended(token, now, EndReason.GAVE_WAY) for token in room]


def _repeat(
    pending: StoredToken | None, last_generation: int, generation: int, request: GenerationRequest, now: datetime
) -> Issue | Refused:
    mine = (
        pending is not None
        and pending.generation == generation
        and (pending.issuer, pending.run) == (request.issuer, request.run)
    )
    if pending is None or not mine:
        return Refused(
            Problem.GENERATION_USED,
            f"generation {generation} was asked for before; the next one is {last_generation + 1}",
            {"last_generation": last_generation},
        )
    if request.attempt <= pending.attempt:
        return Refused(
            Problem.ATTEMPT_STALE,
            f"attempt {request.attempt} for generation {generation} comes after attempt {pending.attempt}",
            {"last_attempt": pending.attempt},
        )
    return Issue(tokens=(_ended(pending, now, EndReason.ISSUED_AGAIN),), generation=generation)


def _never_issued(generation: int, last_generation: int) -> Refused:
    return Refused(
        Problem.GENERATION_UNKNOWN, f"generation {generation} was never issued; the last one is {last_generation}"
    )


def _too_late(why: str) -> Refused:
    return Refused(
        Problem.CANCEL_TOO_LATE, f"{why}: its rotation can't be cancelled any more; rotate to get a new token"
    )


def _nothing_to_go_back_to(generation: int) -> Refused:
    return Refused(
        Problem.CANCEL_TOO_LATE,
        f"the token before generation {generation} does not work any more: there is none to go back to; rotate instead",
    )


def _rotation_open(live: Sequence[StoredToken], issuer: str = "") -> Refused:
    """Refuse because a token is pending that `issuer` did not issue; without an issuer, any pending one counts."""
    refused = refuse_open_rotation(live, issuer)
    assert refused is not None
    return refused


def _delivered(live: Iterable[StoredToken], pending: StoredToken, now: datetime) -> list[StoredToken]:
    """Start the overlap of the current token and put the pending one in its place; return the changed tokens."""
    superseded = [
        replace(token, role="previous", expires_at=now + pending.overlap, superseded_by=pending.generation)
        for token in live
        if token.role == "current"
    ]
    return [*superseded, replace(pending, role="current", delivered_at=now)]


def _ended(token: StoredToken, now: datetime, reason: EndReason) -> StoredToken:
    return replace(token, ended_at=now, end_reason=reason)


def _retired(token: StoredToken) -> StoredToken:
    return replace(token, ended_at=token.expires_at, end_reason=EndReason.OVERLAP_ENDED)


def _overlap(request: GenerationRequest) -> timedelta:
    assert request.overlap_seconds is not None, "operations fill in the overlap that is in force"
    return timedelta(seconds=request.overlap_seconds)


def _in_role(live: Iterable[StoredToken], role: Role) -> StoredToken | None:
    return next((token for token in live if token.role == role), None)


def _merged(tokens: Iterable[StoredToken], changed: Iterable[StoredToken], *, add: bool = False) -> list[StoredToken]:
    """Return `tokens` with the changed ones in their place; with `add`, changed ones that are not among them too."""
    by_id = {token.id: token for token in changed}
    merged = [by_id.pop(token.id, token) for token in tokens]
    return [*merged, *by_id.values()] if add else merged
