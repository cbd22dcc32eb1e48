"""In tests, a data folder may name the PostgreSQL database of its replica in a file."""

from pathlib import Path

ADDRESS = "address"
"""The file's name."""


def database_of(folder):
    """The address of the database that a data folder names; None if the database is a file in it."""
    file = Path(folder) / ADDRESS
    return file.read_text() if file.exists() else None
