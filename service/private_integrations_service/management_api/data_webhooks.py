"""Serve the routes of an integration's data webhook; you list, test and delete it by its id, like other webhooks."""

from fastapi import APIRouter, Response

from private_integrations.contract import DataWebhook, DataWebhookRequest

from ..operations import data_webhooks
from .callers import Asking, unless_refused

router = APIRouter()


@router.get("/integrations/{integration_id}/data-webhook")
def read_data_webhook(integration_id: str, asking: Asking) -> DataWebhook:
    """Read the facts for a receiver of an integration's events: the events, the ids in them and the public key."""
    return unless_refused(data_webhooks.described(asking.engine, integration_id, actor=asking.actor))


@router.put("/integrations/{integration_id}/data-webhook", responses={201: {"model": DataWebhook}})
def put_data_webhook(integration_id: str, body: DataWebhookRequest, asking: Asking, response: Response) -> DataWebhook:
    """Have the integration's events sent to a URL (201), or change URL or events (200)."""
    settings = asking.rules.settings
    put = unless_refused(data_webhooks.put(asking.engine, integration_id, body, settings, actor=asking.actor))
    response.status_code = 201 if put.created else 200
    return put.webhook
