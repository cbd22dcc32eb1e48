"""Show the list of private integrations, with status and owner, the most urgent first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import urlencode

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Account, Problem, Refused
from private_integrations.rotation.status import IntegrationStatus, owner_of

from ..operations import activity
from ..operations.accounts import listed
from ..operations.generations import LastUsed
from ..operations.status import reports
from .page_requests import PageRequest, signed_in
from .paging import PAGE, page_of
from .scope_choice import can_write

LIST = "/settings/private-integrations"

UNUSED = timedelta(days=30)
"""Find integrations without a use for so long with the list's filter."""

# The integration's own page has the whole description.
_DESCRIPTION = 100

_RANKS = {"overdue": 0, "due": 1, "pending": 2, "overlapping": 3}


@dataclass(frozen=True)
class Row:
    """Hold an integration for the list."""

    report: IntegrationStatus
    account: Account

    @property
    def description(self) -> str:
        """Return the first words of its description."""
        text = self.report.integration.description
        return text if len(text) <= _DESCRIPTION else text[: _DESCRIPTION - 1] + "…"

    @property
    def managed_by(self) -> str:
        """Return its owner: `Pulumi: project/stack`, a person, the command line."""
        owner = owner_of(self.report.integration.external_id)
        return f"Pulumi: {owner.name}" if owner.kind == "pulumi" else owner.name or owner.kind

    @property
    def writes(self) -> bool:
        """Tell whether one of its scopes opens changes."""
        return any(can_write(scope) for scope in self.report.integration.scopes)

    @property
    def last_used(self) -> datetime | None:
        """When one of its tokens was last used."""
        return last_used(self.report)

    @property
    def is_unused(self) -> bool:
        """Tell whether it was not used within UNUSED, or ever."""
        return self.last_used is None or self.report.now - self.last_used >= UNUSED

    @property
    def needs_attention(self) -> bool:
        """Tell whether a person should look at it: an alarm, or no live token."""
        return needs_attention(self.report)


@dataclass(frozen=True)
class Filters:
    """Hold the filters of the list; empty: all."""

    account: str = ""
    managed_by: str = ""
    unused: bool = False
    due: bool = False

    def keep(self, row: Row) -> bool:
        """Tell whether a row passes the filters."""
        return (
            self.account in ("", row.account.id)
            and self.managed_by in ("", row.managed_by)
            and (not self.unused or row.is_unused)
            and (not self.due or row.report.status in ("due", "overdue"))
        )

    def address(self, page: int) -> str:
        """Return the address of a page of the filtered list."""
        given = {
            "account": self.account,
            "managed_by": self.managed_by,
            "unused": "yes" if self.unused else "",
            "due": "yes" if self.due else "",
            "page": str(page) if page > 1 else "",
        }
        query = urlencode({name: value for name, value in given.items() if value})
        return f"{LIST}?{query}" if query else LIST


@dataclass(frozen=True)
class Total:
    """Count an account's integrations, and those that a person should look at."""

    account: Account
    count: int
    attention: int


def last_used(report: IntegrationStatus) -> datetime | None:
    """Return the last use of the integration's tokens; None without any.

    Of a token that was delivered before uses were recorded, the delivery counts.
    """
    taken_up = (s.delivered_at for s in report.token_state.tokens if s.delivered_at is not None)
    return report.last_used_at or max(taken_up, default=None)


def uses(asking: PageRequest) -> LastUsed:
    """Return the last uses of tokens, as far as they are recorded."""
    return partial(activity.last_used_if_readable, asking.activity)


def needs_attention(report: IntegrationStatus) -> bool:
    """Tell whether a person should look at it: an alarm, or no live token."""
    return bool(report.alarms) or not report.live


def urgency(report: IntegrationStatus) -> tuple[bool, int, str]:
    """Order rows: those that need attention first, then by the urgency of the status, then by name."""
    rank = _RANKS.get(report.status, len(_RANKS))
    return not needs_attention(report), rank, report.integration.name.lower()


def totals(rows: Iterable[Row]) -> list[Total]:
    """Count integrations by account, the accounts that need attention first."""
    rows = list(rows)
    counts = Counter(row.account.id for row in rows)
    attention = Counter(row.account.id for row in rows if row.needs_attention)
    accounts = {row.account.id: row.account for row in rows}
    found = [Total(account, counts[key], attention[key]) for key, account in accounts.items()]
    return sorted(found, key=lambda total: (-total.attention, total.account.name.lower(), total.account.id))


def _list(asking: PageRequest) -> Response | Refused:
    accounts = {account.id: account for account in listed(asking.engine, actor=asking.actor)}
    found = reports(asking.engine, asking.now, asking.actor, last_used=uses(asking))
    filters = _filters(asking.query)
    if filters.account and filters.account not in accounts:
        return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {filters.account}")
    rows = [Row(report, accounts[report.integration.account]) for report in sorted(found, key=urgency)]
    kept = [row for row in rows if filters.keep(row)]
    page, pages = page_of(asking.query.get("page", ""), len(kept))
    return asking.page(
        "integrations.html",
        account=accounts.get(filters.account),
        accounts=accounts,
        filters=filters,
        total=len(rows),
        attention=sum(row.needs_attention for row in rows),
        kept=len(kept),
        totals=totals(rows),
        owners=_owners(rows),
        rows=kept[(page - 1) * PAGE : page * PAGE],
        page=page,
        pages=pages,
    )


def _filters(query: Mapping[str, str]) -> Filters:
    return Filters(
        account=query.get("account", ""),
        managed_by=query.get("managed_by", ""),
        unused=bool(query.get("unused")),
        due=bool(query.get("due")),
    )


def _owners(rows: Sequence[Row]) -> list[str]:
    return sorted({row.managed_by for row in rows})


ROUTES = [Route(LIST, signed_in(_list), methods=["GET"])]
