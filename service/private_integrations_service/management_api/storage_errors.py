"""Answer a failure of the storage with a problem document: nothing of the change was done."""

from fastapi import Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from private_integrations.contract import Problem, Refused

from ..http.problems import problem_response
from ..storage.sqlite.database import DiskFull
from ..storage.sqlite.write_lock import StorageBusy


async def on_full_disk(_: Request, __: DiskFull) -> JSONResponse:
    """Answer when there is no room for a change: nothing was done."""
    return problem_response(Refused(Problem.STORAGE_FULL, "the disk is full; nothing was changed"))


async def on_busy_storage(_: Request, __: StorageBusy) -> JSONResponse:
    """Answer when a change did not get its turn: nothing was done."""
    return problem_response(
        Refused(Problem.STORAGE_BUSY, "too many changes are waiting; nothing was changed; try it again")
    )


async def on_storage_error(_: Request, __: SQLAlchemyError) -> JSONResponse:
    """Answer when the database does not: nothing was done."""
    return problem_response(Refused(Problem.STORAGE_UNAVAILABLE, "the database does not answer; nothing was changed"))
