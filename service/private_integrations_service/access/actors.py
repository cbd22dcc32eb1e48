"""Who asks: a name for the audit log, where they ask from, and the accounts that they reach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Whoever causes a change; `accounts` is None for those that reach every account.

    `name` begins with what they are: `person/…`, `key/…`. `address` is where their request came from and `agent` the
    program that it named; both are empty for what the service does by itself.
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
        """Whether this account exists at all for them: what lies in another one is not found."""
        return self.accounts is None or account in self.accounts
