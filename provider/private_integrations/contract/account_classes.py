"""Describe the classes of accounts: everything that differs by class is a fact of its member here.

Code asks for the fact (`account.kind.has_sub_accounts`) and never compares names. The service's
catalogue has the operations that the platform opens to each class.
"""

from typing import Self

from .outcomes import Named


class AccountClass(Named):
    """List the classes; a member's text is its name on the wire, in the database and in a refusal's `requiredClass`."""

    noun: str
    """The class in a table or an option, such as `sub-account`."""
    one: str
    """An account of it in a sentence."""
    many: str
    """Accounts of it in a sentence."""
    platform_name: str
    """The platform's name of it, also where it publishes which tokens an operation accepts."""
    id_parameter: str
    """The parameter or field by which the platform's API names such an account."""
    belongs_to_agency: bool
    """It lies in an agency, which is known before it; the others lie in none."""
    has_sub_accounts: bool
    """People may manage its sub-accounts' integrations, and its webhooks may receive their events."""

    def __new__(
        cls,
        name: str,
        noun: str = "",
        one: str = "",
        many: str = "",
        platform_name: str = "",
        id_parameter: str = "",
        belongs_to_agency: bool = False,
        has_sub_accounts: bool = False,
    ) -> Self:
        """Make a member of its name and the facts about it."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.noun, member.one, member.many = noun, one, many
        member.platform_name, member.id_parameter = platform_name, id_parameter
        member.belongs_to_agency, member.has_sub_accounts = belongs_to_agency, has_sub_accounts
        return member

    AGENCY = "agency", "agency", "an agency", "agencies", "agency", "companyId", False, True
    SUB_ACCOUNT = "sub_account", "sub-account", "a sub-account", "sub-accounts", "location", "locationId", True, False

    @classmethod
    def plural(cls, name: str) -> str:
        """Return the word for accounts of the class of this name, which may be one of a newer service."""
        known = cls.named(name)
        return known.many if isinstance(known, cls) else name
