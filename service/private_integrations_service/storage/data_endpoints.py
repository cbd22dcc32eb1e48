"""Delete an integration's data webhooks and their messages, with the integration or with one of its scopes."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, select, text

from .tables import webhook_deliveries, webhook_endpoints

_ANY = text("SELECT 1 FROM webhook_endpoints WHERE account_id = :account_id AND kind = 'data' LIMIT 1")


def has_data_endpoint(connection: Connection, account_id: str) -> bool:
    """Tell whether the account has one; plain SQL, because it runs at every change of data."""
    return connection.execute(_ANY, {"account_id": account_id}).first() is not None


def remove_endpoints_of(connection: Connection, integration_id: str) -> None:
    """Delete the data webhooks of an integration with all their deliveries."""
    connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.integration_id == integration_id))


def remove_deliveries(connection: Connection, integration_id: str, events: Collection[str]) -> None:
    """Delete the messages of these events for the data webhooks of an integration, sent or not."""
    of_integration = select(webhook_endpoints.c.id).where(webhook_endpoints.c.integration_id == integration_id)
    connection.execute(
        delete(webhook_deliveries).where(
            webhook_deliveries.c.endpoint_id.in_(of_integration), webhook_deliveries.c.event.in_(events)
        )
    )
