"""The command `activity`: what an integration's tokens were used for."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

from ..contract import ActivityReport, instant_text
from .failures import note
from .options import AsJson, IntegrationId, connect
from .output import Row, print_facts, print_json, print_table, print_text
from .status import when

_IN_WORDS = {"day": "the last 24 hours", "week": "the last 7 days", "month": "the last 30 days"}
_BARS = "▁▂▃▄▅▆▇█"
_WIDEST = 30


class Choice(StrEnum):
    """The periods that can be asked for."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def activity(
    integration_id: IntegrationId,
    period: Annotated[Choice, typer.Option(help="The last 24 hours, 7 days or 30 days.")] = Choice.WEEK,
    as_json: AsJson = False,
) -> None:
    """Show what an integration's tokens were used for: by scope, by generation and by whom, and what was refused.

    Points to look at stand at the end: unused scopes, missing scopes, old tokens in use.
    """
    report = connect().activity(integration_id, period.value)
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    if report.recorded_until is None:
        note("nothing is recorded at the moment; see the service's log")
    print_facts(_facts(report))
    for headings, rows in _tables(report):
        if rows:
            print_text("")
            print_table(headings, rows)
    for hint in report.hints:
        print_text("\n".join(["", hint.text, *(f"  {line}" for line in hint.change)]))


def _facts(report: ActivityReport) -> list[tuple[str, str]]:
    return [
        ("integration", report.integration_id),
        ("period", f"{_IN_WORDS[report.period]}, since {instant_text(report.since)}"),
        ("observed since", when(report.observed_since)),
        ("let through", _line(report.requests)),
        ("refused", _line(report.refused)),
    ]


def _tables(report: ActivityReport) -> list[tuple[Row, Sequence[Row]]]:
    scopes = [
        (s.scope if s.granted else f"{s.scope} (not granted)", _line(s.requests), str(s.refused), when(s.last_used_at))
        for s in report.scopes
    ]
    generations = [
        (str(g.generation), g.role, _line(g.requests), str(g.refused), when(g.last_used_at)) for g in report.generations
    ]
    refusals = [(r.reason, r.scope or "-", str(r.requests), when(r.last_at), r.remedy) for r in report.refusals]
    callers = [
        (c.address or "-", c.agent or "-", str(c.generation), str(c.requests), when(c.last_at)) for c in report.callers
    ]
    return [
        (("scope", "let through", "refused", "last used"), scopes),
        (("generation", "role", "let through", "refused", "last used"), generations),
        (("refused for", "scope", "requests", "last", "what helps"), refusals),
        (("caller", "agent", "generation", "requests", "last"), callers),
    ]


def _line(numbers: Sequence[int]) -> str:
    """Return the sum, and a small picture of how it came about, the oldest on the left."""
    total = sum(numbers)
    return f"{total}  {_picture(numbers)}".rstrip() if total else "0"


def _picture(numbers: Sequence[int]) -> str:
    width = -(-len(numbers) // _WIDEST)
    columns = [sum(numbers[start : start + width]) for start in range(0, len(numbers), width)]
    highest = max(columns)
    # Whatever is not nothing shows.
    return "".join(_BARS[-(-column * (len(_BARS) - 1) // highest)] for column in columns)
