"""Tokens: their format, their life cycle, inactivity and policy defaults, and advice drawn from their use.

Every function is pure: it takes stored values and an instant, and returns the change to store or a refusal. For
example: `plan_expiry(tokens, last_generation, {3}, now)`.
"""
