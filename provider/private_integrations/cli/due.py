"""`due`: what the next deployment would rotate, and why."""

from datetime import datetime
from typing import Annotated, Any

import typer

from ..connection import find_account
from ..contract import rfc3339
from ..rotation.decisions import Rotate
from ..rotation.status import IntegrationStatus, managed_by
from .failures import SOMETHING_IS_DUE, note
from .options import AccountId, AsJson, connect
from .output import Row, print_json, print_rows
from .overview import reports_in
from .status import when

_HEADINGS = ("id", "name", "status", "since", "managed by", "reason")

_Finding = tuple[IntegrationStatus, Rotate]


def due(
    account: AccountId = None,
    under: Annotated[
        str | None,
        typer.Option(
            metavar="ORG/PROJECT/STACK", help="Only what this stack declares, in every account unless one is given."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the next deployment would rotate, and why. Ends with 1 if something is due, with 0 if nothing is.

    The reason is the one that the preview shows. Facts of the program alone, such as a changed trigger, are not in it.
    """
    account = account or (None if under else find_account())
    decided = [(report, report.decision) for report in reports_in(connect(), account, under and under.strip("/"))]
    found = [(report, decision) for report, decision in decided if isinstance(decision, Rotate)]
    if as_json:
        print_json({"due": [_as_json(finding) for finding in found]})
    elif found:
        print_rows(_HEADINGS, [_row(finding) for finding in found], narrow=_narrow)
    else:
        note("nothing is due")
    if found:
        raise typer.Exit(SOMETHING_IS_DUE)


def _since(report: IntegrationStatus) -> datetime:
    """Return since when a deployment would rotate; for a token that has ended, since its end."""
    natural, held_until = report.next_rotation_at, report.token_state.held_until
    if natural is None:
        last = report.token_state.of_generation(report.token_state.last_generation)
        return (last and last.ended_at) or report.integration.created_at
    opened = natural - report.policy.early_window
    return natural if natural <= report.now else max(opened, held_until or opened)


def _as_json(finding: _Finding) -> dict[str, Any]:
    report, decision = finding
    integration = report.integration
    return {
        "id": integration.id,
        "name": integration.name,
        "account": integration.account,
        "external_id": integration.external_id,
        "status": report.status,
        "since": rfc3339(_since(report)),
        "reason": decision.reason,
    }


def _row(finding: _Finding) -> Row:
    report, decision = finding
    integration = report.integration
    return (
        integration.id,
        integration.name,
        report.status,
        when(_since(report)),
        managed_by(integration.external_id),
        decision.reason,
    )


def _narrow(row: Row) -> str:
    """Return the row on three lines, for a terminal that is too narrow for one."""
    integration_id, name, status, since, owner, reason = row
    return f"{integration_id}  {name}\n  {status} since {since}, by {owner}\n  {reason}"
