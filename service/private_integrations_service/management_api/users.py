"""Serve the routes of the users of the settings pages; no proxy on the way may cache a response."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from private_integrations.contract import (
    AccountId,
    Email,
    Invitation,
    MembershipEdit,
    UserList,
    UserReport,
    UserRequest,
)

from ..access.security_log import SecurityEvent, who
from ..operations import users
from .callers import RequestContext, administrator, unless_refused

Administering = Annotated[RequestContext, Depends(administrator("users"))]


def _not_kept(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


def _noted(asking: RequestContext, made: Invitation) -> Invitation:
    if made.code is not None:
        asking.note(SecurityEvent.LINK_MADE, user=made.user_id, by=who(asking.actor))
    return made


router = APIRouter(dependencies=[Depends(_not_kept)])


@router.get("/users")
def list_users(asking: Administering) -> UserList:
    """List the users of the settings pages, and their memberships."""
    return UserList(users=users.listed(asking.engine))


@router.put("/users/{email}")
def invite_user(email: Email, body: UserRequest, asking: Administering) -> Invitation:
    """Create a user; the one-time code in the response lets them choose a password. An existing user stays as is."""
    links = asking.rules.settings.password_sign_in
    made = unless_refused(users.invite(asking.engine, email, body, actor=asking.actor, links=links))
    return _noted(asking, made)


@router.post("/users/{email}/link")
def make_sign_in_link(email: Email, asking: Administering) -> Invitation:
    """Make another one-time code, for a user who forgot their password or lost the first code."""
    links = asking.rules.settings.password_sign_in
    made = unless_refused(users.link(asking.engine, email, actor=asking.actor, links=links))
    return _noted(asking, made)


@router.post("/users/{email}/disable")
def disable_user(email: Email, asking: Administering) -> UserReport:
    """Disable a user; their sessions and one-time codes end now."""
    return unless_refused(users.disable(asking.engine, email, actor=asking.actor))


@router.post("/users/{email}/enable")
def enable_user(email: Email, asking: Administering) -> UserReport:
    """Enable a user again."""
    return unless_refused(users.enable(asking.engine, email, actor=asking.actor))


@router.delete("/users/{email}/identities")
def forget_identities(email: Email, asking: Administering) -> UserReport:
    """Delete a user's identities at the identity provider, and end their sessions."""
    report = unless_refused(users.forget_identities(asking.engine, email, actor=asking.actor))
    asking.note(SecurityEvent.IDENTITIES_FORGOTTEN, user=report.id, by=who(asking.actor))
    return report


@router.put("/users/{email}/memberships/{account_id}")
def put_membership(email: Email, account_id: AccountId, body: MembershipEdit, asking: Administering) -> UserReport:
    """Give a user a membership in an account, or change role and permissions there, at once."""
    return unless_refused(users.place(asking.engine, email, account_id, body, actor=asking.actor))


@router.delete("/users/{email}/memberships/{account_id}")
def remove_membership(email: Email, account_id: AccountId, asking: Administering) -> UserReport:
    """Remove a user's membership in an account, at once."""
    return unless_refused(users.displace(asking.engine, email, account_id, actor=asking.actor))
