"""Passwords: which are good enough, and their hashes, of which only a few are made at a time."""

import threading
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.profiles import RFC_9106_LOW_MEMORY

from ..domain import Refused

SHORTEST = 12
LONGEST = 256

# What a list of usual passwords has of this length; spaces and case make no other one of them.
_USUAL = frozenset(
    {
        "123456789012",
        "1234567890123",
        "12345678901234",
        "1234567891011",
        "1q2w3e4r5t6y",
        "1qaz2wsx3edc",
        "abcdefghijkl",
        "administrator",
        "adminadminadmin",
        "changemechangeme",
        "iloveyouiloveyou",
        "letmeinletmein",
        "passw0rd1234",
        "password1234",
        "password12345",
        "passwordpassword",
        "privateintegration",
        "privateintegrations",
        "qwerty123456",
        "qwertyuiop123",
        "qwertyuiopasdf",
        "welcome12345",
        "welcomewelcome",
    }
)
_FEWEST_DIFFERENT = 5


class TooManySignInsError(Exception):
    """Other passwords are being looked at; this one wasn't."""


def refuse_password(password: str, email: str) -> Refused | None:
    """Why this can't be the password of the user with this address, or None."""
    plain = "".join(password.lower().split())
    if len(password) < SHORTEST:
        return _weak(f"a password has at least {SHORTEST} characters; a few words in a row are a good one")
    if len(password) > LONGEST:
        return _weak(f"a password has at most {LONGEST} characters")
    if plain in _USUAL or len(set(plain)) < _FEWEST_DIFFERENT:
        return _weak("this password is among the first that somebody would try; take a few words in a row")
    if plain in (email.lower(), email.lower().partition("@")[0]):
        return _weak("your address is no password")
    return None


class Passwords:
    """Hashes of argon2id: by RFC 9106's second recommended choice, 64 MiB, 3 passes and 4 lanes, unless said otherwise.

    At most `at_once` are computed at a time, so that sign-ins hold a bounded amount of memory and leave processor
    cores to requests; others wait their turn, and those who waited too long are told. Never within a transaction.
    """

    def __init__(
        self,
        parameters: Parameters = RFC_9106_LOW_MEMORY,
        *,
        at_once: int = 2,
        waiting: int = 20,
        patience: float = 5,
    ) -> None:
        """`waiting`: how many may wait, each holding a thread; `patience`: how many seconds each."""
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._turns = threading.BoundedSemaphore(at_once)
        self._places = threading.BoundedSemaphore(at_once + waiting)
        self._patience = patience
        # Compared with where there is none, so that the answer takes as long.
        costs = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
        self._nobodys = f"$argon2id$v=19${costs}${_base64(bytes(16))}${_base64(bytes(parameters.hash_len))}"

    def hash(self, password: str) -> str:
        """The hash to store; raises TooManySignInsError."""
        with self._turn():
            return self._hasher.hash(_one_spelling(password))

    def fits(self, password: str, known: str | None) -> bool:
        """Whether a password has this hash; without one it takes as long and is no. Raises TooManySignInsError."""
        with self._turn():
            try:
                return self._hasher.verify(known or self._nobodys, _one_spelling(password)) and known is not None
            except (Argon2Error, InvalidHashError):
                return False

    def is_outdated(self, known: str) -> bool:
        """Whether a hash was made with other parameters than are used today."""
        return self._hasher.check_needs_rehash(known)

    @contextmanager
    def _turn(self) -> Iterator[None]:
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
    """The same letters, whichever way a keyboard composes them (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _base64(value: bytes) -> str:
    return b64encode(value).decode().rstrip("=")


def _weak(detail: str) -> Refused:
    return Refused("password-weak", detail)
