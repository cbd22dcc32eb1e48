"""Looking for tokens and keys in places where none may ever be."""

import re
from pathlib import Path

# All that a token or key begins with: a part of one would be a leak too.
_SECRET = re.compile(rb"pit-[0-9a-f]{8}-[0-9a-f]{4}|p[ms]k-[0-9a-f]{16}")
_KEY_FILE = "admin.key"


def secrets_in(content: bytes) -> set[bytes]:
    """The beginnings of whatever looks like a token or key; never the whole of one."""
    return {found[:12] for found in _SECRET.findall(content)}


def leaks(folder: Path) -> dict[str, set[bytes]]:
    """The files of a data folder that hold a secret: database, journal and all others but the first key's own."""
    contents = {file.name: secrets_in(file.read_bytes()) for file in folder.iterdir() if file.name != _KEY_FILE}
    return {name: found for name, found in contents.items() if found}
