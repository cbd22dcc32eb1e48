"""Where a person can go: the accounts that they have to do with, and what the settings of each consist of for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import quote

from private_integrations.contract import Account

from ..access import permissions
from ..access.actors import Actor
from ..operations.users import Person

SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "integrations": "Private Integrations",
        "roles": "Roles & Permissions",
        "labs": "Labs",
        "webhooks": "Webhooks",
        "audit": "Audit log",
    }
)
"""What the settings of an account consist of: the names by which templates call a section, and what people read."""

SHOWN_ACCOUNTS = 25
"""How many accounts the switcher on each page offers; the list of integrations reaches all of them."""

_DECIDED = ("roles", "labs")


@dataclass(frozen=True)
class Menu:
    """The ways that are open to a person."""

    person: Person
    actor: Actor

    @property
    def accounts(self) -> list[Account]:
        """The accounts in which they see anything."""
        return [account for account in self.person.accounts if self.sections(account)]

    def sections(self, account: Account) -> list[str]:
        """The names of what they see of an account's settings: to manage it, and to decide about its people."""
        decides = bool(permissions.grantable(self.person.memberships, account))
        manages = self.actor.reaches(account.id)
        return [name for name in SECTIONS if (decides if name in _DECIDED else manages)]


def section_path(section: str, account_id: str) -> str:
    """Where a section of an account's settings is; the list of integrations for a name that is none."""
    if section in SECTIONS and section != "integrations":
        return f"/settings/accounts/{quote(account_id, safe='')}/{section}"
    return f"/settings/private-integrations?account={quote(account_id, safe='')}"
