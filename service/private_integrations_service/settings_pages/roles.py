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
from ..operations.users import Place
from .paging import page_of
from .sign_in import HOME
from .visits import Visit, for_administrators

_PAGE = "/settings/accounts/{account_id}/roles"
# Rows of one page: each has forms.
_PEOPLE = 30
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def _show(visit: Visit) -> Response | Refused:
    return _page(visit, 200)


def _invite(visit: Visit) -> Response | Refused:
    try:
        email, name = _EMAIL.validate_python(visit.field("email")), visit.field("name")
        name = _NAME.validate_python(name) if name else email
        edit = MembershipEdit(role=_chosen(visit, "role"))
    except ValidationError as error:
        return _page(visit, 422, fault=f"this invitation is not complete: {fault_reason(error.errors()[0])}")
    made = users.invite_into(
        visit.engine,
        visit.path["account_id"],
        email,
        name,
        edit,
        actor=visit.actor,
        editor=_editor(visit),
        links=visit.settings.password_sign_in,
    )
    return _handed_over(visit, made)


def _change(visit: Visit) -> Response | Refused:
    try:
        edit = MembershipEdit(
            role=_chosen(visit, "role"), own=_chosen(visit, "own"), sub_accounts=_chosen(visit, "sub_accounts")
        )
    except ValidationError:
        return _page(visit, 422, fault="this is no role or permission that there is")
    return _changed(visit, edit)


def _remove(visit: Visit) -> Response | Refused:
    return _changed(visit, None)


def _link(visit: Visit) -> Response | Refused:
    made = users.link_for(
        visit.engine,
        visit.path["account_id"],
        visit.path["user_id"],
        actor=visit.actor,
        editor=_editor(visit),
        links=visit.settings.password_sign_in,
    )
    return _handed_over(visit, made)


def _changed(visit: Visit, edit: MembershipEdit | None) -> Response | Refused:
    changed = users.change_place(
        visit.engine, visit.path["account_id"], visit.path["user_id"], edit, actor=visit.actor, editor=_editor(visit)
    )
    if isinstance(changed, Refused):
        return _refused(visit, changed)
    if changed.user.id == _editor(visit).id and edit is None:
        return visit.to(HOME)
    if edit is None:
        return visit.to(_address(visit), notice="person-removed")
    ended = "-password-ended" if changed.password_ended else "-link-ended" if changed.links_ended else ""
    return visit.to(_address(visit), notice=f"roles-changed{ended}")


def _handed_over(visit: Visit, made: Invitation | Refused) -> Response | Refused:
    """Show the page with the one-time link, which is on no other page."""
    if isinstance(made, Refused):
        return _refused(visit, made)
    if made.code is not None:
        visit.note(SecurityEvent.LINK_MADE, user=made.user_id, by=who(visit.actor))
    return visit.page("invited.html", made=made, link=_link_with(visit, made), back=_address(visit))


def _link_with(visit: Visit, made: Invitation) -> str | None:
    if made.code is None:
        return None
    # Without a public address: the form's own origin, by the browser.
    base = visit.settings.public_url or visit.request.headers.get("origin", "")
    return f"{base}/settings/welcome/{made.code}"


def _refused(visit: Visit, refused: Refused) -> Response | Refused:
    if refused.problem in (Problem.ACCOUNT_UNKNOWN, Problem.USER_UNKNOWN):
        return refused
    if refused.problem.status == 403:
        visit.note_refused(refused.problem)
    return _page(visit, refused.problem.status, fault=refused.detail)


def _page(visit: Visit, status: int, *, fault: str | None = None) -> Response | Refused:
    assert visit.person is not None
    account = visit.person.account(visit.path["account_id"])
    if isinstance(account, Refused):
        return account
    places = users.people_of(visit.engine, account)
    held = visit.person.memberships
    page, pages = page_of(visit.query.get("page", ""), len(places), _PEOPLE)
    return visit.page(
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
        switched_off=account.id in visit.person.switched_off,
        fault=fault,
    )


def _row(place: Place) -> dict[str, Any]:
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


def _chosen(visit: Visit, field: str) -> Any:
    """Read the chosen values, checked by their model; values that the form lacks stay as they are."""
    return visit.field(field) or None


def _editor(visit: Visit) -> User:
    assert visit.person is not None
    return visit.person.user


def _address(visit: Visit) -> str:
    return _PAGE.replace("{account_id}", visit.path["account_id"])


ROUTES = [
    Route(_PAGE, for_administrators(_show), methods=["GET"]),
    Route(f"{_PAGE}/invite", for_administrators(_invite), methods=["POST"]),
    Route(f"{_PAGE}/{{user_id}}", for_administrators(_change), methods=["POST"]),
    Route(f"{_PAGE}/{{user_id}}/remove", for_administrators(_remove), methods=["POST"]),
    Route(f"{_PAGE}/{{user_id}}/link", for_administrators(_link), methods=["POST"]),
]
