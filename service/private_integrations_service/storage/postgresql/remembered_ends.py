"""Remember which tokens ended lately, in a file of this machine: a database that was restored may have them live again.

A replica notes the ends of a revision before it acknowledges the revision. If the database turns out to lack changes,
the replica ends these tokens once more, before it takes a lease on that database.
"""

import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ARRAY, LargeBinary, any_, literal, update

from private_integrations.contract import AuditAction, EndReason

from ...access.actors import Actor
from ...private_files import open_private
from .. import audit
from ..engine import Write
from ..tables import tokens
from .revision import Revision

FILE_NAME = "ended-tokens"
_MOST_NAMED = 100

KEPT = 10_000
"""Keep the latest so many revisions."""

_SERVICE = Actor("service")
_MARK = re.compile("[0-9a-f]{16}").fullmatch


@dataclass(frozen=True)
class Ends:
    """A revision, the digests of the tokens that ended with it, and the subjects that it changed, None for any."""

    revision: Revision
    digests: tuple[bytes, ...] = ()
    changed: frozenset[str] | None = None


@dataclass(frozen=True)
class Loss:
    """Count the changes that a database has lost, as far as one replica knows.

    Args:
        ended_again: how many tokens the replica has ended again.
        other_changes: how many lost changes ended no token. They may have narrowed scopes or rights, or revoked keys.
        changed: the ids of the integrations, keys and accounts that these were about, as far as they are known.

    """

    ended_again: int
    other_changes: int
    changed: tuple[str, ...]


class RememberedEnds:
    """A file with a line for each revision: its installation, number, mark and subjects, and digests of ended tokens.

    Args:
        folder: the data folder.
        installation: the mark of the database's installation. Lines of another one do not count.

    """

    def __init__(self, folder: Path, installation: str) -> None:
        self._file = folder / FILE_NAME
        self._installation = installation

    def note(self, ends: Sequence[Ends]) -> None:
        """Add revisions, the oldest first; raises OSError."""
        self._append(self._file, ends)

    def last(self) -> Revision | None:
        """Return the last revision that was noted, also by an earlier run."""
        lines = self.read()
        return lines[-1].revision if lines else None

    def read(self) -> Sequence[Ends]:
        """Return the latest revisions of this installation, the oldest first."""
        lines: deque[Ends] = deque(maxlen=KEPT)
        for line in self._lines():
            # The last line may be half written.
            with suppress(ValueError):
                installation, number, mark, changed, *digests = line.split()
                if installation == self._installation and line.endswith("\n"):
                    revision, ended = Revision(int(number), mark), tuple(map(bytes.fromhex, digests))
                    lines.append(Ends(revision, ended, _subjects(changed)))
        return lines

    def shorten(self) -> Path | None:
        """Keep the latest revisions only; raises OSError.

        Returns:
            Where the file of another installation is now, if there was one.

        """
        first = next(self._lines(), "").partition(" ")[0]
        if _MARK(first) and first != self._installation:
            return self._file.rename(self._file.with_name(f"{FILE_NAME}-of-{first}"))
        lines = self.read()
        unfinished = self._file.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        self._append(unfinished, lines)
        unfinished.replace(self._file)
        return None

    def _lines(self) -> Iterator[str]:
        with suppress(FileNotFoundError), os.fdopen(open_private(self._file, os.O_RDONLY)) as stream:
            yield from stream

    def _append(self, file: Path, ends: Sequence[Ends]) -> None:
        lines = [f"{self._installation} {_line(each)}" for each in ends]
        with os.fdopen(open_private(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a") as stream:
            stream.write("".join(f"{line}\n" for line in lines))


# In the file: the subjects of a revision may be any.
_ANY = "*"


def _line(ends: Ends) -> str:
    changed = _ANY if ends.changed is None else "-" + ",".join(sorted(ends.changed))
    return " ".join((str(ends.revision.number), ends.revision.mark, changed, *map(bytes.hex, ends.digests)))


def _subjects(text: str) -> frozenset[str] | None:
    """Read the subjects of a line; raises ValueError."""
    if text == _ANY:
        return None
    if not text.startswith("-"):
        raise ValueError(text)
    return frozenset(filter(None, text[1:].split(",")))


def end_again(write: Write, remembered: Sequence[Ends], *, seen: Revision, found: Revision) -> Loss:
    """End these tokens where they live again, and record in the audit log that changes were lost.

    Args:
        write: the transaction.
        remembered: the revisions that this replica remembers.
        seen: the revision that this replica had seen.
        found: the revision of the database that lacks it.

    """
    # As one array: a statement may have 65,535 parameters.
    digests = any_(literal([digest for each in remembered for digest in each.digests], ARRAY(LargeBinary)))
    ended = (
        update(tokens)
        .where(tokens.c.digest == digests, tokens.c.ended_at.is_(None))
        .values(ended_at=write.now, end_reason=EndReason.ENDED_BEFORE_LOSS)
        .returning(tokens.c.id)
    )
    ids = list(write.connection.execute(ended).scalars())
    if ids:
        write.end_tokens(ids, None)
    there = {Revision(*row) for row in write.connection.exec_driver_sql("SELECT number, mark FROM revisions")}
    oldest = min(revision.number for revision in there)
    lost = [each for each in remembered if each.revision.number > oldest and each.revision not in there]
    others = {each.revision: each.changed or () for each in lost if not each.digests}
    changed = {subject for subjects in others.values() for subject in subjects}
    loss = Loss(len(ids), len(others), tuple(sorted(changed)))
    audit.record_service(
        write,
        actor=_SERVICE,
        action=AuditAction.FIND_CHANGES_LOST,
        seen=seen.number,
        found=found.number,
        ended_again=loss.ended_again,
        other_changes=loss.other_changes,
        changed=list(loss.changed[:_MOST_NAMED]),
    )
    return loss
