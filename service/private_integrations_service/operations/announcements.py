"""Tell webhook endpoints what happened, in the transaction in which it happens."""

from private_integrations.contract import Integration

from ..storage.database import Write


def announce(write: Write, event: str, *, account: str, integration: Integration | None = None, **data: object) -> None:
    """Store the event for every endpoint that is subscribed to it; nothing where none is."""
