"""Serve the routes of integrations."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from private_integrations.contract import (
    Deletion,
    ExternalId,
    Integration,
    IntegrationEdit,
    IntegrationList,
    IntegrationRequest,
    ServiceRules,
)

from ..operations import integrations
from ..tokens.policy_defaults import reported
from .callers import Asking, unless_refused

router = APIRouter()

PAGE = 1000
"""Limit a response to so many integrations."""


@router.put("/integrations/by-external-id/{external_id:path}", responses={201: {"model": Integration}})
def declare_integration(
    external_id: ExternalId, body: IntegrationRequest, asking: Asking, response: Response
) -> Integration:
    """Create an integration (201), or answer the repetition of its creation (200)."""
    declared = unless_refused(integrations.declare(asking.engine, external_id, body, asking.rules, actor=asking.actor))
    response.status_code = 201 if declared.created else 200
    return reported(declared.integration)


@router.get("/integrations")
def list_integrations(
    asking: Asking, account: str | None = None, under: str | None = None, cursor: str = ""
) -> IntegrationList:
    """List integrations, by account or below a path of external ids; never a secret."""
    found = integrations.listed(
        asking.engine, account=account, under=under, after=cursor, limit=PAGE, actor=asking.actor
    )
    return IntegrationList(integrations=[reported(each) for each in found], cursor=next_page(found))


@router.get("/integrations/{integration_id}")
def read_integration(integration_id: str, asking: Asking, response: Response) -> Integration:
    """Read one integration."""
    integration = unless_refused(integrations.find(asking.engine, integration_id, asking.actor))
    response.headers["ETag"] = f'"{integration.version}"'
    return reported(integration)


@router.patch("/integrations/{integration_id}")
def edit_integration(
    integration_id: str,
    body: IntegrationEdit,
    asking: Asking,
    owner_nonce: str | None = None,
    if_match: Annotated[str | None, Header(pattern=r'^"[0-9]{1,9}"$')] = None,
) -> Integration:
    """Change name, description, scopes or rotation policy; never a new token."""
    version = None if if_match is None else int(if_match.strip('"'))
    edited = unless_refused(
        integrations.edit(
            asking.engine,
            integration_id,
            body,
            asking.rules,
            actor=asking.actor,
            owner_nonce=owner_nonce,
            expected_version=version,
        )
    )
    return reported(edited)


@router.delete("/integrations/{integration_id}")
def delete_integration(integration_id: str, asking: Asking, owner_nonce: str | None = None) -> Deletion:
    """Delete an integration with all its tokens; with a owner nonce that isn't the present one, nothing happens."""
    return Deletion(
        deleted=unless_refused(integrations.delete(asking.engine, integration_id, owner_nonce, actor=asking.actor))
    )


@router.get("/rules")
def read_rules(asking: Asking) -> ServiceRules:
    """Return the limits in force, and the scopes with the kinds of accounts that may hold them."""
    return asking.rules.on_the_wire()


def next_page(found: list[Any]) -> str | None:
    """Return the cursor behind the last of these; None if there can't be more."""
    return found[-1].id if len(found) == PAGE else None
