"""Status reports: an integration with its tokens at the service's `now`, for pages, command line and programs."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from ..contract import LOST_WITHOUT_ROTATION, Integration, TokenReport, TokenState, instant_text, rfc3339
from .decisions import Alarm, Decision, Status, alarms, decide, due_at, in_days, status
from .policy import EffectivePolicy

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
class IntegrationStatus:
    """Report the status of an integration: its tokens and its policy in force, at an instant of the service's clock.

    Values that a calendar rule decides are cached, because a list reads them several times.
    """

    integration: Integration
    token_state: TokenState
    now: datetime
    policy: EffectivePolicy

    @property
    def newest(self) -> TokenReport | None:
        """Return the token that the schedule counts from."""
        return self.token_state.newest

    @property
    def live(self) -> list[TokenReport]:
        """Return the tokens that open something."""
        return [token for token in self.token_state.tokens if token.role != "ended"]

    @property
    def rotated_at(self) -> datetime | None:
        """Return when the newest token was issued."""
        return None if self.newest is None else self.newest.issued_at

    @property
    def last_used_at(self) -> datetime | None:
        """Return the last use of any token that is shown; None if none is known."""
        return max((token.last_used_at for token in self.token_state.tokens if token.last_used_at), default=None)

    @cached_property
    def next_rotation_at(self) -> datetime | None:
        """Return when the rule asks for a rotation, not before the end of a hold; None without a rule."""
        return None if self.newest is None else due_at(self.policy, self.newest.issued_at, self.token_state.held_until)

    @property
    def held_until(self) -> datetime | None:
        """Return the end of the hold that a cancelled rotation began; None if none is in force."""
        held = self.token_state.held_until
        return held if held is not None and self.now < held else None

    @property
    def decision(self) -> Decision:
        """Return what a deployment that holds the newest token would decide now."""
        held = self.newest.generation if self.newest else self.token_state.last_generation
        return decide(self.policy, self.token_state, held, self.now, issuer=self.token_state.external_id)

    @cached_property
    def alarms(self) -> list[Alarm]:
        """Return what a person should look at."""
        return alarms(self.policy, self.token_state, self.now)

    @cached_property
    def status(self) -> Status:
        """Return the status for programs."""
        return status(self.policy, self.token_state, self.now)

    @property
    def in_words(self) -> str:
        """Return the status for people."""
        if not self.live:
            return "no token" if self.ended_because is None else f"no token: {self.ended_because}"
        if self.token_state.inactive is not None:
            return f"inactive, ends {in_days(self.token_state.inactive.ends_at, self.now)}"
        if self.policy.enabled and self.status == "paused" and self.held_until:
            return f"held until {instant_text(self.held_until)}"
        return _WORDS[self.status]

    @property
    def ended_because(self) -> str | None:
        """Return why the last token ended, if it was inactive or leaked, and none works since."""
        last = None if self.live else self.token_state.of_generation(self.token_state.last_generation)
        return last.ended_because if last is not None and last.end_reason in LOST_WITHOUT_ROTATION else None

    def as_json(self) -> dict[str, Any]:
        """Return the integration as on the wire, with its status, alarms, rotations, last use and announced end."""
        return {
            **self.integration.model_dump(mode="json"),
            "status": self.status,
            "alarms": [{"kind": a.kind, "since": rfc3339(a.since), "detail": a.text} for a in self.alarms],
            "rotated_at": self.rotated_at and rfc3339(self.rotated_at),
            "next_rotation_at": self.next_rotation_at and rfc3339(self.next_rotation_at),
            "last_used_at": self.last_used_at and rfc3339(self.last_used_at),
            "inactive": self.token_state.inactive and self.token_state.inactive.model_dump(mode="json"),
            "tokens": [token.model_dump(mode="json") for token in self.token_state.tokens],
        }


@dataclass(frozen=True)
class Owner:
    """Name an integration's owner; `name` is `project/stack` of Pulumi, or the person's email address."""

    kind: Literal["pulumi", "person", "command line", "other"]
    name: str


def owner_of(external_id: str) -> Owner:
    """Read the owner from an external id: `organization/project/stack/name`, `person/email/…`, `cli/…` or another."""
    parts = external_id.split("/", maxsplit=3)
    if len(parts) == 4:
        return Owner("pulumi", f"{parts[1]}/{parts[2]}")
    if len(parts) == 3 and parts[0] == "person":
        return Owner("person", parts[1])
    return Owner("command line", "") if external_id.startswith("cli/") else Owner("other", external_id)


def managed_by(external_id: str) -> str:
    """Name the owner in a few words: `Pulumi project/stack`, the person, `command line`, or the external id itself."""
    owner = owner_of(external_id)
    if owner.kind == "pulumi":
        return f"Pulumi {owner.name}"
    return owner.name or owner.kind


def in_pulumi(integration: Integration) -> bool:
    """Return whether a Pulumi program declares this integration."""
    return owner_of(integration.external_id).kind == "pulumi"
