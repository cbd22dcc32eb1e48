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
from .pulumi import rotation_line
from .tokens import Handover, token_page
from .visits import Visit, signed_in

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


def _choose(visit: Visit) -> Response | Refused:
    return _ask_to_rotate(visit, "rotated")


def _lost(visit: Visit) -> Response | Refused:
    return _ask_to_rotate(visit, "lost")


def _leaked(visit: Visit) -> Response | Refused:
    return _ask_to_rotate(visit, "leaked")


def _ask_to_rotate(visit: Visit, because: str, fault: str | None = None, status: int = 200) -> Response | Refused:
    """Show the page that rotates for this reason, with the present state."""
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    today = visit.now.date().isoformat()
    trigger = today if because == "rotated" else f"{today}: token {because}"
    overlap = timedelta(0) if because == "leaked" else None
    return visit.page(
        _TEMPLATES[because],
        status=status,
        shown=found,
        account=found.account,
        generation=found.report.token_state.last_generation + 1,
        mark=new_mark(),
        line=rotation_line(found.integration.rotation, trigger, overlap),
        callers=callers_lately(visit, found),
        in_days=in_days,
        fault=fault,
    )


def _rotate(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    now, later = visit.field("how") == "now", visit.field("how") == "later"
    generation, mark = _generation(visit.field("generation")), visit.field("mark")
    because = visit.field("because") if visit.field("because") in REASONS else "rotated"
    if not (now or later) or generation is None or not is_mark(mark):
        return _ask_to_rotate(visit, because, _UNREADABLE, status=422)
    assert visit.session is not None
    issued = manual_rotation.rotate(
        visit.engine,
        found.integration.id,
        generation,
        email=visit.session.user.email,
        action=mark,
        overlap=timedelta(0) if now else found.overlap,
        reason=REASONS[because],
        rules=visit.rules,
        actor=visit.actor,
    )
    if isinstance(issued, Refused):
        return _not_rotated(visit, generation, mark, because, issued)
    return token_page(visit, Handover(found.integration, found.account, issued, because, _of_the_old(found, now)))


def _not_rotated(visit: Visit, generation: int, mark: str, because: str, refused: Refused) -> Response | Refused:
    """Explain why no token was issued, with the present state; a form that was sent twice has done its work."""
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    assert visit.session is not None
    name = manual_rotation.own_name(visit.session.user.email, mark)
    if any(s.generation == generation and s.issuer == name for s in found.report.token_state.tokens):
        return visit.page("rotated_before.html", shown=found, account=found.account, generation=generation)
    if refused.problem == Problem.GENERATION_USED:
        return _ask_to_rotate(visit, because, _ROTATED_MEANWHILE, status=409)
    return _ask_to_rotate(visit, because, f"Nothing was issued: {refused.detail}.", status=refused.problem.status)


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


def _rotated(visit: Visit) -> Response | Refused:
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    because = visit.query.get("because", "")
    return visit.page(
        "rotated.html",
        shown=found,
        account=found.account,
        because=because,
        in_days=in_days,
    )


def _ask_stored(visit: Visit) -> Response | Refused:
    return _ask(visit, "stored.html")


def _ask_cancel(visit: Visit) -> Response | Refused:
    return _ask(visit, "cancel.html")


def _ask_expire(visit: Visit) -> Response | Refused:
    return _ask(visit, "expire.html")


def _ask(visit: Visit, template: str, fault: str | None = None, status: int = 200) -> Response | Refused:
    """Show a page that announces the effect; without an open rotation, the integration's own page."""
    found = shown(visit)
    if isinstance(found, Refused):
        return found
    if found.rotation is None:
        return visit.to(found.address, notice="rotation-over")
    hold_until = visit.now + HOLD
    return visit.page(
        template,
        status=status,
        shown=found,
        account=found.account,
        rotation=found.rotation,
        callers=callers_lately(visit, found),
        deadline=visit.now + found.rotation.overlap,
        hold_until=hold_until if found.report.policy.period else None,
        in_days=in_days,
        fault=fault,
    )


def _stored(visit: Visit) -> Response | Refused:
    generation, fingerprint = _generation(visit.field("generation")), visit.field("fingerprint")
    if generation is None:
        return _ask(visit, "stored.html", fault=_UNREADABLE, status=422)
    integration_id = visit.path["integration_id"]
    state = generations.acknowledge(visit.engine, integration_id, generation, fingerprint, actor=visit.actor)
    if isinstance(state, Refused):
        return _ask_unless_gone(visit, "stored.html", state)
    because = visit.field("because") if visit.field("because") in (*REASONS, "created") else "rotated"
    return visit.to(f"{ONE.format(integration_id=integration_id)}/rotated?because={because}")


def _cancel(visit: Visit) -> Response | Refused:
    generation = _generation(visit.field("generation"))
    if generation is None:
        return _ask(visit, "cancel.html", fault=_UNREADABLE, status=422)
    integration_id = visit.path["integration_id"]
    state = generations.cancel(visit.engine, integration_id, generation, HOLD, actor=visit.actor)
    if isinstance(state, Refused):
        return _ask_unless_gone(visit, "cancel.html", state)
    return visit.to(ONE.format(integration_id=integration_id), notice="cancelled")


def _expire(visit: Visit) -> Response | Refused:
    wanted = [_generation(value) for value in visit.form.get("generation", [])]
    ending = [generation for generation in wanted if generation is not None]
    if not ending or len(ending) < len(wanted) or len(ending) > _MOST:
        return _ask(visit, "expire.html", fault=_UNREADABLE, status=422)
    integration_id = visit.path["integration_id"]
    state = generations.expire(visit.engine, integration_id, ending, actor=visit.actor)
    if isinstance(state, Refused):
        return _ask_unless_gone(visit, "expire.html", state)
    return visit.to(ONE.format(integration_id=integration_id), notice="expired")


_MOST = 100
_UNREADABLE = "This form can't be read; nothing was done. Open the page again."


def _ask_unless_gone(visit: Visit, template: str, refused: Refused) -> Response | Refused:
    if refused.problem == Problem.INTEGRATION_UNKNOWN:
        return refused
    return _ask(visit, template, fault=f"Nothing was done: {refused.detail}.", status=refused.problem.status)


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
