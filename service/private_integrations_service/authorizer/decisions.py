"""Decide whether a request may pass, by pure functions in the platform's order and words (docs/platform.md §3-§5)."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from private_integrations.contract import EndReason, Reason

from ..catalogue.account_fields import HEADERS, Names
from ..catalogue.endpoints import Endpoint
from ..tokens.format import presented_token
from ..tokens.grant import Grant
from .named_accounts import MOST_NAMED, NamedAccount
from .replies import PlatformError

VERSIONS = frozenset({"v3", "2023-02-21", "2021-07-28", "2021-04-15", "legacy"})
"""The published values of the `Version` header (the vendor's API versioning page, 2026-06-11)."""

_VERSION_SHAPE = re.compile(r"v[0-9]{1,4}|[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_SHOWN = 100

_LOCATIONS = frozenset({Names.LOCATION, Names.EITHER_AS_LOCATION})

# These services were seen to answer with other words than the rest (docs/platform.md §5).
_LOCATION_401 = ("/social-media-posting/", "/invoices/", "/objects/")
_NO_SUCH_TOKEN = "Invalid Private Integration token"  # noqa: S105 - a message
_NO_SUCH_SCOPE = "The token is not authorized for this scope."
_REALM = 'Bearer realm="private-integrations"'
_INVALID_TOKEN = 'Bearer error="invalid_token"'  # noqa: S105 - a header

TOKEN_MISSING = PlatformError(401, Reason.TOKEN_MISSING, _NO_SUCH_TOKEN, challenge=_REALM)
TOKEN_REPEATED = PlatformError(
    400,
    Reason.TOKEN_REPEATED,
    "More than one Authorization header was sent",
    challenge='Bearer error="invalid_request"',
)
TOKEN_MALFORMED = PlatformError(401, Reason.TOKEN_MALFORMED, _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_UNKNOWN = PlatformError(401, Reason.TOKEN_UNKNOWN, _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_EXPIRED = PlatformError(401, Reason.TOKEN_EXPIRED, _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_REVOKED = PlatformError(401, Reason.TOKEN_REVOKED, _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_INACTIVE = PlatformError(401, Reason.TOKEN_INACTIVE, _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_LEAKED = PlatformError(401, Reason.TOKEN_LEAKED, _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
ACCOUNTS_TOO_MANY = PlatformError(400, Reason.ACCOUNTS_TOO_MANY, f"A request names at most {MOST_NAMED} accounts")
BODY_UNCHECKED = PlatformError(
    403, Reason.BODY_UNCHECKED, "The body of this operation may name an account, and the gateway does not show it"
)
ACCOUNT_NOT_SERVED = PlatformError(403, Reason.ACCOUNT_NOT_SERVED, "The token does not have access to this location.")


class Presented(NamedTuple):
    """The headers that decisions need: the token's digest, `Version`, `User-Agent`, and those that name accounts."""

    digest: bytes
    version: str | None
    agent: bytes
    accounts: Sequence[tuple[bytes, bytes]]


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> Presented | PlatformError:
    """Read ASGI headers (lower-case names), which must contain exactly one `Authorization`."""
    authorization = version = None
    agent = b""
    accounts: list[tuple[bytes, bytes]] | None = None
    for header in headers:
        name, value = header
        if name == b"authorization":
            if authorization is not None:
                return TOKEN_REPEATED
            authorization = value
        elif name == b"version":
            version = value if version is None else version + b", " + value
        elif name == b"user-agent":
            agent = value
        elif name in HEADERS:
            accounts = [header] if accounts is None else [*accounts, header]
    if authorization is None:
        return TOKEN_MISSING
    digest = presented_token(authorization)
    if digest is None:
        return TOKEN_MALFORMED
    return Presented(digest, None if version is None else version.decode("latin-1").strip(" \t"), agent, accounts or ())


def refuse_grant(grant: Grant | None, now: datetime) -> PlatformError | None:
    """Return why the token is not valid at `now`; the reason is specific for tokens that exist."""
    if grant is None:
        return TOKEN_UNKNOWN
    if grant.is_live(now):
        return None
    if grant.ended == EndReason.LEAKED:
        return TOKEN_LEAKED
    # The deadline is the better reason, also if a job ended the token after it.
    if grant.expires_at is not None and grant.expires_at <= now:
        return TOKEN_EXPIRED
    return TOKEN_INACTIVE if grant.ended == EndReason.INACTIVE else TOKEN_REVOKED


def cannot(method: str, path: str, reason: Reason = Reason.NOT_FOUND) -> PlatformError:
    """Return the refusal of an unknown route; method and path are as sent."""
    return PlatformError(404, reason, f"Cannot {method} {path}")


def refuse_version(endpoint: Endpoint, version: str | None, path: str) -> PlatformError | None:
    """Return why this `Version` is refused; every established path accepts every published one."""
    if not version:
        return _version_refusal(Reason.VERSION_MISSING, "version header was not found.")
    if version not in VERSIONS:
        if _VERSION_SHAPE.fullmatch(version):
            return _version_refusal(Reason.VERSION_UNKNOWN, "version header is invalid")
        text = f"Invalid API version segment '{version[:_LONGEST_SHOWN]}' at position 0"
        return PlatformError(400, Reason.VERSION_MALFORMED, text)
    if endpoint.v3_only and version != "v3":
        return cannot(endpoint.method, path, Reason.VERSION_TOO_OLD)
    return None


def refuse_removed(endpoint: Endpoint, version: str | None, path: str) -> PlatformError | None:
    """Refuse an endpoint that generation v3 dropped to a client of v3."""
    if not endpoint.removed_in_v3 or version != "v3":
        return None
    text = (
        f"Endpoint {endpoint.method} {path} not available in API version v3. This endpoint was removed in version v3."
    )
    return PlatformError(
        400, Reason.VERSION_TOO_NEW, f"{text} Please use a version before v3.", {"error": "Bad Request"}
    )


def refuse_scope(endpoint: Endpoint, grant: Grant) -> PlatformError | None:
    """Return why the token's account class or scopes don't open the endpoint."""
    if grant.account_kind not in endpoint.account_kinds:
        challenge = 'Bearer error="insufficient_scope"'
        if not endpoint.account_kinds:
            return PlatformError(401, Reason.ENDPOINT_CLOSED, _NO_SUCH_SCOPE, challenge=challenge)
        mismatch = endpoint.path == "/users/" and grant.account_kind.has_sub_accounts
        text = "Token's user type mismatch!" if mismatch else _NO_SUCH_SCOPE
        # There are two classes: an endpoint that refuses one accepts only the other.
        about = {"requiredClass": next(iter(endpoint.account_kinds))}
        return PlatformError(401, Reason.CLASS_NOT_ALLOWED, text, about, challenge=challenge)
    if endpoint.scope not in grant.scopes:
        return PlatformError(
            401,
            Reason.SCOPE_MISSING,
            _NO_SUCH_SCOPE,
            {"requiredScope": endpoint.scope},
            challenge=f'Bearer error="insufficient_scope", scope="{endpoint.scope}"',
        )
    return None


def accounts_to_look_up(grant: Grant, named: Iterable[NamedAccount]) -> set[str]:
    """Return the locations of which the agency must be looked up: those that a request with an agency's token names."""
    if not grant.account_kind.has_sub_accounts:
        return set()
    return {each.value for each in named if each.kind in _LOCATIONS and each.value != grant.account_id}


def refuse_accounts(
    endpoint: Endpoint, grant: Grant, named: Collection[NamedAccount], agencies: Mapping[str, str | None]
) -> PlatformError | None:
    """Return why the token doesn't reach every account that a request names.

    `agencies` has the agency of each known location among `accounts_to_look_up`.
    """
    if len(named) > MOST_NAMED:
        return ACCOUNTS_TOO_MANY
    for each in named:
        if not _reaches(grant, each, agencies):
            # The platform's sentence is about `locationId`, so the answer must name any other field.
            about = {} if each.field.startswith("locationId") else {"refusedField": each.field}
            if endpoint.path.startswith(_LOCATION_401):
                text = "This location is not accessible from this token!"
                challenge = 'Bearer error="insufficient_scope"'
                return PlatformError(401, Reason.LOCATION_NOT_ALLOWED, text, about, challenge=challenge)
            text = "The token does not have access to this location."
            return PlatformError(403, Reason.LOCATION_NOT_ALLOWED, text, about)
    return None


def _reaches(grant: Grant, named: NamedAccount, agencies: Mapping[str, str | None]) -> bool:
    """Return whether an account is the token's own, its agency, or a location of the token's agency."""
    if named.kind is Names.OTHER:
        return False
    if named.value == grant.account_id:
        return True
    if grant.account_kind.has_sub_accounts:
        return named.kind in _LOCATIONS and agencies.get(named.value) == grant.account_id
    return named.kind is Names.COMPANY and named.value == grant.agency_id


def _version_refusal(reason: Reason, text: str) -> PlatformError:
    return PlatformError(401, reason, text, {"error": "Error"}, challenge=_REALM, traced=True, status_key="status")
