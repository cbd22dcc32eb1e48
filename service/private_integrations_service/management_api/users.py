"""Routes of the users of the settings pages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from private_integrations.contract import Email, Invitation, UserRequest

from ..operations import users
from .callers import Caller, administrator, unless_refused

router = APIRouter()

Administering = Annotated[Caller, Depends(administrator("users"))]


@router.put("/users/{email}")
def invite_user(email: Email, body: UserRequest, asking: Administering, response: Response) -> Invitation:
    """Make a user, or change where they belong; the one-time code in the answer lets them choose a password."""
    with asking.database.write(asking.now, verdicts=False) as write:
        invitation = unless_refused(users.invite(write, email, body, actor=asking.actor))
    response.headers["Cache-Control"] = "no-store"
    return invitation
