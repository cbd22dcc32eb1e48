"""Serve the routes of accounts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from private_integrations.contract import Account, AccountId, AccountList, AccountRequest, Inactivity, InactivityRequest

from ..operations import accounts, inactivity
from .callers import Asking, RequestContext, administrator, unless_refused

router = APIRouter()

Administering = Annotated[RequestContext, Depends(administrator("accounts and their upstream credentials"))]


@router.get("/accounts")
def list_accounts(asking: Asking) -> AccountList:
    """List the accounts that the key reaches."""
    return AccountList(accounts=accounts.listed(asking.engine, actor=asking.actor))


@router.put("/accounts/{account_id}", responses={201: {"model": Account}})
def put_account(account_id: AccountId, body: AccountRequest, asking: Administering, response: Response) -> Account:
    """Register an account under its id on the platform (201), or change its name (200)."""
    known = unless_refused(accounts.put(asking.engine, account_id, body, asking.prepare_location, actor=asking.actor))
    response.status_code = 201 if known.created else 200
    return known.account


@router.get("/accounts/{account_id}/inactivity")
def read_inactivity(account_id: AccountId, asking: Asking) -> Inactivity:
    """Read the account's rule for inactive tokens."""
    return unless_refused(inactivity.rule_of(asking.engine, account_id, asking.rules.settings, actor=asking.actor))


@router.put("/accounts/{account_id}/inactivity")
def put_inactivity(account_id: AccountId, body: InactivityRequest, asking: Administering) -> Inactivity:
    """Set the account's rule for inactive tokens; the service always warns before it ends one."""
    return unless_refused(
        inactivity.set_rule(asking.engine, account_id, body, asking.rules.settings, actor=asking.actor)
    )
