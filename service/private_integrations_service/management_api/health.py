"""Serve the routes for monitoring."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from private_integrations.contract import Health, Replication, ServiceAlarm, ServiceAlarmKind

from ..operations import health, replicas
from . import metrics
from .callers import Asking, RequestContext

router = APIRouter()


@router.get("/health", response_model_exclude_none=True)
def read_health(asking: Asking) -> Health:
    """List what needs attention: overdue rotations, undelivered tokens, inactive tokens.

    A key that reaches every account also sees the alarms of the security log and the state of the replicas.
    """
    found = health.examine(asking.engine, asking.now, asking.actor).alarms
    own = _service_alarms(asking)
    status: Literal["ok", "attention"] = "attention" if found or own else "ok"
    return Health(status=status, now=asking.now, alarms=found, service_alarms=own, replication=_replication(asking))


@router.get("/metrics", response_class=PlainTextResponse)
def read_metrics(asking: Asking) -> Response:
    """Return the numbers of alarms, and of integrations by status, for Prometheus.

    For a key that reaches every account also the counts of the security log and the state of the replicas.
    """
    examined = health.examine(asking.engine, asking.now, asking.actor)
    security = None if asking.actor.accounts is not None else asking.security.state(asking.now)
    return Response(metrics.exposition(examined, security, _replication(asking)), media_type=metrics.MEDIA_TYPE)


_TOLD: Mapping[ServiceAlarmKind, str] = MappingProxyType(
    {
        "sign-ins-refused": "{count} sign-ins were refused in the last 15 minutes; the security log says from where",
        "keys-unknown": (
            "{count} requests had an unknown or ended management key in the last 15 minutes; "
            "the security log says from where"
        ),
    }
)


def _replication(asking: RequestContext) -> Replication | None:
    return None if asking.actor.accounts is not None else replicas.listed(asking.engine).replication


def _service_alarms(asking: RequestContext) -> list[ServiceAlarm]:
    if asking.actor.accounts is not None:
        return []
    return [
        ServiceAlarm(kind=alarm.kind, since=alarm.since, detail=_TOLD[alarm.kind].format(count=alarm.count))
        for alarm in asking.security.alarms(asking.now)
    ]
