"""The defaults of rotation policies: what holds where a declaration leaves a part out.

Only the service knows them. It never stores them, so a changed default is in force for every integration at once.
`GET /rules` reports them; the provider previews with what it reads there.
"""

from private_integrations.contract import Integration, PolicyDefaults, RotationPolicy
from private_integrations.rotation.policy import EffectivePolicy, effective_policy

_HOUR = 3_600
_DAY = 24 * _HOUR

POLICY_DEFAULTS = PolicyDefaults(
    overlap_seconds=7 * _DAY,
    overlap_divisor=2,
    early_window_seconds=_HOUR,
    early_window_divisor=10,
)


def in_force(declared: RotationPolicy | None) -> EffectivePolicy:
    """Return the policy that holds for an integration that declares this one, or none."""
    return effective_policy(declared, POLICY_DEFAULTS)


def reported(integration: Integration) -> Integration:
    """Return the integration as the API answers it: with the policy that is in force."""
    return integration.model_copy(update={"effective_rotation": in_force(integration.rotation).on_the_wire()})
