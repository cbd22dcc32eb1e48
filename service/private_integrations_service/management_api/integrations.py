"""Routes of integrations."""

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
from ..storage.integrations import list_integrations as stored_integrations
from ..storage.sqlite.database import Write
from ..tokens.policy_defaults import reported
from .callers import Asking, unless_refused

router = APIRouter()

PAGE = 1000
"""How many integrations one answer is about at most."""


@router.put("/integrations/by-external-id/{external_id:path}", responses={201: {"model": Integration}})
def declare_integration(
    external_id: ExternalId, body: IntegrationRequest, asking: Asking, response: Response
) -> Integration:
    """Create an integration (201), or answer the repetition of its creation (200)."""
    with asking.database.write(asking.now) as write:
        declared = unless_refused(integrations.declare(write, external_id, body, asking.rules, actor=asking.actor))
    response.status_code = 201 if declared.created else 200
    return reported(declared.integration)


@router.get("/integrations")
def list_integrations(
    asking: Asking, account: str | None = None, under: str | None = None, cursor: str = ""
) -> IntegrationList:
    """Integrations, by account or below a path of external ids; never a secret."""
    with asking.database.read() as connection:
        found = stored_integrations(
            connection, account=account, under=under, accounts=asking.actor.accounts, after=cursor, limit=PAGE
        )
    return IntegrationList(integrations=[reported(each) for each in found], cursor=next_page(found))


@router.get("/integrations/{integration_id}")
def read_integration(integration_id: str, asking: Asking, response: Response) -> Integration:
    """One integration."""
    with asking.database.read() as connection:
        integration = unless_refused(integrations.find(connection, integration_id, asking.actor))
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
    with asking.database.write(asking.now) as write:
        edited = unless_refused(
            integrations.edit(
                write,
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
    """Delete an integration with all its tokens; with an owner nonce that isn't the present one, nothing happens."""

    def delete(write: Write) -> bool:
        return unless_refused(integrations.delete(write, integration_id, owner_nonce, actor=asking.actor))

    return Deletion(deleted=asking.database.ending(asking.now, delete))


@router.get("/rules")
def read_rules(asking: Asking) -> ServiceRules:
    """Return the limits in force, and the scopes with the kinds of accounts that may hold them."""
    return asking.rules.on_the_wire()


def next_page(found: list[Any]) -> str | None:
    """The cursor behind the last of these; None if there can't be more."""
    return found[-1].id if len(found) == PAGE else None
