"""Answer a failure of the storage with a problem document: nothing of the change was done."""

from collections.abc import Mapping
from types import MappingProxyType

from fastapi import Request
from fastapi.responses import JSONResponse

from private_integrations.contract import Problem, Refused

from ..http.problems import problem_response
from ..storage.engine import StorageBusy, StorageError, StorageFull

_UNAVAILABLE = Refused(Problem.STORAGE_UNAVAILABLE, "the database does not answer; nothing was changed")
_REFUSED: Mapping[type[StorageError], Refused] = MappingProxyType(
    {
        StorageFull: Refused(Problem.STORAGE_FULL, "the disk is full; nothing was changed"),
        StorageBusy: Refused(Problem.STORAGE_BUSY, "too many changes are waiting; nothing was changed; try it again"),
    }
)


async def on_storage_error(_: Request, error: StorageError) -> JSONResponse:
    """Answer a request whose operation met this error."""
    return problem_response(_REFUSED.get(type(error), _UNAVAILABLE))
