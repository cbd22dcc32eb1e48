"""The storage engines that the service's tests run on: a second one is another class here, and a line in `ENGINES`."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from private_integrations_service.storage.sqlite.engine import WRITE_LOCK_NAME, open_database
from private_integrations_service.storage.sqlite.write_lock import WriteLock


class EngineUnderTest(Protocol):
    """Make, copy and open databases of one storage engine."""

    def open(self, folder: Path, clock: Callable[[], datetime]) -> Any:
        """Open the database of a data folder; make it if there is none."""

    def copy(self, folder: Path, to: Path) -> Path:
        """Make a data folder with a copy of the closed database of another one; returns it."""

    def copy_open(self, engine: Any, to: Path) -> Path:
        """Make a data folder with all that an open database has stored, as a killed process leaves it; returns it."""

    def prepare_fork(self, engine: Any) -> None:
        """Close what must not cross a fork."""

    def shorten_patience(self, engine: Any) -> None:
        """Have changes wait some milliseconds only, except those that end access."""


class SQLiteUnderTest:
    """Databases in files."""

    def open(self, folder: Path, clock: Callable[[], datetime]) -> Any:
        """Open the file in the folder."""
        return open_database(folder, clock)

    def copy(self, folder: Path, to: Path) -> Path:
        """Copy the files."""
        return Path(shutil.copytree(folder, to))

    def copy_open(self, engine: Any, to: Path) -> Path:
        """Copy the files, the journal among them."""
        return Path(shutil.copytree(engine.folder, to))

    def prepare_fork(self, engine: Any) -> None:
        """Close the connections."""
        engine.disconnect()

    def shorten_patience(self, engine: Any) -> None:
        """Give the engine another write lock."""
        engine._write_lock.close()
        engine._write_lock = WriteLock(engine.folder / WRITE_LOCK_NAME, patience=0.01)


ENGINES: dict[str, EngineUnderTest] = {"sqlite": SQLiteUnderTest()}
