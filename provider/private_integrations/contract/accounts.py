"""Accounts, and after what time the service ends their inactive tokens."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .account_classes import AccountClass
from .values import AccountId, Name, RequestModel, ResponseModel

SHORTEST_INACTIVITY = 2 * 86_400
"""Seconds. A shorter time would leave no day to warn of the end."""
LONGEST_INACTIVITY = 366 * 86_400
"""Seconds. Last uses are not kept for longer."""


class Account(ResponseModel):
    """An account that integrations live in."""

    id: str
    name: str
    kind: AccountClass
    agency_id: str | None = None


class AccountList(ResponseModel):
    """All accounts that the key may see."""

    accounts: list[Account]


InactivityRule = Literal["service", "off", "after"]
"""When the service ends inactive tokens: as it is set for all accounts, never, or after a time of the account's own."""


class InactivityRequest(RequestModel):
    """Set when an account's inactive tokens are ended; `after_seconds` belongs to the rule `after`."""

    rule: InactivityRule
    after_seconds: Annotated[int, Field(ge=SHORTEST_INACTIVITY, le=LONGEST_INACTIVITY)] | None = None

    @model_validator(mode="after")
    def _one_time(self) -> "InactivityRequest":
        if (self.rule == "after") != (self.after_seconds is not None):
            raise ValueError('after_seconds belongs to the rule "after", and to no other')
        return self


class Inactivity(ResponseModel):
    """Report the account's rule, and after how long an inactive token is ended by it; None for never."""

    account: str
    rule: InactivityRule
    after_seconds: int | None


class AccountRequest(RequestModel):
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
