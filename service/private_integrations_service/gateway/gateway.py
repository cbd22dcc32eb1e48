"""Answer allowed requests with the upstream's answers."""

import asyncio
from dataclasses import dataclass, field
from types import MappingProxyType

from starlette.types import Receive, Scope, Send

from ..authorizer import ALLOWED, Allowed, Authorizer
from ..authorizer.named_accounts import NamedAccount
from ..authorizer.replies import PlatformError, send_reply
from ..http.fair_shares import ShareHolder, Shares, Short
from ..http.request_body import Unread, read_body
from . import refusals
from .bodies import FormWatch, read_accounts
from .connections import UpstreamConnection
from .credentials import Credential, CredentialSource
from .exchange import Exchange
from .limits import GatewayLimits
from .pool import Pool
from .requests import Body, Forwarded, forwarded_request, literals_beside, request_head
from .responses import SAID_LIMIT, ResponseHead, answered_headers, refused_credential
from .upstream import Upstream

_WHOLE = frozenset({Body.JSON, Body.FORM, Body.UNMARKED})
# The server reports a part as a whole: a longer one would make a slow consumer look like one that stopped.
_LONGEST_PART = 32 * 1024
_UNREAD = MappingProxyType(
    {
        Unread.TOO_LARGE: refusals.BODY_TOO_LARGE,
        Unread.TOO_SLOW: refusals.CLIENT_TIMEOUT,
        Unread.CLIENT_GONE: refusals.CLIENT_GONE,
    }
)


# Not frozen, which costs three times as much, and not a tuple, which would show all of itself.
@dataclass(slots=True)
class _Prepared:
    """A request that may be sent: `body` goes with the head, or is streamed after it if it is None."""

    allowed: Allowed
    request: Forwarded
    head: bytes = field(repr=False)
    body: bytes | None = field(repr=False)
    credential: Credential
    owner: ShareHolder
    begun: float


class _BodyMemory:
    """The memory that one request holds for its body, out of the owner's share."""

    __slots__ = ("_held", "_owner", "_shares", "short")

    def __init__(self, shares: Shares, owner: ShareHolder) -> None:
        self._shares = shares
        self._owner = owner
        self._held = 0
        self.short: Short | None = None
        """The share that had no room, if one had none."""

    def keep(self, size: int) -> bool:
        """Hold more bytes; return whether there was memory for them."""
        self.short = self._shares.take(self._owner, size) if size else None
        if self.short is None:
            self._held += size
        return self.short is None

    def release(self) -> None:
        """Hold nothing more."""
        if self._held:
            self._shares.give_back(self._owner, self._held)


class Gateway:
    """Forward allowed requests; an ASGI application behind the authorizer, used by one event loop.

    The gateway's own refusals have a `reason` and `X-PIT-Problem`; an answer without them is the upstream's.
    """

    def __init__(
        self, authorizer: Authorizer, upstream: Upstream, credentials: CredentialSource, limits: GatewayLimits
    ) -> None:
        self._authorizer = authorizer
        self._upstream = upstream
        self._credentials = credentials
        self._limits = limits
        self._pool = Pool(upstream, self._limits)
        self._memory = Shares(limits.memory)
        self._beside = literals_beside(authorizer.catalogue.endpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an allowed request with the upstream's answer."""
        refusal = await self._forward(scope, receive, send)
        if refusal is not None and refusal is not refusals.CLIENT_GONE:
            await send_reply(send, refusal)

    def close(self) -> None:
        """Close all connections, also of running exchanges."""
        self._pool.close()

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> PlatformError | None:
        """Forward a request; return why there is no answer, None once an answer has begun."""
        allowed: Allowed = scope[ALLOWED]
        begun = asyncio.get_running_loop().time()
        request = self._request(scope, allowed)
        if isinstance(request, PlatformError):
            return request
        credential = await self._credentials.credential(allowed.grant.account_id)
        if isinstance(credential, PlatformError):
            return credential
        owner = ShareHolder(allowed.grant.account_id, allowed.grant.token_id)
        memory = _BodyMemory(self._memory, owner)
        try:
            body = await self._checked_body(request, allowed, receive, memory)
            if isinstance(body, PlatformError):
                return body
            length = request.length if body is None else len(body)
            head = request_head(request, self._upstream, credential.value, length)
            if isinstance(head, PlatformError):
                return head
            prepared = _Prepared(allowed, request, head, body, credential, owner, begun)
            refusal = await self._exchange(prepared, receive, send, fresh=False)
            if refusal is refusals.STALE and body == b"" and request.idempotent:
                refusal = await self._exchange(prepared, receive, send, fresh=True)
            return refusal
        finally:
            memory.release()

    async def _exchange(
        self, prepared: _Prepared, receive: Receive, send: Send, *, fresh: bool
    ) -> PlatformError | None:
        """Send the request over a connection of the pool, and pass on the answer."""
        connection = await self._pool.take(prepared.owner, fresh=fresh)
        if isinstance(connection, PlatformError):
            return connection
        # The request may have waited: for its body, for a connection, or because the process was halted.
        lapsed = self._authorizer.refuse_without_storage()
        if lapsed is not None:
            self._pool.give_back(connection, prepared.owner)
            return lapsed
        exchange = Exchange(connection, receive, self._limits, prepared.begun)
        self._pool.watch(exchange)
        uploading = None
        try:
            connection.begin(prepared.request.method)
            if prepared.body is None:
                connection.write(prepared.head)
                uploading = asyncio.create_task(self._upload(exchange, prepared.request, prepared.allowed))
            else:
                connection.write(prepared.head + prepared.body)
                connection.sent()
                exchange.listens = True
            answer = await connection.head()
            if isinstance(answer, PlatformError):
                return answer
            return await self._pass_on(exchange, prepared, answer, send)
        finally:
            if uploading is not None:
                uploading.cancel()
            self._pool.forget(exchange)
            exchange.end()
            self._pool.give_back(connection, prepared.owner)

    def _request(self, scope: Scope, allowed: Allowed) -> Forwarded | PlatformError:
        match = allowed.match
        for name, words in self._beside[match.endpoint.path]:
            if match.params[name].lower() in words:
                return refusals.PATH_AMBIGUOUS
        framed = scope.get("http_version", "1.1").startswith("2")
        return forwarded_request(
            match.endpoint, scope["raw_path"], scope["query_string"], scope["headers"], framed=framed
        )

    async def _checked_body(
        self, request: Forwarded, allowed: Allowed, receive: Receive, memory: _BodyMemory
    ) -> bytes | PlatformError | None:
        """Return the body to send with the head, if all accounts in it are allowed; None: it is streamed."""
        if request.body is Body.NONE:
            return b""
        if request.body not in _WHOLE:
            if (request.length or 0) > self._limits.streamed_body:
                return refusals.BODY_TOO_LARGE
            if request.length is not None and request.length <= self._limits.buffered_body:
                return await self._buffered(request, allowed, receive, memory)
            return None
        whole = await self._read(request, receive, self._limits.checked_body, memory)
        if isinstance(whole, PlatformError):
            return whole
        read = read_accounts(whole, request.body)
        if isinstance(read, PlatformError):
            return read
        unread = request.is_other_text and not read.is_json and whole.strip()
        if unread and not allowed.match.endpoint.names_no_account:
            return refusals.BODY_UNREADABLE
        if read.named and (refusal := await self._refuse_accounts(allowed, read.named)):
            return refusal
        return whole

    async def _buffered(
        self, request: Forwarded, allowed: Allowed, receive: Receive, memory: _BodyMemory
    ) -> bytes | PlatformError:
        """Read a short body whole instead of streaming it, so that no upstream connection waits for a slow one."""
        read = await self._read(request, receive, self._limits.buffered_body, memory)
        if isinstance(read, PlatformError):
            return read
        watch = _watch(request)
        if watch is None:
            return read
        named = watch.feed(read, last=True)
        refusal = named if isinstance(named, PlatformError) else await self._refuse_accounts(allowed, named)
        return refusal or read

    async def _read(
        self, request: Forwarded, receive: Receive, limit: int, memory: _BodyMemory
    ) -> bytes | PlatformError:
        if (request.length or 0) > limit:
            return refusals.BODY_TOO_LARGE
        read = await read_body(receive, limit, self._limits.pace, memory.keep)
        if memory.short is not None:
            return refusals.OF_SHARE[memory.short]
        return _UNREAD[read] if isinstance(read, Unread) else read

    async def _refuse_accounts(self, allowed: Allowed, named: set[NamedAccount]) -> PlatformError | None:
        return await self._authorizer.refuse_accounts(allowed.match.endpoint, allowed.grant, named)

    async def _upload(self, exchange: Exchange, request: Forwarded, allowed: Allowed) -> None:
        """Send a long body part by part; a fault in it closes the connection to the upstream."""
        connection = exchange.connection
        watch = _watch(request)
        passed = 0
        more = True
        while more and not connection.lost:
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                exchange.gone()
                return
            data: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            passed += len(data)
            refusal = self._refuse_size(request, passed, more=more)
            if refusal is None and watch is not None:
                named = watch.feed(data, last=not more)
                refusal = named if isinstance(named, PlatformError) else await self._refuse_accounts(allowed, named)
            if refusal is not None:
                connection.fail(refusal)
                return
            if request.length is not None:
                connection.write(data)
            else:
                if data:
                    connection.write(b"%x\r\n%b\r\n" % (len(data), data))
                if not more:
                    connection.write(b"0\r\n\r\n")
            await connection.drained()
        connection.sent()
        exchange.listens = True

    def _refuse_size(self, request: Forwarded, passed: int, *, more: bool) -> PlatformError | None:
        if passed > self._limits.streamed_body:
            return refusals.BODY_TOO_LARGE
        # The server counts too, but it is the gateway that promised this length to the upstream.
        if request.length is not None and (passed > request.length or (not more and passed != request.length)):
            return refusals.FRAMING_UNKNOWN
        return None

    async def _pass_on(
        self, exchange: Exchange, prepared: _Prepared, head: ResponseHead, send: Send
    ) -> PlatformError | None:
        """Pass on the answer; if it stays incomplete, the server closes the consumer's connection."""
        connection = exchange.connection
        if head.status == 401:
            said = await _said(connection)
            if isinstance(said, PlatformError):
                return said
            self._credentials.rejected(prepared.allowed.grant.account_id, prepared.credential)
            return refused_credential(said, prepared.credential.value)
        start = {
            "type": "http.response.start",
            "status": head.status,
            "headers": answered_headers(head, self._upstream, prepared.credential.value),
        }
        data = connection.taken()
        if connection.exhausted:
            # Most answers have arrived as a whole by now; the server takes these without waiting.
            await send(start)
            await send({"type": "http.response.body", "body": data})
            return None
        await exchange.send(send, start)
        while not connection.exhausted:
            # Also an empty part: the server sends the head with the first one.
            for offset in range(0, len(data) or 1, _LONGEST_PART):
                part = data[offset : offset + _LONGEST_PART]
                await exchange.send(send, {"type": "http.response.body", "body": part, "more_body": True})
            more = await connection.read()
            if isinstance(more, PlatformError):
                return None
            data = more
        await exchange.send(send, {"type": "http.response.body", "body": data})
        return None


def _watch(request: Forwarded) -> FormWatch | None:
    """Return a reader of the accounts in a multipart body, None for any other body."""
    if request.body is not Body.MULTIPART or request.media is None:
        return None
    return FormWatch(request.media.parameters[b"boundary"])


async def _said(connection: UpstreamConnection) -> bytes | PlatformError | None:
    """Read the body of a short answer; return None if it is long, or why it is incomplete."""
    said = b""
    while data := await connection.read():
        if isinstance(data, PlatformError):
            return data
        said += data
        if len(said) > SAID_LIMIT:
            return None
    return said
