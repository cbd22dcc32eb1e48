"""The revision of what tokens open, which every change of it moves."""

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
