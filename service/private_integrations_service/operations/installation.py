"""The first start: an agency, a demo account with a few contacts, and the first management key."""

from dataclasses import dataclass, field

from private_integrations.contract import Account, digest_of, new_management_key

from ..storage import accounts, keys
from ..storage.database import Write
from ..storage.keys import ManagementKey
from ..tokens import new_id


@dataclass(frozen=True)
class Installed:
    """What the first start made."""

    demo_account: str
    admin_key: str = field(repr=False)


def install(write: Write) -> Installed | None:
    """Fill an empty database; None, and nothing done, if it isn't empty."""
    if keys.has_any_key(write.connection):
        return None
    agency = Account(id=new_id(), name="Agency", kind="agency")
    demo = Account(id=new_id(), name="Demo account", kind="sub_account", agency_id=agency.id)
    for account in (agency, demo):
        accounts.add_account(write.connection, account, write.now)
    key = new_management_key()
    admin = ManagementKey(new_id("key_"), "admin", "admin", digest_of(key), accounts=None, created_at=write.now)
    keys.add_key(write.connection, admin)
    return Installed(demo.id, key)
