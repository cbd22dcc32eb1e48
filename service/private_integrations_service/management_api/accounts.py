"""Routes of accounts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from private_integrations.contract import Account, AccountId, AccountList, AccountRequest, Inactivity, InactivityRequest

from ..operations import accounts, inactivity
from .callers import Asking, Caller, administrator, unless_refused

router = APIRouter()

Administering = Annotated[Caller, Depends(administrator("accounts and their upstream credentials"))]


@router.get("/accounts")
def list_accounts(asking: Asking) -> AccountList:
    """The accounts that integrations can live in, as far as the key reaches."""
    return AccountList(accounts=accounts.listed(asking.engine, actor=asking.actor))


@router.put("/accounts/{account_id}", responses={201: {"model": Account}})
def put_account(account_id: AccountId, body: AccountRequest, asking: Administering, response: Response) -> Account:
    """Make an account known under its id on the platform (201), or change its name (200)."""
    known = unless_refused(accounts.put(asking.engine, account_id, body, asking.prepare_location, actor=asking.actor))
    response.status_code = 201 if known.created else 200
    return known.account


@router.get("/accounts/{account_id}/inactivity")
def read_inactivity(account_id: AccountId, asking: Asking) -> Inactivity:
    """When tokens of the account that nobody uses are ended."""
    return unless_refused(inactivity.rule_of(asking.engine, account_id, asking.rules.settings, actor=asking.actor))


@router.put("/accounts/{account_id}/inactivity")
def put_inactivity(account_id: AccountId, body: InactivityRequest, asking: Administering) -> Inactivity:
    """Say when tokens of the account that nobody uses are ended; they are warned of first, whatever is said here."""
    return unless_refused(
        inactivity.set_rule(asking.engine, account_id, body, asking.rules.settings, actor=asking.actor)
    )
