"""Report the status of the integrations that an actor reaches, by the functions that a preview decides with."""

from datetime import datetime

from sqlalchemy import Connection

from private_integrations.contract import Refused
from private_integrations.rotation.status import IntegrationStatus

from ..access.actors import Actor
from ..storage import integrations
from ..tokens.policy_defaults import in_force
from .generations import LastUsed, token_states
from .integrations import find
from .operation import reads

_PAGE = 1000


@reads
def reports(
    connection: Connection, now: datetime, actor: Actor, last_used: LastUsed | None = None
) -> list[IntegrationStatus]:
    """Return the status reports of all integrations at `now`, by id; two statements for each thousand.

    With `last_used` also when their tokens were used.
    """
    found: list[IntegrationStatus] = []
    after = ""
    while page := integrations.list_integrations(connection, accounts=actor.accounts, after=after, limit=_PAGE):
        states = token_states.step(connection, page, now, last_used)
        found += [
            IntegrationStatus(integration, state, now, in_force(integration.rotation))
            for integration, state in zip(page, states, strict=True)
        ]
        after = page[-1].id
        if len(page) < _PAGE:
            break
    return found


@reads
def report_of(
    connection: Connection, integration_id: str, now: datetime, actor: Actor, last_used: LastUsed | None = None
) -> IntegrationStatus | Refused:
    """Return the status report of this one; one in an account that the actor doesn't reach is not there for them."""
    found = find.step(connection, integration_id, actor)
    if isinstance(found, Refused):
        return found
    [state] = token_states.step(connection, [found], now, last_used)
    return IntegrationStatus(found, state, now, in_force(found.rotation))
