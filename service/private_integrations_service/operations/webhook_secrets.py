"""The secrets that webhooks are signed with: sealed for one webhook each, opened to sign, sealed anew."""

import hmac
from dataclasses import replace
from datetime import datetime

from private_integrations.contract import AuditAction, Resealed

from ..access.actors import Actor
from ..sealing import SealBroken, Sealer, key_of
from ..storage import audit
from ..storage.engine import Write
from ..storage.webhooks import all_endpoints, save_endpoint
from ..webhooks.endpoints import Endpoint
from .operation import writes


def seal(secret: str, sealer: Sealer, endpoint_id: str, account_id: str) -> bytes:
    """A secret as it is stored for this webhook."""
    return sealer.seal(secret, purpose=_purpose(endpoint_id), account=account_id)


def secrets_of(endpoint: Endpoint, sealer: Sealer, now: datetime) -> list[str]:
    """The secrets that sign for a webhook at `now`, the present one first; raises SealBroken."""
    sealed = [endpoint.sealed]
    if endpoint.former_until is not None and now < endpoint.former_until:
        sealed.append(endpoint.former_sealed)
    return [_open(value, sealer, endpoint) for value in sealed if value is not None]


def has_secret(endpoint: Endpoint, secret: str, sealer: Sealer) -> bool:
    """Whether this is the webhook's present secret; not, if that can't be opened."""
    if endpoint.sealed is None:
        return False
    try:
        return hmac.compare_digest(_open(endpoint.sealed, sealer, endpoint).encode(), secret.encode())
    except SealBroken:
        return False


def is_readable(endpoint: Endpoint, sealer: Sealer | None) -> bool:
    """Whether the webhook's present secret can be opened, if it has one."""
    if endpoint.sealed is None:
        return True
    if sealer is None:
        return False
    try:
        _open(endpoint.sealed, sealer, endpoint)
    except SealBroken:
        return False
    return True


@writes
def reseal(write: Write, sealer: Sealer, *, actor: Actor) -> Resealed:
    """Seal every secret with the first key; webhooks whose secrets can't be opened stay as they are, and are named."""
    unchanged, unreadable, resealed = 0, [], []
    for endpoint in all_endpoints(write.connection, kind="service"):
        held = [value for value in (endpoint.sealed, endpoint.former_sealed) if value is not None]
        try:
            opened = [_open(value, sealer, endpoint) for value in held]
        except SealBroken:
            unreadable.append(endpoint.id)
            continue
        if all(key_of(value) == sealer.first_key for value in held):
            unchanged += 1
            continue
        sealed = [seal(secret, sealer, endpoint.id, endpoint.account_id) for secret in opened]
        former = sealed[1] if len(sealed) > 1 else None
        save_endpoint(write.connection, replace(endpoint, sealed=sealed[0], former_sealed=former))
        audit.record_account(
            write,
            endpoint.account_id,
            actor=actor,
            action=AuditAction.RESEAL_WEBHOOK_SECRET,
            webhook=endpoint.id,
            sealed_with=sealer.first_key,
        )
        resealed.append(endpoint.id)
    return Resealed(sealed_with=sealer.first_key, resealed=len(resealed), unchanged=unchanged, unreadable=unreadable)


def _open(sealed: bytes, sealer: Sealer, endpoint: Endpoint) -> str:
    return sealer.open(sealed, purpose=_purpose(endpoint.id), account=endpoint.account_id)


def _purpose(endpoint_id: str) -> str:
    """By webhook: whoever writes to the database can't have one sign with another one's secret."""
    return f"webhook-secret/{endpoint_id}"
