"""Show one integration: its status, its tokens, and the actions on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import Account, CallerActivity, Integration, Refused, TokenReport
from private_integrations.rotation.durations import format_duration
from private_integrations.rotation.status import IntegrationStatus, Owner, managed_by, owner_of

from ..operations import accounts, activity, audit
from ..operations.status import report_of
from ..tokens.policy_defaults import in_force
from .integrations import LIST, last_used, needs_attention, uses
from .page_requests import PageRequest, signed_in
from .scope_choice import Picker, picker

ONE = LIST + "/{integration_id}"

# Older rows are in the account's audit log.
_CHANGES = 5

# Callers that a page names before it ends their token.
_LATELY = timedelta(days=1)


@dataclass(frozen=True)
class OpenRotation:
    """Hold an open rotation: the new token waits for its first use, or older ones still work."""

    new: TokenReport
    old: tuple[TokenReport, ...]

    @property
    def waiting(self) -> bool:
        """Tell whether the new token was not used yet."""
        return self.new.role == "pending"

    @property
    def in_use(self) -> TokenReport | None:
        """Return the token in use while the new one waits; None if the new one is the only one or is in use."""
        return next((secret for secret in self.old if secret.role == "current"), None)

    @property
    def before(self) -> TokenReport | None:
        """Return the token that cancelling goes back to; None without one."""
        if self.waiting:
            return self.in_use
        return max(self.old, key=lambda secret: secret.generation, default=None)

    @property
    def overlap(self) -> timedelta:
        """Return how long the old token works after the new one's first use."""
        return timedelta(seconds=self.new.overlap_seconds)

    @property
    def can_be_cancelled(self) -> bool:
        """Tell whether there is a token to go back to."""
        return self.before is not None


@dataclass(frozen=True)
class Shown:
    """Hold an integration for its pages."""

    report: IntegrationStatus
    account: Account

    @property
    def integration(self) -> Integration:
        """Return the integration."""
        return self.report.integration

    @property
    def address(self) -> str:
        """Return the address of its page."""
        return f"{LIST}/{self.integration.id}"

    @property
    def owner(self) -> Owner:
        """Return its owner."""
        return owner_of(self.integration.external_id)

    @property
    def in_pulumi(self) -> bool:
        """Tell whether a Pulumi program declares it."""
        return self.owner.kind == "pulumi"

    @property
    def managed_by(self) -> str:
        """Return its owner in a few words."""
        return managed_by(self.integration.external_id)

    @property
    def resource(self) -> str:
        """Return the logical name that a Pulumi program gives it."""
        return self.integration.external_id.split("/", maxsplit=3)[-1]

    @property
    def needs_attention(self) -> bool:
        """Tell whether a person should look at it."""
        return needs_attention(self.report)

    @property
    def last_used(self) -> datetime | None:
        """Return the last use of its tokens."""
        return last_used(self.report)

    @property
    def rotation(self) -> OpenRotation | None:
        """Return the open rotation, if any."""
        newest = self.report.newest
        if newest is None:
            return None
        old = tuple(secret for secret in self.report.live if secret is not newest)
        return OpenRotation(newest, old) if old or newest.role == "pending" else None

    @property
    def policy(self) -> str:
        """Return its rotation policy in words."""
        policy = self.report.policy
        if policy.period is None and policy.enabled:
            return "when a person rotates it"
        paused = "" if policy.enabled else ", paused"
        return f"{policy.rule}; the old token works on for {format_duration(policy.overlap)}{paused}"

    @property
    def overlap(self) -> timedelta:
        """Return the overlap of a rotation: as declared, otherwise a week."""
        return self.report.policy.overlap or in_force(None).overlap

    @property
    def tokens(self) -> list[TokenReport]:
        """Return the known tokens, the newest first."""
        return sorted(self.report.token_state.tokens, key=lambda s: (s.generation, s.issued_at), reverse=True)

    @property
    def ended(self) -> TokenReport | None:
        """Return the token that ended last, if none works any more."""
        return None if self.report.live else next(iter(self.tokens), None)


def shown(asking: PageRequest) -> Shown | Refused:
    """Return the integration of the address, if the person manages its account."""
    report = report_of(asking.engine, asking.path["integration_id"], asking.now, asking.actor, uses(asking))
    if isinstance(report, Refused):
        return report
    account = accounts.found(asking.engine, report.integration.account, actor=asking.actor)
    return account if isinstance(account, Refused) else Shown(report, account)


def callers_lately(asking: PageRequest, found: Shown) -> list[CallerActivity] | None:
    """Return the callers of the tokens in the last day, the latest first; None if these can't be read at the moment."""
    return activity.callers_if_readable(asking.activity, found.integration.id, asking.now - _LATELY)


def scopes_of(asking: PageRequest, found: Shown, scopes: Sequence[str] | None = None) -> Picker:
    """Return the scopes of an integration, or the given ones, with the endpoints that they open in its account."""
    names = found.integration.scopes if scopes is None else scopes
    return picker(asking.rules.catalogue, found.account.kind, {"scope": names})


def in_days(duration: timedelta) -> str:
    """Return a duration for a sentence: `7 days`, `1 hour`; as declared if it is no round number."""
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if duration and not duration % length:
            count = duration // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return format_duration(duration)


def _show(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    changes = audit.of_integration(asking.engine, found.integration.id, actor=asking.actor, limit=_CHANGES)
    if isinstance(changes, Refused):
        return changes
    return asking.page(
        "integration.html",
        shown=found,
        account=found.account,
        picker=scopes_of(asking, found),
        changes=changes,
        in_days=in_days,
    )


ROUTES = [Route(ONE, signed_in(_show), methods=["GET"])]
