"""The first start: the first management key, and for the sandbox an agency and a demo account."""

from dataclasses import dataclass, field

from private_integrations.contract import Account, digest_of, new_management_key

from ..storage import accounts, keys
from ..storage.keys import ManagementKey
from ..storage.sqlite.database import Write
from ..tokens.format import new_id
from .accounts import PrepareLocation


@dataclass(frozen=True)
class Installed:
    """What the first start made."""

    demo_account: str | None
    admin_key: str = field(repr=False)


def install(write: Write, prepare_location: PrepareLocation, *, demo: bool) -> Installed | None:
    """Fill an empty database, with accounts for a `demo` if wanted; None, and nothing done, if it isn't empty."""
    if keys.has_any_key(write.connection):
        return None
    key = new_management_key()
    admin = ManagementKey(new_id("key_"), "admin", "admin", digest_of(key), accounts=None, created_at=write.now)
    keys.add_key(write.connection, admin)
    return Installed(_demo_account(write, prepare_location) if demo else None, key)


def _demo_account(write: Write, prepare_location: PrepareLocation) -> str:
    agency = Account(id=new_id(), name="Agency", kind="agency")
    demo = Account(id=new_id(), name="Demo account", kind="sub_account", agency_id=agency.id)
    for account in (agency, demo):
        accounts.add_account(write.connection, account, write.now)
    prepare_location(write.connection, demo.id)
    return demo.id
