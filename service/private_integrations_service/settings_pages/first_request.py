"""Propose a first request for a new token: one that its scopes open and that changes nothing."""

import re
import shlex
from collections.abc import Collection
from urllib.parse import quote

from private_integrations.contract import Account

from ..catalogue.endpoints import Catalogue, Endpoint

VARIABLE = "PRIVATE_INTEGRATION_TOKEN"
"""Name the token in the `.env` line and in the request."""

# These name the account by two parameters of their own.
_ALTERNATIVE = ("/invoices/", "/payments/", "/products/")
_USUAL_VERSION = "2021-07-28"


def first_request(catalogue: Catalogue, account: Account, scopes: Collection[str], address: str) -> str | None:
    """Return a `curl` line to paste, with the service's own `address`; None if the scopes open no plain endpoint."""
    plain = [
        e
        for e in catalogue.endpoints
        if e.scope in scopes and account.kind in e.account_kinds and _is_plain(e, account)
    ]
    if not plain:
        return None
    endpoint = min(plain, key=_simplest)
    url = f"{address}{_target(endpoint, account)}"
    return f'curl -H "Authorization: Bearer ${VARIABLE}" -H "Version: {_version(endpoint)}" {shlex.quote(url)}'


def _is_plain(endpoint: Endpoint, account: Account) -> bool:
    return endpoint.method == "GET" and {name for _, name in endpoint.parameters} <= {account.kind.id_parameter}


def _simplest(endpoint: Endpoint) -> tuple[bool, bool, bool, int, str]:
    """Order endpoints: contacts, then the location itself, then whole collections, then by length."""
    path = endpoint.path
    return path != "/contacts/", path != "/locations/{locationId}", not path.endswith("/"), len(path), path


def _target(endpoint: Endpoint, account: Account) -> str:
    account_id = quote(account.id, safe="")
    path = re.sub(r"\{[^}]+\}", account_id, endpoint.path)
    if endpoint.parameters:
        return path
    if account.kind.belongs_to_agency and path.startswith(_ALTERNATIVE):
        return f"{path}?altId={account_id}&altType=location"
    # The one operation of v2 that calls the location so (docs/platform.md §8).
    name = "location_id" if path == "/opportunities/search" else account.kind.id_parameter
    return f"{path}?{name}={account_id}"


def _version(endpoint: Endpoint) -> str:
    if endpoint.v3_only:
        return "v3"
    return _USUAL_VERSION if _USUAL_VERSION in endpoint.versions or not endpoint.versions else endpoint.versions[0]
