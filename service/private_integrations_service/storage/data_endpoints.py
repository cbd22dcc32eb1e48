"""What is kept for an integration's data endpoints, forgotten with it or with a scope of it."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, select

from .tables import webhook_deliveries, webhook_endpoints

_ANY = "SELECT 1 FROM webhook_endpoints WHERE account_id = ? AND kind = 'data' LIMIT 1"


def has_data_endpoint(connection: Connection, account_id: str) -> bool:
    """Whether the account has one; asked with every change of data, as plain text, a tenth of a built query's time."""
    return connection.exec_driver_sql(_ANY, (account_id,)).first() is not None


def remove_endpoints_of(connection: Connection, integration_id: str) -> None:
    """Forget the endpoints of an integration, and with them all their deliveries."""
    connection.execute(delete(webhook_endpoints).where(webhook_endpoints.c.integration_id == integration_id))


def remove_deliveries(connection: Connection, integration_id: str, events: Collection[str]) -> None:
    """Forget what was stored of these events for the endpoints of an integration, sent or not."""
    of_integration = select(webhook_endpoints.c.id).where(webhook_endpoints.c.integration_id == integration_id)
    connection.execute(
        delete(webhook_deliveries).where(
            webhook_deliveries.c.endpoint_id.in_(of_integration), webhook_deliveries.c.event.in_(events)
        )
    )
