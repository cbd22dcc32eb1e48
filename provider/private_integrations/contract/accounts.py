"""Accounts, and when their tokens that nobody uses are ended."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .account_classes import AccountClass
from .values import AccountId, Answer, Name, Request

SHORTEST_INACTIVITY = 2 * 86_400
"""Seconds: a token must be unused for at least so long, or there would be no day to warn of it."""
LONGEST_INACTIVITY = 366 * 86_400
"""Seconds: for so long at most, since last uses are not remembered for ever."""


class Account(Answer):
    """An account that integrations live in."""

    id: str
    name: str
    kind: AccountClass
    agency_id: str | None = None


class AccountList(Answer):
    """All accounts that the key may see."""

    accounts: list[Account]


InactivityRule = Literal["service", "off", "after"]
"""When tokens that nobody uses are ended: as the service is set, never, or after a time of the account's own."""


class InactivityRequest(Request):
    """Say when an account's tokens that nobody uses are ended; `after_seconds` belongs to the rule `after`."""

    rule: InactivityRule
    after_seconds: Annotated[int, Field(ge=SHORTEST_INACTIVITY, le=LONGEST_INACTIVITY)] | None = None

    @model_validator(mode="after")
    def _one_time(self) -> "InactivityRequest":
        if (self.rule == "after") != (self.after_seconds is not None):
            raise ValueError('after_seconds belongs to the rule "after", and to no other')
        return self


class Inactivity(Answer):
    """The account's rule, and what it comes to: after how long a token that nobody uses is ended, None for never."""

    account: str
    rule: InactivityRule
    after_seconds: int | None


class AccountRequest(Request):
    """Make an account known under the id that it has on the platform, or change its name.

    A sub-account belongs to an agency, which is known here already.
    """

    name: Name
    kind: AccountClass = AccountClass.SUB_ACCOUNT
    agency_id: AccountId | None = None

    @model_validator(mode="after")
    def _within(self) -> "AccountRequest":
        if self.kind.belongs_to_agency != (self.agency_id is not None):
            raise ValueError("a sub-account belongs to an agency (agency_id), and an agency to none")
        return self
