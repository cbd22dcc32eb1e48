"""Alarms of rotations and of the service itself."""

from typing import Literal

from .replicas import Replication
from .values import Instant, ResponseModel


class AlarmReport(ResponseModel):
    """Something that a person should look at; the alarm itself never ends a token."""

    integration_id: str
    name: str
    account: str
    external_id: str
    kind: str
    since: Instant
    detail: str


ServiceAlarmKind = Literal["sign-ins-refused", "keys-unknown"]
"""Name the alarms of the service itself: it refused many sign-ins, or many management keys."""


class ServiceAlarm(ResponseModel):
    """Something that a person should look at in the service's security log."""

    kind: ServiceAlarmKind
    since: Instant
    detail: str


class Health(ResponseModel):
    """Report `ok`, or `attention` and the alarms of rotations and of the service itself.

    The service's own, and the state of the replicas, are for keys that reach every account; `replication` is missing
    if the database is a file of one machine.
    """

    status: Literal["ok", "attention"]
    now: Instant
    alarms: list[AlarmReport]
    service_alarms: list[ServiceAlarm] = []
    replication: Replication | None = None
