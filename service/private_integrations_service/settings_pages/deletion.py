"""Delete an integration, after the person has typed its name."""

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Refused

from ..operations import integrations
from .integration import ONE, Shown, callers_lately, shown
from .integrations import LIST
from .visits import Visit, signed_in


def _ask(visit: Visit) -> Response | Refused:
    found = shown(visit)
    return found if isinstance(found, Refused) else _page(visit, found)


def _delete(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    typed = visit.field("name")
    if typed != found.integration.name.strip():
        return _page(visit, found, typed=typed, fault="This is not its name; nothing was deleted.", status=422)

    deleted = integrations.delete(visit.engine, found.integration.id, None, actor=visit.actor)
    return deleted if isinstance(deleted, Refused) else visit.to(LIST, notice="deleted")


def _page(visit: Visit, found: Shown, typed: str = "", fault: str | None = None, status: int = 200) -> Response:
    return visit.page(
        "delete.html",
        status=status,
        shown=found,
        account=found.account,
        callers=callers_lately(visit, found),
        typed=typed,
        fault=fault,
    )


ROUTES = [
    Route(f"{ONE}/delete", signed_in(_ask), methods=["GET"]),
    Route(f"{ONE}/delete", signed_in(_delete), methods=["POST"]),
]
