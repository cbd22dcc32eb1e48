"""Routes of accounts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from private_integrations.contract import Account, AccountId, AccountList, AccountRequest

from ..operations import accounts
from ..storage.accounts import list_accounts as stored_accounts
from .callers import Asking, Caller, administrator, unless_refused

router = APIRouter()

Administering = Annotated[Caller, Depends(administrator("accounts and their upstream credentials"))]


@router.get("/accounts")
def list_accounts(asking: Asking) -> AccountList:
    """The accounts that integrations can live in, as far as the key reaches."""
    with asking.database.read() as connection:
        return AccountList(accounts=stored_accounts(connection, asking.actor.accounts))


@router.put("/accounts/{account_id}", responses={201: {"model": Account}})
def put_account(account_id: AccountId, body: AccountRequest, asking: Administering, response: Response) -> Account:
    """Make an account known under its id on the platform (201), or change its name (200)."""
    with asking.database.write(asking.now, verdicts=False) as write:
        known = unless_refused(accounts.put(write, account_id, body, actor=asking.actor))
    response.status_code = 201 if known.created else 200
    return known.account
