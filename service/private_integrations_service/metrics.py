"""The state of the rotations as Prometheus reads it."""

from typing import get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from private_integrations.rotation import AlarmKind, Status

from .operations.health import Examined

MEDIA_TYPE = CONTENT_TYPE_LATEST


def exposition(examined: Examined) -> bytes:
    """Every status and every kind of alarm, those with nothing to count too: an absent series alarms nobody."""
    registry = CollectorRegistry()
    integrations = Gauge("private_integrations", "Integrations by status.", ["status"], registry=registry)
    for status in get_args(Status):
        integrations.labels(status).set(examined.by_status[status])
    raised = Gauge("private_integrations_alarms", "Things a person should look at.", ["kind"], registry=registry)
    for kind in get_args(AlarmKind):
        raised.labels(kind).set(sum(alarm.kind == kind for alarm in examined.alarms))
    return generate_latest(registry)
