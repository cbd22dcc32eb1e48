"""Seal, open and reseal the signing secrets of webhooks, each for its own webhook."""

import hmac
from dataclasses import replace
from datetime import datetime

from private_integrations.contract import AuditAction, Resealed

from ..access.actors import Actor
from ..sealing import SealBroken, Sealer, key_of
from ..storage import audit
from ..storage.engine import Write
from ..storage.webhooks import all_endpoints, save_endpoint
from ..webhooks.endpoints import WebhookEndpoint
from .operation import writes


def seal(secret: str, sealer: Sealer, endpoint_id: str, account_id: str) -> bytes:
    """Return the sealed form of a secret for this webhook."""
    return sealer.seal(secret, purpose=_purpose(endpoint_id), account=account_id)


def secrets_of(endpoint: WebhookEndpoint, sealer: Sealer, now: datetime) -> list[str]:
    """Return the secrets that sign for a webhook at `now`, the present one first; raises SealBroken."""
    sealed = [endpoint.sealed]
    if endpoint.former_until is not None and now < endpoint.former_until:
        sealed.append(endpoint.former_sealed)
    return [_open(value, sealer, endpoint) for value in sealed if value is not None]


def has_secret(endpoint: WebhookEndpoint, secret: str, sealer: Sealer) -> bool:
    """Tell whether this is the webhook's present secret; False if that can't be opened."""
    if endpoint.sealed is None:
        return False
    try:
        return hmac.compare_digest(_open(endpoint.sealed, sealer, endpoint).encode(), secret.encode())
    except SealBroken:
        return False


def is_readable(endpoint: WebhookEndpoint, sealer: Sealer | None) -> bool:
    """Tell whether the webhook's present secret can be opened, if it has one."""
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
    """Seal every secret with the first key; keep the webhooks whose secrets can't be opened, and report them."""
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


def _open(sealed: bytes, sealer: Sealer, endpoint: WebhookEndpoint) -> str:
    return sealer.open(sealed, purpose=_purpose(endpoint.id), account=endpoint.account_id)


def _purpose(endpoint_id: str) -> str:
    """Return the purpose of a webhook's seal: an attacker with the database can't swap the secrets of two webhooks."""
    return f"webhook-secret/{endpoint_id}"
