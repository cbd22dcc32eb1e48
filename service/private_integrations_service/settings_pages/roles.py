"""Show Roles & Permissions of an account: its people, their permissions, and the source of each permission."""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from private_integrations.contract import (
    Email,
    Invitation,
    MembershipEdit,
    MembershipRole,
    Name,
    Problem,
    Refused,
    fault_reason,
)

from ..access import permissions
from ..access.people import User
from ..access.security_log import SecurityEvent, who
from ..operations import users
from ..operations.users import AccountMember
from .page_requests import PageRequest, for_administrators
from .paging import page_of
from .sign_in import HOME

_PAGE = "/settings/accounts/{account_id}/roles"
# Rows of one page: each has forms.
_PEOPLE = 30
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def _show(asking: PageRequest) -> Response | Refused:
    return _page(asking, 200)


def _invite(asking: PageRequest) -> Response | Refused:
    try:
        email, name = _EMAIL.validate_python(asking.field("email")), asking.field("name")
        name = _NAME.validate_python(name) if name else email
        edit = MembershipEdit(role=_chosen(asking, "role"))
    except ValidationError as error:
        return _page(asking, 422, fault=f"this invitation is not complete: {fault_reason(error.errors()[0])}")
    made = users.invite_into(
        asking.engine,
        asking.path["account_id"],
        email,
        name,
        edit,
        actor=asking.actor,
        editor=_editor(asking),
        links=asking.settings.password_sign_in,
    )
    return _handed_over(asking, made)


def _change(asking: PageRequest) -> Response | Refused:
    try:
        edit = MembershipEdit(
            role=_chosen(asking, "role"), own=_chosen(asking, "own"), sub_accounts=_chosen(asking, "sub_accounts")
        )
    except ValidationError:
        return _page(asking, 422, fault="this is no role or permission that there is")
    return _changed(asking, edit)


def _remove(asking: PageRequest) -> Response | Refused:
    return _changed(asking, None)


def _link(asking: PageRequest) -> Response | Refused:
    made = users.link_for(
        asking.engine,
        asking.path["account_id"],
        asking.path["user_id"],
        actor=asking.actor,
        editor=_editor(asking),
        links=asking.settings.password_sign_in,
    )
    return _handed_over(asking, made)


def _changed(asking: PageRequest, edit: MembershipEdit | None) -> Response | Refused:
    changed = users.change_place(
        asking.engine,
        asking.path["account_id"],
        asking.path["user_id"],
        edit,
        actor=asking.actor,
        editor=_editor(asking),
    )
    if isinstance(changed, Refused):
        return _refused(asking, changed)
    if changed.user.id == _editor(asking).id and edit is None:
        return asking.to(HOME)
    if edit is None:
        return asking.to(_address(asking), notice="person-removed")
    ended = "-password-ended" if changed.password_ended else "-link-ended" if changed.links_ended else ""
    return asking.to(_address(asking), notice=f"roles-changed{ended}")


def _handed_over(asking: PageRequest, made: Invitation | Refused) -> Response | Refused:
    """Show the page with the one-time link, which is on no other page."""
    if isinstance(made, Refused):
        return _refused(asking, made)
    if made.code is not None:
        asking.note(SecurityEvent.LINK_MADE, user=made.user_id, by=who(asking.actor))
    return asking.page("invited.html", made=made, link=_link_with(asking, made), back=_address(asking))


def _link_with(asking: PageRequest, made: Invitation) -> str | None:
    if made.code is None:
        return None
    # Without a public address: the form's own origin, by the browser.
    base = asking.settings.public_url or asking.request.headers.get("origin", "")
    return f"{base}/settings/welcome/{made.code}"


def _refused(asking: PageRequest, refused: Refused) -> Response | Refused:
    if refused.problem in (Problem.ACCOUNT_UNKNOWN, Problem.USER_UNKNOWN):
        return refused
    if refused.problem.status == 403:
        asking.note_refused(refused.problem)
    return _page(asking, refused.problem.status, fault=refused.detail)


def _page(asking: PageRequest, status: int, *, fault: str | None = None) -> Response | Refused:
    assert asking.person is not None
    account = asking.person.account(asking.path["account_id"])
    if isinstance(account, Refused):
        return account
    places = users.people_of(asking.engine, account)
    held = asking.person.memberships
    page, pages = page_of(asking.query.get("page", ""), len(places), _PEOPLE)
    return asking.page(
        "roles.html",
        status=status,
        account=account,
        roles=tuple(MembershipRole),
        people=[_row(place) for place in places[(page - 1) * _PEOPLE : page * _PEOPLE]],
        total=len(places),
        page=page,
        pages=pages,
        grantable=permissions.grantable(held, account),
        administers=permissions.administers(held, account),
        switched_off=account.id in asking.person.switched_off,
        fault=fault,
    )


def _row(place: AccountMember) -> dict[str, Any]:
    member = place.membership
    return {
        "user": place.user,
        "role": member.role,
        "inherited": place.inherited,
        "manages": member.manages_sub_accounts if place.inherited else member.manages_own,
        "source": permissions.source(member.sub_accounts if place.inherited else member.own),
        "manages_sub_accounts": member.manages_sub_accounts,
        "sub_accounts_source": permissions.source(member.sub_accounts),
    }


def _chosen(asking: PageRequest, field: str) -> Any:
    """Read the chosen values, checked by their model; values that the form lacks stay as they are."""
    return asking.field(field) or None


def _editor(asking: PageRequest) -> User:
    assert asking.person is not None
    return asking.person.user


def _address(asking: PageRequest) -> str:
    return _PAGE.replace("{account_id}", asking.path["account_id"])


ROUTES = [
    Route(_PAGE, for_administrators(_show), methods=["GET"]),
    Route(f"{_PAGE}/invite", for_administrators(_invite), methods=["POST"]),
    Route(f"{_PAGE}/{{user_id}}", for_administrators(_change), methods=["POST"]),
    Route(f"{_PAGE}/{{user_id}}/remove", for_administrators(_remove), methods=["POST"]),
    Route(f"{_PAGE}/{{user_id}}/link", for_administrators(_link), methods=["POST"]),
]
