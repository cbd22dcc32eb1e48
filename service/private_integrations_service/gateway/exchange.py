"""Watch a request that is being forwarded: the upstream on one side, the consumer on the other, and their deadlines."""

import asyncio

from starlette.types import Message, Receive, Send

from . import refusals
from .connections import UpstreamConnection
from .limits import GatewayLimits


class Exchange:
    """A request that is being forwarded, and its deadlines.

    It fails when the upstream is silent, when the consumer is silent, gone, or sends or takes too few bytes while the
    gateway waits for it, and when it takes too long in all since `begun` (in the loop's seconds).

    This object is all that a request costs: the pool's timer checks the deadlines, and starts to listen for a consumer
    that goes away only when the answer takes longer than a tick.
    """

    __slots__ = (
        "_begun",
        "_limits",
        "_listening",
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

    def __init__(self, connection: UpstreamConnection, receive: Receive, limits: GatewayLimits, begun: float) -> None:
        self.connection = connection
        self._begun = begun
        # In the present window: seconds of waiting for the consumer, and bytes that it sent or took meanwhile.
        self._waited = 0.0
        self._moved = 0
        self._ticked = begun
        self.listens = False
        """Set when the request was read to its end: the next event of the consumer is that it goes away."""
        self._limits = limits
        self._receive = receive
        self._receiving = False
        self._sending = False
        self._listening: asyncio.Future[Message] | None = None
        self._over = False

    async def receive(self) -> Message:
        """Wait for the next part of the request."""
        self._receiving = True
        message = await self._receive()
        self._receiving = False
        self._moved += len(message.get("body", b""))
        self.connection.touch()
        return message

    async def send(self, send: Send, message: Message) -> None:
        """Send a part of the answer."""
        self._sending = True
        await send(message)
        self._sending = False
        self._moved += len(message.get("body", b""))
        self.connection.touch()

    def tick(self, now: float) -> None:
        """Check the deadlines at `now`, in the loop's seconds."""
        waits_for_consumer = self._receiving or self._sending
        if now - self._begun > self._limits.total or now - self.connection.progress > self._limits.silence:
            self.connection.fail(refusals.CLIENT_TIMEOUT if waits_for_consumer else refusals.TIMEOUT)
        elif waits_for_consumer and self._is_too_slow(now - self._ticked):
            self.connection.fail(refusals.CLIENT_TIMEOUT)
        elif self.listens and self._listening is None:
            self._listen()
        self._ticked = now

    def _is_too_slow(self, waited: float) -> bool:
        """Return whether a window of waiting for the consumer is over in which it moved too few bytes."""
        self._waited += waited
        if self._waited < self._limits.window:
            return False
        rate = self._limits.download_rate if self._sending else self._limits.upload_rate
        is_slow = self._moved < rate * self._limits.window
        self._waited, self._moved = 0.0, 0
        return is_slow

    def gone(self) -> None:
        """Fail, because the consumer has gone away."""
        self.connection.fail(refusals.CLIENT_GONE)

    def end(self) -> None:
        """Stop listening; an event that is already scheduled must not reach the connection's next exchange."""
        self._over = True
        if self._listening is not None:
            self._listening.cancel()

    def _listen(self) -> None:
        self._listening = asyncio.ensure_future(self._receive())
        self._listening.add_done_callback(self._on_event)

    def _on_event(self, event: "asyncio.Future[Message]") -> None:
        if self._over or event.cancelled():
            return
        if event.result()["type"] == "http.disconnect":
            self.gone()
        else:
            self._listen()
