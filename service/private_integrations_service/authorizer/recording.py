"""Remembers what each request used, and stores it once a second: no request waits for that, and none fails by it."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from heapq import nlargest
from typing import NamedTuple

import pysqlite3.dbapi2 as sqlite
from starlette.types import Scope

from ..http.client_address import LONGEST_AGENT, Networks, client_address
from ..storage.columns import to_milliseconds
from ..storage.grants import Grant
from ..storage.sqlite.activity import CALLERS_KEPT, Activity, Batch, NoRoom, hour_of
from ..tokens.format import without_secrets

# Between two flushes, per worker; beyond it requests are counted without a caller, beyond twice as many not at all.
_MOST_USES = 20_000
# Kinds of uses, and callers, that can't be stored yet, per worker: some 80 MB.
_MOST_WAITING = 100_000

_SECONDS = 1.0
# While nothing happens, for the disk's sake: far below what others call "behind".
_IDLE = timedelta(seconds=15)
# A file that can't be written for a moment alarms nobody.
_TROUBLE = timedelta(minutes=1)

_log = logging.getLogger(__name__)

_Key = tuple[int, str, str, str, bytes]
_Seen = tuple[int, int, int]


def address_of(scope: Scope, trusted: Networks) -> str:
    """Where a request came from, believing the `trusted` proxies; empty if the server doesn't know it."""
    if trusted:
        return client_address(scope, trusted)
    # As it is: reading an address would take longer than all else that is recorded.
    client = scope.get("client")
    return client[0] if client else ""


class Known(NamedTuple):
    """Whose token was used, where there is no grant: somebody asked about it."""

    token_id: int
    integration_id: str
    generation: int


class _Use:
    """Requests of one kind since the last flush."""

    __slots__ = ("first", "grant", "last", "requests")

    def __init__(self, grant: Grant | Known, now: datetime) -> None:
        self.grant = grant
        self.first = self.last = now
        self.requests = 1


class Recorder:
    """What happened since the last flush: recorded by any thread, mostly the event loop's, and taken by another one."""

    def __init__(self) -> None:
        self._uses: dict[_Key, _Use] = {}
        lock = threading.Lock()
        self._acquire, self._release = lock.acquire, lock.release
        self._is_gapless = True

    def record(
        self, grant: Grant | Known, *, scope: str, reason: str, address: str, agent: bytes, now: datetime
    ) -> None:
        """Record a request with a known token, live or dead.

        Args:
            grant: The token's grant, or what else is known of a token.
            scope: The scope that the endpoint needs, empty if it is unknown.
            reason: The reason of the refusal, empty if the request was allowed.
            address: The client's address.
            agent: The `User-Agent` as sent.
            now: The instant of the decision.

        """
        key = (grant.token_id, scope, reason, address, agent[:LONGEST_AGENT])
        # Not `with`, which takes three times as long; the other thread holds the lock for an exchange of two names.
        self._acquire()
        try:
            use = self._uses.get(key)
            if use is None:
                self._begin(key, grant, now)
            else:
                use.requests += 1
                use.last = now
        finally:
            self._release()

    def taken(self) -> tuple[dict[_Key, _Use], bool]:
        """What was recorded since the last time, and whether that is all that happened."""
        self._acquire()
        try:
            uses, self._uses = self._uses, {}
            is_gapless, self._is_gapless = self._is_gapless, True
        finally:
            self._release()
        return uses, is_gapless

    def _begin(self, key: _Key, grant: Grant | Known, now: datetime) -> None:
        if len(self._uses) < _MOST_USES:
            self._uses[key] = _Use(grant, now)
            return
        key = (*key[:3], "", b"")
        use = self._uses.get(key)
        if use is not None:
            use.requests += 1
            use.last = now
        elif len(self._uses) < 2 * _MOST_USES:
            self._uses[key] = _Use(grant, now)
        else:
            self._is_gapless = False


class _Waiting:
    """What is to be stored, summed up."""

    def __init__(self) -> None:
        self._tokens: dict[int, tuple[str, int]] = {}
        self._requests: dict[tuple[int, int, str, str], int] = {}
        self._uses: dict[tuple[int, str, str], int] = {}
        self._callers: dict[int, dict[tuple[str, str], _Seen]] = {}
        self._known_callers = 0
        self._is_gapless = True

    def add(self, uses: dict[_Key, _Use], is_gapless: bool) -> None:
        """Sum up what was recorded since the last time."""
        self._is_gapless &= is_gapless
        for (token, scope, reason, address, agent), use in uses.items():
            first, last = to_milliseconds(use.first), to_milliseconds(use.last)
            hour = (token, hour_of(last), scope, reason)
            if hour not in self._requests and len(self._requests) >= _MOST_WAITING:
                self._is_gapless = False
                continue
            self._tokens[token] = (use.grant.integration_id, use.grant.generation)
            self._requests[hour] = self._requests.get(hour, 0) + use.requests
            kind = (token, scope, reason)
            self._uses[kind] = max(last, self._uses.get(kind, last))
            self._add_caller(token, (address, _shown(agent)), (use.requests, first, last))

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not self._requests and self._is_gapless

    @property
    def batch(self) -> Batch:
        """The same, to be stored."""
        callers = {(token, *who): seen for token, known in self._callers.items() for who, seen in known.items()}
        return Batch(self._tokens, self._requests, self._uses, callers, self._is_gapless)

    def _add_caller(self, token: int, who: tuple[str, str], seen: _Seen) -> None:
        """Callers are for people to read: where there are too many, some are left out."""
        known = self._callers.setdefault(token, {})
        if who not in known:
            if self._known_callers >= _MOST_WAITING:
                return
            self._known_callers += 1
        requests, first, last = seen
        before = known.get(who, (0, first, last))
        known[who] = (before[0] + requests, min(before[1], first), max(before[2], last))
        # Somebody who names another program each time must not fill the memory. Pruned at twice, as it sorts.
        if len(known) >= 2 * CALLERS_KEPT:
            self._callers[token] = dict(nlargest(CALLERS_KEPT, known.items(), key=lambda caller: caller[1][2]))
            self._known_callers -= CALLERS_KEPT


def _shown(agent: bytes) -> str:
    """What a program calls itself, fit to be stored and shown: in one line, and without anything like a token."""
    text = agent.decode("utf-8", "replace")
    printable = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return without_secrets(printable).strip()


class Flusher:
    """The thread that stores what was recorded, of each worker one; `clock` gives the present instant in UTC.

    What can't be stored now is kept for later as far as memory may go; then the observation begins anew.
    """

    def __init__(self, recorder: Recorder, activity: Activity, clock: Callable[[], datetime]) -> None:
        self._recorder = recorder
        self._activity = activity
        self._clock = clock
        self._waiting = _Waiting()
        self._stored_at: datetime | None = None
        self._failing_since: datetime | None = None
        self._is_told = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="activity", daemon=True)

    def start(self) -> None:
        """Begin to store, at once and from then on once a second."""
        self._thread.start()

    def stop(self) -> None:
        """Store what is left, and say that this process records nothing more."""
        self._stopping.set()
        self._thread.join()

    def flush(self) -> None:
        """Store what was recorded; never raises."""
        # Read before what was recorded is taken, so that nothing older can come afterwards.
        now = self._clock()
        self._waiting.add(*self._recorder.taken())
        stored_at = self._stored_at
        if self._waiting.is_empty and stored_at is not None and stored_at <= now < stored_at + _IDLE:
            return
        try:
            self._activity.store(self._waiting.batch, now)
        except (sqlite.Error, OSError, NoRoom) as error:
            self._alarm(error, now)
        else:
            self._waiting = _Waiting()
            self._stored_at = now
            self._failing_since, self._is_told = None, False

    def _run(self) -> None:
        # At once, so that this worker counts among those whose flushes make the watermark.
        self.flush()
        while not self._stopping.wait(_SECONDS):
            self.flush()
        self.flush()
        try:
            self._activity.leave()
        except (sqlite.Error, OSError, NoRoom) as error:
            _log.error("the last requests may be missing in the activity: %s", error)

    def _alarm(self, error: Exception, now: datetime) -> None:
        """Say it once, and only if it lasts: no request is the worse for it."""
        if self._failing_since is None:
            self._failing_since = now
        elif not self._is_told and now - self._failing_since > _TROUBLE:
            self._is_told = True
            _log.error("activity is not recorded: %s can't be written: %s", self._activity.file, error)
