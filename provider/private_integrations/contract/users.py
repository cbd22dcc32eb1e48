"""The people who use the settings pages, and what they may do there."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .roles import MembershipRole
from .values import AccountId, Instant, Name, RequestModel, ResponseModel, one_line

Email = Annotated[
    str,
    Field(min_length=3, max_length=254, pattern=r"^[^@/\s\x00-\x1f]+@[^@/\s\x00-\x1f]+$"),
    AfterValidator(one_line),
]


class MembershipRequest(RequestModel):
    """A person's place in an account: an admin manages its private integrations unless that is taken away."""

    account: AccountId
    role: MembershipRole = MembershipRole.ADMIN


class UserRequest(RequestModel):
    """A person who uses the settings pages, and where they belong."""

    name: Name | None = None
    memberships: Annotated[list[MembershipRequest], Field(min_length=1, max_length=1000)]


class Invitation(ResponseModel):
    """A one-time code to choose a password with; it is in this answer only. None where people sign in otherwise."""

    user_id: str
    email: str
    code: str | None = None
    expires_at: Instant | None = None


PermissionSource = Literal["default", "given", "taken"]
"""Where a permission comes from: from the role, or given to this person, or taken from them."""


class MembershipEdit(RequestModel):
    """A person's place in an account: what isn't given stays as it is; a new place is a user's unless said otherwise.

    `own` is the permission to manage the account's private integrations, `sub_accounts`, of agencies, that to manage
    those of its sub-accounts; by default admins have both and others none.
    """

    role: MembershipRole | None = None
    own: PermissionSource | None = None
    sub_accounts: PermissionSource | None = None


class UserPlace(ResponseModel):
    """Where a person belongs, as what, and where their permissions there come from."""

    account: str
    role: MembershipRole
    own: PermissionSource
    sub_accounts: PermissionSource


class UserReport(ResponseModel):
    """A person who uses the settings pages; never a password, a session or a code."""

    id: str
    email: str
    name: str
    created_at: Instant
    disabled_at: Instant | None
    has_password: bool
    memberships: list[UserPlace]


class UserList(ResponseModel):
    """Every person, the disabled ones too."""

    users: list[UserReport]
