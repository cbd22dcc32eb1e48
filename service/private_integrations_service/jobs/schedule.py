"""Run jobs at intervals, beside the requests, in one process of the service at a time.

The leader holds `jobs.lock`. The kernel frees a dead process's lock, so another process follows a killed leader within
seconds. The schedule is in memory and the work is in the tables, so a killed leader loses nothing. A stored schedule
(APScheduler pickles its own) would also let any writer to the database run code.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from ..private_files import open_private

LOCK_NAME = "jobs.lock"

# Between two looks at whether the leader has died.
_AGAIN = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Describe a job: `run`, called with the present instant at once and then `every` so often.

    It is not begun again while it runs. Repeating it, or killing it in the middle, must do no harm.
    """

    name: str
    every: timedelta
    run: Callable[[datetime], object]


class Jobs:
    """Run the jobs of a data folder as soon as no other process runs them.

    `clock` gives the present instant. Made and started in the process that is to run them: neither threads nor the
    lock cross a fork.
    """

    def __init__(self, folder: Path, jobs: Sequence[Job], clock: Callable[[], datetime]) -> None:
        self._file = folder / LOCK_NAME
        self._jobs = jobs
        self._clock = clock
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._take_part, name="jobs", daemon=True)

    def start(self) -> None:
        """Run the jobs here, or wait for the lead."""
        self._thread.start()

    def close(self) -> None:
        """Let running jobs end, and give up the lead; does nothing if it was never started."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _take_part(self) -> None:
        try:
            descriptor = open_private(self._file, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            _log.error("jobs don't run: %s can't be used: %s", self._file, error.strerror)
            return
        try:
            while not _taken(descriptor):
                if self._end.wait(_AGAIN):
                    return
            self._lead()
        finally:
            os.close(descriptor)

    def _lead(self) -> None:
        scheduler = BackgroundScheduler(
            # It would only warn that a job takes longer than its interval, which is intended.
            logger=logging.Logger("scheduler", logging.CRITICAL),
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(max(1, len(self._jobs)))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        # APScheduler runs on wall-clock time; the service's own clock does not apply here.
        at_once = datetime.now(UTC)  # noqa: TID251
        for job in self._jobs:
            trigger = IntervalTrigger(seconds=job.every.total_seconds(), timezone=UTC)
            scheduler.add_job(self._run, trigger, (job,), name=job.name, next_run_time=at_once)
        scheduler.start()
        self._end.wait()
        scheduler.shutdown(wait=True)

    def _run(self, job: Job) -> None:
        if self._end.is_set():
            return
        try:
            job.run(self._clock())
        except Exception as error:
            # The kind only: a message could quote a statement with its values.
            _log.error("job %r failed: %s; it runs again in %s", job.name, type(error).__name__, job.every)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
