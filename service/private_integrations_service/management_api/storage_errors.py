"""Answer a failure of the storage with a problem document."""

from fastapi import Request
from fastapi.responses import JSONResponse

from ..http.problems import problem_response
from ..operations.storage_errors import refusal_of
from ..storage.engine import StorageError


async def on_storage_error(_: Request, error: StorageError) -> JSONResponse:
    """Answer a request whose operation met this error."""
    return problem_response(refusal_of(error))
