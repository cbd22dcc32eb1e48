"""Report the alarms and count the statuses of all integrations that an actor reaches."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from private_integrations.contract import AlarmReport, Integration, TokenState
from private_integrations.rotation.decisions import Alarm, Status, alarms, status

from ..access.actors import Actor
from ..storage import integrations
from ..storage.clock import stored_instant
from ..storage.engine import StorageEngine
from ..tokens.policy_defaults import in_force
from .generations import token_states
from .operation import reads

_PAGE = 500


@dataclass(frozen=True)
class Examined:
    """Hold every alarm, and the number of integrations by status."""

    alarms: list[AlarmReport] = field(default_factory=list)
    by_status: Counter[Status] = field(default_factory=Counter)


def answers(engine: StorageEngine) -> None:
    """Read one row; raises StorageError if the database does not answer."""
    engine.require()
    read_clock(engine)


@reads
def read_clock(connection: Connection) -> datetime:
    """Return the latest instant that is stored."""
    return stored_instant(connection)


@reads
def examine(connection: Connection, now: datetime, actor: Actor) -> Examined:
    """Report on every integration at `now`, with the functions that a preview uses."""
    examined = Examined()
    for integration, tokens in _every(connection, now, actor):
        policy = in_force(integration.rotation)
        examined.by_status[status(policy, tokens, now)] += 1
        examined.alarms.extend(_report(integration, alarm) for alarm in alarms(policy, tokens, now))
    return examined


def _every(connection: Connection, now: datetime, actor: Actor) -> Iterator[tuple[Integration, TokenState]]:
    after = ""
    while page := integrations.list_integrations(connection, accounts=actor.accounts, after=after, limit=_PAGE):
        yield from zip(page, token_states.step(connection, page, now), strict=True)
        after = page[-1].id


def _report(integration: Integration, alarm: Alarm) -> AlarmReport:
    return AlarmReport(
        integration_id=integration.id,
        name=integration.name,
        account=integration.account,
        external_id=integration.external_id,
        kind=alarm.kind,
        since=alarm.since,
        detail=alarm.text,
    )
