"""Draw advice from the recorded uses of an integration: pure decisions, in words for people."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from private_integrations.contract import Reason

UNUSED_AFTER = timedelta(days=90)
"""The time after which a granted scope without a use is called unused."""

_SHOWN = 3

_REMEDIES: Mapping[str, str] = {
    Reason.VERSION_MISSING: "send the header Version, such as Version: 2021-07-28",
    Reason.VERSION_UNKNOWN: "send a Version that was published, such as 2021-07-28 or v3",
    Reason.VERSION_MALFORMED: "send a Version such as 2021-07-28 or v3",
    Reason.VERSION_TOO_OLD: "this endpoint is there with Version: v3 only",
    Reason.NOT_FOUND: "there is no such endpoint: look at method and path",
    Reason.ENDPOINT_CLOSED: "no private integration may use this endpoint",
    Reason.CLASS_NOT_ALLOWED: "this endpoint is for the other kind of account: an agency's, or a sub-account's",
    Reason.LOCATION_NOT_ALLOWED: "the request names a location that the integration's account does not reach",
    Reason.ACCOUNT_NOT_SERVED: "the gateway that asked does not serve this account",
}


@dataclass(frozen=True)
class Resting:
    """A granted scope that was not used for so long, and since when that is known."""

    scope: str
    last_used: datetime | None
    observed_since: datetime


@dataclass(frozen=True)
class Presence:
    """A caller that uses a token: an address and the program that it named; either may be empty."""

    address: str
    agent: str
    last_at: datetime

    def __str__(self) -> str:
        """Write the caller as in a sentence."""
        who = self.address or "an unknown address"
        return f"{who} ({self.agent})" if self.agent else who


def remedy(reason: str, scope: str) -> str:
    """Return what helps against a refusal."""
    if reason == Reason.SCOPE_MISSING:
        return f"add {scope} to the integration's scopes if these requests are meant"
    if reason.startswith("token-"):
        return "the token is dead: give whoever sends it the integration's present one"
    return _REMEDIES.get(reason, "")


def granted_since(history: Sequence[tuple[datetime, Collection[str]]], scope: str) -> datetime | None:
    """Return since when a scope is granted without a break; `history` has the scopes from each instant on, by time."""
    since = None
    for at, scopes in history:
        since = (since or at) if scope in scopes else None
    return since


def resting(
    granted: Mapping[str, datetime], last_used: Mapping[str, datetime], observed_since: datetime | None, now: datetime
) -> list[Resting]:
    """List the scopes that were granted, observed and not used for `UNUSED_AFTER`.

    None is known where the token was used without any (`""`), as by a gateway that asks about it and decides by itself.
    """
    unknown = last_used.get("")
    if observed_since is None or (unknown is not None and unknown + UNUSED_AFTER > now):
        return []
    found = []
    for scope, since in sorted(granted.items()):
        observed, last = max(since, observed_since), last_used.get(scope)
        if max(observed, last or observed) + UNUSED_AFTER <= now:
            found.append(Resting(scope, last, observed))
    return found


def change_of_scopes(integration_id: str, before: Sequence[str], after: Sequence[str], *, in_code: bool) -> list[str]:
    """Say how to give an integration these scopes: the program's line before and after, or a command; [] for none."""
    if not after:
        return []
    if in_code:
        return [f"- {_argument(before)}", f"+ {_argument(after)}"]
    return [" ".join(["private-integrations edit", integration_id, *(f"--scope {scope}" for scope in after)])]


def among(callers: Collection[Presence]) -> str:
    """Return the callers in a sentence, the latest first, no more than three by name."""
    latest = sorted(callers, key=lambda caller: caller.last_at, reverse=True)
    named = ", ".join(str(caller) for caller in latest[:_SHOWN])
    more = len(latest) - _SHOWN
    return f"{named} and {more} more" if more > 0 else named


def _argument(scopes: Sequence[str]) -> str:
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    return f"scopes=[{listed}],"
