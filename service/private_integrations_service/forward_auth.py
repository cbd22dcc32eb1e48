"""Answer the checks of other gateways: nginx `auth_request`, Traefik `forwardAuth`, Envoy `ext_authz`.

Such a gateway sends a check, a request of its own, before it forwards a consumer's request. Each dialect names the
consumer's request in one place, and the check is read there and nowhere else; the consumer's `Authorization` and
`Version` come along unchanged. See docs/forward-auth.md.
"""

import json
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from private_integrations.contract import API, Reason, rfc3339

from .authorizer import Allowed, Authorizer, DataRequest, Decision, Denied
from .authorizer.decisions import cannot
from .authorizer.named_accounts import read_query
from .authorizer.replies import PlatformError, Reply, send_reply
from .http.client_address import Networks
from .http.client_connections import Clients
from .operations.recording import address_of

AUTHORIZE = f"{API}/authorize/".encode()
"""The beginning of the raw path of every check."""

IDENTITY = (b"x-pit-integration", b"x-pit-name", b"x-pit-account", b"x-pit-generation", b"x-pit-scope")
"""The headers that identify the caller.

Frozen: the shipped snippets replace exactly these, so a consumer could forge another one behind an older snippet.
"""

_NGINX = AUTHORIZE + b"nginx"
_TRAEFIK = AUTHORIZE + b"traefik"
_ENVOY = AUTHORIZE + b"envoy"
_ENVOY_REFUSING = AUTHORIZE + b"envoy-refusing-bodies"
_OWN_PREFIX = b"x-pit-"

# Characters of a path by RFC 3986, without `;`: some servers cut a segment off there.
_TARGET = re.compile(rb"(/[A-Za-z0-9/%._~!$&'()*+,:=@-]*)(?:\?([!-\"$-~]*))?")

# A refusal's body must fit into a response header that nginx reads with its usual 4 KB buffer.
_LONGEST_REFUSAL = 2048

_NOT_CACHED = (b"cache-control", b"no-store")
_UNCHECKED = (b"x-pit-unchecked", b"body")

CHECK_MALFORMED = PlatformError(400, Reason.CHECK_MALFORMED, "The gateway does not say which request it asks about")
TARGET_MALFORMED = PlatformError(400, Reason.TARGET_MALFORMED, "The request target is malformed")
HEADER_NOT_ALLOWED = PlatformError(
    400, Reason.HEADER_NOT_ALLOWED, "Headers that begin with X-PIT- are the gateway's own"
)


class GatewayOptions(NamedTuple):
    """The request that a gateway asks about, and the gateway's parameters.

    `accounts` are those that the gateway serves, None for all. A gateway shows no bodies: with `refusing_bodies`,
    operations with a body that may name an account are refused.
    """

    method: str
    raw_path: bytes
    query: bytes
    accounts: frozenset[str] | None = None
    refusing_bodies: bool = False


class ForwardAuth:
    """Answer the checks of gateways: 200 and the caller's identity, or the refusal; a check is a use of the token.

    The `trusted` proxies, such gateways among them, are believed in X-Forwarded-For.
    """

    def __init__(self, authorizer: Authorizer, trusted: Networks = (), clients: Clients | None = None) -> None:
        self._authorizer = authorizer
        self._trusted = trusted
        self._clients = clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a check over HTTP, without reading its body."""
        raw_path: bytes = scope["raw_path"]
        if raw_path == _NGINX:
            check = _check_in_headers(scope, b"x-original-method", b"x-original-uri")
            await _send_to_nginx(send, await self._decide(scope, check))
        elif raw_path == _TRAEFIK:
            check = _check_in_headers(scope, b"x-forwarded-method", b"x-forwarded-uri")
            await _send(send, await self._decide(scope, check))
        elif raw_path.startswith(_ENVOY + b"/"):
            check = _check_in_path(scope, raw_path.removeprefix(_ENVOY), refusing_bodies=False)
            await _send(send, await self._decide(scope, check))
        elif raw_path.startswith(_ENVOY_REFUSING + b"/"):
            check = _check_in_path(scope, raw_path.removeprefix(_ENVOY_REFUSING), refusing_bodies=True)
            await _send(send, await self._decide(scope, check))
        else:
            unknown = cannot(scope["method"], raw_path.decode("utf-8", "backslashreplace"))
            await send_reply(send, (await self._refuse(scope, unknown)).refusal)

    async def _decide(self, scope: Scope, check: GatewayOptions | PlatformError) -> Decision:
        if isinstance(check, PlatformError):
            return await self._refuse(scope, check)
        # The gateway would pass these on as if they were the service's own.
        if any(name.startswith(_OWN_PREFIX) and name not in IDENTITY for name, _ in scope["headers"]):
            return await self._refuse(scope, HEADER_NOT_ALLOWED)
        decision = await self._authorizer.decide(
            DataRequest(
                check.method,
                check.raw_path,
                check.query,
                scope["headers"],
                address_of(scope, self._trusted),
                serving=check.accounts,
                refusing_unseen=check.refusing_bodies,
            )
        )
        if self._clients is not None and isinstance(decision, Allowed):
            # The connection of a gateway that asks for known clients is kept.
            self._clients.note(scope)
        return decision

    async def _refuse(self, scope: Scope, refusal: PlatformError) -> Denied:
        return await self._authorizer.refuse_unknown(refusal, address_of(scope, self._trusted))


def _check_in_headers(scope: Scope, method_name: bytes, target_name: bytes) -> GatewayOptions | PlatformError:
    """Read a check from two headers, each sent once; its query has the gateway's parameters."""
    methods = [value for name, value in scope["headers"] if name == method_name]
    targets = [value for name, value in scope["headers"] if name == target_name]
    parameters = read_query(scope["query_string"]) if scope["query_string"] else {}
    # A misspelt parameter must not open the gateway to every account, or to bodies.
    known = parameters.keys() <= {"account", "bodies"} and parameters.get("bodies", ["refuse"]) == ["refuse"]
    if len(methods) != 1 or len(targets) != 1 or not known:
        return CHECK_MALFORMED
    accounts = frozenset(parameters["account"]) if "account" in parameters else None
    return _check(methods[0].decode("latin-1"), targets[0], accounts, refusing_bodies="bodies" in parameters)


def _check_in_path(scope: Scope, raw_path: bytes, *, refusing_bodies: bool) -> GatewayOptions | PlatformError:
    """Read a check that repeats the request's method, path and query below a prefix."""
    query: bytes = scope["query_string"]
    target = raw_path + b"?" + query if query else raw_path
    return _check(scope["method"], target, None, refusing_bodies=refusing_bodies)


def _check(
    method: str, target: bytes, accounts: frozenset[str] | None, *, refusing_bodies: bool
) -> GatewayOptions | PlatformError:
    parts = _TARGET.fullmatch(target)
    if parts is None:
        return TARGET_MALFORMED
    return GatewayOptions(method, parts[1], parts[2] or b"", accounts, refusing_bodies)


async def _send(send: Send, decision: Decision) -> None:
    """Answer as the platform would: these gateways pass on a refusal's status and body."""
    if isinstance(decision, Allowed):
        await _send_identity(send, decision)
    else:
        reply = decision.refusal.reply()
        await send_reply(send, Reply(reply.status, reply.body, (*reply.headers, *_common_headers(decision))))


async def _send_to_nginx(send: Send, decision: Decision) -> None:
    """Answer 200, 401 or 403, all that `auth_request` understands, with the actual refusal in headers.

    nginx drops the body of a check, so `X-PIT-PlatformError` has it, unless it is too long for a header.
    """
    if isinstance(decision, Allowed):
        await _send_identity(send, decision)
        return
    reply = decision.refusal.reply()
    headers = [*reply.headers, *_common_headers(decision), (b"x-pit-status", b"%d" % reply.status)]
    # JSON leaves one control character as it is, which no header may have.
    body = json.dumps(reply.body, separators=(",", ":")).replace("\x7f", "\\u007f").encode()
    if len(body) <= _LONGEST_REFUSAL:
        headers.append((b"x-pit-refusal", body))
    status = 401 if reply.status == 401 else 403
    await send_reply(send, Reply(status, reply.body, tuple(headers)))


async def _send_identity(send: Send, allowed: Allowed) -> None:
    grant, endpoint = allowed.grant, allowed.match.endpoint
    values = (
        grant.integration_id,
        _quoted(grant.integration_name),
        grant.account_id,
        str(grant.generation),
        endpoint.scope or "",
    )
    headers = [(name, value.encode()) for name, value in zip(IDENTITY, values, strict=True)]
    if endpoint.body_names_account:
        headers.append(_UNCHECKED)
    headers += [*_common_headers(allowed), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


# Names repeat, and quoting one takes a fifth of the time of a decision.
@lru_cache(maxsize=1024)
def _quoted(name: str) -> str:
    return quote(name, safe="")


def _common_headers(decision: Decision) -> list[tuple[bytes, bytes]]:
    """Return the headers of every answer: it is good for one request, and until when a superseded token works."""
    if decision.token_expires_at is None:
        return [_NOT_CACHED]
    return [_NOT_CACHED, (b"pit-token-expires", rfc3339(decision.token_expires_at).encode())]
