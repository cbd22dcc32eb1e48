"""Live grants kept between requests, for exactly as long as nothing has changed."""

from datetime import datetime

from ..storage.grants import Grant, GrantReader
from ..storage.revision import Revision


class LiveGrants:
    """Grants by digest: what is kept holds while the generation word is even and what it was.

    Only live, delivered tokens are kept, at most `limit`; used by one thread. See storage/revision.py.
    """

    def __init__(self, reader: GrantReader, revision: Revision, limit: int) -> None:
        self._reader = reader
        self._revision = revision
        self._limit = limit
        self._word = revision.word
        self._kept: dict[bytes, Grant] = {}

    def find(self, digest: bytes, now: datetime) -> Grant | None:
        """The grant of the token with this digest, live or not; raises the driver's errors."""
        word = self._revision.word
        if word != self._word:
            self._kept.clear()
            self._word = word
        kept = self._kept.get(digest)
        if kept is not None:
            return kept
        grant = self._reader.read(digest)
        if grant is not None and grant.delivered and grant.is_live(now):
            self._keep(digest, grant)
        return grant

    def __len__(self) -> int:
        return len(self._kept)

    def _keep(self, digest: bytes, grant: Grant) -> None:
        # An odd word: a change is being committed. A moved one: what was read may be older than it.
        if self._word % 2 or self._revision.word != self._word or self._limit < 1:
            return
        if len(self._kept) >= self._limit:
            # Beginning anew costs one read per live token; an order of use would cost every request.
            self._kept.clear()
        self._kept[digest] = grant
