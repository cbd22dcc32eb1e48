"""Edit an integration's rotation policy, with a review of the effect before it is saved."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Self

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import IntegrationEdit, Problem, Refused, RotationPolicy, TokenReport
from private_integrations.rotation.policy import read_policy
from private_integrations.rotation.schedules import read_schedule, zone_names
from private_integrations.rotation.status import IntegrationStatus

from ..operations import integrations
from ..tokens.lifecycle import StoredToken
from ..tokens.policy_defaults import POLICY_DEFAULTS, in_force
from .editing import CHANGED_MEANWHILE, read_version, save
from .fields import duration_text, query_of
from .integration import ONE, Shown, in_days, shown
from .page_requests import PageRequest, signed_in
from .pulumi import declared, policy_line

_PAGE = f"{ONE}/schedule"
_TICKS = 3
_LONGEST_FIELD = 200
_FIELDS = ("every", "schedule", "timezone", "overlap", "early_window")
_UNREADABLE = "This form can't be read; look at it again and review it."


@dataclass(frozen=True)
class Entered:
    """Hold a policy as a form has it; `rule` names the fields that count: `none`, `every` or `calendar`."""

    rule: str
    every: str = ""
    schedule: str = ""
    timezone: str = ""
    overlap: str = ""
    early_window: str = ""
    paused: str = ""

    @classmethod
    def read(cls, given: Mapping[str, Sequence[str]]) -> Self:
        """Read every field of the form, without space around it."""
        return cls(**{name: "".join(given.get(name, ())[-1:]).strip() for name in cls.__dataclass_fields__})

    @classmethod
    def of(cls, policy: RotationPolicy | None) -> Self:
        """Return the form of a policy."""
        if policy is None:
            return cls("none")
        rule = "calendar" if policy.schedule is not None else "every" if policy.every_seconds is not None else "none"
        return cls(rule, **declared(policy), paused="" if policy.enabled else "yes")

    @property
    def fields(self) -> dict[str, str]:
        """Return the fields with a value, as a form or an address carries them."""
        return {name: value for name, value in asdict(self).items() if value}

    def policy(self) -> RotationPolicy | Refused:
        """Return the policy, or its faults."""
        too_long = next((name for name, value in self.fields.items() if len(value) > _LONGEST_FIELD), None)
        if too_long is not None:
            return Refused(Problem.ROTATION_NOT_ALLOWED, f"{too_long} has more than {_LONGEST_FIELD} characters")
        if self.rule not in _MARGINS:
            return Refused(Problem.ROTATION_NOT_ALLOWED, "say when it is to be rotated")
        try:
            return read_policy(self._declared(), lambda: POLICY_DEFAULTS)
        except ValueError as error:
            return Refused(Problem.ROTATION_NOT_ALLOWED, str(error))

    def ticks(self, now: datetime) -> list[datetime]:
        """Return the next instants of a calendar rule; none for another or an invalid rule."""
        if self.rule != "calendar":
            return []
        try:
            schedule = read_schedule(self.schedule, self.timezone or "UTC")
        except ValueError:
            return []
        ticks = [now]
        for _ in range(_TICKS):
            ticks.append(schedule.next_after(ticks[-1]))
        return ticks[1:]

    def _declared(self) -> dict[str, Any]:
        said: dict[str, Any] = {"enabled": not self.paused}
        if self.rule == "every":
            said["every"] = duration_text(self.every)
        if self.rule == "calendar":
            said |= {"schedule": self.schedule} | ({"timezone": self.timezone} if self.timezone else {})
        margins = {name: duration_text(getattr(self, name)) for name in _MARGINS[self.rule]}
        return said | {name: value for name, value in margins.items() if value}


# The fields of the other rules don't count, and are no mistake.
_MARGINS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"none": ("overlap",), "every": ("overlap", "early_window"), "calendar": ("overlap", "early_window")}
)


@dataclass(frozen=True)
class Effect:
    """Hold the effect of saving a policy: the integration, and the tokens with another overlap or deadline."""

    after: Shown
    moved: tuple[StoredToken, ...]

    @property
    def ends(self) -> list[tuple[TokenReport, datetime]]:
        """Return the old tokens that work, each with its new deadline."""
        moved = {token.fingerprint: token.expires_at for token in self.moved}
        ending = [(secret, secret.expires_at) for secret in self.after.report.live if secret.expires_at]
        return [(secret, moved.get(secret.fingerprint) or end) for secret, end in ending]

    @property
    def overlap(self) -> timedelta | None:
        """Return the overlap of the token in use after the first use of the new one; None if no new one waits."""
        rotation = self.after.rotation
        if rotation is None or not rotation.waiting:
            return None
        return next((token.overlap for token in self.moved if token.role == "pending"), rotation.overlap)

    @property
    def due_at_once(self) -> bool:
        """Tell whether a rotation is due at once under the new rule."""
        report = self.after.report
        due = report.next_rotation_at
        return due is not None and due - report.policy.early_window <= report.now


def _form(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    given = query_of(asking.request)
    if "version" in given:
        return _form_page(asking, found, Entered.read(given), given["version"][-1])
    return _form_page(asking, found, Entered.of(found.integration.rotation), str(found.integration.version))


def _form_page(
    asking: PageRequest, found: Shown, entered: Entered, version: str, refused: Refused | None = None
) -> Response:
    return asking.page(
        "schedule.html",
        status=200 if refused is None else 422,
        shown=found,
        account=found.account,
        entered=entered,
        version=version,
        ticks=entered.ticks(asking.now),
        zones=zone_names(),
        in_days=in_days,
        usual=in_force(None),
        longest_early_window=timedelta(seconds=POLICY_DEFAULTS.early_window_seconds),
        faults={} if refused is None else _faults(refused),
    )


def _review(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    given = query_of(asking.request)
    return _checked(asking, found, Entered.read(given), "".join(given.get("version", ())[-1:]))


def _checked(
    asking: PageRequest, found: Shown, entered: Entered, version: str, refused: Refused | None = None
) -> Response:
    """Return the effect of a policy on the present integration, or the form again with its faults."""
    wanted = _wanted(asking, found, entered)
    if isinstance(wanted, Refused):
        return _form_page(asking, found, entered, version, wanted)
    changed_meanwhile = version != str(found.integration.version)
    return asking.page(
        "schedule_review.html",
        status=200 if refused is None else refused.problem.status,
        shown=found,
        account=found.account,
        entered=entered,
        effect=None if wanted == found.integration.rotation else _effect(asking, found, wanted),
        ticks=entered.ticks(asking.now),
        line=policy_line(wanted),
        in_days=in_days,
        fault=CHANGED_MEANWHILE if changed_meanwhile else refused and refused.detail,
    )


def _save(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    entered, version = Entered.read(asking.form), read_version(asking.field("version"))
    if version is None:
        unreadable = Refused(Problem.INVALID_REQUEST, _UNREADABLE)
        return _form_page(asking, found, entered, str(found.integration.version), unreadable)
    wanted = _wanted(asking, found, entered)
    if isinstance(wanted, Refused):
        return _form_page(asking, found, entered, str(version), wanted)
    edited = save(asking, found, IntegrationEdit(rotation=wanted), version)
    if isinstance(edited, Refused):
        by_now = shown(asking)
        return by_now if isinstance(by_now, Refused) else _checked(asking, by_now, entered, str(version), edited)
    return asking.to(found.address, notice="schedule-edited")


def _wanted(asking: PageRequest, found: Shown, entered: Entered) -> RotationPolicy | Refused | None:
    """Return the policy to store: the integration's own, if the form has the same in other words."""
    policy = entered.policy()
    if isinstance(policy, Refused):
        return policy
    if in_force(policy) == found.report.policy:
        return found.integration.rotation
    wanted = None if in_force(policy) == in_force(None) else policy
    return asking.rules.refuse(found.account.kind, found.integration.scopes, wanted) or wanted


def _effect(asking: PageRequest, found: Shown, wanted: RotationPolicy | None) -> Effect:
    old, tokens = found.integration, found.report.token_state
    new = old.model_copy(update={"rotation": wanted})
    moved = integrations.moved_deadlines(asking.engine, old, new, asking.now)
    return Effect(Shown(IntegrationStatus(new, tokens, asking.now, in_force(wanted)), found.account), tuple(moved))


def _faults(refused: Refused) -> dict[str, str]:
    """Return the faults by the field that the sentence begins with; otherwise of the whole form."""
    field, detail = refused.detail.partition(" ")[0], refused.detail
    if field == "early_window":
        detail = detail.replace("_", " ", 1)
    return {field if field in _FIELDS else "rule": detail}


ROUTES = [
    Route(_PAGE, signed_in(_form), methods=["GET"]),
    Route(_PAGE, signed_in(_save), methods=["POST"]),
    Route(f"{_PAGE}/review", signed_in(_review), methods=["GET"]),
]
