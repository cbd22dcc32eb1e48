"""Serve the routes of webhooks, their deliveries and replays."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from private_integrations.contract import (
    Deletion,
    Pinged,
    Replayed,
    ReplayRequest,
    Webhook,
    WebhookDeliveryList,
    WebhookEdit,
    WebhookList,
    WebhookRequest,
    WebhookSecretRequest,
)

from ..operations import webhooks
from .callers import Asking, unless_refused

router = APIRouter()

_PAGE = 100
# Enough for every number that the database gives.
_Cursor = Annotated[str | None, Query(pattern="^[0-9]{1,18}$")]


@router.get("/webhooks")
def list_webhooks(asking: Asking, account: str | None = None) -> WebhookList:
    """List the webhooks of the accounts that the key reaches, or of one; never a secret."""
    sealer = asking.rules.settings.sealer
    return WebhookList(webhooks=webhooks.listed(asking.engine, sealer, account=account, actor=asking.actor))


@router.post("/webhooks", responses={201: {"model": Webhook}})
def create_webhook(body: WebhookRequest, asking: Asking, response: Response) -> Webhook:
    """Have an account's events sent to a URL (201), or answer the repeated request (200)."""
    settings = asking.rules.settings
    made = unless_refused(
        webhooks.make(asking.engine, body, settings.sealer, settings.destinations, actor=asking.actor)
    )
    shown = webhooks.shown(asking.engine, made.endpoint, settings.sealer)
    response.status_code = 201 if made.created else 200
    return shown


@router.get("/webhooks/{webhook_id}")
def read_webhook(webhook_id: str, asking: Asking) -> Webhook:
    """Read one webhook; never its secret."""
    found = unless_refused(webhooks.find(asking.engine, webhook_id, asking.actor))
    return webhooks.shown(asking.engine, found, asking.rules.settings.sealer)


@router.patch("/webhooks/{webhook_id}")
def edit_webhook(webhook_id: str, body: WebhookEdit, asking: Asking) -> Webhook:
    """Change URL, events or description, disable, or enable again."""
    settings = asking.rules.settings
    edited = unless_refused(webhooks.edit(asking.engine, webhook_id, body, settings.destinations, actor=asking.actor))
    return webhooks.shown(asking.engine, edited, settings.sealer)


@router.delete("/webhooks/{webhook_id}")
def delete_webhook(webhook_id: str, asking: Asking) -> Deletion:
    """Delete a webhook, with its waiting messages."""
    return Deletion(deleted=unless_refused(webhooks.delete(asking.engine, webhook_id, actor=asking.actor)))


@router.post("/webhooks/{webhook_id}/secret")
def rotate_webhook_secret(webhook_id: str, body: WebhookSecretRequest, asking: Asking) -> Webhook:
    """Sign with another secret, and for the overlap with the present one too."""
    sealer = asking.rules.settings.sealer
    rotated = unless_refused(webhooks.rotate_secret(asking.engine, webhook_id, body, sealer, actor=asking.actor))
    return webhooks.shown(asking.engine, rotated, sealer)


@router.post("/webhooks/{webhook_id}/ping")
def ping_webhook(webhook_id: str, asking: Asking) -> Pinged:
    """Send an event that only tests the webhook; the list of deliveries shows the result."""
    return Pinged(message_id=unless_refused(webhooks.ping(asking.engine, webhook_id, actor=asking.actor)))


@router.get("/webhooks/{webhook_id}/deliveries")
def list_deliveries(
    webhook_id: str,
    asking: Asking,
    state: Literal["waiting", "delivered", "failed"] | None = None,
    cursor: _Cursor = None,
) -> WebhookDeliveryList:
    """List messages, the newest first, with every attempt; never a response's body."""
    before = None if cursor is None else int(cursor)
    page, following = unless_refused(
        webhooks.deliveries(asking.engine, webhook_id, state=state, before=before, limit=_PAGE, actor=asking.actor)
    )
    return WebhookDeliveryList(deliveries=page, cursor=None if following is None else str(following))


@router.post("/webhooks/{webhook_id}/replay")
def replay_webhook(webhook_id: str, body: ReplayRequest, asking: Asking) -> Replayed:
    """Replay messages under their ids: those named, or all that failed since an instant."""
    return Replayed(replayed=unless_refused(webhooks.replay(asking.engine, webhook_id, body, actor=asking.actor)))
