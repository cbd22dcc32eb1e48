"""Sign as Standard Webhooks do (standardwebhooks.com, specification 1.0): HMAC-SHA256 over id, time and body."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

from ..operations.webhook_secrets import secrets_of
from ..sealing import SealBroken, Sealer
from ..webhooks.endpoints import WebhookEndpoint


class StandardSigner:
    """Sign with the secrets of each webhook: with two of them in the overlap after a change."""

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer

    def __call__(
        self, endpoint: WebhookEndpoint, message_id: str, timestamp: datetime, body: bytes
    ) -> Mapping[str, str]:
        """Return the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`; raises SealBroken."""
        if self._sealer is None:
            raise SealBroken("the service runs without sealing keys")
        seconds = int(timestamp.timestamp())
        secrets = secrets_of(endpoint, self._sealer, timestamp)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(_signature(secret, message_id, seconds, body) for secret in secrets),
        }


def _signature(secret: str, message_id: str, seconds: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed).decode()
