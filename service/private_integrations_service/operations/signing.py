"""Sign data webhooks as the platform does: Ed25519 over the body as it is sent, in standard base64.

The header is `X-GHL-Signature`; the legacy `X-WH-Signature` (RSA) is not sent. Verifiers take the public key from their
configuration: it is the service's own, never the platform's (docs/platform.md).
"""

import base64
from collections.abc import Mapping
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from private_integrations.contract import AuditAction, Resealed

from ..access.actors import Actor
from ..sealing import SealBroken, Sealer, key_of
from ..storage import audit
from ..storage import signing_key as stored
from ..storage.engine import StorageEngine, Write
from ..storage.signing_key import SigningKey
from ..webhooks.endpoints import WebhookEndpoint
from .operation import writes

HEADER = "x-ghl-signature"

_PURPOSE = "data-webhook-signing"
# The key is the service's, no account's.
_ACCOUNT = ""


def ensure_key(write: Write, sealer: Sealer) -> SigningKey:
    """Return the service's signing key; the first call makes it."""
    present = stored.read_key(write.connection)
    if present is not None:
        return present
    private = Ed25519PrivateKey.generate()
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    sealed = sealer.seal(private.private_bytes_raw().hex(), purpose=_PURPOSE, account=_ACCOUNT)
    made = SigningKey(base64.b64encode(spki).decode(), sealed, write.now)
    stored.add_key(write.connection, made)
    return made


@writes
def reseal(write: Write, sealer: Sealer, *, actor: Actor) -> Resealed:
    """Seal the signing key with the first sealing key; if it can't be opened, keep it and report it."""
    present, resealed, unreadable = stored.read_key(write.connection), 0, []
    if present is not None and key_of(present.sealed) != sealer.first_key:
        try:
            value = sealer.open(present.sealed, purpose=_PURPOSE, account=_ACCOUNT)
            stored.put_sealed(write.connection, sealer.seal(value, purpose=_PURPOSE, account=_ACCOUNT))
            audit.record_service(
                write, actor=actor, action=AuditAction.RESEAL_SIGNING_KEY, sealed_with=sealer.first_key
            )
            resealed = 1
        except SealBroken:
            unreadable = ["signing key"]
    unchanged = int(present is not None) - resealed - len(unreadable)
    return Resealed(sealed_with=sealer.first_key, resealed=resealed, unchanged=unchanged, unreadable=unreadable)


class DataSigner:
    """Sign the bodies of data webhooks; the first signature reads the key."""

    def __init__(self, engine: StorageEngine, sealer: Sealer | None) -> None:
        self._engine = engine
        self._sealer = sealer
        self._key: Ed25519PrivateKey | None = None

    def __call__(
        self, endpoint: WebhookEndpoint, message_id: str, timestamp: datetime, body: bytes
    ) -> Mapping[str, str]:
        """Return the signature's header for this body; raises SealBroken if the key can't be opened."""
        if self._key is None:
            self._key = self._read()
        return {HEADER: base64.b64encode(self._key.sign(body)).decode()}

    def _read(self) -> Ed25519PrivateKey:
        if self._sealer is None:
            raise SealBroken("the service runs without sealing keys")
        with self._engine.read() as connection:
            present = stored.read_key(connection)
        if present is None:
            raise SealBroken("there is no signing key")
        opened = self._sealer.open(present.sealed, purpose=_PURPOSE, account=_ACCOUNT)
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(opened))
