"""A request on its way: a connection to the upstream on one side, the consumer on the other, and their deadlines."""

import asyncio
from typing import Any

from starlette.types import Message, Receive, Send

from ..authorizer.replies import Refusal
from . import refusals
from .connections import Connection
from .limits import Limits


class Exchange:
    """Ends when the upstream is silent, and when the consumer is silent or gone.

    Nothing here is made per request but this object: the pool's timer asks for the deadlines, and listens for a
    consumer that goes away only where the answer takes longer than a tick.
    """

    __slots__ = ("_heard", "_limits", "_receive", "_receiving", "_sending", "abandoned", "connection", "listens")

    def __init__(self, connection: Connection, receive: Receive, limits: Limits) -> None:
        self.connection = connection
        self.listens = False
        """Whether the request was read to its end: what comes from the consumer then is its going away."""
        self.abandoned = False
        """Whether a wait of ours was cancelled by us."""
        self._limits = limits
        self._receive = receive
        self._receiving: asyncio.Task[Any] | None = None
        self._sending: asyncio.Task[Any] | None = None
        self._heard: asyncio.Future[Message] | None = None

    async def receive(self) -> Message:
        """The next part of the request; cancelled if it doesn't come in time."""
        self._receiving = asyncio.current_task()
        try:
            return await self._receive()
        finally:
            self._receiving = None
            self.connection.touch()

    async def send(self, send: Send, message: Message) -> None:
        """Pass on a part of the answer; cancelled if the consumer doesn't take it in time."""
        self._sending = asyncio.current_task()
        try:
            await send(message)
        finally:
            self._sending = None
            self.connection.touch()

    def tick(self, now: float) -> None:
        """Look at the deadlines at `now`, in the loop's seconds."""
        if now - self.connection.progress > self._limits.silence:
            waits_for_consumer = self._receiving is not None or self._sending is not None
            self._abandon(refusals.CLIENT_TIMEOUT if waits_for_consumer else refusals.TIMEOUT)
        elif self.listens and self._heard is None:
            self._listen()

    def gone(self) -> None:
        """The consumer has gone away: nobody waits for the answer."""
        self._abandon(refusals.CLIENT_GONE)

    def end(self) -> None:
        """Stop listening."""
        if self._heard is not None:
            self._heard.cancel()

    def _abandon(self, refusal: Refusal) -> None:
        self.connection.fail(refusal)
        for waiting in (self._receiving, self._sending):
            if waiting is not None:
                self.abandoned = True
                waiting.cancel()

    def _listen(self) -> None:
        # A future of Granian's is one already; other servers' coroutines become a task.
        self._heard = asyncio.ensure_future(self._receive())
        self._heard.add_done_callback(self._hear)

    def _hear(self, heard: "asyncio.Future[Message]") -> None:
        if heard.cancelled():
            return
        if heard.result()["type"] == "http.disconnect":
            self.gone()
        else:
            self._listen()
