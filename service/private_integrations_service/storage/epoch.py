"""The epoch: a seqlock by which every process knows which remembered decisions may no longer hold.

Beside it is a ring of the last changes. A process that is a few changes behind forgets what is remembered about their
subjects, such as one integration, and goes on with the rest; one that is further behind forgets everything.
"""

from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

Subjects = Collection[str] | None
"""A change is about these ids, of integrations, management keys or accounts; None: it may be about anything."""

_CHANGES = 256
_MOST_SUBJECTS = 4
# The epoch of the change, its subjects, and a checksum.
_PLACE = 1 + _MOST_SUBJECTS + 1
_LARGEST = 2**64 - 1

NUMBERS = 1 + _CHANGES * _PLACE
"""How many shared numbers an epoch has: its own, and the ring."""


class Epoch:
    """A shared number: odd while a change of tokens or scopes commits, the next even number afterwards.

    A writer puts the subjects of its change into the ring, sets the epoch to an odd value, commits, sets it to the next
    even value, and then answers. Readers keep what they read only while the epoch is even and unchanged, and from the
    odd value on they use nothing that is about the subjects. So no later request meets an older decision. Only the
    holder of the write lock moves the epoch: otherwise the even value of one writer would hide the odd value of
    another.

    Args:
        numbers: NUMBERS unsigned numbers of eight bytes, shared by all processes of the service.

    """

    def __init__(self, numbers: "memoryview[int]") -> None:
        self._number = numbers[:1]
        self._ring = numbers[1:]

    @property
    def value(self) -> int:
        """Return the present epoch."""
        return self._number[0]

    @property
    def last_change(self) -> int | None:
        """Return the epoch of the last change, that of one which commits at present included.

        None if what is remembered may not be used at all.
        """
        return self._number[0] + 1 & ~1

    @contextmanager
    def changing(self, subjects: Subjects) -> Iterator[None]:
        """Move the epoch around a commit, also when the commit fails, which only costs a read."""
        # If the last writer was killed in the middle, the epoch is odd, and its change keeps its place in the ring.
        before = self._number[0] + 1 & ~1
        self._announce(before + 2, subjects)
        self._number[0] = before + 1
        try:
            yield
        finally:
            self._number[0] = before + 2

    def settle(self) -> None:
        """Make the epoch even after a writer was killed; until then nothing that is read is kept."""
        self._number[0] = self._number[0] + 1 & ~1

    def subjects_between(self, seen: int, until: int) -> list[int] | None:
        """Return the numbers of the subjects that changed after the epoch `seen`, None if those may be any.

        A place that was written in part, or meanwhile, has a wrong checksum or another epoch.
        """
        if until - seen > 2 * _CHANGES or seen > until:
            return None
        found: list[int] = []
        for epoch in range(seen + 2, until + 1, 2):
            start = _place(epoch)
            change = tuple(self._ring[start : start + _PLACE - 1])
            if change[0] != epoch or self._ring[start + _PLACE - 1] != _checksum(change):
                return None
            found += filter(None, change[1:])
        return found

    def _announce(self, epoch: int, subjects: Subjects) -> None:
        """Put a change into the ring before the epoch moves; about anything, it leaves a place without a checksum."""
        start = _place(epoch)
        self._ring[start + _PLACE - 1] = 0
        if subjects is None or len(subjects) > _MOST_SUBJECTS:
            self._ring[start] = 0
            return
        numbers = [number_of(subject) for subject in subjects]
        change = (epoch, *numbers, *[0] * (_MOST_SUBJECTS - len(numbers)))
        for offset, number in enumerate((*change, _checksum(change))):
            self._ring[start + offset] = number


def number_of(subject: str) -> int:
    """Return the number of a subject in the ring, never 0; two subjects with one number would be forgotten together."""
    return int.from_bytes(blake2b(subject.encode(), digest_size=8).digest()) | 1


def _place(epoch: int) -> int:
    return epoch // 2 % _CHANGES * _PLACE


def _checksum(change: tuple[int, ...]) -> int:
    return hash(change) & _LARGEST


class Remembered(Generic[Key, Value]):
    """Values that are kept until their subject changes, at most `limit` of them; used by one event loop.

    For example, with `read` for the database's answer, during which other tasks may use the same values:

        value = remembered.get(key)
        if value is None:
            since = remembered.epoch
            value = await read(key)
            remembered.keep(key, value, since, value.integration_id)

    """

    def __init__(self, epoch: Epoch, limit: int) -> None:
        self._epoch = epoch
        self._limit = limit
        self._seen = epoch.last_change
        self._kept: dict[Key, Value] = {}
        # By the number of the subject: a key, or a list of several.
        self._keys_of: dict[int, Key | list[Key]] = {}

    @property
    def epoch(self) -> int:
        """Return the present epoch: take it before the database is asked."""
        return self._epoch.value

    def get(self, key: Key) -> Value | None:
        """Return the value kept under this key, None if there is none."""
        last = self._epoch.last_change
        if last != self._seen:
            if last is None:
                return None
            self._forget_changed(last)
        return self._kept.get(key)

    def keep(self, key: Key, value: Value, since: int, subject: str) -> None:
        """Keep a value about a subject that was read after the epoch `since`, if nothing has changed from then on."""
        # Odd: a change is being committed. Moved: the value may be older than the change.
        if since % 2 or self._epoch.value != since or self._limit < 1:
            return
        if self._seen != since:
            self._forget_changed(since)
        if key not in self._kept:
            if len(self._kept) >= self._limit:
                # Beginning anew costs one read per value; an order of use would cost every request.
                self.clear()
            self._note_subject(number_of(subject), key)
        self._kept[key] = value

    def clear(self) -> None:
        """Forget all values."""
        self._kept.clear()
        self._keys_of.clear()

    def __len__(self) -> int:
        return len(self._kept)

    def _forget_changed(self, until: int) -> None:
        """Forget the values whose subjects changed up to this epoch."""
        subjects = None if self._seen is None else self._epoch.subjects_between(self._seen, until)
        if subjects is None:
            self.clear()
        else:
            for subject in subjects:
                keys = self._keys_of.pop(subject, ())
                for key in keys if isinstance(keys, list | tuple) else (keys,):
                    self._kept.pop(key, None)
        self._seen = until

    def _note_subject(self, subject: int, key: Key) -> None:
        others = self._keys_of.get(subject)
        if others is None:
            # Nearly every subject has one key: a list for each would double the memory of the index.
            self._keys_of[subject] = key
        elif isinstance(others, list):
            others.append(key)
        else:
            self._keys_of[subject] = [others, key]
