"""Switch private integrations of an account on or off for people (Labs)."""

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Refused

from ..access import permissions
from ..operations import integrations, users
from .page_requests import PageRequest, for_administrators

_PAGE = "/settings/accounts/{account_id}/labs"


def _show(asking: PageRequest) -> Response | Refused:
    assert asking.person is not None
    account = asking.person.account(asking.path["account_id"])
    if isinstance(account, Refused):
        return account
    living = len(integrations.listed(asking.engine, account=account.id, limit=1000, actor=asking.actor))
    return asking.page(
        "labs.html",
        account=account,
        living=living,
        switched_on=account.id not in asking.person.switched_off,
        administers=permissions.administers(asking.person.memberships, account),
    )


def _switch(asking: PageRequest) -> Response | Refused:
    assert asking.person is not None
    account_id, on = asking.path["account_id"], asking.field("private_integrations") == "on"
    switched = users.switch_labs(asking.engine, account_id, on=on, actor=asking.actor, editor=asking.person.user)
    if isinstance(switched, Refused):
        return switched
    return asking.to(_PAGE.replace("{account_id}", account_id), notice="labs-on" if on else "labs-off")


ROUTES = [
    Route(_PAGE, for_administrators(_show), methods=["GET"]),
    Route(_PAGE, for_administrators(_switch), methods=["POST"]),
]
