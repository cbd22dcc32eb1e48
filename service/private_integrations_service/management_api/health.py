"""Routes of what a person or their monitoring should look at."""

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from private_integrations.contract import Health

from .. import metrics
from ..operations import health
from .callers import Asking

router = APIRouter()


@router.get("/health")
def read_health(asking: Asking) -> Health:
    """What a person should look at: late rotations, new tokens that nobody has used, tokens that are to end unused."""
    with asking.database.read() as connection:
        found = health.examine(connection, asking.now, asking.actor).alarms
    return Health(status="attention" if found else "ok", now=asking.now, alarms=found)


@router.get("/metrics", response_class=PlainTextResponse)
def read_metrics(asking: Asking) -> Response:
    """The same as numbers, for Prometheus, and how many integrations have which status."""
    with asking.database.read() as connection:
        examined = health.examine(connection, asking.now, asking.actor)
    return Response(metrics.exposition(examined), media_type=metrics.MEDIA_TYPE)
