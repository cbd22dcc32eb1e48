"""Serve the route of an integration's activity."""

from fastapi import APIRouter

from private_integrations.contract import ActivityReport, Period

from ..operations import activity
from .callers import Asking, unless_refused

router = APIRouter()


@router.get("/integrations/{integration_id}/activity")
def read_activity(integration_id: str, asking: Asking, period: Period = "week") -> ActivityReport:
    """Report the requests with its tokens, their callers, refusals, and advice; never a secret."""
    return unless_refused(activity.report(asking.engine, asking.activity, integration_id, period, actor=asking.actor))
