"""One integration: how it stands, its tokens, and the ways to change it."""

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
from .scope_choice import Picker, picker
from .visits import Visit, signed_in

ONE = LIST + "/{integration_id}"

# The others are in the account's log.
_CHANGES = 5

# Of the callers that a page names before it ends their token.
_LATELY = timedelta(days=1)


@dataclass(frozen=True)
class OpenRotation:
    """A rotation that isn't over: the new token waits for its first use, or older ones still work."""

    new: TokenReport
    old: tuple[TokenReport, ...]

    @property
    def waiting(self) -> bool:
        """Whether nobody has used the new token yet."""
        return self.new.role == "pending"

    @property
    def in_use(self) -> TokenReport | None:
        """The token that is in use while the new one waits; None if the new one is the only one or is in use."""
        return next((secret for secret in self.old if secret.role == "current"), None)

    @property
    def before(self) -> TokenReport | None:
        """The token that is in use once the rotation is cancelled; None if there is none to go back to."""
        if self.waiting:
            return self.in_use
        return max(self.old, key=lambda secret: secret.generation, default=None)

    @property
    def overlap(self) -> timedelta:
        """How long the old token works on after the new one's first use."""
        return timedelta(seconds=self.new.overlap_seconds)

    @property
    def can_be_cancelled(self) -> bool:
        """Whether there is a token to go back to."""
        return self.before is not None


@dataclass(frozen=True)
class Shown:
    """An integration as its pages show it."""

    report: IntegrationStatus
    account: Account

    @property
    def integration(self) -> Integration:
        """The integration."""
        return self.report.integration

    @property
    def address(self) -> str:
        """Where its page is."""
        return f"{LIST}/{self.integration.id}"

    @property
    def owner(self) -> Owner:
        """Who declares it."""
        return owner_of(self.integration.external_id)

    @property
    def in_pulumi(self) -> bool:
        """Whether a Pulumi program declares it."""
        return self.owner.kind == "pulumi"

    @property
    def managed_by(self) -> str:
        """The same in a few words."""
        return managed_by(self.integration.external_id)

    @property
    def resource(self) -> str:
        """The logical name that a Pulumi program gives it."""
        return self.integration.external_id.split("/", maxsplit=3)[-1]

    @property
    def needs_attention(self) -> bool:
        """Whether a person should look at it."""
        return needs_attention(self.report)

    @property
    def last_used(self) -> datetime | None:
        """When one of its tokens was last used."""
        return last_used(self.report)

    @property
    def rotation(self) -> OpenRotation | None:
        """The rotation that isn't over, if any."""
        newest = self.report.newest
        if newest is None:
            return None
        old = tuple(secret for secret in self.report.live if secret is not newest)
        return OpenRotation(newest, old) if old or newest.role == "pending" else None

    @property
    def policy(self) -> str:
        """When it rotates, in words."""
        policy = self.report.policy
        if policy.period is None and policy.enabled:
            return "when a person rotates it"
        paused = "" if policy.enabled else ", paused"
        return f"{policy.rule}; the old token works on for {format_duration(policy.overlap)}{paused}"

    @property
    def overlap(self) -> timedelta:
        """How long an old token works on after a rotation: as declared, else a week."""
        return self.report.policy.overlap or in_force(None).overlap

    @property
    def tokens(self) -> list[TokenReport]:
        """The tokens that are known, the newest first."""
        return sorted(self.report.token_state.tokens, key=lambda s: (s.generation, s.issued_at), reverse=True)

    @property
    def ended(self) -> TokenReport | None:
        """The token that ended last, if none works any more."""
        return None if self.report.live else next(iter(self.tokens), None)


def shown(visit: Visit) -> Shown | Refused:
    """The integration that the address means, if the visitor manages its account."""
    report = report_of(visit.engine, visit.path["integration_id"], visit.now, visit.actor, uses(visit))
    if isinstance(report, Refused):
        return report
    account = accounts.found(visit.engine, report.integration.account, actor=visit.actor)
    return account if isinstance(account, Refused) else Shown(report, account)


def callers_lately(visit: Visit, found: Shown) -> list[CallerActivity] | None:
    """Who used the tokens in the last day, the latest first; None if that can't be read at the moment."""
    return activity.callers_if_readable(visit.activity, found.integration.id, visit.now - _LATELY)


def scopes_of(visit: Visit, found: Shown, scopes: Sequence[str] | None = None) -> Picker:
    """The scopes of an integration, or those given, and what they open in its account."""
    names = found.integration.scopes if scopes is None else scopes
    return picker(visit.rules.catalogue, found.account.kind, {"scope": names})


def in_days(duration: timedelta) -> str:
    """A duration for a sentence: `7 days`, `1 hour`; as it is declared where that is no round number."""
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if duration and not duration % length:
            count = duration // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return format_duration(duration)


def _show(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    changes = audit.of_integration(visit.engine, found.integration.id, actor=visit.actor, limit=_CHANGES)
    if isinstance(changes, Refused):
        return changes
    return visit.page(
        "integration.html",
        shown=found,
        account=found.account,
        picker=scopes_of(visit, found),
        changes=changes,
        in_days=in_days,
    )


ROUTES = [Route(ONE, signed_in(_show), methods=["GET"])]
