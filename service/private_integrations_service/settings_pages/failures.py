"""Show pages for failures outside of a page's own code."""

import math
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..operations.storage_errors import refusal_of
from ..storage.engine import StorageError
from .page_requests import PageDependencies
from .rendering import html


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer a page that isn't there, or a method that it doesn't have."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return _page(request, "not_found.html", 404)
    return _page(request, "refused.html", error.status_code, detail=str(error.detail))


async def on_storage_error(request: Request, error: Exception) -> Response:
    """Answer when nothing could be stored or read: nothing was changed."""
    # A form is sent again from its own page: going back keeps the input.
    again = {"again": f"{request.url.path}?{request.url.query}".rstrip("?")} if request.method == "GET" else {}
    assert isinstance(error, StorageError)
    refused = refusal_of(error)
    return _page(request, "refused.html", refused.problem.status, detail=refused.detail, **again)


_BROKEN = "this page broke, which is a fault of the service; its log says why"


async def on_error(request: Request, _: Exception) -> Response:
    """Answer when a page itself broke; the server's log has the error."""
    return _page(request, "refused.html", 500, detail=_BROKEN)


def too_many_visitors(pages: Starlette, seconds: float) -> Response:
    """Make the answer to visitors when there are too many of them; it is sent again and again."""
    detail = f"too many visitors at the moment; nothing was done; open this page again in {seconds:g} seconds"
    parts: PageDependencies = pages.state.parts
    common = {"now": parts.engine.now(), "user": None, "form_key": "", "notice": None, "menu": None}
    response = html(parts.templates, "refused.html", 429, detail=detail, **common)
    response.headers["Retry-After"] = str(math.ceil(seconds))
    return response


def _page(request: Request, template: str, status: int, **values: object) -> Response:
    parts: PageDependencies = request.app.state.parts
    common = {"now": parts.engine.now(), "user": None, "form_key": "", "notice": None, "menu": None}
    return html(parts.templates, template, status, **common, **values)
