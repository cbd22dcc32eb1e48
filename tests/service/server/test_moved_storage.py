"""The database's files deleted, moved or replaced under a running service: nothing is answered that would not last."""

import shutil
import time
from contextlib import closing

import pytest
import requests

from forked import running_service
from management import Management, problem
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.activity import Batch
from private_integrations_service.storage.sqlite.activity import FILE_NAME as ACTIVITY
from private_integrations_service.storage.sqlite.activity import SQLiteActivity
from private_integrations_service.storage.sqlite.engine import FILE_NAME, LOCK_NAME, open_database
from private_integrations_service.storage.sqlite.watched_files import StorageMoved


def delete(folder):
    """The database alone."""
    (folder / FILE_NAME).unlink()


def delete_all(folder):
    """The database, its journal and its index."""
    for file in folder.glob(FILE_NAME + "*"):
        file.unlink()


def move(folder):
    """The database, elsewhere in the folder."""
    (folder / FILE_NAME).rename(folder / "elsewhere.db")


def restore(folder):
    """A copy in its place, as who restores a backup without stopping the service."""
    shutil.copy(folder / FILE_NAME, folder / "copy")
    (folder / "copy").rename(folder / FILE_NAME)


def link(folder):
    """A symbolic link in its place, to the very file."""
    move(folder)
    (folder / FILE_NAME).symlink_to(folder / "elsewhere.db")


def delete_journal(folder):
    """Delete the journal, which holds the changes committed since the last checkpoint."""
    (folder / f"{FILE_NAME}-wal").unlink()


def delete_index(folder):
    """The index of the journal."""
    (folder / f"{FILE_NAME}-shm").unlink()


def delete_lock(folder):
    """Delete the lock that keeps a second service out of the folder."""
    (folder / LOCK_NAME).unlink()


def move_folder(folder):
    """The whole folder; another one has its name."""
    folder.rename(folder.with_name("moved"))
    shutil.copytree(folder.with_name("moved"), folder)


CHANGES = [delete, delete_all, move, restore, link, delete_journal, delete_index, delete_lock, move_folder]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_change_is_answered_that_would_not_last(tmp_path, change, workers):
    """After any loss of files, changes are 503, health is red, no token passes, and stderr says so once."""
    with running_service(tmp_path / "data", "--workers", workers) as service:
        management = Management(service.url, service.key, service.account)
        integration = management.integration()["id"]
        token = management.issue(integration, 1).json()["token"]
        data = {"url": f"{service.url}/contacts/?locationId={service.account}", "timeout": 10}
        data["headers"] = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
        # On both workers: each connection is spread by the kernel.
        assert {requests.get(**data).status_code for _ in range(12)} == {200}
        change(tmp_path / "data")
        # Remembered tokens are good for a quarter of a second more.
        time.sleep(0.3)
        for _ in range(12):
            expired = management.ask("POST", f"/integrations/{integration}/expire", {"generations": [1]})
            assert problem(expired) == (503, "storage-unavailable")
            assert requests.get(f"{service.url}/health", timeout=10).status_code == 503
            answer = requests.get(**data)
            assert (answer.status_code, answer.json()["reason"]) == (503, "storage-unavailable")
        service.process.terminate()
        said = service.process.stdout.read()
        assert said.count("was deleted, moved or replaced under the running service") in range(1, int(workers) + 1)
        assert "Traceback" not in said


def test_what_was_moved_back_is_the_database_again(tmp_path, clock):
    """The very file in its old place: nothing was lost, so the service goes on."""
    with closing(open_database(tmp_path, clock)) as database:
        move(tmp_path)
        with pytest.raises(StorageMoved), database.write():
            pytest.fail("nothing may be begun")
        (tmp_path / "elsewhere.db").rename(tmp_path / FILE_NAME)
        with database.write():
            """Nothing to change."""


def test_a_change_during_which_the_file_went_is_no_success(tmp_path, clock):
    """The service checks the file once more when it commits the change."""
    with closing(open_database(tmp_path, clock)) as database, pytest.raises(StorageMoved), database.write():
        delete(tmp_path)


def test_a_folder_is_opened_again_after_the_last_connection_closed(tmp_path, clock):
    """Closing the last connection removes the journal, which is no loss: the next one begins another."""
    with closing(open_database(tmp_path, clock)) as database:
        for _ in range(3):
            database.disconnect()
            database.begin()
            with database.write():
                """Nothing to change."""


def test_nothing_is_made_in_place_of_a_deleted_database(tmp_path):
    """Not even an empty file, by those who only read."""
    with closing(open_database(tmp_path, utc_now)) as database:
        delete_all(tmp_path)
        with pytest.raises(StorageMoved):
            time.sleep(0.3)
            with database.read():
                pytest.fail("nothing may be read")
        assert not (tmp_path / FILE_NAME).exists()


def test_activity_goes_on_in_a_new_file(tmp_path, clock):
    """A deleted activity file is made anew, for its readers too, and observed from then on: no token seems unused."""
    with closing(SQLiteActivity(tmp_path, "run")) as activity:
        activity.store(Batch(), clock())
        with activity.read() as recorded:
            assert recorded.observed_since() == clock()
        for file in tmp_path.glob(f"{ACTIVITY}*"):
            file.unlink()
        clock.move(seconds=60)
        activity.store(Batch(), clock())
        with activity.read() as recorded:
            assert recorded.observed_since() == clock()
        assert activity.flushes() == [clock()]
    with closing(SQLiteActivity(tmp_path, "run")) as again, again.read() as recorded:
        assert recorded.observed_since() == clock()
