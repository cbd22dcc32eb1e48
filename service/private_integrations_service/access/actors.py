"""Describe the caller of an operation: a name for the audit log, an address, and the accounts that it reaches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Name the cause of a change; `accounts` is None if it reaches every account.

    `name` begins with its kind: `person/…`, `key/…`. `address` is the origin of the request and `agent` the program
    that it named; both are empty if the service acts by itself.
    """

    name: str
    accounts: frozenset[str] | None = None
    address: str = ""
    agent: str = ""

    @property
    def id(self) -> str:
        """Return the id of the person or the key; for others, the whole name."""
        return self.name.rpartition("/")[2]

    def reaches(self, account: str) -> bool:
        """Tell whether the actor reaches this account; for the actor, other accounts don't exist."""
        return self.accounts is None or account in self.accounts
