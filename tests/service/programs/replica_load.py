"""Load on several replicas, and a record of it that shows each request which passed on an old state.

Threads ask every replica with tokens that work and with tokens that just ended, while others end tokens: they expire
them, narrow their scopes or delete their integrations. All instants are of one monotonic clock. A change counts from
when its answer was read, and a request from before it was sent, so a stale accept in the record is one.
"""

import http.client
import itertools
import json
import queue
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from private_integrations.contract import API
from replicas import DURATION, Replica, Replicas
from server_processes import HOST

NO_ANSWER = 0
"""The status of a request that was sent and not answered."""
NO_CONNECTION = -1
"""The status of a request that could not be sent."""

SERVES_ALONE = DURATION * 0.9 - 0.5
"""For how many seconds a replica serves remembered tokens at least when it has lost the database."""

SLOW = DURATION
"""A change that takes so many seconds has waited for a silent replica, or for a database that doesn't answer."""

_ENDED_SHARE = 0.3
_LIVE = 8  # tokens that work, at any time
_CHANGE_TIMEOUT = 8
_PACE = 0.02  # seconds between two requests of a consumer
_UNTIL_REMEMBERED = 0.5
_CALM = 0.6  # seconds without any trouble after which all is normal
_SCOPE, _OTHER_SCOPE = "contacts.readonly", "calendars.readonly"
_ENDINGS = ("expire", "narrow", "delete")


@dataclass(eq=False)
class Token:
    """A token, and when the change that ends or narrows it was first sent, and was answered."""

    secret: str
    integration: str
    ending: str
    issued_at: float
    asked_at: float | None = None
    ended_at: float | None = None
    passed: dict[int, float] = field(default_factory=dict)
    """When each replica last let it pass."""
    is_lost: bool = False
    """Is True if the database has lost it, so that no request has to pass."""


class Asked(NamedTuple):
    """A request to the data API."""

    replica: int
    token: Token
    sent: float
    done: float
    status: int
    remembered: bool
    """Tell whether the replica must remember the token: it has let it pass since the last change."""


class Changed(NamedTuple):
    """One try to make a change."""

    replica: int
    what: str
    sent: float
    done: float
    status: int

    @property
    def is_done(self) -> bool:
        """Return whether the change was answered 2xx."""
        return 200 <= self.status < 300

    @property
    def is_trouble(self) -> bool:
        """Return whether the change failed, or took long."""
        return not (self.is_done or self.status == 404) or self.done - self.sent > SLOW


@dataclass(frozen=True)
class Figures:
    """Count what a case has shown: the numbers of the table in docs/revocation-protocol.md."""

    case: str
    requests: int
    changes: int
    stale: int
    lost: int
    refused: int
    """Requests with tokens that work that a replica refused although the fault doesn't concern it, or not yet."""
    refused_by_faulty: int
    """Those that a replica refused which has lost the database, or did not answer since it was killed or halted."""
    normal: float
    """Seconds from the end of the fault until the last refused request or slow change was over."""
    slowest: float
    """The longest time that an answered change took, in seconds."""

    def __str__(self) -> str:
        """Return a row of the table."""
        return (
            f"| {self.case} | {self.requests} | {self.changes} | {self.stale} | {self.lost} | {self.refused} "
            f"| {self.refused_by_faulty} | {self.normal:.1f} | {self.slowest:.1f} |"
        )


class Load:
    """Two consumers of each replica and a thread that ends tokens through it; a context manager that runs them."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.asked: list[Asked] = []
        self.changed: list[Changed] = []
        self.tokens: list[Token] = []
        """All whose issue was answered."""
        self.serving = set(range(len(replicas)))
        """The replicas that a load balancer would ask."""
        self.cut_off: set[int] = set()
        """Replicas that some consumers still reach."""
        self._faulty: dict[int, float] = {}
        self._live: list[Token] = []
        self._ended: deque[Token] = deque(maxlen=12)
        self._urgent = [queue.SimpleQueue[Token]() for _ in replicas]
        self._stopping, self._changing = threading.Event(), threading.Event()
        self._changing.set()
        self._last_change = time.monotonic()
        self._case_began = self._fault_over = time.monotonic()
        numbers = range(len(replicas))
        self._threads = [threading.Thread(target=self._consume, args=(number,)) for number in [*numbers, *numbers]]
        self._threads += [threading.Thread(target=self._change, args=(number,)) for number in numbers]

    def __enter__(self) -> Self:
        while len(self._live) < _LIVE:
            self._add_token(0)
        for thread in self._threads:
            thread.start()
        self.begin_case()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._changing.set()
        for thread in self._threads:
            thread.join()

    def begin_case(self) -> None:
        """Count from now on."""
        self._faulty.clear()
        self._case_began = self._fault_over = time.monotonic()

    def concerns(self, *numbers: int) -> None:
        """Note that a fault of these replicas begins."""
        for number in numbers:
            self._faulty[number] = time.monotonic()

    def fault_is_over(self) -> None:
        """Note that the fault ends: from now on it is counted until all is normal."""
        self._fault_over = time.monotonic()

    @contextmanager
    def without_changes(self) -> Iterator[None]:
        """Change nothing in the block, which begins when every replica remembers tokens: each change forgets them."""
        self._changing.clear()
        time.sleep(_UNTIL_REMEMBERED)
        yield
        self._changing.set()

    def until_normal(self, timeout: float = 40) -> None:
        """Let the load go on until the serving replicas answer and changes are fast, without any trouble for a while.

        Raises TimeoutError.
        """
        end = time.monotonic() + timeout
        while not self._is_calm():
            if time.monotonic() > end:
                raise TimeoutError(f"not normal within {timeout} s")
            time.sleep(0.1)

    def until_ended(self, count: int, timeout: float = 30) -> None:
        """Let the load go on until so many more tokens have ended; raises TimeoutError."""
        since = time.monotonic()
        while sum(1 for token in list(self.tokens) if (token.ended_at or 0) > since) < count:
            if time.monotonic() > since + timeout:
                raise TimeoutError(f"fewer than {count} tokens ended within {timeout} s")
            time.sleep(0.02)

    def tokens_are_lost(self, since: float) -> None:
        """Note that the database has lost the tokens that were issued after an instant and before the fault's end."""
        for token in list(self.tokens):
            token.is_lost = since < token.issued_at < self._fault_over

    def ask_halted(self, number: int, count: int = 8) -> list[threading.Thread]:
        """Ask a replica that answers when it goes on, with the tokens that ended last and that it knows."""
        known = [token for token in reversed(self.tokens) if token.ended_at and number in token.passed]
        threads = [threading.Thread(target=self._ask, args=(number, token)) for token in known[:count]]
        for thread in threads:
            thread.start()
        return threads

    def figures(self, case: str, *, lost: int | None = None) -> Figures:
        """Count since the begin of the case, and ask all replicas for its tokens once more.

        Args:
            case: The name of the case.
            lost: How many changes are known to be lost, for a case that loses some.

        """
        refused = [asked for asked in self._refused() if asked.status != NO_CONNECTION]
        faulty = [asked for asked in refused if self._is_faulty(asked)]
        answered = [changed for changed in list(self.changed) if changed.is_done and changed.sent > self._case_began]
        return Figures(
            case,
            requests=sum(1 for asked in list(self.asked) if asked.sent > self._case_began),
            changes=sum(1 for token in list(self.tokens) if (token.ended_at or 0) > self._case_began),
            stale=len(self.stale()),
            lost=len(self.lost()) if lost is None else lost,
            refused=len(refused) - len(faulty),
            refused_by_faulty=len(faulty),
            normal=max([0.0, *(over - self._fault_over for over in self._trouble())]),
            slowest=max((changed.done - changed.sent for changed in answered), default=0.0),
        )

    def stale(self) -> list[Asked]:
        """Return the requests that were sent after the change of their token was answered, and passed."""
        return [
            asked
            for asked in list(self.asked)
            if asked.status == 200
            and asked.sent > self._case_began
            and asked.token.ended_at is not None
            and asked.sent > asked.token.ended_at
        ]

    def early(self, since: float) -> list[Changed]:
        """Return the ends and narrowings that were answered although a replica, silent since then, had a lease yet.

        It may let a request pass that arrives at that moment: only the load's chance decides whether one does.
        """
        return [
            changed
            for changed in list(self.changed)
            if changed.is_done
            and changed.sent > since
            and changed.done < since + SERVES_ALONE
            and not changed.what.startswith("PUT ")
        ]

    def lost(self) -> list[Token]:
        """Ask the serving replicas for each token of the case; return those that an answered change left otherwise."""
        lost = []
        for token in list(self.tokens):
            is_old = token.ended_at is not None and token.ended_at < self._case_began
            before = (token.asked_at, token.ended_at)
            if is_old or (token.asked_at is not None and token.ended_at is None):
                continue
            statuses = [self._ask(number, token) for number in sorted(self.serving)]
            # The load may go on meanwhile.
            wrong = any((status == 200) != (before == (None, None)) for status in statuses)
            if wrong and (token.asked_at, token.ended_at) == before:
                lost.append(token)
        return lost

    def _consume(self, number: int) -> None:
        choice = random.Random(number)
        while not self._stopping.is_set():
            # A connection stays with one worker.
            connection = HTTP(self.replicas[number])
            for _ in range(choice.randint(5, 30)):
                try:
                    token = self._urgent[number].get(timeout=_PACE)
                except queue.Empty:
                    some = self._ended if self._ended and choice.random() < _ENDED_SHARE else self._live
                    token = choice.choice([*some])
                if self._stopping.is_set():
                    break
                if number not in self.serving | self.cut_off or self._ask(number, token, connection) <= NO_ANSWER:
                    time.sleep(_PACE)
                    break
            connection.close()

    def _change(self, number: int) -> None:
        with suppress(_Stopping):
            while True:
                self._changing.wait()
                self._add_token(number)
                self._end(self._live.pop(0), number)
                time.sleep(_PACE)

    def _add_token(self, number: int) -> None:
        """Issue a token of a new integration, and have all consumers use it."""
        for replica in self._tries(number):
            name = uuid.uuid4().hex
            body = {"account": self.replicas.account, "name": "CRM", "scopes": [_SCOPE], "owner_nonce": name}
            made = self._manage(replica, "PUT", f"/integrations/by-external-id/org/project/dev/{name}", body)
            if made is None:
                continue
            body = {"issuer": "us", "run": "r", "attempt": 1, "overlap_seconds": 3600}
            issued = self._manage(replica, "PUT", f"/integrations/{made['id']}/generations/1", body)
            if issued is not None:
                break
        ending = _ENDINGS[len(self.tokens) % len(_ENDINGS)]
        token = Token(issued["token"], made["id"], ending, time.monotonic())
        self.tokens.append(token)
        self._live.append(token)
        for urgent in self._urgent:
            urgent.put(token)

    def _end(self, token: Token, number: int) -> None:
        """End a token or narrow its scopes; repeat it on the next replica until it is answered."""
        path = f"/integrations/{token.integration}"
        method, path, body = {
            "expire": ("POST", f"{path}/expire", {"generations": [1]}),
            "narrow": ("PATCH", path, {"scopes": [_OTHER_SCOPE]}),
            "delete": ("DELETE", path, None),
        }[token.ending]
        token.asked_at = time.monotonic()
        for replica in self._tries(number):
            if self._manage(replica, method, path, body, gone=True) is not None:
                break
        token.ended_at = time.monotonic()
        for urgent in self._urgent:
            urgent.put(token)
            urgent.put(token)
        self._ended.append(token)

    def _tries(self, number: int) -> Iterator[int]:
        """Yield this replica, if a load balancer would ask it, and then the next ones again and again."""
        for replica in itertools.cycle(range(len(self.replicas))):
            if (replica + number) % len(self.replicas) in self.serving:
                yield (replica + number) % len(self.replicas)
            time.sleep(_PACE)

    def _manage(self, number: int, method: str, path: str, body: Any = None, *, gone: bool = False) -> Any:
        """Send a request to the management API; return the answer if it is 2xx.

        With `gone` 404 is one as well: the integration was deleted by a try that was not answered, or is lost.
        """
        if self._stopping.is_set():
            raise _Stopping
        connection = HTTP(self.replicas[number], timeout=_CHANGE_TIMEOUT)
        headers = {"Authorization": f"Bearer {self.replicas.key}", "Content-Type": "application/json"}
        self._last_change = sent = time.monotonic()
        status, text = connection.ask(method, API + path, headers, None if body is None else json.dumps(body))
        connection.close()
        changed = Changed(number, f"{method} {path}", sent, time.monotonic(), status)
        self._last_change = changed.done
        self.changed.append(changed)
        if not (changed.is_done or (gone and status == 404)):
            return None
        return json.loads(text or "{}")

    def _ask(self, number: int, token: Token, connection: "HTTP | None" = None) -> int:
        used = connection or HTTP(self.replicas[number])
        headers = {"Authorization": f"Bearer {token.secret}", "Version": "2021-07-28", "X-Forwarded-Method": "GET"}
        headers["X-Forwarded-Uri"] = f"/contacts/?locationId={self.replicas.account}"
        remembered = token.passed.get(number, 0) > self._last_change
        sent = time.monotonic()
        status, _ = used.ask("GET", f"{API}/authorize/traefik", headers)
        self.asked.append(Asked(number, token, sent, time.monotonic(), status, remembered))
        if status == 200:
            token.passed[number] = sent
        if connection is None:
            used.close()
        return status

    def _refused(self) -> list[Asked]:
        """Return the requests of the case that did not pass although their token worked until they were answered."""
        return [
            asked
            for asked in list(self.asked)
            if asked.status != 200
            and not asked.token.is_lost
            and asked.sent > self._case_began
            and (asked.token.asked_at is None or asked.done < asked.token.asked_at)
        ]

    def _is_faulty(self, asked: Asked) -> bool:
        """Return whether a replica may refuse a request: it has a fault, and can't know that the token works."""
        since = self._faulty.get(asked.replica)
        if since is None or asked.done < since:
            return False
        return asked.done > since + SERVES_ALONE or not asked.remembered or asked.status == NO_ANSWER

    def _trouble(self) -> list[float]:
        """Return when each refused request, and each change that failed or was slow, was over."""
        trouble = [asked.done for asked in self._refused() if asked.replica in self.serving]
        changes = [changed for changed in list(self.changed) if changed.sent > self._case_began]
        return sorted(trouble + [changed.done for changed in changes if changed.is_trouble])

    def _is_calm(self) -> bool:
        since = max([self._fault_over, *self._trouble()[-1:]])
        passed = {asked.replica for asked in self.asked[-3000:] if asked.status == 200 and asked.sent > since}
        made = {changed.replica for changed in self.changed[-500:] if changed.is_done and changed.sent > since}
        is_changing = any((token.ended_at or 0) > since for token in list(self.tokens))
        return is_changing and time.monotonic() > since + _CALM and passed >= self.serving and made >= self.serving


class HTTP:
    """A connection to one replica."""

    def __init__(self, replica: Replica, timeout: float = 12) -> None:
        self._connection = http.client.HTTPConnection(HOST, replica.port, timeout=timeout)

    def ask(self, method: str, target: str, headers: dict[str, str], body: str | None = None) -> tuple[int, bytes]:
        """Send a request; return status and body, or NO_CONNECTION or NO_ANSWER."""
        if self._connection.sock is None:
            try:
                self._connection.connect()
            except OSError:
                return NO_CONNECTION, b""
        try:
            self._connection.request(method, target, body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return NO_ANSWER, b""

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):
            self._connection.close()


class _Stopping(Exception):
    """The load ends."""
