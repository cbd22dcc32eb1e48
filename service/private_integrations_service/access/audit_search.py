"""A search in the audit log."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class AuditSearch:
    """Choose rows of the audit log: those of `accounts` (None: of every one), and with `own` also those of no account.

    `actor` is whole or a beginning (`person`, `key/ci`), or `deployment`; `since` is included, `until` is not.
    """

    accounts: Collection[str] | None = None
    own: bool = False
    integration: str | None = None
    actor: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
