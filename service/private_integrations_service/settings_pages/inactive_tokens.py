"""Set an account's rule for inactive tokens: the service's setting, a time of its own, or none."""

from datetime import timedelta

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import SHORTEST_INACTIVITY, Inactivity, InactivityRequest, Problem, Refused
from private_integrations.rotation.durations import format_duration, parse_duration

from ..access import permissions
from ..operations import inactivity
from ..tokens.inactivity import LONGEST_NOTICE, WARNINGS
from .fields import duration_text
from .integration import in_days
from .page_requests import PageRequest, for_administrators

_PAGE = "/settings/accounts/{account_id}/labs/inactive-tokens"
_LONGEST_FIELD = 100


def _show(asking: PageRequest) -> Response | Refused:
    return _page(asking)


def _page(asking: PageRequest, refused: Refused | None = None) -> Response | Refused:
    assert asking.person is not None
    account = asking.person.account(asking.path["account_id"])
    if isinstance(account, Refused):
        return account
    rule = inactivity.rule_of(asking.engine, account.id, asking.settings, actor=asking.actor)
    if isinstance(rule, Refused):
        # People with access here manage the account's integrations, except for Labs.
        return asking.page("inactive_tokens.html", account=account, rule=None)
    service, after = asking.settings.inactive_after, rule.after_seconds
    return asking.page(
        "inactive_tokens.html",
        status=200 if refused is None else refused.problem.status,
        account=account,
        rule=rule,
        administers=permissions.administers(asking.person.memberships, account),
        chosen=asking.field("rule") or rule.rule,
        entered=asking.field("after") or _own(rule),
        time=None if after is None else in_days(timedelta(seconds=after)),
        service=None if service is None else in_days(service),
        warnings=WARNINGS,
        notice_of=in_days(LONGEST_NOTICE),
        fault=refused and refused.detail,
    )


def _set(asking: PageRequest) -> Response | Refused:
    assert asking.person is not None
    account = asking.person.account(asking.path["account_id"])
    if isinstance(account, Refused):
        return account
    if not permissions.administers(asking.person.memberships, account):
        return Refused(Problem.PERMISSION_NOT_YOURS, "only an admin with every permission of the account does this")
    request = _request(asking.field("rule"), asking.field("after"))
    if isinstance(request, Refused):
        return _page(asking, request)
    rule = inactivity.set_rule(asking.engine, account.id, request, asking.settings, actor=asking.actor)
    if isinstance(rule, Refused):
        return rule
    return asking.to(_PAGE.format(account_id=account.id), notice="inactivity-saved")


def _request(rule: str, after: str) -> InactivityRequest | Refused:
    """Read the form; the time counts only for the rule with one."""
    if rule == "service":
        return InactivityRequest(rule="service")
    if rule == "off":
        return InactivityRequest(rule="off")
    if rule != "after" or len(after) > _LONGEST_FIELD:
        return Refused(Problem.INVALID_REQUEST, "this form can't be read; look at it again and save")
    try:
        seconds = int(parse_duration(duration_text(after)).total_seconds())
    except ValueError as error:
        return Refused(Problem.INVALID_REQUEST, str(error))
    if seconds < SHORTEST_INACTIVITY:
        return Refused(Problem.INVALID_REQUEST, f'"{after}" leaves no day to warn of it: give 2 days or more')
    return InactivityRequest(rule="after", after_seconds=seconds)


def _own(rule: Inactivity) -> str:
    """Return the account's own time, as it is entered."""
    if rule.rule != "after" or rule.after_seconds is None:
        return ""
    return format_duration(timedelta(seconds=rule.after_seconds)).removesuffix("d")


ROUTES = [
    Route(_PAGE, for_administrators(_show), methods=["GET"]),
    Route(_PAGE, for_administrators(_set), methods=["POST"]),
]
