"""The route of what an integration's tokens were used for."""

from fastapi import APIRouter

from private_integrations.contract import ActivityReport, Period

from ..operations import activity, integrations
from .callers import Asking, unless_refused

router = APIRouter()


@router.get("/integrations/{integration_id}/activity")
def read_activity(integration_id: str, asking: Asking, period: Period = "week") -> ActivityReport:
    """What its tokens were used for, by whom, what was refused, and what that says; never a secret."""
    with asking.database.read() as connection:
        integration = unless_refused(integrations.find(connection, integration_id, asking.actor))
        return activity.usage_of(asking.activity, connection, integration, period, asking.now)
