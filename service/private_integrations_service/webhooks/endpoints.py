"""Webhook endpoints: where events of an account are sent."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Kind = Literal["service", "data"]


@dataclass(frozen=True)
class WebhookEndpoint:
    """Where events of an account are sent; `events` None means all of them.

    A `service` endpoint has a secret of its own; with `sub_accounts` an agency's gets what happens in its
    sub-accounts too. A `data` endpoint belongs to an `integration_id` and has no secret. Until `former_until` the
    secret before the present one signs too. `failing_since` is the first failed attempt since the last accepted one.
    """

    id: str
    account_id: str
    kind: Kind
    url: str
    created_at: datetime
    created_by: str
    events: tuple[str, ...] | None = None
    description: str = ""
    sub_accounts: bool = False
    integration_id: str | None = None
    sealed: bytes | None = field(default=None, repr=False)
    former_sealed: bytes | None = field(default=None, repr=False)
    former_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_because: str | None = None
    failing_since: datetime | None = None

    def wants(self, event: str) -> bool:
        """Return whether this event is sent to it."""
        return self.events is None or event in self.events
