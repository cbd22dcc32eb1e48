"""Looking for tokens and keys in places where none may ever be."""

import re
from collections.abc import Mapping
from pathlib import Path

# All that a token or key begins with: a part of one would be a leak too.
_SECRET = re.compile(rb"pit-[0-9a-f]{8}-[0-9a-f]{4}|p[ms]k-[0-9a-f]{16}")
_KEY_FILE = "admin.key"


def secrets_in(content: bytes) -> set[bytes]:
    """The beginnings of whatever looks like a token or key; never the whole of one."""
    return {found[:12] for found in _SECRET.findall(content)}


def files_of(folder: Path) -> dict[str, bytes]:
    """Read the files of a data folder: database, journal and all others."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def leaks(stored: Mapping[str, bytes]) -> dict[str, set[bytes]]:
    """Find the files and tables that hold a secret, by name; the first key's own file is meant to."""
    found = {name: secrets_in(content) for name, content in stored.items() if name != _KEY_FILE}
    return {name: secrets for name, secrets in found.items() if secrets}
