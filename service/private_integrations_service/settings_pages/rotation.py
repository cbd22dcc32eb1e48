"""Rotate, cancel, confirm a stored token and end old ones; with pages for a lost and for a leaked token."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import LAST_GENERATION, Problem, Refused

from ..operations import generations, manual_rotation
from .fields import is_mark, new_mark, whole_number
from .integration import ONE, Shown, callers_lately, in_days, shown
from .page_requests import PageRequest, signed_in
from .pulumi import rotation_line
from .tokens import Handover, token_page

HOLD = timedelta(days=7)
"""Hold a schedule for so long after a cancelled rotation, as the command line does."""

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "rotated": "rotated on the settings page",
        "lost": "token lost, rotated on the settings page",
        "leaked": "token leaked, rotated on the settings page",
    }
)
"""Map the name of a reason in forms to the reason in the audit log."""

_TEMPLATES: Mapping[str, str] = MappingProxyType(
    {"rotated": "rotate.html", "lost": "token_lost.html", "leaked": "token_leaked.html"}
)


def _choose(asking: PageRequest) -> Response | Refused:
    return _ask_to_rotate(asking, "rotated")


def _lost(asking: PageRequest) -> Response | Refused:
    return _ask_to_rotate(asking, "lost")


def _leaked(asking: PageRequest) -> Response | Refused:
    return _ask_to_rotate(asking, "leaked")


def _ask_to_rotate(
    asking: PageRequest, because: str, fault: str | None = None, status: int = 200
) -> Response | Refused:
    """Show the page that rotates for this reason, with the present state."""
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    today = asking.now.date().isoformat()
    trigger = today if because == "rotated" else f"{today}: token {because}"
    overlap = timedelta(0) if because == "leaked" else None
    return asking.page(
        _TEMPLATES[because],
        status=status,
        shown=found,
        account=found.account,
        generation=found.report.token_state.last_generation + 1,
        mark=new_mark(),
        line=rotation_line(found.integration.rotation, trigger, overlap),
        callers=callers_lately(asking, found),
        in_days=in_days,
        fault=fault,
    )


def _rotate(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    now, later = asking.field("how") == "now", asking.field("how") == "later"
    generation, mark = _generation(asking.field("generation")), asking.field("mark")
    because = asking.field("because") if asking.field("because") in REASONS else "rotated"
    if not (now or later) or generation is None or not is_mark(mark):
        return _ask_to_rotate(asking, because, _UNREADABLE, status=422)
    assert asking.session is not None
    issued = manual_rotation.rotate(
        asking.engine,
        found.integration.id,
        generation,
        email=asking.session.user.email,
        action=mark,
        overlap=timedelta(0) if now else found.overlap,
        reason=REASONS[because],
        rules=asking.rules,
        actor=asking.actor,
    )
    if isinstance(issued, Refused):
        return _not_rotated(asking, generation, mark, because, issued)
    return token_page(asking, Handover(found.integration, found.account, issued, because, _of_the_old(found, now)))


def _not_rotated(asking: PageRequest, generation: int, mark: str, because: str, refused: Refused) -> Response | Refused:
    """Explain why no token was issued, with the present state; a form that was sent twice has done its work."""
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    assert asking.session is not None
    name = manual_rotation.own_name(asking.session.user.email, mark)
    if any(s.generation == generation and s.issuer == name for s in found.report.token_state.tokens):
        return asking.page("rotated_before.html", shown=found, account=found.account, generation=generation)
    if refused.problem == Problem.GENERATION_USED:
        return _ask_to_rotate(asking, because, _ROTATED_MEANWHILE, status=409)
    return _ask_to_rotate(asking, because, f"Nothing was issued: {refused.detail}.", status=refused.problem.status)


_ROTATED_MEANWHILE = "Somebody rotated this integration since you opened the page: look at it again, then choose."


def _of_the_old(found: Shown, now: bool) -> str:
    """Describe the future of the older tokens, for the page of the new one."""
    if not found.report.live:
        return ""
    if now:
        return "Every older token is dead: its programs are refused until they have this one."
    if found.report.token_state.in_role("current") is None:
        return "The token from before, which nobody had used, is dead."
    return f"The old token works on until {in_days(found.overlap)} after the first use of this one."


def _rotated(asking: PageRequest) -> Response | Refused:
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    because = asking.query.get("because", "")
    return asking.page(
        "rotated.html",
        shown=found,
        account=found.account,
        because=because,
        in_days=in_days,
    )


def _ask_stored(asking: PageRequest) -> Response | Refused:
    return _ask(asking, "stored.html")


def _ask_cancel(asking: PageRequest) -> Response | Refused:
    return _ask(asking, "cancel.html")


def _ask_expire(asking: PageRequest) -> Response | Refused:
    return _ask(asking, "expire.html")


def _ask(asking: PageRequest, template: str, fault: str | None = None, status: int = 200) -> Response | Refused:
    """Show a page that announces the effect; without an open rotation, the integration's own page."""
    found = shown(asking)
    if isinstance(found, Refused):
        return found
    if found.rotation is None:
        return asking.to(found.address, notice="rotation-over")
    hold_until = asking.now + HOLD
    return asking.page(
        template,
        status=status,
        shown=found,
        account=found.account,
        rotation=found.rotation,
        callers=callers_lately(asking, found),
        deadline=asking.now + found.rotation.overlap,
        hold_until=hold_until if found.report.policy.period else None,
        in_days=in_days,
        fault=fault,
    )


def _stored(asking: PageRequest) -> Response | Refused:
    generation, fingerprint = _generation(asking.field("generation")), asking.field("fingerprint")
    if generation is None:
        return _ask(asking, "stored.html", fault=_UNREADABLE, status=422)
    integration_id = asking.path["integration_id"]
    state = generations.acknowledge(asking.engine, integration_id, generation, fingerprint, actor=asking.actor)
    if isinstance(state, Refused):
        return _ask_unless_gone(asking, "stored.html", state)
    because = asking.field("because") if asking.field("because") in (*REASONS, "created") else "rotated"
    return asking.to(f"{ONE.format(integration_id=integration_id)}/rotated?because={because}")


def _cancel(asking: PageRequest) -> Response | Refused:
    generation = _generation(asking.field("generation"))
    if generation is None:
        return _ask(asking, "cancel.html", fault=_UNREADABLE, status=422)
    integration_id = asking.path["integration_id"]
    state = generations.cancel(asking.engine, integration_id, generation, HOLD, actor=asking.actor)
    if isinstance(state, Refused):
        return _ask_unless_gone(asking, "cancel.html", state)
    return asking.to(ONE.format(integration_id=integration_id), notice="cancelled")


def _expire(asking: PageRequest) -> Response | Refused:
    wanted = [_generation(value) for value in asking.form.get("generation", [])]
    ending = [generation for generation in wanted if generation is not None]
    if not ending or len(ending) < len(wanted) or len(ending) > _MOST:
        return _ask(asking, "expire.html", fault=_UNREADABLE, status=422)
    integration_id = asking.path["integration_id"]
    state = generations.expire(asking.engine, integration_id, ending, actor=asking.actor)
    if isinstance(state, Refused):
        return _ask_unless_gone(asking, "expire.html", state)
    return asking.to(ONE.format(integration_id=integration_id), notice="expired")


_MOST = 100
_UNREADABLE = "This form can't be read; nothing was done. Open the page again."


def _ask_unless_gone(asking: PageRequest, template: str, refused: Refused) -> Response | Refused:
    if refused.problem == Problem.INTEGRATION_UNKNOWN:
        return refused
    return _ask(asking, template, fault=f"Nothing was done: {refused.detail}.", status=refused.problem.status)


def _generation(value: str) -> int | None:
    """Read the number of a generation in a form; None if it is malformed."""
    number = whole_number(value, 10)
    return number if number is not None and 1 <= number <= LAST_GENERATION else None


ROUTES = [
    Route(f"{ONE}/rotate", signed_in(_choose), methods=["GET"]),
    Route(f"{ONE}/rotate", signed_in(_rotate), methods=["POST"]),
    Route(f"{ONE}/lost", signed_in(_lost), methods=["GET"]),
    Route(f"{ONE}/leaked", signed_in(_leaked), methods=["GET"]),
    Route(f"{ONE}/rotated", signed_in(_rotated), methods=["GET"]),
    Route(f"{ONE}/stored", signed_in(_ask_stored), methods=["GET"]),
    Route(f"{ONE}/stored", signed_in(_stored), methods=["POST"]),
    Route(f"{ONE}/cancel", signed_in(_ask_cancel), methods=["GET"]),
    Route(f"{ONE}/cancel", signed_in(_cancel), methods=["POST"]),
    Route(f"{ONE}/expire", signed_in(_ask_expire), methods=["GET"]),
    Route(f"{ONE}/expire", signed_in(_expire), methods=["POST"]),
]
