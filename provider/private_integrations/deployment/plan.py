"""Plan what the next deployment does with a token, and compute its outputs from the service's answers."""

from ..contract import PolicyDefaults, RotationPolicy, TokenReport, rfc3339, token_fingerprint
from ..rotation.decisions import Rotate, decide, status
from ..rotation.durations import format_duration
from ..rotation.policy import NO_DEFAULTS, EffectivePolicy, effective_policy, read_policy
from .batched_reads import KnownTokens
from .declaration import Properties, is_unknown

ADOPTED = "adopted"
"""The reason of a token that was taken over and not issued."""


def declared_policy(props: Properties) -> RotationPolicy | None:
    """Return the policy that the inputs declare, as it is sent; None if they declare none.

    Raises:
        ValueError: the policy contradicts itself, as one in the state may that an earlier version accepted.

    """
    return read_policy(props["rotation"], lambda: NO_DEFAULTS) if props.get("rotation") else None


def policy_in_force(props: Properties, defaults: PolicyDefaults) -> EffectivePolicy:
    """Return the policy that holds where the inputs are declared and the service has these defaults."""
    return effective_policy(declared_policy(props), defaults)


def refuse_plan(integration_id: str, known: KnownTokens | None, olds: Properties, checked: Properties) -> str | None:
    """Say why nothing can be planned for this token, or None; `adopt` and `adopt_token` are not repeated."""
    if known is None and not olds and "adopt" in checked:
        return "the integration to adopt is not in the service, or this key does not reach its account"
    if known is None:
        return f"{integration_id} is not in the service any more; run pulumi refresh"
    owner = known.state.external_id
    if (olds or "adopt" not in checked) and owner != checked["external_id"]:
        return f"{integration_id} was taken over by {owner}; remove it from this stack with pulumi state delete"
    given = checked.get("adopt_token")
    if given is None or is_unknown(given):
        return None
    present = known.state.present
    if present is None or token_fingerprint(given) != present.fingerprint:
        theirs = present.fingerprint if present else "none"
        return f"adopt_token does not belong to the integration to adopt (its token's fingerprint is {theirs})"
    return None


def planned_generation(olds: Properties, checked: Properties, known: KnownTokens) -> Properties:
    """Return the inputs `generation` and `rotation_reason`, carried over unchanged when nothing is to be done."""
    present, policy = known.state.present, policy_in_force(checked, known.defaults)
    if not olds and "adopt" in checked and present is not None:
        if not checked.get("adopt_rotate"):
            return {"generation": present.generation, "rotation_reason": ADOPTED}
        reason = "adopted without its token: a new one is issued" + _ending_all(policy)
        return {"generation": known.state.last_generation + 1, "rotation_reason": reason}
    held = int(olds.get("generation", 0))
    decision = decide(
        policy,
        known.state,
        held,
        known.now,
        issuer=checked["external_id"],
        trigger_changed=_trigger_changed(olds, checked),
    )
    if isinstance(decision, Rotate):
        warning = _ending_all(policy) if olds and decision.generation > held else ""
        return {"generation": decision.generation, "rotation_reason": decision.reason + warning}
    return {"generation": olds["generation"], "rotation_reason": olds["rotation_reason"]}


def _ending_all(policy: EffectivePolicy) -> str:
    return "" if policy.overlap else "; overlap 0s: every older token ends at once"


def refuse_state(integration_id: str, state: Properties, planned: Properties, known: KnownTokens | None) -> str | None:
    """Say why the state's token can't be relied on although its number is the service's, or None.

    A service that was restored from an older copy may have given the same number to another token since.
    """
    if is_unknown(planned["generation"]) or planned["generation"] != state["generation"]:
        return None
    there, here = known and known.state.of_generation(int(state["generation"])), state.get("fingerprint")
    if not there or not here or there.fingerprint == here:
        return None
    return (
        f"generation {there.generation} of {integration_id} is another token in the service ({there.fingerprint}) "
        f"than in state ({here}): one of them is from an older copy; change trigger to issue a new one"
    )


def is_going_back(state: Properties, planned: Properties) -> bool:
    """Return whether a cancelled rotation is followed: the planned generation is the one before that in state."""
    return not is_unknown(planned["generation"]) and int(planned["generation"]) < int(state["generation"])


def token_to_go_back_to(state: Properties, generation: int, known: KnownTokens | None) -> TokenReport | None:
    """Return the token of this generation, if the state has its value and it works; else None."""
    found = known and known.state.of_generation(generation)
    kept = state.get("previous_token")
    return found if found and found.role != "ended" and kept and token_fingerprint(kept) == found.fingerprint else None


def token_before(state: Properties, known: KnownTokens | None) -> str | None:
    """Return the newest token in state that works: the one before the rotation to come; None if none does."""
    tokens = (state.get("token"), state.get("previous_token"))
    return next((token for token in tokens if token and known and _living(token, known)), None)


def observed(props: Properties, known: KnownTokens) -> Properties:
    """Return the outputs that the service moves: times and status of the generation in state."""
    held, kept = known.state.of_generation(int(props["generation"])), props.get("previous_token")
    policy = policy_in_force(props, known.defaults)
    before = _living(kept, known) if kept else None
    return {
        "rotated_at": rfc3339(held.issued_at) if held else props.get("rotated_at"),
        "previous_token": kept if before else None,
        "previous_token_expires_at": rfc3339(before.expires_at) if before and before.expires_at else None,
        "held_until": rfc3339(known.state.held_until) if known.state.held_until else None,
        "status": status(policy, known.state, known.now),
        "effective_rotation": shown_policy(policy),
    }


def shown_policy(policy: EffectivePolicy) -> Properties:
    """Return the output `effective_rotation`: every part in the spelling of the input `rotation`."""
    wire = policy.on_the_wire()
    every = {} if policy.every is None else {"every": format_duration(policy.every)}
    calendar = {} if policy.schedule is None else {"schedule": wire.schedule, "timezone": wire.timezone}
    return {**every, **calendar, **policy.margins, "enabled": policy.enabled}


def changed_defaults(state: Properties, planned: Properties, defaults: PolicyDefaults) -> str | None:
    """Say which parts of the policy the service's defaults have changed since the last run; None if they haven't."""
    shown, declared, before = (
        part or {} for part in (state.get("effective_rotation"), planned.get("rotation"), state.get("rotation"))
    )
    if is_unknown(declared) or any(declared.get(part) != before.get(part) for part in ("every", "schedule")):
        # The program changed the rule, and another rule has other defaults.
        return None
    now = policy_in_force(planned, defaults).margins
    left_out = [part for part in now if part not in declared and part not in before]
    changed = [part for part in left_out if shown.get(part) not in (None, now[part])]
    return "; ".join(f"{part} is {now[part]} by the service's default, was {shown[part]}" for part in changed) or None


def _living(token: str, known: KnownTokens) -> TokenReport | None:
    fingerprint = token_fingerprint(token)
    return next((s for s in known.state.tokens if s.fingerprint == fingerprint and s.role != "ended"), None)


def _trigger_changed(olds: Properties, checked: Properties) -> bool:
    """Return whether a trigger is declared that isn't the one of the last rotation; removing it is no change."""
    trigger = (checked.get("rotation") or {}).get("trigger")
    return bool(olds) and trigger is not None and trigger != (olds.get("rotation") or {}).get("trigger")
