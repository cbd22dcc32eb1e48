"""Store what every location of the sandbox begins with: one pipeline, one calendar and one campaign."""

import uuid

from sqlalchemy import Connection

from ...tokens.format import new_id
from .calendars import Calendar, add_calendar
from .campaigns import Campaign, add_campaign
from .pipelines import Pipeline, Stage, add_pipeline

_STAGES = ("New Lead", "Contacted", "Proposal Sent", "Closed")
_HALF_HOURS = {"slotDuration": 30, "slotDurationUnit": "mins", "slotInterval": 30, "slotIntervalUnit": "mins"}


def furnish(connection: Connection, account_id: str) -> None:
    """Give a new location its pipeline, calendar and campaign."""
    stages = tuple(Stage(str(uuid.uuid4()), name) for name in _STAGES)
    add_pipeline(connection, Pipeline(new_id(), account_id, "Sales Pipeline", stages))
    fields = {"calendarType": "event", "slug": "first-meeting", **_HALF_HOURS}
    add_calendar(connection, Calendar(new_id(), account_id, "First Meeting", active=True, fields=fields))
    add_campaign(connection, Campaign(new_id(), account_id, "Welcome", "draft"))
