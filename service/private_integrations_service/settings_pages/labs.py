"""Switch private integrations of an account on or off for people (Labs)."""

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Refused

from ..access import permissions
from ..operations import integrations, users
from .visits import Visit, for_administrators

_PAGE = "/settings/accounts/{account_id}/labs"


def _show(visit: Visit) -> Response | Refused:
    assert visit.person is not None
    account = visit.person.account(visit.path["account_id"])
    if isinstance(account, Refused):
        return account
    living = len(integrations.listed(visit.engine, account=account.id, limit=1000, actor=visit.actor))
    return visit.page(
        "labs.html",
        account=account,
        living=living,
        switched_on=account.id not in visit.person.switched_off,
        administers=permissions.administers(visit.person.memberships, account),
    )


def _switch(visit: Visit) -> Response | Refused:
    assert visit.person is not None
    account_id, on = visit.path["account_id"], visit.field("private_integrations") == "on"
    switched = users.switch_labs(visit.engine, account_id, on=on, actor=visit.actor, editor=visit.person.user)
    if isinstance(switched, Refused):
        return switched
    return visit.to(_PAGE.replace("{account_id}", account_id), notice="labs-on" if on else "labs-off")


ROUTES = [
    Route(_PAGE, for_administrators(_show), methods=["GET"]),
    Route(_PAGE, for_administrators(_switch), methods=["POST"]),
]
