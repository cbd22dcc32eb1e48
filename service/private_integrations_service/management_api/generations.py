"""Serve the routes of tokens: their states, their generations, and introspection."""

from datetime import timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Form, Path, Query, Response

from private_integrations.contract import (
    LAST_GENERATION,
    Acknowledgement,
    Expiry,
    GenerationRequest,
    Identifier,
    Introspection,
    IssuedToken,
    TokenState,
    TokenStates,
)

from ..operations import activity, generations
from ..operations.recording import TokenIdentity
from ..tokens.policy_defaults import POLICY_DEFAULTS
from .callers import Asking, unless_refused
from .integrations import PAGE, next_page

router = APIRouter()

_HOLD = 7 * 86_400
_LONGEST_HOLD = 366 * 86_400
_Generation = Annotated[int, Path(ge=1, le=LAST_GENERATION)]


@router.get("/tokens")
def read_tokens(
    asking: Asking,
    under: str | None = None,
    integration: Annotated[list[Identifier] | None, Query(max_length=PAGE)] = None,
    cursor: str = "",
    last_used: bool = False,
) -> TokenStates:
    """Read token states below a path of external ids, or of the named integrations, and the service's clock.

    With `last_used`, they have the last uses, as far as these are recorded and readable.
    """
    uses = partial(activity.last_used_if_readable, asking.activity) if last_used else None
    found, states = generations.states_of(
        asking.engine,
        asking.now,
        uses,
        under=under,
        ids=integration or (),
        after=cursor,
        limit=PAGE,
        actor=asking.actor,
    )
    return TokenStates(now=asking.now, policy_defaults=POLICY_DEFAULTS, tokens=states, cursor=next_page(found))


@router.put("/integrations/{integration_id}/generations/{generation}", status_code=201)
def issue_generation(
    integration_id: str,
    generation: _Generation,
    body: GenerationRequest,
    asking: Asking,
    response: Response,
) -> IssuedToken:
    """Issue a generation; only this answer has the token. Without overlap, the other tokens end."""
    response.headers["Cache-Control"] = "no-store"
    limit = asking.rules.settings.superseded_tokens
    return unless_refused(generations.issue(asking.engine, integration_id, generation, body, limit, actor=asking.actor))


@router.post("/integrations/{integration_id}/generations/{generation}/ack")
def acknowledge_generation(
    integration_id: str, generation: _Generation, body: Acknowledgement, asking: Asking
) -> TokenState:
    """Confirm that the token is safely stored: it becomes the current one, and the old one's overlap begins."""
    return unless_refused(
        generations.acknowledge(asking.engine, integration_id, generation, body.fingerprint, actor=asking.actor)
    )


@router.delete("/integrations/{integration_id}/generations/{generation}")
def cancel_rotation(
    integration_id: str,
    generation: _Generation,
    asking: Asking,
    hold_seconds: Annotated[int, Query(ge=0, le=_LONGEST_HOLD)] = _HOLD,
) -> TokenState:
    """Cancel a rotation: the token before becomes the current one again; the schedule pauses until the hold ends."""
    hold = timedelta(seconds=hold_seconds)
    return unless_refused(generations.cancel(asking.engine, integration_id, generation, hold, actor=asking.actor))


@router.post("/integrations/{integration_id}/expire")
def expire_generations(integration_id: str, body: Expiry, asking: Asking) -> TokenState:
    """End the named generations before the response is sent."""
    return unless_refused(generations.expire(asking.engine, integration_id, body.generations, actor=asking.actor))


@router.post("/introspect", response_model_exclude_none=True)
def introspect(
    asking: Asking,
    token: Annotated[str, Form()],
    response: Response,
    token_type_hint: Annotated[str | None, Form()] = None,
) -> Introspection:
    """Introspect a token (RFC 7662), which does not deliver it. There is one type of token: a hint changes nothing.

    A live one counts as used; otherwise a token that only your own gateway introspects would end as inactive.
    """
    response.headers["Cache-Control"] = "no-store"
    actor = asking.actor

    def note(token_id: int, integration_id: str, generation: int) -> None:
        known = TokenIdentity(token_id, integration_id, generation)
        asking.recorder.record(
            known, scope="", reason="", address=actor.address, agent=actor.agent.encode(), now=asking.now
        )

    return generations.introspect(asking.engine, token, asking.now, actor=actor, note=note)
