"""Check the strength of passwords, and make their hashes, only a few at a time."""

import threading
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.profiles import RFC_9106_LOW_MEMORY

from private_integrations.contract import Problem, Refused

from .password_strength import Words, weakness

SHORTEST = 12
LONGEST = 256

_WHY = {
    "common": "this password is easy to guess: it is made of what others use, too",
    "service": "this password is easy to guess: it is made of this service's own words",
    "personal": "this password is easy to guess: it is made of your address, your name or your account's",
}
_INSTEAD = "Digits and signs at the ends don't help; take three or more words that have nothing to do with each other"


class TooManySignInsError(Exception):
    """Report that too many passwords are being compared; this one wasn't, and nothing was written for it."""


def refuse_password(password: str, words: Words) -> Refused | None:
    """Say why this can't be the password of a person of whom these words are known, or None."""
    if len(password) < SHORTEST:
        return _weak(f"a password has at least {SHORTEST} characters; a few words in a row are a good one")
    if len(password) > LONGEST:
        return _weak(f"a password has at most {LONGEST} characters")
    why = weakness(password, words)
    return None if why is None else _weak(f"{_WHY[why]}. {_INSTEAD}")


class Passwords:
    """Make argon2id hashes, by default with RFC 9106's second recommended choice: 64 MiB, 3 passes and 4 lanes.

    At most `at_once` are computed at a time, so that sign-ins hold a bounded amount of memory and leave processor
    cores to requests; others wait, and those who waited too long get an error. Never within a transaction.

    One more is computed for people who are known: by a browser that they signed in with before, by a session, or by a
    one-time link. Each of them has at most one place there, so that no one of them keeps out the others.

    Take a `turn` before anything is written for a try, and compare and store within it: then a flood of tries writes
    no faster than passwords are compared.
    """

    def __init__(
        self,
        parameters: Parameters = RFC_9106_LOW_MEMORY,
        *,
        at_once: int = 2,
        waiting: int = 20,
        patience: float = 5,
    ) -> None:
        """Let `waiting` threads wait, `patience` seconds each."""
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._unknown = _Lane(at_once, waiting, patience)
        self._known = _Lane(1, waiting, patience)
        self._known_people: set[str] = set()
        self._known_lock = threading.Lock()
        # Compared with where there is none, so that the answer takes as long.
        costs = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
        self._stand_in = f"$argon2id$v=19${costs}${_base64(bytes(16))}${_base64(bytes(parameters.hash_len))}"

    @contextmanager
    def turn(self, known_user: str | None = None) -> Iterator["Turn"]:
        """Wait until this thread may compare and hash; raises TooManySignInsError.

        `known_user` is the id of a person who is known to be asking.
        """
        if known_user is None or not self._reserve(known_user):
            with self._unknown.turn():
                yield Turn(self._hasher, self._stand_in)
            return
        try:
            with self._known.turn():
                yield Turn(self._hasher, self._stand_in)
        finally:
            with self._known_lock:
                self._known_people.discard(known_user)

    def is_outdated(self, known: str) -> bool:
        """Tell whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(known)

    def _reserve(self, known_user: str) -> bool:
        """Take this person's one place among those who are known, unless it is taken."""
        with self._known_lock:
            if known_user in self._known_people:
                return False
            self._known_people.add(known_user)
            return True


class Turn:
    """The right to compare and hash passwords, as long as it is held."""

    def __init__(self, hasher: PasswordHasher, stand_in: str) -> None:
        self._hasher = hasher
        self._stand_in = stand_in

    def hash(self, password: str) -> str:
        """Return the hash to store."""
        return self._hasher.hash(_one_spelling(password))

    def fits(self, password: str, known: str | None) -> bool:
        """Tell whether a password has this hash; without a hash, return False after the same time."""
        try:
            return self._hasher.verify(known or self._stand_in, _one_spelling(password)) and known is not None
        except (Argon2Error, InvalidHashError):
            return False


class _Lane:
    """Let `at_once` threads hash at a time while `waiting` wait, each `patience` seconds at most."""

    def __init__(self, at_once: int, waiting: int, patience: float) -> None:
        self._turns = threading.BoundedSemaphore(at_once)
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._patience = patience

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the right to hash for the block; raises TooManySignInsError."""
        if not self._places.acquire(blocking=False):
            raise TooManySignInsError
        try:
            if not self._turns.acquire(timeout=self._patience):
                raise TooManySignInsError
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()


def _one_spelling(password: str) -> str:
    """Return one spelling for letters that keyboards compose in different ways (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _base64(value: bytes) -> str:
    return b64encode(value).decode().rstrip("=")


def _weak(detail: str) -> Refused:
    return Refused(Problem.PASSWORD_WEAK, detail)
