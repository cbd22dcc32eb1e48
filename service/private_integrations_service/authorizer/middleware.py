"""The authorizer's ASGI layer, in front of the sandbox or the gateway."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from private_integrations.contract import Reason, rfc3339

from ..http.client_address import Networks
from ..http.client_connections import Clients
from ..http.fair_shares import ShareHolder, Short
from ..operations.recording import address_of
from .authorizer import Authorizer, DataRequest, Denied
from .replies import ACCOUNT_SHARE_USED, TOKEN_SHARE_USED, PlatformError, send_reply

ALLOWED = "private_integrations"
"""The key of the decision (`Allowed`) in the ASGI scope of the application behind."""

# Without a server the number of connections is unknown.
_CONNECTIONS = 1000
_BUSY = PlatformError(503, Reason.SERVICE_BUSY, "Too many requests at once")
OF_SHARE: Mapping[Short, PlatformError] = MappingProxyType(
    {Short.TOKEN: TOKEN_SHARE_USED, Short.ACCOUNT: ACCOUNT_SHARE_USED, Short.ALL: _BUSY}
)


class AuthorizerMiddleware:
    """Pass allowed requests on to `app`, with the decision in `scope[ALLOWED]`, and answer the others.

    Args:
        app: Answers allowed requests. If it answers in the platform's place, as the sandbox does, it has a true
            attribute `is_platform`.
        authorizer: Decides.
        trusted: The proxies in front of the service, of which X-Forwarded-For is believed.
        clients: Limits accounts and tokens to their shares of the server's connections.

    """

    def __init__(
        self, app: ASGIApp, authorizer: Authorizer, trusted: Networks = (), clients: Clients | None = None
    ) -> None:
        self._app = app
        self.authorizer = authorizer
        self._trusted = trusted
        self._is_platform: bool = getattr(app, "is_platform", False)
        self._clients = clients or Clients(_CONNECTIONS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request over HTTP."""
        decision = await self.authorizer.decide(
            DataRequest(
                scope["method"],
                scope["raw_path"],
                scope["query_string"],
                scope["headers"],
                address_of(scope, self._trusted),
                is_platform=self._is_platform,
            )
        )
        if decision.token_expires_at is not None:
            send = _with_expiry(send, decision.token_expires_at)
        if isinstance(decision, Denied):
            await send_reply(send, decision.refusal)
            return
        scope[ALLOWED] = decision
        owner = ShareHolder(decision.grant.account_id, decision.grant.token_id)
        short = self._clients.begin(scope, owner)
        if short is not None:
            await send_reply(send, OF_SHARE[short])
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._clients.end(scope, owner)


def _with_expiry(send: Send, expires_at: datetime) -> Send:
    """Add the header that says until when the superseded token of a request works."""
    header = (b"pit-token-expires", rfc3339(expires_at).encode())

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), header]}
        await send(message)

    return sending
