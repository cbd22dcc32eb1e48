"""Delete an integration, after the person has typed its name."""

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Refused

from ..operations import integrations
from .integration import ONE, Shown, callers_lately, shown
from .integrations import LIST
from .page_requests import PageRequest, signed_in


def _ask(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    return found if isinstance(found, Refused) else _page(asking, found)


def _delete(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    typed = asking.field("name")
    if typed != found.integration.name.strip():
        return _page(asking, found, typed=typed, fault="This is not its name; nothing was deleted.", status=422)

    deleted = integrations.delete(asking.engine, found.integration.id, None, actor=asking.actor)
    return deleted if isinstance(deleted, Refused) else asking.to(LIST, notice="deleted")


def _page(asking: PageRequest, found: Shown, typed: str = "", fault: str | None = None, status: int = 200) -> Response:
    return asking.page(
        "delete.html",
        status=status,
        shown=found,
        account=found.account,
        callers=callers_lately(asking, found),
        typed=typed,
        fault=fault,
    )


ROUTES = [
    Route(f"{ONE}/delete", signed_in(_ask), methods=["GET"]),
    Route(f"{ONE}/delete", signed_in(_delete), methods=["POST"]),
]
