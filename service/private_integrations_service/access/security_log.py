"""Write the security log: sign-ins, failed tries and refusals, as lines of JSON that hold no secret.

Every event is counted for all processes of the service, in memory that they share; each kind has a budget of lines, so
that a flood fills no disk. The counts include the events without a line.

    log.note(SecurityEvent.SIGN_IN_FAILED, now, address="203.0.113.7", agent="curl/8", method="password")
"""

import errno
import fcntl
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from private_integrations.contract import ServiceAlarmKind, rfc3339
from private_integrations.errors import ConfigurationError

from ..private_files import open_private
from ..settings import SecurityLogTo
from ..tokens.format import without_secrets
from .actors import Actor

FILE_NAME = "security.log"
LARGEST = 8 * 1024 * 1024
"""Move a file of this many bytes to `security.log.1`, in place of the one before."""
BURST = 50
"""Let a process write so many lines of one event at once; then one a second."""


class SecurityEvent(StrEnum):
    """Name the kinds of events, as in lines and metrics."""

    SIGNED_IN = "signed-in"
    SIGNED_IN_NEW_BROWSER = "signed-in-new-browser"
    SIGN_IN_FAILED = "sign-in-failed"
    SIGN_IN_THROTTLED = "sign-in-throttled"
    SIGN_IN_BUSY = "sign-in-busy"
    LINK_MADE = "link-made"
    LINK_REDEEMED = "link-redeemed"
    LINK_UNKNOWN = "link-unknown"
    PASSWORD_CHANGED = "password-changed"  # noqa: S105 - the name of an event
    IDENTITY_LINKED = "identity-linked"
    IDENTITIES_FORGOTTEN = "identities-forgotten"
    SESSIONS_ENDED = "sessions-ended"
    FORM_REFUSED = "form-refused"
    ACTION_REFUSED = "action-refused"
    KEY_UNKNOWN = "key-unknown"
    KEY_ENDED = "key-ended"
    TOKENS_UNKNOWN = "tokens-unknown"
    LEAK_REPORTED = "leak-reported"


COMMON_FIELDS = frozenset({"at", "event", "address", "agent", "suppressed"})
"""List the fields of any line: time, event, address, program, and the number of lines left out before it."""

FIELDS: Mapping[SecurityEvent, frozenset[str]] = MappingProxyType(
    {
        SecurityEvent.SIGNED_IN: frozenset({"user", "method"}),
        SecurityEvent.SIGNED_IN_NEW_BROWSER: frozenset({"user", "method"}),
        SecurityEvent.SIGN_IN_FAILED: frozenset({"user", "method", "problem"}),
        SecurityEvent.SIGN_IN_THROTTLED: frozenset({"user", "method"}),
        SecurityEvent.SIGN_IN_BUSY: frozenset({"user", "method"}),
        SecurityEvent.LINK_MADE: frozenset({"user", "by"}),
        SecurityEvent.LINK_REDEEMED: frozenset({"user"}),
        SecurityEvent.LINK_UNKNOWN: frozenset(),
        SecurityEvent.PASSWORD_CHANGED: frozenset({"user"}),
        SecurityEvent.IDENTITY_LINKED: frozenset({"user", "password_removed", "sessions_ended"}),
        SecurityEvent.IDENTITIES_FORGOTTEN: frozenset({"user", "by"}),
        SecurityEvent.SESSIONS_ENDED: frozenset({"user", "which"}),
        SecurityEvent.FORM_REFUSED: frozenset({"user", "path"}),
        SecurityEvent.ACTION_REFUSED: frozenset({"by", "method", "path", "account", "problem"}),
        SecurityEvent.KEY_UNKNOWN: frozenset(),
        SecurityEvent.KEY_ENDED: frozenset({"by"}),
        SecurityEvent.TOKENS_UNKNOWN: frozenset({"count"}),
        SecurityEvent.LEAK_REPORTED: frozenset({"received", "ended"}),
    }
)
"""List the other fields of each event's lines; docs/security.md shows the same as a table."""

WATCHED: Mapping[ServiceAlarmKind, frozenset[SecurityEvent]] = MappingProxyType(
    {
        "sign-ins-refused": frozenset(
            {SecurityEvent.SIGN_IN_FAILED, SecurityEvent.SIGN_IN_THROTTLED, SecurityEvent.SIGN_IN_BUSY}
        ),
        "keys-unknown": frozenset({SecurityEvent.KEY_UNKNOWN, SecurityEvent.KEY_ENDED}),
    }
)
"""Raise an alarm for many of these events."""
ALARMING = 50
"""Raise an alarm for so many of them within WINDOW."""
WINDOW = timedelta(minutes=15)
"""Count the events of so long a time for an alarm."""

_EVENTS = tuple(SecurityEvent)
_GROUPS = tuple(WATCHED)
_MINUTES = WINDOW // timedelta(minutes=1)
# A process counts in a slot of its own: two would have to share a lock that survives the death of either.
_SLOTS = 64
_SLOT = len(_EVENTS) + 1 + len(_GROUPS) * _MINUTES * 2
NUMBERS = _SLOTS * _SLOT
"""Share so many numbers for the counts."""

_LONGEST = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Unknown tokens come by the thousand: a line for the first hundred of an hour, the first thousand, and so on.
_BULK = 100
# The space below this is kept for more important writes.
_LEAST_ROOM = 8 * 1024 * 1024

_log = logging.getLogger(__name__)

Sink = Callable[[bytes], bool]


@dataclass(frozen=True)
class SecurityAlarm:
    """Report too many of the watched events: the kind, the first instant, and their number within the WINDOW."""

    kind: ServiceAlarmKind
    since: datetime
    count: int


@dataclass(frozen=True)
class SecurityState:
    """Hold the counts of all processes since the service was started, and the present alarms."""

    counts: Mapping[SecurityEvent, int]
    suppressed: int
    alarms: list[SecurityAlarm]


class SecurityLog:
    """Count events and write their lines to a sink; used by any thread, and never raises.

    `numbers` are NUMBERS shared ones of eight bytes; `sink` takes a line and returns whether it was written.
    """

    def __init__(self, numbers: "memoryview[int]", sink: Sink | None = None) -> None:
        self._numbers = numbers
        self._sink = sink
        self._lock = threading.Lock()
        self._budgets: dict[SecurityEvent, _Budget] = {event: _Budget() for event in _EVENTS}
        self._hour, self._unknown = -1, 0

    def note(
        self, event: SecurityEvent, now: datetime, *, address: str = "", agent: str = "", **fields: str | int | None
    ) -> None:
        """Count an event, and write its line if the budget allows it; `fields` are among FIELDS, None is left out."""
        assert fields.keys() <= FIELDS[event], f"say in FIELDS that {event} has {sorted(fields.keys() - FIELDS[event])}"
        with self._lock:
            self._count(event, now)
            suppressed = self._budgets[event].take(now)
            if suppressed is None:
                self._add(len(_EVENTS))
                return
            about = {"address": address, "agent": agent, **fields, "suppressed": suppressed or None}
            line: dict[str, str | int | None] = {"at": rfc3339(now), "event": event.value}
            line |= {name: _plain(value) for name, value in about.items() if value not in (None, "")}
            if self._sink is not None and not self._sink(json.dumps(line).encode() + b"\n"):
                self._add(len(_EVENTS))
                self._budgets[event].give_back()

    def note_unknown_token(self, now: datetime, address: str) -> None:
        """Count a request with an unknown token; a line says so when they are many in an hour."""
        hour = (now - _EPOCH) // timedelta(hours=1)
        with self._lock:
            if hour != self._hour:
                self._hour, self._unknown = hour, 0
            self._unknown += 1
            unknown = self._unknown
            is_many = unknown >= _BULK and unknown == 10 ** (len(str(unknown)) - 1)
            if not is_many:
                self._count(SecurityEvent.TOKENS_UNKNOWN, now)
        if is_many:
            self.note(SecurityEvent.TOKENS_UNKNOWN, now, address=address, count=unknown)

    def counts(self) -> dict[SecurityEvent, int]:
        """Return how often each event happened since the service was started, in all of its processes."""
        return {event: self._sum(number) for number, event in enumerate(_EVENTS)}

    def suppressed(self) -> int:
        """Return how many lines were left out since the service was started."""
        return self._sum(len(_EVENTS))

    def state(self, now: datetime) -> SecurityState:
        """Return the counts and alarms that monitoring shows."""
        return SecurityState(self.counts(), self.suppressed(), self.alarms(now))

    def alarms(self, now: datetime) -> list[SecurityAlarm]:
        """List the alarms that a person should look at."""
        latest = (now - _EPOCH) // timedelta(minutes=1)
        found = []
        for number, kind in enumerate(_GROUPS):
            counted: dict[int, int] = {}
            for slot in range(_SLOTS):
                for place in range(_MINUTES):
                    at = self._minute_at(slot, number, place)
                    minute, count = self._numbers[at], self._numbers[at + 1]
                    if count and latest - _MINUTES < minute <= latest:
                        counted[minute] = counted.get(minute, 0) + count
            if sum(counted.values()) >= ALARMING:
                since = _EPOCH + min(counted) * timedelta(minutes=1)
                found.append(SecurityAlarm(kind, since, sum(counted.values())))
        return found

    def _count(self, event: SecurityEvent, now: datetime) -> None:
        self._add(_EVENTS.index(event))
        minute = (now - _EPOCH) // timedelta(minutes=1)
        for number, kind in enumerate(_GROUPS):
            if event in WATCHED[kind]:
                at = self._minute_at(os.getpid() % _SLOTS, number, minute % _MINUTES)
                if self._numbers[at] != minute:
                    self._numbers[at], self._numbers[at + 1] = minute, 0
                self._numbers[at + 1] += 1

    def _add(self, number: int) -> None:
        self._numbers[os.getpid() % _SLOTS * _SLOT + number] += 1

    def _sum(self, number: int) -> int:
        return sum(self._numbers[slot * _SLOT + number] for slot in range(_SLOTS))

    def _minute_at(self, slot: int, group: int, place: int) -> int:
        return slot * _SLOT + len(_EVENTS) + 1 + (group * _MINUTES + place) * 2


def unwritten() -> SecurityLog:
    """Return a log that is counted in this process only and written nowhere, for parts that run by themselves."""
    return SecurityLog(memoryview(bytearray(NUMBERS * 8)).cast("Q"))


class _Budget:
    """Limit the lines of one event: BURST at once, and one for each second."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._at: datetime | None = None
        self._suppressed = 0

    def take(self, now: datetime) -> int | None:
        """Spend a line and return how many were left out before it; None if this one must be left out, too."""
        passed = 0.0 if self._at is None else max(0.0, (now - self._at).total_seconds())
        self._at = now
        self._spent = max(0.0, self._spent - passed)
        if self._spent > BURST - 1:
            self._suppressed += 1
            return None
        self._spent += 1
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed

    def give_back(self) -> None:
        """Note that the line that was taken last could not be written."""
        self._suppressed += 1


def who(actor: Actor) -> str:
    """Name a person or a key by id (`person/usr_…`, `key/key_…`), since a key's name may be an e-mail address."""
    return f"{actor.name.partition('/')[0]}/{actor.id}"


def path_of(path: str, parameters: Mapping[str, object]) -> str:
    """Return a path with the names of its parameters in place of their values, which may be secret codes."""
    parts = path.split("/")
    named = {str(value): f"{{{name}}}" for name, value in parameters.items()}
    return "/".join(named.get(part, part) for part in parts)


def sink_of(to: SecurityLogTo, folder: Path) -> Sink | None:
    """Open the sink for lines; raises ConfigurationError if it is a file that can't be used."""
    if to == "off":
        return None
    return _to_stderr if to == "stderr" else _LogFile(folder / FILE_NAME).write


class _LogFile:
    """Append lines to a file, from several processes; begin a new file if it was moved away."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._is_told = False
        self._descriptor: int | None = None
        try:
            self._descriptor = self._opened()
        except OSError as error:
            # On a full disk tokens work on over a restart; the log begins once there is room.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise ConfigurationError(f"the security log {file} can't be used: {error.strerror}") from error

    def write(self, line: bytes) -> bool:
        """Add a line; False if there is no room, or the file can't be written, which is reported once on stderr."""
        try:
            descriptor = self._renewed(len(line))
            room = os.fstatvfs(descriptor)
            if room.f_bavail * room.f_frsize < _LEAST_ROOM:
                raise OSError(errno.ENOSPC, f"less than {_LEAST_ROOM >> 20} MiB are free")
            os.write(descriptor, line)
        except OSError as error:
            if not self._is_told:
                _log.error("the security log %s is not written: %s", self._file, error.strerror)
            self._is_told = True
            return False
        self._is_told = False
        return True

    def _renewed(self, more: int) -> int:
        """Return the descriptor of the present file, with room for this many more bytes."""
        former = self._descriptor
        if former is None:
            self._descriptor = self._opened()
            return self._descriptor
        fcntl.flock(former, fcntl.LOCK_EX)
        try:
            own = os.fstat(former)
            is_there = False
            with suppress(FileNotFoundError):
                is_there = os.lstat(self._file).st_ino == own.st_ino
            if is_there and own.st_size + more <= LARGEST:
                return former
            if is_there:
                os.replace(self._file, self._file.with_suffix(".log.1"))
        finally:
            fcntl.flock(former, fcntl.LOCK_UN)
        self._descriptor = self._opened()
        os.close(former)
        return self._descriptor

    def _opened(self) -> int:
        descriptor = open_private(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.fchmod(descriptor, 0o600)
        return descriptor


def _to_stderr(line: bytes) -> bool:
    try:
        sys.stderr.write(line.decode())
        sys.stderr.flush()
    except (OSError, ValueError):
        return False
    return True


def _plain(value: str | int | None) -> str | int | None:
    """Return a value without anything like a secret, cut to the longest length that is written."""
    return without_secrets(value)[:_LONGEST] if isinstance(value, str) else value
