"""Describe the limits and scopes that the service accepts, so that a preview refuses what the `up` would refuse."""

from .values import ResponseModel


class ScopeRule(ResponseModel):
    """Name the kinds of accounts that may hold a scope, none for all; no integration may hold an `oauth_only` one."""

    name: str
    account_kinds: list[str]
    oauth_only: bool = False


class PolicyDefaults(ResponseModel):
    """Report the values that the service puts in place of the parts that a rotation policy leaves out.

    The overlap is `overlap_seconds`, but at most the period divided by `overlap_divisor`. The early window is
    `early_window_seconds`, but at most the period divided by `early_window_divisor`; with a schedule there is none.
    """

    overlap_seconds: int
    overlap_divisor: int
    early_window_seconds: int
    early_window_divisor: int


class ServiceRules(ResponseModel):
    """Report the limits and the policy defaults in force, and the scopes that the service knows.

    `minimum_period_seconds` is the shortest period of a rotation, `superseded_tokens` how many superseded tokens of an
    integration may live at once.
    """

    minimum_period_seconds: int
    superseded_tokens: int
    policy_defaults: PolicyDefaults
    scopes: list[ScopeRule]
