"""A request on its way: a connection to the upstream on one side, the consumer on the other, and their deadlines."""

import asyncio

from starlette.types import Message, Receive, Send

from . import refusals
from .connections import Connection
from .limits import GatewayLimits


class Exchange:
    """Ends when the upstream is silent, and when the consumer is silent or gone.

    It ends, too, when a consumer that is waited for gives or takes too little, and when it takes too long in all,
    from `begun` on (the loop's seconds).

    Nothing here is made per request but this object: the pool's timer asks for the deadlines, and listens for a
    consumer that goes away only where the answer takes longer than a tick.
    """

    __slots__ = (
        "_begun",
        "_heard",
        "_limits",
        "_moved",
        "_over",
        "_receive",
        "_receiving",
        "_sending",
        "_ticked",
        "_waited",
        "connection",
        "listens",
    )

    def __init__(self, connection: Connection, receive: Receive, limits: GatewayLimits, begun: float) -> None:
        self.connection = connection
        self._begun = begun
        # Of the present window: seconds in which the consumer was waited for, and bytes that moved in them.
        self._waited = 0.0
        self._moved = 0
        self._ticked = begun
        self.listens = False
        """Whether the request was read to its end: what comes from the consumer then is its going away."""
        self._limits = limits
        self._receive = receive
        self._receiving = False
        self._sending = False
        self._heard: asyncio.Future[Message] | None = None
        self._over = False

    async def receive(self) -> Message:
        """The next part of the request."""
        self._receiving = True
        message = await self._receive()
        self._receiving = False
        self._moved += len(message.get("body", b""))
        self.connection.touch()
        return message

    async def send(self, send: Send, message: Message) -> None:
        """Pass on a part of the answer."""
        self._sending = True
        await send(message)
        self._sending = False
        self._moved += len(message.get("body", b""))
        self.connection.touch()

    def tick(self, now: float) -> None:
        """Look at the deadlines at `now`, in the loop's seconds."""
        waits_for_consumer = self._receiving or self._sending
        if now - self._begun > self._limits.total or now - self.connection.progress > self._limits.silence:
            self.connection.fail(refusals.CLIENT_TIMEOUT if waits_for_consumer else refusals.TIMEOUT)
        elif waits_for_consumer and self._is_too_slow(now - self._ticked):
            self.connection.fail(refusals.CLIENT_TIMEOUT)
        elif self.listens and self._heard is None:
            self._listen()
        self._ticked = now

    def _is_too_slow(self, waited: float) -> bool:
        """Tell whether the consumer moved too little in a window of waiting for it that is now over."""
        self._waited += waited
        if self._waited < self._limits.window:
            return False
        rate = self._limits.download_rate if self._sending else self._limits.upload_rate
        is_slow = self._moved < rate * self._limits.window
        self._waited, self._moved = 0.0, 0
        return is_slow

    def gone(self) -> None:
        """The consumer has gone away: nobody waits for the answer."""
        self.connection.fail(refusals.CLIENT_GONE)

    def end(self) -> None:
        """Stop listening; what was heard a moment ago is none of the connection's next exchange."""
        self._over = True
        if self._heard is not None:
            self._heard.cancel()

    def _listen(self) -> None:
        # A future of Granian's is one already; other servers' coroutines become a task.
        self._heard = asyncio.ensure_future(self._receive())
        self._heard.add_done_callback(self._hear)

    def _hear(self, heard: "asyncio.Future[Message]") -> None:
        if self._over or heard.cancelled():
            return
        if heard.result()["type"] == "http.disconnect":
            self.gone()
        else:
            self._listen()
