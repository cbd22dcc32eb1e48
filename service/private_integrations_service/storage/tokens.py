"""Store tokens: digests, roles and deadlines."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from private_integrations.contract import EndReason, GenerationRequest, fingerprint

from ..tokens.format import HASH_VERSION
from ..tokens.lifecycle import Notice, StoredToken
from .engine import NEVER, Write
from .tables import integrations, tokens

# Ended tokens of the last few generations are shown; older rows are kept for the audit only.
_RECENT = 5

# Built once, as every change runs them: building one takes several times as long as running it.
_TOKENS_OF = (
    select(tokens)
    .join(integrations, integrations.c.id == tokens.c.integration_id)
    .where(tokens.c.integration_id.in_(bindparam("ids", expanding=True)))
    .where(or_(tokens.c.ended_at.is_(None), tokens.c.generation > integrations.c.last_generation - _RECENT))
    .order_by(tokens.c.generation, tokens.c.id)
)
_SAVE = update(tokens).where(tokens.c.id == bindparam("token_id"))


def tokens_of(connection: Connection, integration_ids: Sequence[str]) -> dict[str, list[StoredToken]]:
    """Return the tokens of each integration by generation: those not recorded as ended, and the latest ended ones."""
    found: dict[str, list[StoredToken]] = {integration_id: [] for integration_id in integration_ids}
    for row in connection.execute(_TOKENS_OF, {"ids": list(integration_ids)}):
        found[row.integration_id].append(_token(row))
    return found


def run_out(connection: Connection, after: datetime, until: datetime) -> list[tuple[str, StoredToken]]:
    """Return the tokens whose overlap ended after `after` and by `until`.

    Each comes with the id of its integration. Tokens of deleted integrations, and tokens that ended otherwise before,
    are left out.
    """
    query = (
        select(tokens)
        .join(integrations, integrations.c.id == tokens.c.integration_id)
        .where(integrations.c.deleted_at.is_(None), tokens.c.expires_at > after, tokens.c.expires_at <= until)
        .where(or_(tokens.c.ended_at.is_(None), tokens.c.ended_at >= tokens.c.expires_at))
        .order_by(tokens.c.expires_at, tokens.c.id)
    )
    return [(row.integration_id, _token(row)) for row in connection.execute(query)]


def was_ever_issued(connection: Connection, integration_id: str) -> bool:
    """Tell whether any generation of the integration was ever requested."""
    query = select(func.count()).where(tokens.c.integration_id == integration_id)
    return connection.execute(query).scalar_one() > 0


def save_tokens(write: Write, integration_id: str, changed: Iterable[StoredToken]) -> None:
    """Store changed tokens of an integration, in this order; it moves the epoch, from when the first one ends on."""
    for token in changed:
        if token.ended_at is None:
            write.move_epoch(integration_id, token.expires_at or NEVER)
        else:
            write.end_tokens([token.id], integration_id)
        write.connection.execute(
            _SAVE,
            {
                "token_id": token.id,
                "role": token.role,
                "overlap_seconds": int(token.overlap.total_seconds()),
                "delivered_at": token.delivered_at,
                "expires_at": token.expires_at,
                "ended_at": token.ended_at,
                "end_reason": token.end_reason,
                "end_detail": token.end_detail,
                "superseded_by": token.superseded_by,
            },
        )


def save_notice(connection: Connection, token: StoredToken) -> None:
    """Store the announced end of a token, or that there is none."""
    notice = token.notice
    connection.execute(
        update(tokens)
        .where(tokens.c.id == token.id)
        .values(
            inactive_since=notice and notice.since,
            inactive_ends_at=notice and notice.ends_at,
            inactive_warned=notice and notice.warned,
            inactive_seen_at=notice and notice.seen_at,
        )
    )


def confirm_notices(connection: Connection, token_ids: Sequence[int], now: datetime) -> None:
    """Store that these announced ends still hold."""
    query = update(tokens).where(tokens.c.id.in_(bindparam("ids", expanding=True)), tokens.c.inactive_seen_at < now)
    connection.execute(query.values(inactive_seen_at=now), {"ids": list(token_ids)})


def add_token(
    connection: Connection,
    integration_id: str,
    generation: int,
    request: GenerationRequest,
    digest: bytes,
    now: datetime,
) -> None:
    """Store a new pending token and its generation as the last one used, which ends any hold."""
    connection.execute(
        insert(tokens).values(
            integration_id=integration_id,
            generation=generation,
            role="pending",
            issuer=request.issuer,
            run=request.run,
            attempt=request.attempt,
            digest=digest,
            hash_version=HASH_VERSION,
            overlap_seconds=request.overlap_seconds,
            issued_at=now,
        )
    )
    connection.execute(
        update(integrations)
        .where(integrations.c.id == integration_id)
        .values(last_generation=generation, held_until=None)
    )


def end_all(write: Write, integration_id: str, reason: EndReason) -> None:
    """End every token of an integration; it moves the epoch."""
    ended = write.connection.execute(
        update(tokens)
        .where(tokens.c.integration_id == integration_id, tokens.c.ended_at.is_(None))
        .values(ended_at=write.now, end_reason=reason)
        .returning(tokens.c.id)
    )
    write.end_tokens(ended.scalars(), integration_id)


def integration_of_digest(connection: Connection, digest: bytes) -> tuple[str, int] | None:
    """Return the ids of the integration and of the token with this digest, live or not."""
    query = select(tokens.c.integration_id, tokens.c.id).where(tokens.c.digest == digest)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.integration_id, row.id)


def tokens_of_digests(connection: Connection, digests: Sequence[bytes]) -> list[tuple[str, int]]:
    """Return the ids of integration and token for the digests whose token is not recorded as ended."""
    query = select(tokens.c.integration_id, tokens.c.id).where(
        tokens.c.digest.in_(bindparam("digests", expanding=True)), tokens.c.ended_at.is_(None)
    )
    rows = connection.execute(query.order_by(tokens.c.id), {"digests": list(digests)})
    return [(row.integration_id, row.id) for row in rows]


def _token(row: Row[Any]) -> StoredToken:
    return StoredToken(
        id=row.id,
        generation=row.generation,
        role=row.role,
        issuer=row.issuer,
        run=row.run,
        attempt=row.attempt,
        fingerprint=fingerprint(row.digest),
        overlap=timedelta(seconds=row.overlap_seconds),
        issued_at=row.issued_at,
        delivered_at=row.delivered_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        end_reason=None if row.end_reason is None else EndReason(row.end_reason),
        end_detail=row.end_detail,
        superseded_by=row.superseded_by,
        notice=None if row.inactive_ends_at is None else _notice(row),
    )


def _notice(row: Row[Any]) -> Notice:
    return Notice(row.inactive_since, row.inactive_ends_at, row.inactive_warned, row.inactive_seen_at)
