"""Register the platform's accounts, under the ids that they have there."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from private_integrations.contract import Account, AccountRequest, AuditAction, Problem, Refused

from ..access.actors import Actor
from ..storage import accounts as stored
from ..storage import audit
from ..storage.engine import Write
from .data_events import publish
from .operation import reads, writes

PrepareLocation = Callable[[Connection, str], None]
"""Give a new location its first objects, given its id; the sandbox has this function."""


@dataclass(frozen=True)
class RegisteredAccount:
    """Hold the account of a request, and whether it is new."""

    account: Account
    created: bool


@reads
def listed(connection: Connection, *, actor: Actor) -> list[Account]:
    """Return the accounts that the actor reaches, agencies first, then by name."""
    return stored.list_accounts(connection, actor.accounts)


@reads
def found(connection: Connection, account_id: str, *, actor: Actor) -> Account | Refused:
    """Return the account with this id; one that the actor doesn't reach is not there for them."""
    account = stored.account_by_id(connection, account_id)
    if account is None or not actor.reaches(account_id):
        return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account_id}")
    return account


@reads
def account_by_id(connection: Connection, account_id: str) -> Account | None:
    """Return the account with this id, for every caller."""
    return stored.account_by_id(connection, account_id)


@reads
def accounts_within(connection: Connection, account_ids: Collection[str]) -> list[Account]:
    """Return these accounts and the sub-accounts of the agencies among them; agencies first, then by name."""
    return stored.accounts_within(connection, account_ids)


@reads
def agencies_of(connection: Connection, account_ids: Collection[str]) -> dict[str, str | None]:
    """Return the agencies of those of these accounts that are known, by account; an agency has none."""
    return stored.agencies_of(connection, account_ids)


@writes
def put(
    write: Write, account_id: str, request: AccountRequest, prepare_location: PrepareLocation, *, actor: Actor
) -> RegisteredAccount | Refused:
    """Register an account, or change its name; its class and agency never change, because tokens depend on them."""
    wanted = Account(id=account_id, **request.model_dump())
    present = stored.account_by_id(write.connection, account_id)
    if present is not None:
        return _rename(write, present, wanted, actor=actor)
    if wanted.agency_id is not None:
        agency = stored.account_by_id(write.connection, wanted.agency_id)
        if agency is None or not agency.kind.has_sub_accounts:
            return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no agency {wanted.agency_id}")
    stored.add_account(write.connection, wanted, write.now)
    if wanted.kind.belongs_to_agency:
        prepare_location(write.connection, wanted.id)
    audit.record_account(
        write, account_id, actor=actor, action=AuditAction.ADD_ACCOUNT, **wanted.model_dump(exclude={"id"})
    )
    _publish_to_agency(write, "LocationCreate", wanted)
    return RegisteredAccount(wanted, created=True)


def _rename(write: Write, present: Account, wanted: Account, *, actor: Actor) -> RegisteredAccount | Refused:
    if (present.kind, present.agency_id) != (wanted.kind, wanted.agency_id):
        return Refused(Problem.ACCOUNT_FIXED, f"{_described(present)}, and that never changes")
    if present.name != wanted.name:
        stored.rename_account(write.connection, present.id, wanted.name)
        audit.record_account(write, present.id, actor=actor, action=AuditAction.RENAME_ACCOUNT, name=wanted.name)
        _publish_to_agency(write, "LocationUpdate", wanted)
    return RegisteredAccount(wanted, created=False)


def _publish_to_agency(write: Write, event: str, account: Account) -> None:
    if account.agency_id is not None:
        publish(write, event, account.agency_id, {"id": account.id, "name": account.name})


def _described(account: Account) -> str:
    if account.agency_id is None:
        return f"{account.id} is an agency"
    return f"{account.id} is a sub-account of agency {account.agency_id}"
