"""Run jobs at intervals, beside the requests, in one process at a time.

The process that has the leadership of the jobs runs them. A leader that is killed is followed by another process
within seconds. The schedule is in memory: a job looks into the tables for what is to be done, so
nothing is lost with it, and no stored schedule (APScheduler pickles its own) makes writing to the database a way to
run code.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from ..storage.engine import Leadership, StorageError

# Between two looks at whether the leader has died.
_AGAIN = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """Something to do `every` so often, beginning at once.

    It is not begun again while it runs. Repeating it, or killing it in the middle, must do no harm.
    """

    name: str
    every: timedelta
    run: Callable[[], object]


class Jobs:
    """Jobs that run here as soon as no other process has their leadership.

    Made and started in the process that is to run them: neither threads nor the leadership cross a fork.
    """

    def __init__(self, leadership: Leadership, jobs: Sequence[Job]) -> None:
        self._leadership = leadership
        self._jobs = jobs
        self._end = threading.Event()
        self._is_failing = False
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
            while not self._end.is_set():
                if self._takes():
                    self._lead()
                self._end.wait(_AGAIN)
        finally:
            self._leadership.release()

    def _takes(self) -> bool:
        """Take the lead, or find that this process still has it."""
        try:
            leads = self._leadership.take()
        except StorageError as error:
            if not self._is_failing:
                _log.error("jobs don't run: %s", error)
            self._is_failing = True
            return False
        self._is_failing = False
        return leads

    def _lead(self) -> None:
        """Run the jobs until the end, or until another process may have the lead."""
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
        while not self._end.wait(_AGAIN) and self._takes():
            """Go on."""
        scheduler.shutdown(wait=True)

    def _run(self, job: Job) -> None:
        if self._end.is_set():
            return
        try:
            job.run()
        except Exception as error:
            # The kind only: a message could quote a statement with its values.
            _log.error("job %r failed: %s; it runs again in %s", job.name, type(error).__name__, job.every)
