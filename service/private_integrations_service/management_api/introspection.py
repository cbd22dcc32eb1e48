"""Answer introspections of live tokens (RFC 7662) from memory.

A gateway that decides by itself introspects the token of each of its requests, always in one form: a live management
key, and `token=pit-…`. Every other request goes on to the route in `generations.py`: malformed ones, those with an
unknown key, and those about a token that is not live.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from private_integrations.contract import API, KEY_PREFIX, Introspection, digest_of

from ..access.principals import ManagementKey
from ..authorizer.authorizer import Authorizer
from ..http.client_address import Networks, client_address, client_agent
from ..http.request_body import replay
from ..operations.live_keys import LiveKeys
from ..operations.recording import Recorder
from ..storage.engine import StorageError
from ..tokens.format import presented_token
from ..tokens.grant import Grant
from ..tokens.introspection import introspection

INTROSPECT = f"{API}/introspect"
"""The path of introspection."""

_FORM = b"application/x-www-form-urlencoded"
_FIELDS = re.compile(rb"(?:token_type_hint=\w*&)?token=([\w-]+)(?:&token_type_hint=\w*)?")
_KEY = re.compile(rb"Bearer (%s[0-9a-f]+)" % KEY_PREFIX.encode())


class RememberedIntrospections:
    """Answer introspections of live tokens, and hand other requests on.

    Args:
        route: Answers the other requests.
        authorizer: Remembers the tokens.
        keys: Remembers the callers' keys.
        recorder: Notes that a token is in use.
        trusted: The proxies of which X-Forwarded-For is believed.

    """

    def __init__(
        self, route: ASGIApp, authorizer: Authorizer, keys: LiveKeys, recorder: Recorder, trusted: Networks = ()
    ) -> None:
        self._route = route
        self._authorizer = authorizer
        self._keys = keys
        self._recorder = recorder
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request over HTTP, whose body comes in one message."""
        body: bytes = (await receive())["body"]
        answer = await self._answer(scope, body)
        if answer is None:
            await self._route(scope, replay(body, receive), send)
            return
        content = answer.model_dump_json(exclude_none=True).encode()
        headers = [
            (b"content-length", b"%d" % len(content)),
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, body: bytes) -> Introspection | None:
        """Return what a live token opens, None if the route must answer."""
        asked = _read_request(scope, body)
        if asked is None:
            return None
        token_digest, key_digest = asked
        try:
            grant, now = await self._authorizer.find(token_digest)
            key = await self._keys.find(key_digest, now)
        except StorageError:
            return None
        if key is None or not key.is_live(now) or grant is None or not grant.is_live(now) or not _reaches(key, grant):
            return None
        self._recorder.record(
            grant,
            scope="",
            reason="",
            address=client_address(scope, self._trusted),
            agent=client_agent(scope).encode(),
            now=now,
        )
        return introspection(
            grant,
            now,
            integration_id=grant.integration_id,
            name=grant.integration_name,
            account=grant.account_id,
            scopes=grant.scopes,
        )


def _read_request(scope: Scope, body: bytes) -> tuple[bytes, bytes] | None:
    """Return the digests of the token and of the key, None if the request has another form than the usual one."""
    if scope["method"] != "POST":
        return None
    keys = [value for name, value in scope["headers"] if name == b"authorization"]
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    key = _KEY.fullmatch(keys[0]) if len(keys) == 1 else None
    fields = _FIELDS.fullmatch(body) if types == [_FORM] else None
    if key is None or fields is None:
        return None
    token_digest = presented_token(fields[1])
    return None if token_digest is None else (token_digest, digest_of(key[1]))


def _reaches(key: ManagementKey, grant: Grant) -> bool:
    return key.accounts is None or grant.account_id in key.accounts
