"""Show a new token on a page, once, with advice on its use."""

import re
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from private_integrations.contract import Account, Integration, IssuedToken

from .first_request import VARIABLE, first_request
from .page_requests import PageRequest


@dataclass(frozen=True)
class Handover:
    """Hold a new token and its origin: `because` is the reason for its rotation, "created" for the first one."""

    integration: Integration
    account: Account
    issued: IssuedToken
    because: str
    of_the_old: str


def token_page(asking: PageRequest, handover: Handover) -> Response:
    """Return the only page that ever shows this token."""
    integration, account = handover.integration, handover.account
    address = asking.settings.public_url or own_address(asking.request)
    request = first_request(asking.rules.catalogue, account, integration.scopes, address)
    return asking.page(
        "token.html",
        handover=handover,
        account=account,
        integration=integration,
        issued=handover.issued,
        variable=VARIABLE,
        first_request=request,
        file_name=_file_name(integration.name),
    )


def own_address(request: Request) -> str:
    """Return this service's address as the browser of a form knows it, since a proxy may have ended its TLS."""
    origin, host = request.headers.get("origin", ""), request.url.netloc
    return origin if origin.partition("://")[2] == host else f"{request.url.scheme}://{host}"


def _file_name(name: str) -> str:
    return (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "integration") + ".env"
