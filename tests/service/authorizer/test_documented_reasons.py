"""docs/platform.md §12 names every `reason` of the data API, and none that the service doesn't have."""

import re
from pathlib import Path

from private_integrations.contract import Reason
from private_integrations_service import forward_auth
from private_integrations_service.authorizer import decisions, replies
from private_integrations_service.authorizer.replies import PlatformError
from private_integrations_service.gateway import refusals
from private_integrations_service.sandbox import answers, bodies, limits

PAGE = Path(__file__).parents[3] / "docs" / "platform.md"

# Recorded and never sent: the client is gone.
NEVER_SENT = {Reason.CLIENT_GONE}


def test_every_reason_is_in_the_table_and_nothing_else() -> None:
    """Each reason that a client can meet is on the page behind its status, and the page has no other name."""
    assert dict(reasons_on_the_page()) == {reason: reason.status for reason in set(Reason) - NEVER_SENT}


def test_refusals_have_the_status_of_their_reason():
    """The refusals that modules define have the status that the reason says."""
    modules = (answers, bodies, decisions, forward_auth, refusals, replies)
    found = [value for module in modules for value in vars(module).values() if isinstance(value, PlatformError)]
    found += [refusal for limit in ("burst", "daily") if (refusal := limits.Spent(0, 0, limit).refusal)]
    assert len(found) > 30
    assert [refusal for refusal in found if refusal.status != refusal.reason.status] == []


def reasons_on_the_page() -> list[tuple[str, int]]:
    """Return the names in the second column of the table whose head is `reason`, with the status that is said last."""
    rows = PAGE.read_text().partition("| about | `reason` |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    found = []
    for row in rows:
        status = 0
        for said, name in re.findall(r"\b([45]\d\d)\b|`([a-z-]+)`", row):
            status = int(said) if said else status
            if name:
                found.append((name, status))
    assert len(found) == len(dict(found))
    return found
