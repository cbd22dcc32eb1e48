"""Ask the service for status reports of integrations."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from ..client import Client
from ..contract import Integration, instant_text
from ..errors import NotFound
from ..rotation.policy import EffectivePolicy
from ..rotation.status import IntegrationStatus


def reports(client: Client, integrations: Iterable[Integration]) -> Iterator[IntegrationStatus]:
    """Return the status reports of these, in their order; those that are gone by now are left out."""
    by_id = {integration.id: integration for integration in integrations}
    for page in client.tokens_of(list(by_id), last_used=True):
        found = {state.integration_id: state for state in page.tokens}
        for integration_id in [known for known in by_id if known in found]:
            yield IntegrationStatus(
                by_id[integration_id], found[integration_id], page.now, EffectivePolicy.reported(by_id[integration_id])
            )


def report_of(client: Client, integration: Integration) -> IntegrationStatus:
    """Return the status report of this one; raises NotFound when it was deleted meanwhile."""
    found = next(reports(client, [integration]), None)
    if found is None:
        raise NotFound(f"there is no integration {integration.id} any more")
    return found


def when(instant: datetime | None) -> str:
    """Return an instant for a table cell; `-` for none."""
    return "-" if instant is None else instant_text(instant)
