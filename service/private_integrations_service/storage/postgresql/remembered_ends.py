"""Remember which tokens ended lately, in a file of this machine: a database that was restored may have them live again.

A replica notes the ends of a revision before it acknowledges the revision. If the database turns out to lack changes,
the replica ends these tokens once more, before it takes a lease on that database.
"""

import os
from collections import deque
from collections.abc import Sequence
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
KEPT = 10_000
"""Keep the latest so many revisions."""

_SERVICE = Actor("service")


@dataclass(frozen=True)
class Ends:
    """A revision, and the digests of the tokens that ended with it."""

    revision: Revision
    digests: tuple[bytes, ...] = ()


class RememberedEnds:
    """A file with a line for each revision: its number, its mark, and the digests of the tokens that ended with it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE_NAME

    def note(self, ends: Sequence[Ends]) -> None:
        """Add revisions, the oldest first; raises OSError."""
        _append(self._file, ends)

    def last(self) -> Revision | None:
        """Return the last revision that was noted, also by an earlier run."""
        lines = self._lines()
        return lines[-1].revision if lines else None

    def digests(self) -> set[bytes]:
        """Return the digests of all tokens whose end is remembered."""
        return {digest for line in self._lines() for digest in line.digests}

    def shorten(self) -> None:
        """Keep the latest revisions only; raises OSError."""
        lines = self._lines()
        unfinished = self._file.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        _append(unfinished, lines)
        unfinished.replace(self._file)

    def _lines(self) -> Sequence[Ends]:
        lines: deque[Ends] = deque(maxlen=KEPT)
        with suppress(FileNotFoundError), os.fdopen(open_private(self._file, os.O_RDONLY)) as stream:
            for line in stream:
                # The last line may be half written.
                with suppress(ValueError):
                    number, mark, *digests = line.split()
                    lines.append(Ends(Revision(int(number), mark), tuple(map(bytes.fromhex, digests))))
        return lines


def _append(file: Path, ends: Sequence[Ends]) -> None:
    lines = [
        " ".join((str(each.revision.number), each.revision.mark, *(digest.hex() for digest in each.digests)))
        for each in ends
    ]
    with os.fdopen(open_private(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a") as stream:
        stream.write("".join(f"{line}\n" for line in lines))


def end_again(write: Write, digests: set[bytes], *, seen: Revision, found: Revision) -> int:
    """End these tokens where they live again, and record in the audit log that changes were lost; return how many.

    Args:
        write: the transaction.
        digests: of tokens that had ended.
        seen: the revision that this replica had seen.
        found: the revision of the database that lacks it.

    """
    # As one array: a statement may have 65,535 parameters.
    remembered = any_(literal(list(digests), ARRAY(LargeBinary)))
    ended = (
        update(tokens)
        .where(tokens.c.digest == remembered, tokens.c.ended_at.is_(None))
        .values(ended_at=write.now, end_reason=EndReason.ENDED_BEFORE_LOSS)
        .returning(tokens.c.id)
    )
    ids = list(write.connection.execute(ended).scalars())
    if ids:
        write.end_tokens(ids, None)
    audit.record_service(
        write,
        actor=_SERVICE,
        action=AuditAction.FIND_CHANGES_LOST,
        seen=seen.number,
        found=found.number,
        ended_again=len(ids),
    )
    return len(ids)
