"""Show an integration's activity: small charts, each with a table behind it, and advice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import ActivityReport, Period, Refused

from ..operations import accounts, activity, integrations
from .page_requests import PageRequest, signed_in

PERIODS = {"day": "24 hours", "week": "7 days", "month": "30 days"}

# Width and height in a chart's own units: the stylesheet decides how large it is shown.
_LARGE = (360, 60)
_SMALL = (120, 20)


@dataclass(frozen=True)
class Bar:
    """Hold a part of the period with requests, and the place of its bar in the chart."""

    start: datetime
    requests: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """Hold the parts of a period as bars, and their summary in words."""

    total: int
    bars: tuple[Bar, ...]
    label: str
    width: int
    height: int

    @property
    def is_small(self) -> bool:
        """Tell whether it is in a row of a table."""
        return (self.width, self.height) == _SMALL


def _show(asking: PageRequest) -> Response | Refused:
    period = _period(asking.query.get("period"))
    integration_id = asking.path["integration_id"]
    integration = integrations.find(asking.engine, integration_id, asking.actor)
    if isinstance(integration, Refused):
        return integration
    report = activity.report(asking.engine, asking.activity, integration_id, period, actor=asking.actor)
    if isinstance(report, Refused):
        return report
    account = accounts.found(asking.engine, integration.account, actor=asking.actor)
    return asking.page(
        "activity.html",
        account=account,
        integration=integration,
        report=report,
        periods=PERIODS,
        let_through=chart(report, report.requests, "let through"),
        refused=chart(report, report.refused, "refused"),
        by_scope=[(row, chart(report, row.requests, "let through", _SMALL)) for row in report.scopes],
        by_generation=[(row, chart(report, row.requests, "let through", _SMALL)) for row in report.generations],
        unused={found.scope for found in report.unused},
        is_behind=activity.is_behind(asking.activity, asking.now),
    )


def chart(report: ActivityReport, numbers: Sequence[int], what: str, size: tuple[int, int] = _LARGE) -> Chart:
    """Draw the numbers of a report's parts as bars; the highest bar fills the chart, and one request is visible."""
    width, height = size
    part, highest, total = width / len(numbers), max(numbers), sum(numbers)
    bars = []
    for place, requests in enumerate(numbers):
        if requests:
            high = max(height / 20, height * requests / highest)
            start = report.since + place * timedelta(seconds=report.part_seconds)
            # Narrower than its part, so that bars don't touch.
            bars.append(
                Bar(
                    start,
                    requests,
                    round(place * part, 2),
                    round(height - high, 2),
                    round(part * 0.8, 2),
                    round(high, 2),
                )
            )
    some = "1 request" if total == 1 else f"{total} requests"
    most = f", at most {highest} in one {'hour' if report.part_seconds == 3600 else 'day'}" if total > 1 else ""
    return Chart(total, tuple(bars), f"{some} {what} in {PERIODS[report.period]}{most}", width, height)


def _period(asked: str | None) -> Period:
    return next((period for period in get_args(Period) if period == asked), "week")


ROUTES = [Route("/settings/private-integrations/{integration_id}/activity", signed_in(_show), methods=["GET"])]
