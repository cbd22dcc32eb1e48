"""A request on its way: a connection to the upstream on one side, the consumer on the other, and their deadlines."""

import asyncio

from starlette.types import Message, Receive, Send

from . import refusals
from .connections import Connection
from .limits import GatewayLimits


class Exchange:
    """Ends when the upstream is silent, and when the consumer is silent or gone.

    Nothing here is made per request but this object: the pool's timer asks for the deadlines, and listens for a
    consumer that goes away only where the answer takes longer than a tick.
    """

    __slots__ = ("_heard", "_limits", "_over", "_receive", "_receiving", "_sending", "connection", "listens")

    def __init__(self, connection: Connection, receive: Receive, limits: GatewayLimits) -> None:
        self.connection = connection
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
        self.connection.touch()
        return message

    async def send(self, send: Send, message: Message) -> None:
        """Pass on a part of the answer."""
        self._sending = True
        await send(message)
        self._sending = False
        self.connection.touch()

    def tick(self, now: float) -> None:
        """Look at the deadlines at `now`, in the loop's seconds."""
        if now - self.connection.progress > self._limits.silence:
            waits_for_consumer = self._receiving or self._sending
            self.connection.fail(refusals.CLIENT_TIMEOUT if waits_for_consumer else refusals.TIMEOUT)
        elif self.listens and self._heard is None:
            self._listen()

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
