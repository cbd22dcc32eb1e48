"""Verdicts for gateways that people run already: nginx `auth_request`, Traefik `forwardAuth`, Envoy `ext_authz`.

The gateway asks with a request of its own before it forwards one. Which request it asks about is read from one
source per dialect and from nowhere else; the consumer's `Authorization` and `Version` come along unchanged.
See docs/forward-auth.md.
"""

import json
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from private_integrations.contract import API, Reason, rfc3339

from .authorizer.decisions import cannot
from .authorizer.judge import Granted, Judge, Verdict
from .authorizer.named_accounts import read_query
from .authorizer.recording import address_of
from .authorizer.replies import Refusal, Reply, send_reply
from .http.client_address import Networks
from .http.client_connections import Clients

AUTHORIZE = f"{API}/authorize/".encode()
"""What the raw path of every check begins with."""

IDENTITY = (b"x-pit-integration", b"x-pit-name", b"x-pit-account", b"x-pit-generation", b"x-pit-scope")
"""The headers that name who asks.

Frozen: the shipped snippets replace exactly these, so another one could be forged behind an older snippet.
"""

_NGINX = AUTHORIZE + b"nginx"
_TRAEFIK = AUTHORIZE + b"traefik"
_ENVOY = AUTHORIZE + b"envoy"
_ENVOY_REFUSING = AUTHORIZE + b"envoy-refusing-bodies"
_OWN_PREFIX = b"x-pit-"

# Characters of a path by RFC 3986, but `;`: what follows it is no part of the segment to some servers.
_TARGET = re.compile(rb"(/[A-Za-z0-9/%._~!$&'()*+,:=@-]*)(?:\?([!-\"$-~]*))?")

# A refusal's body must fit into a response header that nginx reads with its usual 4 KB buffer.
_LONGEST_REFUSAL = 2048

_NOT_CACHED = (b"cache-control", b"no-store")
_UNCHECKED = (b"x-pit-unchecked", b"body")

CHECK_MALFORMED = Refusal(400, Reason.CHECK_MALFORMED, "The gateway does not say which request it asks about")
TARGET_MALFORMED = Refusal(400, Reason.TARGET_MALFORMED, "The request target is malformed")
HEADER_NOT_ALLOWED = Refusal(400, Reason.HEADER_NOT_ALLOWED, "Headers that begin with X-PIT- are the gateway's own")


class Check(NamedTuple):
    """Hold the parameters of a gateway: the accounts that it serves, None for all; and how it treats bodies.

    A gateway passes on no body; with `refusing_bodies`, operations whose body may name an account are refused.
    """

    accounts: frozenset[str] | None = None
    refusing_bodies: bool = False


class Asked(NamedTuple):
    """The request that a gateway asks about."""

    method: str
    raw_path: bytes
    query: bytes
    check: Check


class ForwardAuth:
    """Answers the checks of gateways: 200 and who it is, or the refusal; a check is a use of the token.

    A gateway among the `trusted` proxies is believed whom it asks for.
    """

    def __init__(self, judge: Judge, trusted: Networks = (), clients: Clients | None = None) -> None:
        self._judge = judge
        self._trusted = trusted
        self._clients = clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a check over HTTP; its body, if there is one, is not read."""
        raw_path: bytes = scope["raw_path"]
        if raw_path == _NGINX:
            asked = _asked_in_headers(scope, b"x-original-method", b"x-original-uri")
            await _send_to_nginx(send, await self._verdict(scope, asked))
        elif raw_path == _TRAEFIK:
            asked = _asked_in_headers(scope, b"x-forwarded-method", b"x-forwarded-uri")
            await _send(send, await self._verdict(scope, asked))
        elif raw_path.startswith(_ENVOY + b"/"):
            asked = _asked_itself(scope, raw_path.removeprefix(_ENVOY), Check())
            await _send(send, await self._verdict(scope, asked))
        elif raw_path.startswith(_ENVOY_REFUSING + b"/"):
            asked = _asked_itself(scope, raw_path.removeprefix(_ENVOY_REFUSING), Check(refusing_bodies=True))
            await _send(send, await self._verdict(scope, asked))
        else:
            await self._judge.unknown.turn(address_of(scope, self._trusted))
            await send_reply(send, cannot(scope["method"], raw_path.decode("utf-8", "backslashreplace")))

    async def _verdict(self, scope: Scope, asked: Asked | Refusal) -> Verdict:
        if isinstance(asked, Refusal):
            await self._judge.unknown.turn(address_of(scope, self._trusted))
            return Verdict(asked)
        # What a gateway would pass on must not look like what it says itself.
        foreign = [name for name, _ in scope["headers"] if name.startswith(_OWN_PREFIX) and name not in IDENTITY]
        if foreign:
            await self._judge.unknown.turn(address_of(scope, self._trusted))
            return Verdict(HEADER_NOT_ALLOWED)
        verdict = await self._judge.judge(
            asked.method,
            asked.raw_path,
            asked.query,
            scope["headers"],
            address_of(scope, self._trusted),
            asked.check.accounts,
            refusing_unseen=asked.check.refusing_bodies,
        )
        if self._clients is not None and isinstance(verdict.decided, Granted):
            # The connection of a gateway that asks for known clients is kept.
            self._clients.note(scope)
        return verdict


def _asked_in_headers(scope: Scope, method_name: bytes, target_name: bytes) -> Asked | Refusal:
    """Read the request from two headers, each sent once; the query of the check has the gateway's parameters."""
    methods = [value for name, value in scope["headers"] if name == method_name]
    targets = [value for name, value in scope["headers"] if name == target_name]
    served = read_query(scope["query_string"]) if scope["query_string"] else {}
    # A misspelt parameter must not open the gateway to every account, or to bodies.
    known = served.keys() <= {"account", "bodies"} and served.get("bodies", ["refuse"]) == ["refuse"]
    if len(methods) != 1 or len(targets) != 1 or not known:
        return CHECK_MALFORMED
    accounts = frozenset(served["account"]) if "account" in served else None
    return _asked(methods[0].decode("latin-1"), targets[0], Check(accounts, "bodies" in served))


def _asked_itself(scope: Scope, raw_path: bytes, check: Check) -> Asked | Refusal:
    """The request that the check repeats, method, path and query, below a prefix."""
    query: bytes = scope["query_string"]
    return _asked(scope["method"], raw_path + b"?" + query if query else raw_path, check)


def _asked(method: str, target: bytes, check: Check) -> Asked | Refusal:
    parts = _TARGET.fullmatch(target)
    if parts is None:
        return TARGET_MALFORMED
    return Asked(method, parts[1], parts[2] or b"", check)


async def _send(send: Send, verdict: Verdict) -> None:
    """Answer as the platform would: these gateways pass a refusal on, status and body."""
    if isinstance(verdict.decided, Granted):
        await _send_identity(send, verdict.decided, _about(verdict))
    else:
        reply = verdict.decided.reply()
        await send_reply(send, Reply(reply.status, reply.body, (*reply.headers, *_about(verdict))))


async def _send_to_nginx(send: Send, verdict: Verdict) -> None:
    """Answer 200, 401 or 403, all that `auth_request` understands, with the refusal meant in headers.

    nginx drops the body of a check, so `X-PIT-Refusal` has it, unless it is too long for a header.
    """
    if isinstance(verdict.decided, Granted):
        await _send_identity(send, verdict.decided, _about(verdict))
        return
    reply = verdict.decided.reply()
    headers = [*reply.headers, *_about(verdict), (b"x-pit-status", b"%d" % reply.status)]
    # JSON leaves one control character as it is, which no header may have.
    body = json.dumps(reply.body, separators=(",", ":")).replace("\x7f", "\\u007f").encode()
    if len(body) <= _LONGEST_REFUSAL:
        headers.append((b"x-pit-refusal", body))
    status = 401 if reply.status == 401 else 403
    await send_reply(send, Reply(status, reply.body, tuple(headers)))


async def _send_identity(send: Send, granted: Granted, about: list[tuple[bytes, bytes]]) -> None:
    grant = granted.grant
    values = (
        grant.integration_id,
        _quoted(grant.integration_name),
        grant.account_id,
        str(grant.generation),
        granted.match.endpoint.scope or "",
    )
    headers = [(name, value.encode()) for name, value in zip(IDENTITY, values, strict=True)]
    if granted.match.endpoint.body_names_account:
        headers.append(_UNCHECKED)
    await send({"type": "http.response.start", "status": 200, "headers": [*headers, *about, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


# The same names come again and again, and quoting one takes a fifth of what deciding on its token does.
@lru_cache(maxsize=1024)
def _quoted(name: str) -> str:
    return quote(name, safe="")


def _about(verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """What every answer says: that it is good for one request, and until when a superseded token works."""
    if verdict.token_expires_at is None:
        return [_NOT_CACHED]
    return [_NOT_CACHED, (b"pit-token-expires", rfc3339(verdict.token_expires_at).encode())]
