"""The route of an integration's data webhooks."""

from fastapi import APIRouter

from private_integrations.contract import DataEvents

from ..operations import data_events, integrations
from .callers import Asking, unless_refused

router = APIRouter()


@router.get("/integrations/{integration_id}/data-events")
def read_data_events(integration_id: str, asking: Asking) -> DataEvents:
    """What a receiver of the integration's data webhooks has to know: events, ids and the public key."""
    with asking.database.read() as connection:
        integration = unless_refused(integrations.find(connection, integration_id, asking.actor))
        return data_events.described(connection, integration)
