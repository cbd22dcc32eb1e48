"""Send due messages from the outbox to their webhooks, one message of a webhook at a time.

One process of each machine sends. A webhook is claimed by one machine at a time, and which of its messages is in
progress is in memory. If the process is killed, these messages are still waiting, and another one sends them again.
"""

import logging
import random
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

from ..http.fetching import Interrupted
from ..operations.deliveries import Due, endpoints_with_due, next_due, record
from ..sealing import SealBroken
from ..storage.engine import StorageEngine, StorageError
from ..webhooks.endpoints import Kind, WebhookEndpoint
from ..webhooks.posting import Poster
from ..webhooks.redelivery import Tried

Signer = Callable[[WebhookEndpoint, str, datetime, bytes], Mapping[str, str]]
"""Return the headers that prove a message's origin, for a webhook, message id, instant and body; raises SealBroken."""

PROMPT = 24
RELUCTANT = 8
OF_AN_ACCOUNT = 4
"""Serve at most so many webhooks at once: those that answer in time, the others, and those of one account."""

# A webhook that takes longer is served among the slow ones: milliseconds.
_SLOW = 3000
# After so many messages, other webhooks come first.
_TURN = 100
# Seconds to wait if the result of an attempt can't be stored: a full disk must not repeat a message without end.
_PAUSE = 60

_log = logging.getLogger(__name__)


class Sender:
    """Send due messages at each `run`, in threads of its own."""

    def __init__(
        self,
        engine: StorageEngine,
        poster: Poster,
        signers: Mapping[Kind, Signer],
    ) -> None:
        self._engine = engine
        self._poster = poster
        self._signers = signers
        self._claims = engine.claims()
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._recording = threading.Lock()
        self._pools = tuple(ThreadPoolExecutor(size, "webhooks") for size in (PROMPT, RELUCTANT))
        self._served: dict[str, tuple[str, bool]] = {}
        self._turns: dict[str, int] = {}
        self._slow: set[str] = set()

    def run(self) -> None:
        """Begin to serve the webhooks with due messages, as far as there is room."""
        waiting = endpoints_with_due(self._engine, self._engine.now())
        # Those served last come last, or a few webhooks with many messages would keep the others waiting.
        for endpoint in sorted(waiting, key=lambda endpoint: self._turns.get(endpoint.id, 0)):
            self._begin(endpoint, reluctant=endpoint.failing_since is not None or endpoint.id in self._slow)

    def close(self) -> None:
        """Send no more and break off open requests; their messages go out again when the service runs again."""
        with self._lock:
            self._end.set()
        self._poster.close()
        for pool in self._pools:
            pool.shutdown(wait=True)

    def _begin(self, endpoint: WebhookEndpoint, *, reluctant: bool) -> None:
        """Serve a webhook in a thread, if there is room for it and it isn't being served."""
        with self._lock:
            if self._end.is_set() or endpoint.id in self._served or endpoint.kind not in self._signers:
                return
            served = self._served.values()
            of_account = sum(account == endpoint.account_id for account, _ in served)
            of_pool = sum(pool == reluctant for _, pool in served)
            if of_account >= OF_AN_ACCOUNT or of_pool >= (RELUCTANT if reluctant else PROMPT):
                return
            self._served[endpoint.id] = (endpoint.account_id, reluctant)
            self._turns[endpoint.id] = max(self._turns.values(), default=0) + 1
            self._pools[reluctant].submit(self._serve, endpoint.id)

    def _serve(self, endpoint_id: str) -> None:
        try:
            for _ in range(_TURN):
                if self._end.is_set() or not self._claims.take(endpoint_id) or not self._send_next(endpoint_id):
                    break
        except Interrupted:
            """It is still waiting."""
        except StorageError as error:
            _log.error("webhook %s waits: the database failed (%s)", endpoint_id, type(error).__name__)
            self._end.wait(_PAUSE)
        except Exception as error:
            # The kind only: a message could quote what was sent.
            _log.error("webhook %s failed: %s", endpoint_id, type(error).__name__)
            self._end.wait(_PAUSE)
        finally:
            with suppress(StorageError):
                self._claims.release(endpoint_id)
            with self._lock:
                del self._served[endpoint_id]

    def _send_next(self, endpoint_id: str) -> bool:
        """Send the message that has waited longest, if one is due; tell whether it was accepted."""
        now = self._engine.now()
        due = next_due(self._engine, endpoint_id, now)
        if due is None:
            return False
        tried = self._try(due, now)
        if tried.milliseconds >= _SLOW:
            self._slow.add(endpoint_id)
        else:
            self._slow.discard(endpoint_id)
        # One at a time waits for the write lock, so that others find room to wait for it.
        with self._recording:
            record(self._engine, due, tried, random.random())  # noqa: S311 - spreads attempts, guards nothing
        return tried.outcome == "accepted"

    def _try(self, due: Due, now: datetime) -> Tried:
        delivery = due.delivery
        sign = self._signers[due.endpoint.kind]
        try:
            signed = sign(due.endpoint, delivery.message_id, now, delivery.body)
        except SealBroken:
            return Tried("secret-sealed")
        return self._poster.post(due.endpoint.url, {**delivery.headers, **signed}, delivery.body)
