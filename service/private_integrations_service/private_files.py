"""Open the files of the data folder, which belong to the service alone.

Another user who could write to the folder could replace a file with a link, so that the service would write to, or
read from, a file elsewhere. So the folder and its files must belong to the user that runs the service, no other user
may write to them, as ssh and PostgreSQL require of their files, and no symbolic link in the folder is followed.
"""

import errno
import os
import stat
from pathlib import Path

from private_integrations.errors import ConfigurationError

NAMES = (
    "private-integrations.db",
    "activity.db",
    "admin.",
    "reserved-space",
    "ended-tokens",
    "jobs.lock",
    "lease.lock",
    "security.log",
    "server.lock",
    "webhooks.lock",
    "writer.lock",
)
"""List the beginnings of the names of all files that the service makes in its data folder."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def prepare_folder(folder: Path) -> None:
    """Make the data folder, or see that the one that is there can be trusted; raises ConfigurationError if not."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The folder itself may be reached by a link, because the person who starts the service decides on it.
        _require_own(folder, os.stat(folder))
        for entry in os.scandir(folder):
            if entry.name.startswith(NAMES):
                found = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(found.st_mode):
                    raise ConfigurationError(
                        f"{entry.path} is {_kind(found.st_mode)}, not a file of the service; move it away"
                    )
                _require_own(Path(entry.path), found)
    except OSError as error:
        raise ConfigurationError(f"data folder {folder} can't be used: {error.strerror}") from error


def open_private(file: Path, flags: int) -> int:
    """Open a file of the data folder, or make it for its owner alone; raises OSError.

    A symbolic link is refused, and so is a path that is no plain file or belongs to another user.
    """
    descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        raise OSError(errno.EPERM, "it is no file of the service's own", str(file))
    return descriptor


def _require_own(file: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{file} belongs to another user (uid {found.st_uid}) than the service (uid {os.geteuid()}): run the "
            f"service as that user, or: chown {os.geteuid()} {file}"
        )
    if found.st_mode & _OTHERS_WRITE:
        raise ConfigurationError(f"{file} can be written by other users than its owner; run: chmod go-w {file}")


def _kind(mode: int) -> str:
    return "a symbolic link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a special file"
