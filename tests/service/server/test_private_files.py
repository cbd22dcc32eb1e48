"""The data folder is the service's alone: what others could have put there is refused, no link there is followed."""

import ast
import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import forked
import private_integrations_service
from forked import running_service
from private_integrations.errors import ConfigurationError
from private_integrations_service.private_files import NAMES, open_private
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.sqlite.activity import SQLiteActivity
from private_integrations_service.storage.sqlite.engine import open_database
from private_integrations_service.storage.sqlite.reserved_space import ReservedSpace

FILES = [
    "private-integrations.db",
    "private-integrations.db-wal",
    "private-integrations.db-shm",
    "activity.db",
    "activity.db-wal",
    "admin.key",
    "admin.new",
    "reserved-space",
    "ended-tokens",
    "jobs.lock",
    "lease.lock",
    "server.lock",
    "webhooks.lock",
    "writer.lock",
]


def test_the_service_makes_no_other_files(tmp_path):
    """Every file in a data folder in use is one that the next start looks at, and its owner's alone."""
    with running_service(tmp_path) as service:
        made = {file.name: stat.S_IMODE(file.stat().st_mode) for file in service.data_dir.iterdir()}
    assert {name for name in made if not name.startswith(NAMES)} == set()
    assert set(made.values()) == {0o600}
    assert set(made) > {
        "private-integrations.db",
        "private-integrations.db-wal",
        "activity.db",
        "admin.key",
        "reserved-space",
    }


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o1777, 0o720])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path, mode):
    """One line that says which folder and what to run; nothing is made in it."""
    tmp_path.chmod(mode)
    command = [sys.executable, "-m", "private_integrations.cli", "serve", "--port", "0", "--data-dir", str(tmp_path)]
    done = forked.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"private-integrations: {tmp_path} can be written by other users than its owner; run: chmod go-w {tmp_path}\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o700])
def test_a_folder_that_others_may_only_read_is_used(tmp_path, mode):
    """Its files can be read by their owner only."""
    tmp_path.chmod(mode)
    open_database(tmp_path, utc_now).close()


def test_a_folder_or_file_of_another_user_is_refused(tmp_path, monkeypatch):
    """Its owner could replace the files that the service writes."""
    if os.geteuid():
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    else:
        os.chown(tmp_path, 12_345, -1)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        open_database(tmp_path, utc_now)
    if not os.geteuid():
        os.chown(tmp_path, 0, -1)
        open_database(tmp_path, utc_now).close()
        os.chown(tmp_path / "writer.lock", 12_345, -1)
        with pytest.raises(ConfigurationError, match=r"writer\.lock belongs to another user"):
            open_database(tmp_path, utc_now)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_the_folder_is_refused(tmp_path, name):
    """The service refuses to start, also if the link leads nowhere, and leaves the link's target unchanged."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    folder = tmp_path / "data"
    folder.mkdir()
    for target in (elsewhere, tmp_path / "nothing"):
        (folder / name).symlink_to(target)
        with pytest.raises(ConfigurationError, match=f"{name} is a symbolic link, not a file of the service"):
            open_database(folder, utc_now)
        (folder / name).unlink()
    assert elsewhere.read_text() == "mine"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["private-integrations.db", "admin.key", "reserved-space"])
def test_what_is_no_file_is_refused(tmp_path, name):
    """A folder or a pipe in a file's place."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(ConfigurationError, match=f"{name} is a special file"):
        open_database(tmp_path, utc_now)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigurationError, match=f"{name} is a folder"):
        open_database(tmp_path, utc_now)


def test_a_file_that_others_may_write_to_is_refused(tmp_path):
    """As a folder is."""
    open_database(tmp_path, utc_now).close()
    (tmp_path / "private-integrations.db").chmod(0o666)
    with pytest.raises(ConfigurationError, match=r"private-integrations\.db can be written by other users"):
        open_database(tmp_path, utc_now)


def test_a_link_that_appears_later_is_not_followed(tmp_path):
    """The reserve, activity and counts are made anew while the service runs: not where a link leads."""
    elsewhere = tmp_path / "elsewhere"
    folder = tmp_path / "data"
    with closing(open_database(folder, utc_now)):
        (folder / "reserved-space").unlink()
        for name in ("reserved-space", "activity.db"):
            (folder / name).symlink_to(elsewhere)
        ReservedSpace(folder).renew()
        SQLiteActivity(folder, "run").close()
    assert not elsewhere.exists()


def test_only_plain_files_of_our_own_are_opened(tmp_path):
    """Neither a link, nor a pipe, which would wait for ever."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError):
            os.close(open_private(tmp_path / name, os.O_RDWR | os.O_CREAT))
    descriptor = open_private(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
    os.close(descriptor)


# Each with what it opens: the package's own files; files outside the data folder that an operator names; the folder
# itself, to lock it.
OPENING = {
    "private_files.py": {"os.open"},
    "settings.py": {".open"},
    "catalogue/account_fields.py": {".read_text"},
    "catalogue/endpoints.py": {".read_text"},
    "sandbox/shapes.py": {".read_text"},
    "settings_pages/assets.py": {".read_bytes"},
    "storage/postgresql/lease_keeper.py": {".read_text"},  # of a process's state, below /proc
    "storage/postgresql/migrations/0017_first.py": {".read_text"},
}


def opening(source: str) -> set[str]:
    """The calls of a module that open a file by its path."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        attribute = called.rpartition(".")[2]
        if called in ("os.open", "open", "io.open"):
            found.add(called)
        elif attribute in ("read_text", "read_bytes", "write_text", "write_bytes"):
            found.add(f".{attribute}")
        elif attribute == "open" and "sealer" not in called:
            found.add(".open")
    return found


def test_every_file_of_the_data_folder_is_opened_by_one_function():
    """A module that opens files otherwise, and so would follow a link, is named here."""
    root = Path(private_integrations_service.__file__).parent
    found = {str(file.relative_to(root)): opening(file.read_text()) for file in root.rglob("*.py")}
    assert {name: calls for name, calls in found.items() if calls} == OPENING
    assert opening("open(path)") == {"open"}
    assert opening("(folder / name).open('rb')") == {".open"}
