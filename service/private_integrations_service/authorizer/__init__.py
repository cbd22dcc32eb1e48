"""The authorizer: one plain ASGI layer in front of the data API that lets a request through, or says why not."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from private_integrations.contract import Reason, rfc3339

from ..http.client_address import Networks
from ..http.client_connections import Clients
from ..http.fair_shares import Owner, Short
from .judge import Judge
from .recording import address_of
from .replies import ACCOUNT_SHARE_USED, TOKEN_SHARE_USED, Refusal, send_reply

GRANTED = "private_integrations"
"""Where the application behind finds `Granted` in its ASGI scope."""

# Without a server there is no number of connections.
_PLACES = 1000
_BUSY = Refusal(503, Reason.SERVICE_BUSY, "Too many requests at once")
OF_SHARE: Mapping[Short, Refusal] = MappingProxyType(
    {Short.TOKEN: TOKEN_SHARE_USED, Short.ACCOUNT: ACCOUNT_SHARE_USED, Short.ALL: _BUSY}
)


class Authorizer:
    """Lets authorized requests through to `app`, with `scope["private_integrations"]` saying what was granted.

    `trusted` are the proxies in front that are believed whom they speak for; `clients` holds accounts and tokens to
    their shares of the server's places. An `app` that answers in the platform's place, as the sandbox does, has a true
    `is_platform`; one that asks the platform has none.
    """

    def __init__(self, app: ASGIApp, judge: Judge, trusted: Networks = (), clients: Clients | None = None) -> None:
        self._app = app
        self.judge = judge
        self._trusted = trusted
        self._is_platform: bool = getattr(app, "is_platform", False)
        self._clients = clients or Clients(_PLACES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request over HTTP."""
        verdict = await self.judge.judge(
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            scope["headers"],
            address_of(scope, self._trusted),
            is_platform=self._is_platform,
        )
        if verdict.token_expires_at is not None:
            send = _announcing(send, verdict.token_expires_at)
        if isinstance(verdict.decided, Refusal):
            await send_reply(send, verdict.decided)
            return
        scope[GRANTED] = verdict.decided
        grant = verdict.decided.grant
        owner = Owner(grant.account_id, grant.token_id)
        short = self._clients.begin(scope, owner)
        if short is not None:
            await send_reply(send, OF_SHARE[short])
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._clients.end(scope, owner)


def _announcing(send: Send, deadline: datetime) -> Send:
    """Tell a consumer that still uses a superseded token until when it works."""
    header = (b"pit-token-expires", rfc3339(deadline).encode())

    async def announcing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), header]}
        await send(message)

    return announcing
