"""Record each request with a known token, and store the records once a second, without delaying a request."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from heapq import nlargest
from typing import NamedTuple

from starlette.types import Scope

from ..http.client_address import LONGEST_AGENT, Networks, client_address
from ..instants import to_milliseconds
from ..storage.activity import CALLERS_KEPT, ActivityStore, Batch, hour_of
from ..storage.engine import StorageError
from ..tokens.format import without_secrets
from ..tokens.grant import Grant

# Between two flushes, per worker; beyond it requests are counted without a caller, beyond twice as many not at all.
_MOST_USES = 20_000
# Kinds of uses, and callers, that wait to be stored, per worker: some 80 MB.
_MOST_WAITING = 100_000

_SECONDS = 1.0
# Between two flushes while nothing happens, to spare the disk; a worker counts as behind only much later.
_IDLE = timedelta(seconds=15)
# Log an error only if nothing can be stored for longer than that.
_TROUBLE = timedelta(minutes=1)


_log = logging.getLogger(__name__)

_Key = tuple[int, str, str, str, bytes]
_Seen = tuple[int, int, int]


def address_of(scope: Scope, trusted: Networks) -> str:
    """Return the client's address, empty if the server doesn't know it; the `trusted` proxies are believed."""
    if trusted:
        return client_address(scope, trusted)
    # Not parsed: that would take longer than all the rest of recording.
    client = scope.get("client")
    return client[0] if client else ""


class TokenIdentity(NamedTuple):
    """A known token without its grant: a gateway asked about it by introspection."""

    token_id: int
    integration_id: str
    generation: int


class _Use:
    """Requests of one kind since the last flush."""

    __slots__ = ("first", "grant", "last", "requests")

    def __init__(self, grant: Grant | TokenIdentity, now: datetime) -> None:
        self.grant = grant
        self.first = self.last = now
        self.requests = 1


class Recorder:
    """The requests since the last flush: any thread, mostly the event loop's, adds them; the flusher takes them."""

    def __init__(self) -> None:
        self._uses: dict[_Key, _Use] = {}
        lock = threading.Lock()
        self._acquire, self._release = lock.acquire, lock.release
        self._is_gapless = True

    def record(
        self, grant: Grant | TokenIdentity, *, scope: str, reason: str, address: str, agent: bytes, now: datetime
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
        # Not `with`, which takes three times as long; the other thread holds the lock only to swap two names.
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
        """Return the records since the last call, and whether they are complete."""
        self._acquire()
        try:
            uses, self._uses = self._uses, {}
            is_gapless, self._is_gapless = self._is_gapless, True
        finally:
            self._release()
        return uses, is_gapless

    def _begin(self, key: _Key, grant: Grant | TokenIdentity, now: datetime) -> None:
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
    """The sums of the records that wait to be stored."""

    def __init__(self) -> None:
        self._tokens: dict[int, tuple[str, int]] = {}
        self._requests: dict[tuple[int, int, str, str], int] = {}
        self._uses: dict[tuple[int, str, str], int] = {}
        self._callers: dict[int, dict[tuple[str, str], _Seen]] = {}
        self._known_callers = 0
        self._is_gapless = True

    def add(self, uses: dict[_Key, _Use], is_gapless: bool) -> None:
        """Add records to the sums."""
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
        """Return whether there is nothing to store."""
        return not self._requests and self._is_gapless

    @property
    def batch(self) -> Batch:
        """Return the sums as they are stored."""
        callers = {(token, *who): seen for token, known in self._callers.items() for who, seen in known.items()}
        return Batch(self._tokens, self._requests, self._uses, callers, self._is_gapless)

    def _add_caller(self, token: int, who: tuple[str, str], seen: _Seen) -> None:
        """Add a caller; of too many some are left out, as they are only for people to read."""
        known = self._callers.setdefault(token, {})
        if who not in known:
            if self._known_callers >= _MOST_WAITING:
                return
            self._known_callers += 1
        requests, first, last = seen
        before = known.get(who, (0, first, last))
        known[who] = (before[0] + requests, min(before[1], first), max(before[2], last))
        # A client that changes its User-Agent must not fill the memory. Pruned at twice the limit, because that sorts.
        if len(known) >= 2 * CALLERS_KEPT:
            self._callers[token] = dict(nlargest(CALLERS_KEPT, known.items(), key=lambda caller: caller[1][2]))
            self._known_callers -= CALLERS_KEPT


def _shown(agent: bytes) -> str:
    """Return a `User-Agent` for storing and showing: in one line, and without anything that looks like a token."""
    text = agent.decode("utf-8", "replace")
    printable = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return without_secrets(printable).strip()


class Flusher:
    """A thread of each worker that stores the records; `clock` returns the present instant in UTC.

    Records that can't be stored are kept for later, up to a limit; beyond it the observation begins anew.
    """

    def __init__(self, recorder: Recorder, activity: ActivityStore, clock: Callable[[], datetime]) -> None:
        self._recorder = recorder
        self._activity = activity
        self._clock = clock
        self._waiting = _Waiting()
        self._stored_at: datetime | None = None
        self._failing_since: datetime | None = None
        self._is_logged = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="activity", daemon=True)

    def start(self) -> None:
        """Start to store: now, and then once a second."""
        self._thread.start()

    def stop(self) -> None:
        """Store the rest, and note that this process records nothing more."""
        self._stopping.set()
        self._thread.join()

    def flush(self) -> None:
        """Store the records; a failure is logged if it lasts."""
        # Before the records are taken, so that no later record is older than this.
        now = self._clock()
        self._waiting.add(*self._recorder.taken())
        stored_at = self._stored_at
        if self._waiting.is_empty and stored_at is not None and stored_at <= now < stored_at + _IDLE:
            return
        try:
            self._activity.store(self._waiting.batch, now)
        except StorageError as error:
            self._log_lasting(error.__cause__ or error, now)
        else:
            self._waiting = _Waiting()
            self._stored_at = now
            self._failing_since, self._is_logged = None, False

    def _run(self) -> None:
        # At once, so that the watermark waits for this worker from now on.
        self.flush()
        while not self._stopping.wait(_SECONDS):
            self.flush()
        self.flush()
        try:
            self._activity.leave()
        except StorageError as error:
            _log.error("the last requests may be missing in the activity: %s", error.__cause__ or error)

    def _log_lasting(self, error: BaseException, now: datetime) -> None:
        """Log an error once, and only if it lasts: requests don't depend on the records."""
        if self._failing_since is None:
            self._failing_since = now
        elif not self._is_logged and now - self._failing_since > _TROUBLE:
            self._is_logged = True
            # The driver of a server adds the statement with its parameters in further lines.
            reason = str(error).partition("\n")[0]
            _log.error("activity is not recorded: %s can't be written: %s", self._activity.place, reason)
