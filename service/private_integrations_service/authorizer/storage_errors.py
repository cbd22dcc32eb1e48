"""Map the storage's errors to the data API's answer: the one place for all layers of the data API."""

from ..storage.engine import StorageBusy, StorageError
from .replies import BUSY, UNAVAILABLE, PlatformError


def refuse_storage(error: StorageError) -> PlatformError:
    """Return the refusal of a request that met this error."""
    return BUSY if isinstance(error, StorageBusy) else UNAVAILABLE
