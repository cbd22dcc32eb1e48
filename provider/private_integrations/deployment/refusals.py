"""Refuse in the preview what the service would refuse in the `up`; no sentence repeats a value that may be secret."""

from collections.abc import Iterator
from datetime import timedelta

from ..contract import Account, Integration, PolicyDefaults, PrincipalReport, Problem, ServiceRules
from ..rotation.acceptance import refuse_issue, refuse_period, refuse_scope
from ..rotation.policy import EffectivePolicy
from .batched_reads import KnownTokens
from .declaration import Properties, is_unknown
from .drift import left_alone
from .plan import ADOPTED, policy_in_force

_NAMED_ACCOUNTS = 5


def refuse_account(declared: Properties, principal: PrincipalReport) -> str | None:
    """Say why the key can do nothing in the declared account, or None; names the accounts that it reaches."""
    if is_unknown(declared["account"]) or _account(declared, principal) is not None:
        return None
    reached = [f"{account.id} ({account.name})" for account in principal.accounts]
    more = f" and {len(reached) - _NAMED_ACCOUNTS} more" if len(reached) > _NAMED_ACCOUNTS else ""
    named = f": {', '.join(reached[:_NAMED_ACCOUNTS])}{more}" if reached else "; it reaches none"
    return f"there is no account of this id that management key {principal.name} reaches{named}"


def refuse_values(
    declared: Properties, live: Integration | None, principal: PrincipalReport, rules: ServiceRules
) -> str | None:
    """Say why the service would not take these scopes or this policy, or None; `live` is the present integration."""
    account = _account(declared, principal)
    if account is None:
        return None
    kept = left_alone(declared) if live is not None else []
    scopes = live.scopes if live is not None and "scopes" in kept else declared["scopes"]
    refusal = next(_scope_refusals(scopes, account, rules), None) if not _is_all_unknown(scopes) else None
    if refusal is not None:
        return refusal
    if live is not None and "rotation" in kept:
        policy = EffectivePolicy.reported(live)
    elif is_unknown(_rule(declared)):
        return None
    else:
        policy = policy_in_force(declared, rules.policy_defaults)
    return refuse_period(policy, timedelta(seconds=rules.minimum_period_seconds))


def refuse_next_token(olds: Properties, planned: Properties, known: KnownTokens, rules: ServiceRules) -> str | None:
    """Say why the service would not issue the planned generation, or None."""
    held, generation = int(olds.get("generation", 0)), planned["generation"]
    if is_unknown(generation) or int(generation) <= held or planned["rotation_reason"] == ADOPTED:
        return None
    policy = policy_in_force(planned, known.defaults)
    refused = refuse_issue(
        [token for token in known.state.tokens if token.role != "ended"],
        issuer=planned["external_id"],
        holding=held,
        overlap=policy.overlap,
        limit=rules.superseded_tokens,
    )
    if refused is None:
        return None
    if refused.problem == Problem.TOO_MANY_LIVE_TOKENS and olds and _overlap(olds, known.defaults) != policy.overlap:
        # In the `up` the integration is updated first, which moves the deadlines of superseded tokens.
        return None
    return f"{known.state.integration_id}: {refused.detail}"


def _overlap(props: Properties, defaults: PolicyDefaults) -> timedelta | None:
    try:
        return policy_in_force(props, defaults).overlap
    except ValueError:
        return None


def _account(declared: Properties, principal: PrincipalReport) -> Account | None:
    return next((account for account in principal.accounts if account.id == declared["account"]), None)


def _is_all_unknown(scopes: object) -> bool:
    return not isinstance(scopes, list)


def _rule(declared: Properties) -> Properties:
    policy = declared.get("rotation") or {}
    return policy if not isinstance(policy, dict) else {k: part for k, part in policy.items() if k != "trigger"}


def _scope_refusals(scopes: list[str], account: Account, rules: ServiceRules) -> Iterator[str]:
    known = {rule.name: rule for rule in rules.scopes}
    for scope in scopes:
        if is_unknown(scope):
            continue
        rule = known.get(scope)
        if rule is None:
            yield f"this service does not know the scope {scope}; it may be older than this package"
            continue
        refusal = refuse_scope(scope, rule.account_kinds, oauth_only=rule.oauth_only, account_kind=account.kind)
        if refusal is not None:
            yield refusal
