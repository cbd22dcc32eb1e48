"""How it stands with an integration's tokens at the service's `now`, and in which words."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..client import Client
from ..contract import LEAKED, UNUSED, Integration, Secret, TokenState, instant_text, rfc3339
from ..errors import NotFound
from ..policy import Policy
from ..rotation import Alarm, Decision, Status, alarms, decide, due_at, in_days, status

_WORDS: dict[Status, str] = {
    "off": "no schedule",
    "ok": "ok",
    "due": "rotation due",
    "overdue": "rotation overdue",
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
        return self.tokens.newest

    @property
    def live(self) -> list[Secret]:
        """The tokens that open something."""
        return [secret for secret in self.tokens.secrets if secret.role != "ended"]

    @property
    def rotated_at(self) -> datetime | None:
        """When the newest token was issued."""
        return None if self.newest is None else self.newest.issued_at

    @property
    def last_used_at(self) -> datetime | None:
        """The last use of any token that is shown; None if none is known."""
        return max((secret.last_used_at for secret in self.tokens.secrets if secret.last_used_at), default=None)

    @property
    def next_rotation_at(self) -> datetime | None:
        """When the rule asks for a rotation, not before the end of a hold; None without a rule."""
        return None if self.newest is None else due_at(self.policy, self.newest.issued_at, self.tokens.held_until)

    @property
    def held_until(self) -> datetime | None:
        """The end of the hold that a cancelled rotation began; None if none is in force."""
        held = self.tokens.held_until
        return held if held is not None and self.now < held else None

    @property
    def decision(self) -> Decision:
        """What a deployment that holds the newest token would decide now."""
        held = self.newest.generation if self.newest else self.tokens.last_generation
        return decide(self.policy, self.tokens, held, self.now, issuer=self.tokens.external_id)

    @property
    def alarms(self) -> list[Alarm]:
        """What a person should look at."""
        return alarms(self.policy, self.tokens, self.now)

    @property
    def status(self) -> Status:
        """The status for programs."""
        return status(self.policy, self.tokens, self.now)

    @property
    def in_words(self) -> str:
        """The status for people."""
        if not self.live:
            return "no token" if self.ended_because is None else f"no token: {self.ended_because}"
        if self.tokens.unused is not None:
            return f"unused, ends {in_days(self.tokens.unused.ends_at, self.now)}"
        if self.policy.enabled and self.status == "paused" and self.held_until:
            return f"held until {instant_text(self.held_until)}"
        return _WORDS[self.status]

    @property
    def ended_because(self) -> str | None:
        """Why the last token ended, if nobody used it or it leaked, and none works since."""
        last = None if self.live else self.tokens.of_generation(self.tokens.last_generation)
        because = (last and last.ended_because) or ""
        return because if because == LEAKED or because.startswith(UNUSED) else None

    @property
    def policy(self) -> Policy:
        """The declared rotation policy."""
        return Policy.from_the_wire(self.integration.rotation)

    def as_json(self) -> dict[str, Any]:
        """The integration as on the wire, and how it stands: status, alarms, rotations, last use, announced end."""
        return {
            **self.integration.model_dump(mode="json"),
            "status": self.status,
            "alarms": [{"kind": a.kind, "since": rfc3339(a.since), "detail": a.text} for a in self.alarms],
            "rotated_at": self.rotated_at and rfc3339(self.rotated_at),
            "next_rotation_at": self.next_rotation_at and rfc3339(self.next_rotation_at),
            "last_used_at": self.last_used_at and rfc3339(self.last_used_at),
            "unused": self.tokens.unused and self.tokens.unused.model_dump(mode="json"),
            "secrets": [secret.model_dump(mode="json") for secret in self.tokens.secrets],
        }


def standings(client: Client, integrations: Iterable[Integration]) -> Iterator[Standing]:
    """How it stands with each of these, in their order; those that are gone by now are left out."""
    by_id = {integration.id: integration for integration in integrations}
    for page in client.tokens_of(list(by_id), last_used=True):
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


def when(instant: datetime | None) -> str:
    """An instant for a table cell; `-` for none."""
    return "-" if instant is None else instant_text(instant)
