"""Decide which private integrations a person may manage, by the platform's rules (docs/platform.md)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from private_integrations.contract import Account, MembershipRole

Source = Literal["default", "given", "taken"]
"""Name the source of a permission: the role, or an admin who gave it to this person or took it away."""
Permission = Literal["own", "sub_accounts"]
"""Allow a person to manage an account's own private integrations, or in an agency those of its sub-accounts."""
Admission = Literal["admitted", "switched-off", "not-allowed", "not-there"]


@dataclass(frozen=True)
class Membership:
    """Hold a person's role and permissions in an account.

    `own` and `sub_accounts` are the two permissions; None follows the role, which has them for admins only.
    """

    account_id: str
    role: MembershipRole
    own: bool | None = None
    sub_accounts: bool | None = None

    @property
    def manages_own(self) -> bool:
        """Tell whether they manage the account's own integrations."""
        return self.role == MembershipRole.ADMIN if self.own is None else self.own

    @property
    def manages_sub_accounts(self) -> bool:
        """Tell whether they manage those of an agency's sub-accounts."""
        return self.role == MembershipRole.ADMIN if self.sub_accounts is None else self.sub_accounts

    @property
    def held(self) -> frozenset[Permission]:
        """Return the permissions that they have."""
        own: set[Permission] = {"own"} if self.manages_own else set()
        return frozenset(own | {"sub_accounts"} if self.manages_sub_accounts else own)


def source(setting: bool | None) -> Source:
    """Return the source of a stored permission."""
    return "default" if setting is None else "given" if setting else "taken"


def setting(wanted: Source) -> bool | None:
    """Return the stored form of a permission."""
    return {"default": None, "given": True, "taken": False}[wanted]


def managed_accounts(
    memberships: Sequence[Membership], accounts: Iterable[Account], switched_off: frozenset[str] = frozenset()
) -> frozenset[str]:
    """Return the ids of the accounts whose private integrations a person with these memberships manages.

    Those that are switched off in Labs are not among them.
    """
    managed = {account.id for account in accounts if _manages(memberships, account)}
    return frozenset(managed - switched_off)


def admission(
    memberships: Sequence[Membership],
    accounts: Iterable[Account],
    switched_off: frozenset[str],
    account_id: str | None = None,
) -> Admission:
    """Decide on a page about an account for a person, or, without an account, about all that they manage.

    `not-there` stands for every account that they don't belong to. Of an account that they belong to, a refusal may
    give the reason.
    """
    asked = [account for account in accounts if account_id in (None, account.id)]
    managed = {account.id for account in asked if _manages(memberships, account)}
    if managed:
        return "admitted" if managed - switched_off else "switched-off"
    known = account_id is None or any(_belongs(memberships, account) for account in asked)
    return "not-allowed" if known else "not-there"


def grantable(memberships: Sequence[Membership], account: Account) -> frozenset[Permission]:
    """Return the permissions in an account that a person may give and take: an admin those that they hold."""
    if account.kind.has_sub_accounts:
        place = _admin_of(memberships, account.id)
        return place.held if place else frozenset()
    above, place = _admin_of(memberships, account.agency_id), _admin_of(memberships, account.id)
    may = (above is not None and above.manages_sub_accounts) or (place is not None and place.manages_own)
    return frozenset({"own"}) if may else frozenset()


def administers(memberships: Sequence[Membership], account: Account) -> bool:
    """Tell whether a person manages an account's people, their roles, and its Labs.

    An admin from whom any of the permissions was taken doesn't: they would give it back to themselves.
    """
    return grantable(memberships, account) == permissions_of(account)


def permissions_of(account: Account) -> frozenset[Permission]:
    """Return the permissions that exist in an account."""
    return frozenset({"own", "sub_accounts"} if account.kind.has_sub_accounts else {"own"})


def refuse_change(
    editor: Sequence[Membership], account: Account, before: Membership | None, after: Membership | None
) -> str | None:
    """Refuse a change of another person's membership in an account, by the editor's memberships; None allows it."""
    if (before and before.role) != (after and after.role) and not administers(editor, account):
        return "only an admin with every permission of the account decides who belongs to it, and with which role"
    if before is not None and after is None:
        return None
    moved: set[Permission] = set()
    if (before and before.own) != (after and after.own):
        moved.add("own")
    if (before and before.sub_accounts) != (after and after.sub_accounts):
        moved.add("sub_accounts")
    if moved - permissions_of(account):
        return "the permission for sub-accounts is one of agencies"
    if moved - grantable(editor, account):
        return "nobody gives or takes a permission that they don't have themselves"
    return None


def _manages(memberships: Sequence[Membership], account: Account) -> bool:
    return any(
        (m.account_id == account.id and m.manages_own) or (m.account_id == account.agency_id and m.manages_sub_accounts)
        for m in memberships
    )


def _belongs(memberships: Sequence[Membership], account: Account) -> bool:
    """Tell whether a person belongs to the account: by a membership there, or as an admin of its agency."""
    return any(m.account_id == account.id for m in memberships) or _admin_of(memberships, account.agency_id) is not None


def _admin_of(memberships: Sequence[Membership], account_id: str | None) -> Membership | None:
    return next((m for m in memberships if m.account_id == account_id and m.role == MembershipRole.ADMIN), None)
