"""The list of private integrations."""

from starlette.responses import Response
from starlette.routing import Route

from ..storage.integrations import list_integrations
from .visits import Visit, signed_in


def _list(visit: Visit) -> Response:
    with visit.database.read() as connection:
        found = list_integrations(connection, accounts=visit.actor.accounts, limit=1000)
    return visit.page("integrations.html", integrations=found)


ROUTES = [Route("/settings/private-integrations", signed_in(_list), methods=["GET"])]
