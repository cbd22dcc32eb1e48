"""Refuse a resource that would take over the integration of another one, before any change is made."""

from ..contract import Integration, instant_text
from .batched_reads import Deployment
from .declaration import Properties, is_unknown
from .holders import Place, Renamed
from .identity import earlier_names, identity_of, is_named, rename_command, stack_of

_PATIENCE = 1.0
"""Seconds that a resource waits before it takes what another one of the run may have that is not checked yet."""


def refuse_existing(deployment: Deployment, state: Properties, resource: str, options: Properties | None) -> str | None:
    """Note the integration of a resource of the state, and tell why it can't keep it, or None.

    `resource` is the external id that it would have if it were new; `options` are those of its declaration.
    """
    other = deployment.holders.take((state["account"], state["external_id"]), resource)
    if other is not None:
        return (
            f"{state['external_id']} is this resource's integration, and {identity_of(other)} of the same program "
            "claims it, too: give that one another logical name, and no adopt of this integration"
        )
    name = (options or {}).get("logical_name")
    before = None if name is None else _name_before(state, name)
    if name is not None and before is not None and before not in (options or {}).get("former_names", []):
        deployment.holders.note_renamed(state["external_id"], Renamed(before, name, resource))
    return None


def recorded_name(state: Properties, options: Properties | None) -> Properties:
    """Return the input that keeps the logical name of a resource whose external id has an earlier one.

    It is kept for a rename by the option `aliases` only, which carries the Token along. Where the state was edited,
    the Token may still have its old name.
    """
    name = (options or {}).get("logical_name")
    before = None if name is None else _name_before(state, name)
    if name is None or (before is not None and before not in (options or {}).get("former_names", [])):
        return {"logical_name": state["logical_name"]} if "logical_name" in state else {}
    return {} if is_named(state["external_id"], name) else {"logical_name": name}


def refuse_new(deployment: Deployment, declared: Properties, resource: str, options: Properties) -> str | None:
    """Note the integration that a new resource or a successor will have, and tell why it can't have it, or None."""
    if is_unknown(declared["account"]) or is_unknown(declared.get("adopt")):
        return None
    place = (declared["account"], declared["external_id"])
    present = deployment.owned(place[1], place[0])
    if "adopt" in declared:
        if options.get("delete_before_replace") and present is not None and present.id == declared["adopt"]:
            # A replacement of an adopted one, it seems: it would be deleted before it is adopted again.
            return f"{_fact(present)}: delete_before_replace would delete what adopt names; leave out one of the two"
        return _refuse_adoption(deployment, declared["adopt"], place, present, resource)
    replaced = deployment.holders.has_taken(place, resource)
    other = deployment.holders.take(place, resource)
    if other is not None:
        return taken_by_another(place[1], present, other)
    if present is None or present.last_generation == 0:
        return None
    if options.get("retain_on_delete"):
        return (
            f"{_fact(present)} and is not deleted with its resource, because of retain_on_delete: "
            "a replacement in the same account needs another logical name"
        )
    if options.get("delete_before_replace"):
        return None
    if replaced:
        return (
            f"{_fact(present)}, and its replacement would be made before it is deleted; "
            "give it ResourceOptions(delete_before_replace=True)"
        )
    return taken(_fact(present), present.id)


def taken(fact: str, integration_id: str) -> str:
    """Tell what to do about an external id that the service knows already, and no other resource of the run has."""
    return (
        f"{fact}; if another resource of this stack has it, after a rename, give this one another logical name"
        f'; to take it over, declare adopt="{integration_id}", unless another backend has a stack of the same '
        "project and name that owns it; to replace one of this stack, give it "
        "ResourceOptions(delete_before_replace=True)"
    )


def taken_by_another(external_id: str, present: Integration | None, other: str) -> str:
    """Tell what to do about an external id that another resource of the run has."""
    fact = _fact(present) if present else external_id
    return f"{fact} and belongs to {identity_of(other)} of the same stack; give this resource another logical name"


def refuse_adopting(deployment: Deployment, target: Integration, resource: str) -> str | None:
    """Tell which other resource of the run has the integration to adopt; None if none has.

    Without a preview the other one may be checked after this one is made, so that this waits for it a little.
    """
    if target.external_id == resource or stack_of(target.external_id) != stack_of(resource):
        return None
    other = deployment.holders.other((target.account, target.external_id), resource, patience=_PATIENCE)
    return None if other is None else _adopted_by_two(other)


def refuse_replacing(deployment: Deployment, place: Place, remains: str, resource: str) -> str | None:
    """Tell why an integration is not the remains of an interrupted creation, or None if it is; waits as well."""
    if deployment.holders.made(remains):
        return f"{remains} was made by this run"
    other = deployment.holders.other(place, resource, patience=_PATIENCE)
    return None if other is None else taken_by_another(place[1], None, other)


def refuse_lost(deployment: Deployment, integration_id: str, state: Properties) -> str | None:
    """Tell who has taken over an integration, if the state's mark of ownership isn't the service's; or None."""
    live = deployment.integration(integration_id, state.get("external_id"))
    if live is None or "claim" not in state or live.owner_nonce == state["claim"]:
        return None
    if live.external_id != state["external_id"]:
        return _taken_over(live, f"{live.id} was taken over by {live.external_id}")
    adoption = deployment.adoption_of(live.id)
    by = " by another owner"
    if adoption is not None and adoption.instant is not None:
        kind = " (a deployment)" if adoption.kind == "deployment" else ""
        by = f" by {adoption.who}{kind} at {instant_text(adoption.instant)}"
    return _taken_over(
        live,
        f"{live.id} was adopted under the same name, {live.external_id},{by}: "
        "another backend has a stack of the same project and name, and owns it now",
    )


def refuse_renamed_alone(deployment: Deployment, checked: Properties) -> str | None:
    """Tell how to rename a Token in the state whose integration was renamed there without it; or None."""
    renamed = deployment.holders.renamed(checked["external_id"])
    if renamed is None:
        return None
    return (
        f"{renamed.before} was renamed to {renamed.now} in the state, but its Token was not, and would be replaced; "
        f"run: {rename_command(renamed.identity, renamed.before, renamed.now)} "
        f"(or, if the state has no such Token, give {renamed.now} "
        f'ResourceOptions(aliases=[pulumi.Alias(name="{renamed.before}")]) and run pulumi up)'
    )


def _refuse_adoption(
    deployment: Deployment, adopt: str, place: Place, present: Integration | None, resource: str
) -> str | None:
    account, external_id = place
    target = deployment.integration(adopt, external_id)
    if target is None:
        return "the integration to adopt is not in the service, or this key does not reach its account"
    if target.account != account:
        return (
            "the integration to adopt is in another account than the one declared, and can't be adopted into that; "
            "leave out adopt to make another integration there"
        )
    if present is not None and present.id != adopt:
        return f"{_fact(present)}, so this resource can't adopt another one; give it another logical name"
    taken_by = deployment.holders.take((account, target.external_id), resource)
    other = taken_by or deployment.holders.take(place, resource)
    return None if other is None else _adopted_by_two(other)


def _adopted_by_two(other: str) -> str:
    return (
        f"the integration to adopt belongs to {identity_of(other)} of the same program; no two resources can own it: "
        "leave out adopt"
    )


def _name_before(state: Properties, name: str) -> str | None:
    """Return the logical name in the last run, where it was another one than today."""
    names = earlier_names(state["external_id"], state.get("logical_name"))
    return None if name in names else names[0]


def _taken_over(live: Integration, fact: str) -> str:
    return (
        f"{fact}; remove it from this stack with pulumi state delete --target-dependents; "
        f'to take it back, declare adopt="{live.id}" after that'
    )


def _fact(present: Integration) -> str:
    return f"{present.external_id} is {present.id} since {instant_text(present.created_at)}"
