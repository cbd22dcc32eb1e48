"""Keep live grants in memory between requests, for as long as the epoch does not move."""

from datetime import datetime

from ..storage.engine import StorageEngine
from ..storage.epoch import Epoch, Remembered
from ..storage.grants import GrantReader
from ..tokens.grant import Grant


class LiveGrants:
    """Grants by digest; at most `limit` are kept, of live and delivered tokens only. Used by one event loop."""

    def __init__(self, reader: GrantReader, epoch: Epoch, limit: int) -> None:
        self._reader = reader
        self._kept: Remembered[bytes, Grant] = Remembered(epoch, limit)

    @classmethod
    def over(cls, engine: StorageEngine, limit: int) -> "LiveGrants":
        """Open a connection of its own to the tokens."""
        return cls(GrantReader(engine), engine.epoch, limit)

    async def find(self, digest: bytes, now: datetime) -> Grant | None:
        """Return the grant of the token with this digest, live or not; raises StorageError."""
        kept = self._kept.get(digest)
        if kept is not None:
            return kept
        since = self._kept.epoch
        grant = await self._reader.read(digest)
        if grant is not None and grant.delivered and grant.is_live(now):
            self._kept.keep(digest, grant, since, grant.integration_id)
        return grant

    def close(self) -> None:
        """Close the connection; from then on every token that isn't kept raises StorageUnavailable."""
        self._reader.close()

    def __len__(self) -> int:
        return len(self._kept)
