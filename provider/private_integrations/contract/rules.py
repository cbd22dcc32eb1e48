"""Describe the limits and scopes that the service accepts, so that a preview refuses what the `up` would refuse."""

from .values import Answer


class ScopeRule(Answer):
    """Which kinds of accounts may hold a scope, all of them if none is named; `oauth_only` ones no integration may."""

    name: str
    account_kinds: list[str]
    oauth_only: bool = False


class ServiceRules(Answer):
    """The limits in force, and the scopes that the service knows.

    `minimum_period_seconds` is the shortest period of a rotation, `superseded_tokens` how many superseded tokens of an
    integration may live at once.
    """

    minimum_period_seconds: int
    superseded_tokens: int
    scopes: list[ScopeRule]
