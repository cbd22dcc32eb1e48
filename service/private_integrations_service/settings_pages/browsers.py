"""Read a browser's statements on a request's origin, and the secrets that it keeps for the service."""

import re
from datetime import timedelta
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from ..settings import is_this_machine

Kept = Literal["session", "known", "provider"]
"""Name the secrets: of the session; of a former sign-in; of an open sign-in at the identity provider."""

_LIFETIMES: dict[Kept, timedelta | None] = {
    # It ends on the server; without a time browsers drop it when they are closed.
    "session": None,
    "known": timedelta(days=180),
    "provider": timedelta(minutes=10),
}
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]/@\s]+)(?::[0-9]+)?")

_FOREIGN = "this form was sent by another site; nothing was done"
_PLAIN_HTTP = (
    "over plain http your browser would keep no session, and what you type could be read on the way; nothing was done. "
    "Open this page by https; if it has no such address, whoever runs it must put a proxy with TLS in front"
)


def refuse_form(request: Request, public_url: str | None) -> str | None:
    """Refuse a form that may come from a page of another site, or None.

    Browsers send headers that no page can set: `Sec-Fetch-Site`, to https and this machine only, and `Origin`, which is
    `null` if a page hides its origin. A client that sends neither is no current browser.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in (None, "same-origin", "none") or origin == "null":
        return _FOREIGN
    host = _host(request)
    own = site is not None or (host and origin in (f"http://{host}", f"https://{host}"))
    if public_url is not None and origin not in (None, public_url):
        return f"this service is at {public_url}; open it there. Nothing was done" if own else _FOREIGN
    if site is None and own and origin == f"http://{host}" and not is_this_machine(_name(host)):
        return _PLAIN_HTTP
    return None if own or (origin is not None and origin == public_url) else _FOREIGN


def seems_plain(request: Request, public_url: str | None) -> bool:
    """Tell whether a page was likely opened over plain http: browsers send `Sec-Fetch-Site` over TLS only.

    Behind a proxy there is no other sign before a form is sent, and then the password is on its way already.
    """
    is_known = "sec-fetch-site" in request.headers or request.headers.get("x-forwarded-proto") == "https"
    return public_url is None and not is_known and not is_this_machine(_name(_host(request)))


def kept(request: Request, what: Kept, public_url: str | None) -> str | None:
    """Return a secret that the browser keeps for the service."""
    secret = request.cookies.get(_cookie(what, secure=True))
    if secret is None and not _is_secure(request, public_url):
        return request.cookies.get(_cookie(what, secure=False))
    return secret


def keep(response: Response, request: Request, what: Kept, secret: str, public_url: str | None) -> None:
    """Have the browser keep a secret: no script can read it, and no other site's form or frame sends it."""
    secure, lifetime = _is_secure(request, public_url), _LIFETIMES[what]
    response.set_cookie(
        _cookie(what, secure=secure),
        secret,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
        max_age=None if lifetime is None else int(lifetime.total_seconds()),
    )


def drop(response: Response, request: Request, what: Kept, public_url: str | None) -> None:
    """Take a secret away from the browser."""
    secure = _is_secure(request, public_url)
    response.delete_cookie(_cookie(what, secure=secure), path="/", secure=secure, httponly=True, samesite="lax")


def _is_secure(request: Request, public_url: str | None) -> bool:
    """Tell whether cookies are for TLS only: always, except on this machine, where browsers of all kinds must work.

    A proxy in front may name this machine as the host; the origin of a form shows the browser's own view.
    """
    if public_url is not None:
        return public_url.startswith("https://")
    if request.headers.get("origin", "").startswith("https://"):
        return True
    return not is_this_machine(_name(_host(request)))


def _host(request: Request) -> str:
    """Return the host and port of the request; empty if they are malformed."""
    host = request.headers.get("host", "").lower()
    return host if _HOST.fullmatch(host) else ""


def _name(host: str) -> str:
    return host.rpartition(":")[0].strip("[]") if re.search(r":[0-9]+$", host) else host.strip("[]")


def _cookie(what: Kept, *, secure: bool) -> str:
    # Browsers take a cookie of this name only over TLS and for this very host.
    return f"__Host-{what}" if secure else what
