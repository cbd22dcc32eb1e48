"""Rotation: the policy that a program declares, its schedules, and the decision to rotate.

The provider's preview, the command line and the service all call these functions, so they agree. For example:
`decide(policy, state, trigger, now, issuer=external_id)` returns `Keep()` or `Rotate(generation, reason)`.
"""
