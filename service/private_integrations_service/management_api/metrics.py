"""Format statuses, alarms and security events for Prometheus."""

import math
from typing import get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from private_integrations.contract import Replication, ServiceAlarmKind
from private_integrations.rotation.decisions import AlarmKind, Status

from ..access.security_log import SecurityState
from ..operations.health import Examined

MEDIA_TYPE = CONTENT_TYPE_LATEST


def exposition(
    examined: Examined, security: SecurityState | None = None, replication: Replication | None = None
) -> bytes:
    """Return every status, kind of alarm and event, those with nothing to count too: an absent series raises no alarm.

    `security` and `replication` are None for a key that does not reach every account, and `replication` also if the
    database is a file of one machine.
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
    if replication is not None:
        _add_replication(replication, registry)
    return generate_latest(registry)


def _add_replication(replication: Replication, registry: CollectorRegistry) -> None:
    def gauge(name: str, meaning: str, value: float | None) -> None:
        Gauge(f"private_integrations_{name}", meaning, registry=registry).set(math.nan if value is None else value)

    gauge("lease_duration_seconds", "D: how long a lease lasts.", replication.lease_duration_seconds)
    gauge("lease_age_seconds", "Time since the heartbeat that gave the lease.", replication.lease_age_seconds)
    gauge("lease_remaining_seconds", "Time until the lease runs out.", replication.lease_remaining_seconds)
    gauge("revision", "The revision that this replica has applied.", replication.revision)
    gauge("database_revision", "The revision of the database.", replication.database_revision)
    gauge(
        "slowest_acknowledgement_seconds",
        "The longest wait of a change for all replicas in the last five minutes.",
        replication.slowest_acknowledgement_seconds,
    )
    gauge("database_synchronous", "1 if a standby confirms each change.", replication.is_synchronous)
    listed = Gauge("private_integrations_replicas", "Replicas by state.", ["state"], registry=registry)
    listed.labels("known").set(replication.known_replicas)
    listed.labels("silent").set(replication.silent_replicas)
    timeline = Gauge("private_integrations_database_timeline", "The timeline, 1.", ["timeline"], registry=registry)
    timeline.labels(replication.timeline).set(1)
