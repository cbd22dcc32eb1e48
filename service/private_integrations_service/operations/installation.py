"""Fill a new database: the first management key, and for the sandbox an agency and a demo account."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from private_integrations.contract import Account, AccountClass, Role, digest_of, new_management_key

from ..access.principals import ManagementKey
from ..storage import accounts, keys
from ..storage.engine import Write
from ..tokens.format import new_id
from .accounts import PrepareLocation
from .operation import reads, writes


@dataclass(frozen=True)
class Installed:
    """Hold the result of a first start: the id of the demo account, None without one."""

    demo_account: str | None


@reads
def is_installed(connection: Connection) -> bool:
    """Return whether the database has a management key."""
    return keys.has_any_key(connection)


@writes
def install(
    write: Write,
    prepare_location: PrepareLocation,
    fill: Callable[[Write, str], None],
    keep: Callable[[str], None],
    *,
    demo: bool,
) -> Installed | None:
    """Fill an empty database; None, and nothing done, if it isn't empty.

    Args:
        write: the transaction.
        prepare_location: stores what a location begins with.
        fill: stores sample data in the demo account with this id.
        keep: writes the management key to where its owner finds it; called inside the transaction, because a database
            whose key is lost would be of no use.
        demo: make an agency and a demo account.

    """
    if keys.has_any_key(write.connection):
        return None
    key = new_management_key()
    admin = ManagementKey(new_id("key_"), "admin", Role.ADMIN, digest_of(key), accounts=None, created_at=write.now)
    keys.add_key(write.connection, admin)
    account = _demo_account(write, prepare_location) if demo else None
    if account is not None:
        fill(write, account)
    keep(key)
    return Installed(account)


def _demo_account(write: Write, prepare_location: PrepareLocation) -> str:
    agency = Account(id=new_id(), name="Agency", kind=AccountClass.AGENCY)
    demo = Account(id=new_id(), name="Demo account", kind=AccountClass.SUB_ACCOUNT, agency_id=agency.id)
    for account in (agency, demo):
        accounts.add_account(write.connection, account, write.now)
    prepare_location(write.connection, demo.id)
    return demo.id
