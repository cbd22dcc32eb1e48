"""The first start: an agency, a demo account with a few contacts, and the first management key."""

from dataclasses import dataclass

from private_integrations.contract import Account

from ..storage import accounts, keys
from ..storage.database import Write
from ..tokens import HASH_VERSION, NewSecret, new_id, new_management_key


@dataclass(frozen=True)
class Installed:
    """What the first start made."""

    demo_account: str
    admin_key: NewSecret


def install(write: Write) -> Installed | None:
    """Fill an empty database; None, and nothing done, if it isn't empty."""
    if keys.has_any_key(write.connection):
        return None
    agency = Account(id=new_id(), name="Agency", kind="agency")
    demo = Account(id=new_id(), name="Demo account", kind="sub_account", agency_id=agency.id)
    for account in (agency, demo):
        accounts.add_account(write.connection, account, write.now)
    return Installed(demo.id, create_key(write, name="admin", role="admin"))


def create_key(write: Write, *, name: str, role: str) -> NewSecret:
    """Make a management key of this role; only its digest is stored."""
    key = new_management_key()
    keys.add_key(
        write.connection,
        key_id=new_id("key_"),
        name=name,
        role=role,
        digest=key.digest,
        hash_version=HASH_VERSION,
        now=write.now,
    )
    return key
