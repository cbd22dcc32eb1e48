"""List a person's accounts, and the sections of each account's settings that the person sees."""

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
"""List the sections of an account's settings: the name in templates, and the title for people."""

SHOWN_ACCOUNTS = 25
"""Limit the accounts in the switcher on each page; the list of integrations reaches all of them."""

_DECIDED = ("roles", "labs")


@dataclass(frozen=True)
class Menu:
    """Hold a person's accounts and sections."""

    person: Person
    actor: Actor

    @property
    def accounts(self) -> list[Account]:
        """Return the accounts in which they see at least one section."""
        return [account for account in self.person.accounts if self.sections(account)]

    def sections(self, account: Account) -> list[str]:
        """Return the names of the sections of an account's settings that they see."""
        decides = bool(permissions.grantable(self.person.memberships, account))
        manages = self.actor.reaches(account.id)
        return [name for name in SECTIONS if (decides if name in _DECIDED else manages)]


def section_path(section: str, account_id: str) -> str:
    """Return the path of a section of an account's settings; for an unknown name, of the list of integrations."""
    if section in SECTIONS and section != "integrations":
        return f"/settings/accounts/{quote(account_id, safe='')}/{section}"
    return f"/settings/private-integrations?account={quote(account_id, safe='')}"
