"""`webhooks data`: where the events of the data that an integration may read are sent, and how receivers know them."""

from typing import Annotated

import typer

from ..contract import DataWebhook, DataWebhookRequest
from .failures import note, usage
from .options import AsJson, IntegrationId, connect, valid
from .output import print_facts, print_json


def data(
    integration: IntegrationId,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Send the events to this https URL from now on.")
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="An event to send, such as ContactCreate; default: all. Repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show an integration's data webhook, or with --url set it: the sandbox's events that its scopes allow."""
    if event and url is None:
        raise usage("say where to send them, with --url", "--event")
    client = connect()
    if url is None:
        known = client.data_webhook(integration)
    else:
        known = client.put_data_webhook(integration, valid(DataWebhookRequest, url=url, events=event or None))
    if as_json:
        print_json(known.model_dump(mode="json"))
    else:
        _print(known)


def _print(known: DataWebhook) -> None:
    print_facts(
        [
            ("integration", known.integration),
            ("webhook", known.webhook or "-"),
            ("url", known.url or "-"),
            ("events", ", ".join(known.events) or "-"),
            ("app id", known.app_id),
            ("public key", known.public_key or "-"),
        ]
    )
    if not known.events:
        note("its scopes let it be told of nothing that happens here")
