"""The settings pages: what people do in a browser, rendered on the server; they work without JavaScript."""

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route

from ..catalogue import Catalogue
from ..operations.integrations import Rules
from ..settings import Settings
from ..storage.database import Database
from . import assets, creation, deletion, editing, integration, integrations, rotation, sign_in
from .failures import on_http_error, on_storage_error
from .rendering import templates
from .visits import Clock, Parts

PREFIX = b"/settings"
"""What the paths of all pages begin with."""


def settings_pages(database: Database, catalogue: Catalogue, settings: Settings, clock: Clock) -> Starlette:
    """The settings pages over this database; `clock` gives the present instant in UTC."""
    routes: list[Route | Mount] = [Mount(assets.PATH, assets.Assets())]
    for part in (sign_in, integrations, creation, integration, editing, rotation, deletion):
        routes += part.ROUTES
    pages = Starlette(
        routes=routes,
        exception_handlers={HTTPException: on_http_error, SQLAlchemyError: on_storage_error},
    )
    pages.router.redirect_slashes = False
    pages.state.parts = Parts(database, Rules(catalogue, settings), clock, templates())
    return pages
