"""Serve the settings pages, on which people manage integrations in a browser.

A module per page has its `ROUTES`; `templates/` has the HTML, which works without JavaScript. A handler gets a page
request, calls one operation and renders a template. For example: `integrations.py` shows the list at
`/settings/private-integrations`.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route

from ..access.security_log import SecurityLog, unwritten
from ..catalogue.endpoints import Catalogue
from ..operations.activity import ActivityStore
from ..operations.identity_provider import Provider
from ..operations.integrations import Rules
from ..operations.passwords import Passwords
from ..settings import Settings
from ..storage.engine import StorageEngine, StorageError
from . import (
    activity,
    assets,
    audit_log,
    creation,
    data_webhook,
    deletion,
    editing,
    inactive_tokens,
    integration,
    integrations,
    labs,
    profile,
    roles,
    rotation,
    schedule,
    sign_in,
    webhooks,
)
from .assets import is_asset
from .failures import on_error, on_http_error, on_storage_error, too_many_visitors
from .page_requests import SIGN_IN, PageDependencies
from .rendering import templates

__all__ = ["PAGES", "PREFIX", "SIGN_IN", "is_asset", "settings_pages", "too_many_visitors"]

PREFIX = b"/settings"
"""Begin the paths of all pages with this prefix."""


PAGES = (
    sign_in,
    profile,
    integrations,
    creation,
    integration,
    editing,
    schedule,
    data_webhook,
    rotation,
    deletion,
    activity,
    roles,
    labs,
    inactive_tokens,
    audit_log,
    webhooks,
)
"""List the modules of pages; each has ROUTES."""


def settings_pages(
    engine: StorageEngine,
    catalogue: Catalogue,
    settings: Settings,
    recorded: ActivityStore,
    security: SecurityLog | None = None,
) -> Starlette:
    """Return the settings pages over this storage engine.

    The `security` log records sign-ins and refusals.
    """
    routes: list[Route | Mount] = [Mount(assets.PATH, assets.Assets())]
    for part in PAGES:
        routes += part.ROUTES
    pages = Starlette(
        routes=routes,
        exception_handlers={HTTPException: on_http_error, StorageError: on_storage_error, Exception: on_error},
    )
    pages.router.redirect_slashes = False
    pages.state.parts = PageDependencies(
        engine,
        Rules(catalogue, settings),
        templates(),
        recorded,
        Passwords(),
        _provider(settings),
        security or unwritten(),
    )
    return pages


def _provider(settings: Settings) -> Provider | None:
    if settings.identity_provider is None:
        return None
    return Provider(settings.identity_provider, f"{settings.public_url}{sign_in.BACK}")
