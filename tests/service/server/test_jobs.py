"""Jobs: one process runs them, another follows it when it dies, and a failure is no end."""

import queue
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta

import pytest

from engines import sqlite_only
from private_integrations_service.jobs.schedule import Job, Jobs

SOON = timedelta(milliseconds=20)

LEADER = """
import os
import sys
import threading
from datetime import timedelta
from pathlib import Path

from private_integrations_service.jobs.schedule import Job, Jobs
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.sqlite.engine import FILE_NAME, SQLiteEngine

# Without the lock of the data folder, which a forked worker would share.
engine = SQLiteEngine(Path(sys.argv[1]) / FILE_NAME, os.open(os.devnull, os.O_RDONLY), utc_now)
say = Job("lead", timedelta(hours=1), lambda: print(engine.now(), flush=True))
Jobs(engine.leadership("jobs"), [say]).start()
threading.Event().wait()
"""


@pytest.fixture
def told():
    """What the jobs say."""
    return queue.Queue()


def jobs(engine, *made):
    """Started jobs of an engine."""
    started = Jobs(engine.leadership("jobs"), made)
    started.start()
    return closing(started)


def test_a_job_runs_again_and_again_with_the_clocks_instant(database, clock, told):
    """It begins at once, and asks the engine for the instant of the service's clock."""
    with jobs(database, Job("tell", SOON, lambda: told.put(database.now()))):
        assert [told.get(timeout=10) for _ in range(3)] == [clock.now] * 3


def test_a_job_that_fails_runs_again_and_others_don_t_notice(database, clock, told, caplog):
    """One line says which and what kind of failure, and nothing that the failure quotes."""

    def fail():
        told.put("failed")
        raise ValueError("whsec_" + "secret")

    with jobs(database, Job("fail", SOON, fail), Job("tell", SOON, lambda: told.put(database.now()))):
        seen = [told.get(timeout=10) for _ in range(20)]
    assert seen.count("failed") > 1
    assert seen.count(clock.now) > 1
    assert caplog.messages[0] == "job 'fail' failed: ValueError; it runs again in 0:00:00.020000"
    assert "secret" not in caplog.text


def test_a_job_is_not_begun_again_while_it_runs(database, clock, told):
    """Slow work is never done twice at once, and nothing is said about it."""
    go_on = threading.Event()
    running = []

    def slow():
        running.append(1)
        told.put(len(running))
        go_on.wait(10)
        running.pop()

    with jobs(database, Job("slow", SOON, slow), Job("quick", SOON, lambda: told.put("quick"))):
        seen = [told.get(timeout=10) for _ in range(10)]
        go_on.set()
    assert seen.count("quick") == 9


def test_one_at_a_time_and_the_next_when_it_leaves(database, clock, told):
    """Two of a folder: only one runs its jobs until it is closed, then the other does."""
    with jobs(database, Job("first", SOON, lambda: told.put(1))) as first:
        told.get(timeout=10)
        with jobs(database, Job("second", SOON, lambda: told.put(2))):
            assert {told.get(timeout=10) for _ in range(5)} == {1}
            first.close()
            while told.get(timeout=10) != 2:
                """What the first one had said before."""


def test_a_killed_leader_is_followed(database, clock, told):
    """No lock, mark or file that the dead one leaves keeps the next one from leading."""
    with subprocess.Popen([sys.executable, "-c", LEADER, database.folder], stdout=subprocess.PIPE) as leader:
        leader.stdout.readline()
        with jobs(database, Job("follow", SOON, lambda: told.put(database.now()))):
            assert told.empty()
            leader.kill()
            assert told.get(timeout=10) == clock.now


@sqlite_only
def test_a_folder_that_can_t_be_used_is_said(database, caplog):
    """Requests are answered all the same."""
    (database.folder / "jobs.lock").mkdir()
    with jobs(database, Job("never", SOON, lambda: None)):
        """Closing waits for the thread."""
    assert caplog.messages == [f"jobs don't run: {database.folder / 'jobs.lock'} can't be used: Is a directory"]
