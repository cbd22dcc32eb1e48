"""Show the people of the settings pages as users, if they have a membership in an account that the token reaches."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy import Connection

from private_integrations.contract import AccountClass, MembershipRole

from ..access.people import User
from ..access.permissions import Membership
from ..authorizer.replies import PlatformError, Reply
from ..operations.accounts import accounts_within
from ..operations.users import places_in
from .answers import not_found
from .bodies import invalid, one_of
from .queries import LARGEST_SKIP, flag, last, number_faults, query_text, whole_number
from .requests import SandboxRequest

_DEFAULT_LIMIT = 25
_LARGEST_LIMIT = 100
_ORDERS = ("name", "firstName", "lastName", "email", "dateAdded")


@dataclass(frozen=True)
class SandboxUser:
    """Describe a user to a token: are they a member of its agency, are they an admin, and of which locations."""

    user: User
    in_agency: bool
    is_admin: bool
    locations: tuple[str, ...]

    @property
    def id(self) -> str:
        """Return the user's id in the form of the platform's, without the prefix that ids have elsewhere."""
        return self.user.id.removeprefix("usr_")

    @property
    def kind(self) -> str:
        """Return the type of a user in the platform's words."""
        return "agency" if self.in_agency else "account"

    @property
    def role(self) -> str:
        """Return the highest role in any of these accounts."""
        return "admin" if self.is_admin else "user"


@dataclass(frozen=True)
class UserSearch:
    """Hold the parameters of `GET /users/search`; an empty value matches any user."""

    skip: int
    limit: int
    text: str
    kind: str
    role: str
    ids: frozenset[str]
    location: str
    order: str
    descending: bool


def list_users(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /users/`: all people of the location, by name."""
    faults = request.query_faults()
    if faults:
        return invalid(faults)
    with request.read() as connection:
        people = _people(connection, request.account_id)
    return Reply(
        200, {"users": [_listed(person) for person in sorted(people, key=lambda person: _place(person, "name"))]}
    )


def search_users(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /users/search`: the people that the token reaches; `count` is the number of all matches."""
    search = _read_search(request)
    if isinstance(search, PlatformError):
        return search
    with request.read() as connection:
        company = _company_of(connection, request.account_id)
        people = _people(connection, request.account_id)
    # Calendars of the sandbox are not synchronized with others.
    empty = last(request.query, "companyId") != company or last(request.query, "enabled2waySync") == "true"
    found = [] if empty else [person for person in people if _matches(person, search)]
    found.sort(key=lambda person: _place(person, search.order), reverse=search.descending)
    page = found[search.skip : search.skip + search.limit]
    return Reply(200, {"users": [_listed(person) for person in page], "count": len(found)})


def read_user(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /users/{userId}`, without an envelope."""
    user_id = request.parameter("userId")
    with request.read() as connection:
        people = _people(connection, request.account_id)
    found = next((person for person in people if person.id == user_id), None)
    return not_found("User", user_id) if found is None else Reply(200, _shown(found))


def _people(connection: Connection, account_id: str) -> list[SandboxUser]:
    """Find the enabled members of the account and, if it is an agency, of its sub-accounts."""
    accounts = accounts_within.step(connection, [account_id])
    kinds = {account.id: account.kind for account in accounts}
    places: dict[str, list[Membership]] = {}
    users: dict[str, User] = {}
    for user, place in places_in.step(connection, list(kinds)):
        if user.disabled_at is None:
            users[user.id] = user
            places.setdefault(user.id, []).append(place)
    return [_person(user, places[user.id], kinds) for user in users.values()]


def _person(user: User, places: Sequence[Membership], kinds: Mapping[str, AccountClass]) -> SandboxUser:
    return SandboxUser(
        user=user,
        in_agency=any(kinds[place.account_id].has_sub_accounts for place in places),
        is_admin=any(place.role == MembershipRole.ADMIN for place in places),
        locations=tuple(sorted(place.account_id for place in places if kinds[place.account_id].belongs_to_agency)),
    )


def _company_of(connection: Connection, account_id: str) -> str:
    """Return the agency that the account is, or belongs to."""
    [account] = (found for found in accounts_within.step(connection, [account_id]) if found.id == account_id)
    return account.agency_id or account.id


def _read_search(request: SandboxRequest) -> UserSearch | PlatformError:
    query = request.query
    skip = whole_number(last(query, "skip"), 0)
    limit = whole_number(last(query, "limit"), _DEFAULT_LIMIT)
    order, direction = last(query, "sort") or "name", last(query, "sortDirection") or "asc"
    faults = request.query_faults()
    faults += [*number_faults("skip", skip, 0, LARGEST_SKIP), *number_faults("limit", limit, 1, _LARGEST_LIMIT)]
    faults += [*one_of("sort", order, _ORDERS), *one_of("sortDirection", direction, ("asc", "desc"))]
    faults += query_text("query", last(query, "query"))
    if flag(last(query, "enabled2waySync"), default=False) is None:
        faults.append("enabled2waySync must be a boolean value")
    if faults or skip is None or limit is None:
        return invalid(faults)
    return UserSearch(
        skip=skip,
        limit=limit,
        text=last(query, "query").lower(),
        kind=last(query, "type"),
        role=last(query, "role"),
        ids=frozenset(_among(query.get("ids", ()))),
        location=last(query, "locationId"),
        order=order,
        descending=direction == "desc",
    )


def _among(values: Iterable[str]) -> list[str]:
    """Split lists that are written with commas, or by repeating the parameter."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _matches(person: SandboxUser, search: UserSearch) -> bool:
    texts = (person.user.name.lower(), person.user.email)
    return (
        any(search.text in text for text in texts)
        and search.kind in ("", person.kind)
        and search.role in ("", person.role)
        and (not search.ids or person.id in search.ids)
        and (not search.location or search.location in person.locations)
    )


def _place(person: SandboxUser, order: str) -> tuple[str, str]:
    user = person.user
    first, last_ = _names(user)
    values = {"firstName": first, "lastName": last_, "email": user.email, "dateAdded": user.created_at.isoformat()}
    return values.get(order, user.name).lower(), user.id


def _names(user: User) -> tuple[str, str]:
    first, _, last_ = user.name.partition(" ")
    return first, last_.strip()


def _shown(person: SandboxUser) -> dict[str, object]:
    first, last_ = _names(person.user)
    return {
        "id": person.id,
        "name": person.user.name,
        "firstName": first,
        "lastName": last_,
        "email": person.user.email,
        "phone": "",
        "extension": "",
        "roles": {"type": person.kind, "role": person.role, "locationIds": person.locations},
    }


def _listed(person: SandboxUser) -> dict[str, object]:
    return {**_shown(person), "deleted": False}


HANDLERS = MappingProxyType(
    {
        ("GET", "/users/"): list_users,
        ("GET", "/users/search"): search_users,
        ("GET", "/users/{userId}"): read_user,
    }
)
