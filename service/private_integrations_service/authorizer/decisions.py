"""May this request pass: pure decisions, in the order and the words of the platform (docs/platform.md §3-§5)."""

import re
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import parse_qs

from private_integrations.contract import LEAKED, UNUSED

from ..catalogue import Endpoint, Match
from ..storage.grants import Grant
from ..tokens import presented_token
from .replies import Refusal

VERSIONS = frozenset({"v3", "2023-02-21", "2021-07-28", "2021-04-15", "legacy"})
"""The published values of the `Version` header (the vendor's API versioning page, 2026-06-11)."""

_VERSION_SHAPE = re.compile(r"v[0-9]{1,4}|[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_SHOWN = 100

_LOCATION_FIELDS = {"locationId": "locationId", "locationIds": "locationId", "altId": "altId", "altType": "altType"}
_AGENCY_TYPES = frozenset({"company", "agency"})

# These services were seen to answer with other words than the rest (docs/platform.md §5).
_LOCATION_401 = ("/social-media-posting/", "/invoices/", "/objects/")
_NO_SUCH_TOKEN = "Invalid Private Integration token"  # noqa: S105 - a message
_NO_SUCH_SCOPE = "The token is not authorized for this scope."
_REALM = 'Bearer realm="private-integrations"'
_INVALID_TOKEN = 'Bearer error="invalid_token"'  # noqa: S105 - a header

TOKEN_MISSING = Refusal(401, "token-missing", _NO_SUCH_TOKEN, challenge=_REALM)
TOKEN_REPEATED = Refusal(
    400, "token-repeated", "More than one Authorization header was sent", challenge='Bearer error="invalid_request"'
)
TOKEN_MALFORMED = Refusal(401, "token-malformed", _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_UNKNOWN = Refusal(401, "token-unknown", _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_EXPIRED = Refusal(401, "token-expired", _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_REVOKED = Refusal(401, "token-revoked", _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_INACTIVE = Refusal(401, "token-inactive", _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
TOKEN_LEAKED = Refusal(401, "token-leaked", _NO_SUCH_TOKEN, challenge=_INVALID_TOKEN)
ACCOUNT_NOT_SERVED = Refusal(403, "account-not-served", "The token does not have access to this location.")


Presented = tuple[bytes, str | None, bytes]
"""What a request shows of itself: its token's digest, its `Version`, None if it sent none, and its `User-Agent`."""


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> Presented | Refusal:
    """The token, version and agent in ASGI headers (lower-case names); exactly one `Authorization` may be there."""
    authorization = version = None
    agent = b""
    for name, value in headers:
        if name == b"authorization":
            if authorization is not None:
                return TOKEN_REPEATED
            authorization = value
        elif name == b"version":
            version = value if version is None else version + b", " + value
        elif name == b"user-agent":
            agent = value
    if authorization is None:
        return TOKEN_MISSING
    digest = presented_token(authorization)
    if digest is None:
        return TOKEN_MALFORMED
    return digest, None if version is None else version.decode("latin-1").strip(), agent


def refuse_grant(grant: Grant | None, now: datetime) -> Refusal | None:
    """Why the token opens nothing at `now`; how its life ended is told only of tokens that existed."""
    if grant is None:
        return TOKEN_UNKNOWN
    if grant.is_live(now):
        return None
    because = grant.ended or ""
    if because == LEAKED:
        return TOKEN_LEAKED
    # A deadline that has passed says more than the bookkeeping that ended the token afterwards.
    if grant.expires_at is not None and grant.expires_at <= now:
        return TOKEN_EXPIRED
    return TOKEN_INACTIVE if because.startswith(UNUSED) else TOKEN_REVOKED


def cannot(method: str, path: str, reason: str = "not-found") -> Refusal:
    """The answer for a route that isn't there; method and path as sent."""
    return Refusal(404, reason, f"Cannot {method} {path}")


def refuse_version(endpoint: Endpoint, version: str | None, path: str) -> Refusal | None:
    """Why this `Version` can't be served; every published one is good on every established path."""
    if not version:
        return _version_refusal("version-missing", "version header was not found.")
    if version not in VERSIONS:
        if _VERSION_SHAPE.fullmatch(version):
            return _version_refusal("version-unknown", "version header is invalid")
        text = f"Invalid API version segment '{version[:_LONGEST_SHOWN]}' at position 0"
        return Refusal(400, "version-malformed", text)
    if endpoint.v3_only and version != "v3":
        return cannot(endpoint.method, path, "version-too-old")
    return None


def refuse_removed(endpoint: Endpoint, version: str | None, path: str) -> Refusal | None:
    """Refuse an endpoint that generation v3 dropped to a client of v3."""
    if not endpoint.removed_in_v3 or version != "v3":
        return None
    text = (
        f"Endpoint {endpoint.method} {path} not available in API version v3. This endpoint was removed in version v3."
    )
    return Refusal(400, "version-too-new", f"{text} Please use a version before v3.", {"error": "Bad Request"})


def refuse_scope(endpoint: Endpoint, grant: Grant) -> Refusal | None:
    """Why the token's class or scopes don't open the endpoint."""
    if grant.account_kind not in endpoint.account_kinds:
        challenge = 'Bearer error="insufficient_scope"'
        if not endpoint.account_kinds:
            return Refusal(401, "endpoint-closed", _NO_SUCH_SCOPE, challenge=challenge)
        mismatch = endpoint.path == "/users/" and grant.account_kind == "agency"
        text = "Token's user type mismatch!" if mismatch else _NO_SUCH_SCOPE
        # There are two kinds: an endpoint that refuses one accepts the other alone.
        about = {"requiredClass": next(iter(endpoint.account_kinds))}
        return Refusal(401, "class-not-allowed", text, about, challenge=challenge)
    if endpoint.scope not in grant.scopes:
        return Refusal(
            401,
            "scope-missing",
            _NO_SUCH_SCOPE,
            {"requiredScope": endpoint.scope},
            challenge=f'Bearer error="insufficient_scope", scope="{endpoint.scope}"',
        )
    return None


def refuse_location(endpoint: Endpoint, grant: Grant, location_id: str, agency_id: str | None) -> Refusal | None:
    """Why the token doesn't reach a location; `agency_id` is the agency that the location belongs to, if known."""
    if location_id == grant.account_id:
        return None
    if grant.account_kind == "agency" and agency_id == grant.account_id:
        return None
    if endpoint.path.startswith(_LOCATION_401):
        text = "This location is not accessible from this token!"
        return Refusal(401, "location-not-allowed", text, challenge='Bearer error="insufficient_scope"')
    return Refusal(403, "location-not-allowed", "The token does not have access to this location.")


def named_locations(match: Match, query_string: bytes) -> set[str]:
    """Every location that the path or the query names, other spellings of a list included."""
    named = set()
    if "locationId" in match.params:
        named.add(match.params["locationId"])
    if query_string:
        values = read_query(query_string)
        named |= locations_among((name, value) for name in values for value in values[name])
    return named


def locations_among(fields: Iterable[tuple[str, object]]) -> set[str]:
    """Every location that the fields of a query or a body name; a value that is no text is no location of anybody.

    `altId` is a location too, as invoices, payments and products have it, unless every `altType` beside it says
    that it is an agency.
    """
    named: dict[str, set[str]] = {"locationId": set(), "altId": set(), "altType": set()}
    for name, value in fields:
        # `locationId[]`, `locationId[0]` and `[locationId]` are the same parameter to many servers.
        known = _LOCATION_FIELDS.get(name.lstrip("[").partition("[")[0].partition("]")[0])
        if known is not None:
            named[known].update(_texts(value))
    alternative = set() if named["altType"] and named["altType"] <= _AGENCY_TYPES else named["altId"]
    return named["locationId"] | alternative


def read_query(query_string: bytes) -> dict[str, list[str]]:
    """The query's values by name, in the order sent; the one way in which a query is read here."""
    return parse_qs(query_string.decode("utf-8", "replace"), keep_blank_values=True)


def _version_refusal(reason: str, text: str) -> Refusal:
    return Refusal(401, reason, text, {"error": "Error"}, challenge=_REALM, traced=True, status_key="status")


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [] if value in (None, "") else [value if isinstance(value, str) else repr(value)]
