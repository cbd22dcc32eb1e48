"""Who asks: a name for the audit log, and the accounts that they reach."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Whoever causes a change; `accounts` is None for those that reach every account."""

    name: str
    accounts: frozenset[str] | None = None

    def reaches(self, account: str) -> bool:
        """Whether this account exists at all for them: what lies in another one is not found."""
        return self.accounts is None or account in self.accounts
