"""The command line on a machine whose wall clock is off by so many seconds, the first argument; the rest is usual.

The service reads the wall clock in two modules (`scripts/check` refuses others), and libraries call `time.time`.
"""

import runpy
import sys
import time
from datetime import datetime, timedelta

from private_integrations_service.jobs import schedule
from private_integrations_service.server import clock

OFFSET = float(sys.argv.pop(1))


class ShiftedDatetime(datetime):
    """Has another present."""

    @classmethod
    def now(cls, tz=None):
        """Return the present instant by the shifted clock."""
        return datetime.now(tz) + timedelta(seconds=OFFSET)


def shift() -> None:
    """Shift every reading of the wall clock."""
    for module in (schedule, clock):
        assert module.datetime is datetime
        module.datetime = ShiftedDatetime
    right = time.time
    time.time = lambda: right() + OFFSET


if __name__ == "__main__":
    shift()
    runpy.run_module("private_integrations.cli", run_name="__main__", alter_sys=True)
