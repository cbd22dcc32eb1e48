"""How it stands with an integration's tokens at the service's `now`, and in which words."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..client import Client
from ..contract import Integration, Secret, TokenState, instant_text, rfc3339
from ..durations import format_duration
from ..errors import NotFound
from ..rotation import Policy, Status, due_at, status

_WORDS: dict[Status, str] = {
    "off": "no schedule",
    "ok": "ok",
    "due": "rotation due",
    "pending": "not used yet",
    "overlapping": "old token works",
    "paused": "paused",
}


@dataclass(frozen=True)
class Standing:
    """An integration, its tokens and the instant at which the service said so."""

    integration: Integration
    tokens: TokenState
    now: datetime

    @property
    def newest(self) -> Secret | None:
        """The token that the schedule counts from."""
        return self.tokens.in_role("pending") or self.tokens.in_role("current")

    @property
    def live(self) -> list[Secret]:
        """The tokens that open something."""
        return [secret for secret in self.tokens.secrets if secret.role != "ended"]

    @property
    def rotated_at(self) -> datetime | None:
        """When the newest token was issued."""
        return None if self.newest is None else self.newest.issued_at

    @property
    def next_rotation_at(self) -> datetime | None:
        """When the schedule asks for a rotation; None without one."""
        return None if self.newest is None else due_at(self._policy, self.newest.issued_at)

    @property
    def in_words(self) -> str:
        """The status for people."""
        return _WORDS[self._status] if self.live else "no token"

    def as_json(self) -> dict[str, Any]:
        """The integration as on the wire, with `status`, `rotated_at`, `next_rotation_at` and `secrets`."""
        return {
            **self.integration.model_dump(mode="json"),
            "status": self._status,
            "rotated_at": self.rotated_at and rfc3339(self.rotated_at),
            "next_rotation_at": self.next_rotation_at and rfc3339(self.next_rotation_at),
            "secrets": [secret.model_dump(mode="json") for secret in self.tokens.secrets],
        }

    @property
    def _policy(self) -> Policy:
        return Policy.from_the_wire(self.integration.rotation)

    @property
    def _status(self) -> Status:
        return status(self._policy, self.tokens, self.now)


def standings(client: Client, integrations: Iterable[Integration]) -> Iterator[Standing]:
    """How it stands with each of these, in their order; those that are gone by now are left out."""
    by_id = {integration.id: integration for integration in integrations}
    for page in client.tokens_of(list(by_id)):
        found = {state.integration_id: state for state in page.tokens}
        for integration_id in [known for known in by_id if known in found]:
            yield Standing(by_id[integration_id], found[integration_id], page.now)


def standing_of(client: Client, integration: Integration) -> Standing:
    """How it stands with this one; raises NotFound when it was deleted meanwhile."""
    found = next(standings(client, [integration]), None)
    if found is None:
        raise NotFound(f"there is no integration {integration.id} any more")
    return found


def managed_by(external_id: str) -> str:
    """Who declares the integration of this external id: a Pulumi stack, the command line or something else."""
    parts = external_id.split("/", maxsplit=3)
    if len(parts) == 4:
        return f"Pulumi {parts[1]}/{parts[2]}"
    return "command line" if external_id.startswith("cli/") else external_id


def in_pulumi(integration: Integration) -> bool:
    """Whether a Pulumi program declares this integration."""
    return managed_by(integration.external_id).startswith("Pulumi ")


def policy_text(integration: Integration) -> str:
    """The declared rotation policy in one line."""
    policy = Policy.from_the_wire(integration.rotation)
    if policy.every is None:
        return f"no schedule, overlap {format_duration(policy.overlap)}"
    paused = "" if policy.enabled else ", paused"
    return f"every {format_duration(policy.every)}, overlap {format_duration(policy.overlap)}{paused}"


def when(instant: datetime | None) -> str:
    """An instant for a table cell; `-` for none."""
    return "-" if instant is None else instant_text(instant)
