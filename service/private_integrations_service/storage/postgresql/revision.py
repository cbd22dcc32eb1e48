"""The revision of what tokens open, which every change of it moves."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Revision:
    """One change, by its number and a random mark; two revisions are equal only if both parts are.

    A database keeps its own revisions for a while (number and mark). After a failover or a restore, another database
    may use a number again, with another mark.
    """

    number: int
    mark: str

    def is_behind(self, seen: "Revision", own_mark: str | None = None) -> bool:
        """Return whether the database at this revision was restored or has lost changes: it lacks `seen`.

        Args:
            seen: a revision that the database, or the one before it, once showed.
            own_mark: the mark that the database has stored for the number of `seen`; None if it keeps none. Without
                it, a database that has gone on to a higher number since the loss is not recognised.

        """
        if self.number == seen.number:
            return self.mark != seen.mark
        return self.number < seen.number or own_mark not in (None, seen.mark)


Changed = tuple[str, frozenset[str] | None]
"""The mark of a revision, and the subjects that it changed (`Write.subjects`), None for any."""


def changed_since(applied: Revision, found: Revision, stored: Mapping[int, Changed]) -> frozenset[str] | None:
    """Return the subjects that changed after one revision up to another one.

    None if they may be any, since a revision between them isn't stored any more or changed anything.

    Args:
        applied: the earlier revision.
        found: the later one.
        stored: what the database has stored, by number.

    """
    if found.number not in stored or stored[found.number][0] != found.mark:
        return None
    changed: set[str] = set()
    for number in range(applied.number + 1, found.number + 1):
        subjects = stored[number][1] if number in stored else None
        if subjects is None:
            return None
        changed |= subjects
    return frozenset(changed)
