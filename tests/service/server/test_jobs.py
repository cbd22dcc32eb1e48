"""Jobs: one process runs them, another follows it when it dies, and a failure is no end."""

import queue
import subprocess
import sys
import threading
from contextlib import closing
from datetime import timedelta

import pytest

from private_integrations_service.jobs.schedule import Job, Jobs

SOON = timedelta(milliseconds=20)

LEADER = """
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from private_integrations_service.jobs import Job, Jobs

say = Job("lead", timedelta(hours=1), lambda now: print(now, flush=True))
Jobs(Path(sys.argv[1]), [say], lambda: datetime.now(UTC)).start()
threading.Event().wait()
"""


@pytest.fixture
def told():
    """What the jobs say."""
    return queue.Queue()


def jobs(folder, clock, *made):
    """Started jobs of a folder."""
    started = Jobs(folder, made, clock)
    started.start()
    return closing(started)


def test_a_job_runs_again_and_again_with_the_clocks_instant(tmp_path, clock, told):
    """It begins at once, and is given the instant of the service's clock."""
    with jobs(tmp_path, clock, Job("tell", SOON, told.put)):
        assert [told.get(timeout=10) for _ in range(3)] == [clock.now] * 3


def test_a_job_that_fails_runs_again_and_others_don_t_notice(tmp_path, clock, told, caplog):
    """One line says which and what kind of failure, and nothing that the failure quotes."""

    def fail(now):
        told.put("failed")
        raise ValueError("whsec_" + "secret")

    with jobs(tmp_path, clock, Job("fail", SOON, fail), Job("tell", SOON, told.put)):
        seen = [told.get(timeout=10) for _ in range(20)]
    assert seen.count("failed") > 1
    assert seen.count(clock.now) > 1
    assert caplog.messages[0] == "job 'fail' failed: ValueError; it runs again in 0:00:00.020000"
    assert "secret" not in caplog.text


def test_a_job_is_not_begun_again_while_it_runs(tmp_path, clock, told):
    """Slow work is never done twice at once, and nothing is said about it."""
    go_on = threading.Event()
    running = []

    def slow(now):
        running.append(now)
        told.put(len(running))
        go_on.wait(10)
        running.pop()

    with jobs(tmp_path, clock, Job("slow", SOON, slow), Job("quick", SOON, lambda now: told.put("quick"))):
        seen = [told.get(timeout=10) for _ in range(10)]
        go_on.set()
    assert seen.count("quick") == 9


def test_one_at_a_time_and_the_next_when_it_leaves(tmp_path, clock, told):
    """Two of a folder: only one runs its jobs until it is closed, then the other does."""
    with jobs(tmp_path, clock, Job("first", SOON, lambda now: told.put(1))) as first:
        told.get(timeout=10)
        with jobs(tmp_path, clock, Job("second", SOON, lambda now: told.put(2))):
            assert {told.get(timeout=10) for _ in range(5)} == {1}
            first.close()
            while told.get(timeout=10) != 2:
                """What the first one had said before."""


def test_a_killed_leader_is_followed(tmp_path, clock, told):
    """No lock, mark or file that the dead one leaves keeps the next one from leading."""
    with subprocess.Popen([sys.executable, "-c", LEADER, tmp_path], stdout=subprocess.PIPE) as leader:
        leader.stdout.readline()
        with jobs(tmp_path, clock, Job("follow", SOON, told.put)):
            assert told.empty()
            leader.kill()
            assert told.get(timeout=10) == clock.now


def test_a_folder_that_can_t_be_used_is_said(tmp_path, clock, caplog):
    """Requests are answered all the same."""
    (tmp_path / "jobs.lock").mkdir()
    with jobs(tmp_path, clock, Job("never", SOON, lambda now: None)):
        """Closing waits for the thread."""
    assert caplog.messages == [f"jobs don't run: {tmp_path / 'jobs.lock'} can't be used: Is a directory"]
