"""What the next deployment will do with a token, and what is seen of it: inputs and outputs from the service's word."""

from .contract import rfc3339, token_fingerprint
from .declaration import Properties, is_unknown
from .deployment import Known
from .rotation import Policy, Rotate, decide, read_policy, status


def declared_policy(props: Properties) -> Policy:
    """The policy that the inputs declare, every default filled in."""
    return read_policy(props.get("rotation") or {})


def refuse_plan(integration_id: str, known: Known | None, olds: Properties, checked: Properties) -> str | None:
    """Why nothing can be planned for this token, or None."""
    if known is None:
        return f"{integration_id} is not in the service any more; run pulumi refresh"
    owner = known.state.external_id
    if olds and owner != checked["external_id"]:
        return f"{integration_id} was taken over by {owner}; remove it from this stack with pulumi state delete"
    given = checked.get("adopt_token")
    if given is None or is_unknown(given):
        return None
    present = known.state.present
    if present is None or token_fingerprint(given) != present.fingerprint:
        theirs = present.fingerprint if present else "none"
        return f"adopt_token does not belong to {integration_id} (its fingerprint is {theirs})"
    return None


def planned_generation(olds: Properties, checked: Properties, known: Known) -> Properties:
    """The inputs `generation` and `rotation_reason`, carried over unchanged when nothing is to be done."""
    present, policy = known.state.present, declared_policy(checked)
    if not olds and "adopt" in checked and present is not None:
        return {"generation": present.generation, "rotation_reason": "adopted"}
    decision = decide(
        policy,
        known.state,
        int(olds.get("generation", 0)),
        known.now,
        issuer=checked["external_id"],
        trigger_changed=_trigger_changed(olds, checked),
    )
    if isinstance(decision, Rotate):
        warning = "" if policy.overlap or not olds else "; overlap 0s: every older token ends at once"
        return {"generation": decision.generation, "rotation_reason": decision.reason + warning}
    return {"generation": olds["generation"], "rotation_reason": olds["rotation_reason"]}


def observed(props: Properties, known: Known) -> Properties:
    """The outputs that the service moves: times and status of the generation in state."""
    held = known.state.of_generation(int(props["generation"]))
    before = known.state.in_role("previous")
    overlapping = before is not None and held is not None and held.role == "current"
    waiting = held is not None and held.role == "pending"
    return {
        "rotated_at": rfc3339(held.issued_at) if held else props.get("rotated_at"),
        "previous_token": props.get("previous_token") if overlapping or waiting else None,
        "previous_token_expires_at": (
            rfc3339(before.expires_at) if overlapping and before and before.expires_at else None
        ),
        "status": status(declared_policy(props), known.state, known.now),
    }


def _trigger_changed(olds: Properties, checked: Properties) -> bool:
    """Whether a trigger is declared that isn't the one of the last rotation; removing it is no change."""
    trigger = (checked.get("rotation") or {}).get("trigger")
    return bool(olds) and trigger is not None and trigger != (olds.get("rotation") or {}).get("trigger")
