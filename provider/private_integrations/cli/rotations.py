"""The commands about rotations: `rotate` begins one, `cancel` takes it back."""

from datetime import timedelta
from typing import Annotated

import typer

from ..contract import Problem, TokenReport, TokenState, instant_text
from ..errors import Conflict, ServiceUnreachable
from ..rotation.durations import format_duration
from ..rotation.status import IntegrationStatus, in_pulumi, managed_by
from .failures import note, usage
from .options import AsJson, IntegrationId, Overlap, TokenOnly, connect, duration
from .status import report_of
from .tokens import hand_over, issue, print_state


def rotate(
    integration_id: IntegrationId,
    overlap: Overlap = None,
    replace_pending: Annotated[
        bool,
        typer.Option("--replace-pending", help="End a new token that another issuer issued and that was not used."),
    ] = False,
    as_json: AsJson = False,
    token_only: TokenOnly = False,
) -> None:
    """Issue a new token and print it, this once. The old one works on for the overlap.

    The overlap is the one that the integration declares; the service has a default.

    If a token is compromised, --overlap 0s ends every older one at once.
    """
    if as_json and token_only:
        raise usage("give --json or --token-only, not both")
    given = None if overlap is None else duration(overlap, "--overlap")
    client = connect()
    integration = client.integration(integration_id)
    report = report_of(client, integration)
    try:
        issued = issue(
            client, integration, given, reason="rotated on the command line", replace_pending=replace_pending
        )
    except Conflict as error:
        raise _with_ways_out(error, integration_id) from error
    except (ServiceUnreachable, KeyboardInterrupt):
        # Its answer may be what was lost.
        number = integration.last_generation + 1
        note(f"whether generation {number} was issued, `private-integrations show {integration.id}` tells")
        raise
    hand_over(integration, issued, as_json=as_json, token_only=token_only)
    if report.live:
        note(_what_of_the_old(report.policy.overlap if given is None else given, replace_pending))
    elif report.ended_because is not None:
        last = report.token_state.last_generation
        note(f"generation {last} was ended: {report.ended_because}; {integration.id} has a token that works again")
    if in_pulumi(integration):
        owner = managed_by(integration.external_id)
        note(f"{owner} declares this integration: its next `pulumi up` rotates again, to hold a token it knows")


def cancel(
    integration_id: IntegrationId,
    generation: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The rotation to this generation; default: to the newest.")
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help='How long the schedule waits before it may be due again; default: 7d. "0s": not at all.',
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take a rotation back. The new token is dead at once, and the one before it is the current one again.

    Possible until the overlap ends, and as long as a token from before works.
    """
    held = None if hold is None else duration(hold, "--hold")
    client = connect()
    before = report_of(client, client.integration(integration_id))
    number = generation or (before.newest.generation if before.newest else before.token_state.last_generation)
    if not number:
        raise usage(f"there is nothing to cancel: {integration_id} has never had a token")
    try:
        after = client.cancel(integration_id, number, None if held is None else int(held.total_seconds()))
    except (ServiceUnreachable, KeyboardInterrupt):
        # Its answer may be what was lost.
        note(f"whether generation {number} was cancelled, `private-integrations show {integration_id}` tells")
        raise
    print_state(after, as_json)
    for line in _what_was_cancelled(before, after, number, held):
        note(line)


def _with_ways_out(error: Conflict, integration_id: str) -> Conflict:
    """Somebody else's open rotation, with what a person can do about it; any other conflict as it is."""
    if error.problem != Problem.ROTATION_OPEN:
        return error
    generation = error.about.get("generation")
    replace = f"`private-integrations rotate {integration_id} --replace-pending` ends it and issues another one"
    back = f"`private-integrations cancel {integration_id} --generation {generation}` goes back to the token before it"
    # Before the first generation there is nothing to go back to.
    ways = replace if generation == 1 else f"{back}, {replace}"
    return Conflict(f"{error}: {ways}", problem=error.problem, about=error.about)


def _what_of_the_old(overlap: timedelta, replaced: bool) -> str:
    if not overlap:
        return "every older token is dead"
    promise = f"a token that is in use works on for {format_duration(overlap)} after the new one's first use"
    return f"{promise}; one that nobody had used is dead" if replaced else promise


def _what_was_cancelled(
    before: IntegrationStatus, after: TokenState, generation: int, hold: timedelta | None
) -> list[str]:
    said = [f"cancelled the rotation to generation {generation} of {after.integration_id}: its token is dead"]
    cancelled, current = before.token_state.of_generation(generation), after.in_role("current")
    if cancelled is None or current is None or current.generation > generation:
        # A repetition, long after: others have rotated meanwhile.
        return said
    held = _what_is_held(before, after, hold)
    said.append(f"generation {current.generation} is the current one again, with no deadline{held}")
    if in_pulumi(before.integration) and _is_in_state(cancelled, before):
        owner = managed_by(before.integration.external_id)
        said.append(
            f"{owner} declares this integration: its next `pulumi up` puts the token of generation "
            f"{current.generation} back into its state and issues nothing"
        )
    return said


def _what_is_held(before: IntegrationStatus, after: TokenState, hold: timedelta | None) -> str:
    if before.policy.period is None or not before.policy.enabled:
        return ""
    ends_now = hold == timedelta(0) and after.held_until != before.token_state.held_until
    if ends_now or after.held_until is None or after.held_until <= before.now:
        return "; its schedule is not held"
    return f"; its schedule is held until {instant_text(after.held_until)}"


def _is_in_state(token: TokenReport, report: IntegrationStatus) -> bool:
    """Return whether the stack that declares the integration issued this token."""
    return token.issuer == report.integration.external_id
