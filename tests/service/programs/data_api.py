"""The data API as it is served to clients: by the sandbox, or by a gateway in front of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines import EngineUnderTest
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import (
    AccountClass,
    AccountRequest,
    IntegrationRequest,
    UpstreamRequest,
    new_sealing_key,
)
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.tokens.format import new_id
from services import new_service
from throwaway import Service

COVERED = (
    *("/contacts/", "/businesses/", "/locations/", "/custom-fields/"),
    *("/opportunities/", "/users/", "/campaigns/", "/calendars/", "/files/"),
)
"""Paths whose operations clients call here."""


@dataclass(frozen=True)
class DataApi:
    """Where the API is served, a token for it, and the token's account."""

    url: str
    token: str = field(repr=False)
    account: str


def token_of(service: Service, *scopes: str) -> str:
    """A token of a new integration of the demo account with these scopes."""
    client = Client(ServiceConnection(service.url, service.key))
    request = IntegrationRequest(
        account=service.account, name="clients", scopes=list(scopes), owner_nonce=new_id("claim_")
    )
    made = client.declare(f"test/clients/{new_id()}", request)
    return client.issue(made.id, 1, issuer="test", holding=None, overlap_seconds=0, reason="").token


def all_scopes(catalogue: Catalogue) -> list[str]:
    """The scopes of all operations that clients call here, as far as a sub-account may hold them."""
    named = {endpoint.scope for endpoint in catalogue.endpoints if endpoint.path.startswith(COVERED)}
    return sorted(scope for scope in named if scope and catalogue.refuse_scope(scope, AccountClass.SUB_ACCOUNT) is None)


@contextmanager
def gateway_before(
    upstream: Service, under_test: EngineUnderTest, folder: Path, catalogue: Catalogue
) -> Iterator[Service]:
    """A gateway whose upstream is another service's sandbox; it has the same account and agency, and one token."""
    keys = folder / "sealing.keys"
    keys.touch(0o600)
    keys.write_text(new_sealing_key())
    options = ("--upstream", upstream.url, "--sealing-keys", str(keys))
    with new_service(under_test, folder / "data", *options) as gateway:
        client = Client(ServiceConnection(gateway.url, gateway.key))
        known = Client(ServiceConnection(upstream.url, upstream.key)).accounts()
        [company] = [account.agency_id for account in known if account.id == upstream.account]
        client.put_account(company, AccountRequest(name="Agency", kind="agency"))
        client.put_account(upstream.account, AccountRequest(name="Location", agency_id=company))
        credential = UpstreamRequest(credential=token_of(upstream, *all_scopes(catalogue)))
        client.set_upstream(upstream.account, credential)
        yield replace(gateway, account=upstream.account)
