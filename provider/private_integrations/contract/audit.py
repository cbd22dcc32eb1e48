"""The audit log."""

from datetime import datetime
from typing import Any

from .values import ResponseModel

DEPLOYMENT_AGENT = "private-integrations-deployment/"
"""The beginning of a deployment's agent: it tells people who asks, and opens nothing."""

AUDIT_CURSOR = "Audit-Cursor"
"""The header of an exported part of the audit log that asks for the rows behind it."""


class AuditEntry(ResponseModel):
    """A row of the audit log: who did what, when, from where, chained to the row before (see `audit_chain`).

    `account` is None for what belongs to no account, such as management keys and users. `at` is RFC 3339 in UTC, unless
    the row was tampered with. `agent` is the name that the caller's program gives itself. `damaged` names the columns
    whose values the service never wrote, such as a BLOB in place of a text, each with the type that is stored.
    """

    account: str | None
    sequence: int
    at: str
    actor: str
    address: str
    agent: str
    action: str
    integration_id: str | None
    detail: dict[str, Any]
    previous: str
    hash: str
    damaged: dict[str, str] = {}

    @property
    def kind(self) -> str:
        """Return `person`, `key`, `deployment`, or `service` for what the service does by itself or for a token."""
        if self.agent.startswith(DEPLOYMENT_AGENT):
            return "deployment"
        kind = self.actor.partition("/")[0]
        return kind if kind in ("person", "key") else "service"

    @property
    def who(self) -> str:
        """Return the actor without the id behind the name: `person/ada@example.com`, `key/ci`."""
        return self.actor.rpartition("/")[0] or self.actor

    @property
    def instant(self) -> datetime | None:
        """Return when it was; None where `at` is no instant."""
        try:
            return datetime.fromisoformat(self.at)
        except ValueError:
            return None

    @property
    def in_words(self) -> str:
        """Return the detail in one line, without brackets and quotes, damage first; empty if there is none."""
        damage = [f"DAMAGED: {name} is stored as {kind}" for name, kind in self.damaged.items()]
        return ", ".join(damage + [f"{name} {_plain(value)}" for name, value in self.detail.items()])


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_plain, value)) or "-"
    if isinstance(value, dict):
        return " ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return "-" if value is None else " ".join(str(value).split())


class AuditPage(ResponseModel):
    """Rows of the audit log, the newest first; `cursor` asks for older ones and is empty where there are none."""

    entries: list[AuditEntry]
    cursor: str | None = None
