"""Format statuses, alarms and security events for Prometheus."""

from typing import get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from private_integrations.contract import ServiceAlarmKind
from private_integrations.rotation.decisions import AlarmKind, Status

from ..access.security_log import SecurityState
from ..operations.health import Examined

MEDIA_TYPE = CONTENT_TYPE_LATEST


def exposition(examined: Examined, security: SecurityState | None = None) -> bytes:
    """Return every status, kind of alarm and event, those with nothing to count too: an absent series raises no alarm.

    `security` is None for a key that does not reach every account.
    """
    registry = CollectorRegistry()
    integrations = Gauge("private_integrations", "Integrations by status.", ["status"], registry=registry)
    for status in get_args(Status):
        integrations.labels(status).set(examined.by_status[status])
    raised = Gauge("private_integrations_alarms", "Things a person should look at.", ["kind"], registry=registry)
    for kind in get_args(AlarmKind):
        raised.labels(kind).set(sum(alarm.kind == kind for alarm in examined.alarms))
    if security is not None:
        alarming = {alarm.kind for alarm in security.alarms}
        for own in get_args(ServiceAlarmKind):
            raised.labels(own).set(own in alarming)
        events = Counter(
            "private_integrations_security_events", "Events of the security log.", ["event"], registry=registry
        )
        for event, count in security.counts.items():
            events.labels(event.value).inc(count)
        left_out = Counter(
            "private_integrations_security_lines_suppressed", "Lines left out of the security log.", registry=registry
        )
        left_out.inc(security.suppressed)
    return generate_latest(registry)
