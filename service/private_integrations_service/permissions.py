"""Who may manage which private integrations: the platform's rules (docs/platform.md) as pure decisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from private_integrations.contract import Account

MembershipRole = Literal["admin", "user"]


@dataclass(frozen=True)
class Membership:
    """A person's place in an account: an admin of it, or somebody who works there.

    `own` is the permission to manage the account's own private integrations, `sub_accounts`, in an agency, those of
    its sub-accounts; None: as the role has it, which is yes for admins and no for others.
    """

    account_id: str
    role: MembershipRole
    own: bool | None = None
    sub_accounts: bool | None = None

    @property
    def manages_own(self) -> bool:
        """Whether they manage the account's own integrations."""
        return self.role == "admin" if self.own is None else self.own

    @property
    def manages_sub_accounts(self) -> bool:
        """Whether they manage those of an agency's sub-accounts."""
        return self.role == "admin" if self.sub_accounts is None else self.sub_accounts


def managed_accounts(memberships: Sequence[Membership], accounts: Iterable[Account]) -> frozenset[str]:
    """The ids of the accounts whose private integrations a person with these memberships manages."""
    own = {m.account_id for m in memberships if m.manages_own}
    agencies = {m.account_id for m in memberships if m.manages_sub_accounts}
    return frozenset(account.id for account in accounts if account.id in own or account.agency_id in agencies)
