"""Map the storage's errors to the data API's answer: the one place that names them, for all layers of the data API."""

import pysqlite3.dbapi2 as sqlite
from sqlalchemy.exc import SQLAlchemyError

from ..storage.sqlite.write_lock import StorageBusy
from .replies import BUSY, UNAVAILABLE, Refusal

STORAGE_ERRORS = (sqlite.Error, SQLAlchemyError)
"""The errors of a database that can't answer: the driver's own, and SQLAlchemy's."""


def refuse_storage(error: Exception) -> Refusal:
    """Return the answer to one of STORAGE_ERRORS."""
    return BUSY if isinstance(error, StorageBusy) else UNAVAILABLE
