"""Say why an operation failed in the storage, for every edge in the same words."""

from collections.abc import Mapping
from types import MappingProxyType

from private_integrations.contract import Problem, Refused

from ..storage.engine import StorageBusy, StorageError, StorageFull, StorageUncertain

_UNAVAILABLE = Refused(Problem.STORAGE_UNAVAILABLE, "the database does not answer; nothing was changed")
_REFUSED: Mapping[type[StorageError], Refused] = MappingProxyType(
    {
        StorageFull: Refused(Problem.STORAGE_FULL, "the disk is full; nothing was changed"),
        StorageUncertain: Refused(
            Problem.STORAGE_UNAVAILABLE,
            "the database has not confirmed the change; it may have been made; repeat it",
        ),
        StorageBusy: Refused(
            Problem.STORAGE_BUSY,
            "too many changes are waiting; nothing was changed; try it again",
            {"retry_after_seconds": 1},
        ),
    }
)


def refusal_of(error: StorageError) -> Refused:
    """Return the refusal of a request whose operation met this error."""
    return _REFUSED.get(type(error), _UNAVAILABLE)
