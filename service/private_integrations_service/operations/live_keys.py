"""Keep live management keys in memory between requests, for as long as the epoch does not move."""

from datetime import datetime

from ..access.principals import ManagementKey
from ..storage.engine import StorageEngine
from ..storage.epoch import Remembered
from ..storage.keys import KeyReader

_MOST_KEPT = 10_000


class LiveKeys:
    """Management keys by digest; only live ones are kept. Used by one event loop."""

    def __init__(self, engine: StorageEngine) -> None:
        self._reader = KeyReader(engine)
        self._kept: Remembered[bytes, ManagementKey] = Remembered(engine.epoch, _MOST_KEPT)

    async def find(self, digest: bytes, now: datetime) -> ManagementKey | None:
        """Return the key with this digest, live or not, None if there was never one; raises StorageError."""
        kept = self._kept.get(digest)
        if kept is not None:
            return kept
        since = self._kept.epoch
        key = await self._reader.read(digest)
        if key is not None and key.is_live(now):
            self._kept.keep(digest, key, since, key.id)
        return key

    @property
    def epoch(self) -> int:
        """Return the present epoch: a key that is found after it is as it was found until the epoch moves."""
        return self._kept.epoch

    def close(self) -> None:
        """Close the connection; from then on every key that isn't kept raises StorageUnavailable."""
        self._reader.close()
