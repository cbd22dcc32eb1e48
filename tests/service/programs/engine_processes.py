"""Use one storage engine in several processes, as the service's workers do, and print what each of them saw.

Arguments: the engine's name, a data folder, and the address of a PostgreSQL server. Every line that a worker prints is
one JSON object.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engines import engine_under_test
from postgres import Databases
from private_integrations.contract import Account, AccountClass
from private_integrations_service.storage.accounts import add_account, list_accounts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROUNDS = 10


def main() -> None:
    """Run three workers that write, then two that want the lead, one of which is killed."""
    under_test = engine_under_test(sys.argv[1], Databases(sys.argv[3]))
    # Each process has another clock: those of the workers are behind.
    engine = under_test.open(Path(sys.argv[2]), lambda: datetime.now(UTC) - timedelta(hours=os.getpid() % 5))
    started = engine.now()
    engine.disconnect()
    for worker in [forked(lambda: write_often(engine)) for _ in range(3)]:
        assert os.waitpid(worker, 0)[1] == 0
    say(started=microseconds(started), ended=microseconds(engine.now()), run=engine.run)
    engine.disconnect()
    lead_in_turn(engine)
    engine.close()


def forked(run: Callable[[], None]) -> int:
    """Run a function in a process of its own; returns the process id."""
    child = os.fork()
    if child:
        return child
    try:
        run()
        os._exit(0)
    finally:
        os._exit(1)


def write_often(engine: Any) -> None:
    """Write again and again, and print the instants before, in and after each transaction, and how many were before."""
    engine.begin()
    for number in range(_ROUNDS):
        before, epoch = engine.now(), engine.epoch.value
        with engine.write() as write:
            write.move_epoch(None)
            order = len(list_accounts(write.connection))
            name = f"{os.getpid()} {number}"
            add_account(write.connection, Account(id=name, name=name, kind=AccountClass.AGENCY), write.now)
        instants = [microseconds(instant) for instant in (before, write.now, engine.now())]
        say(instants=instants, order=order, run=engine.run, epochs=[epoch, engine.epoch.value])
    engine.disconnect()


def lead_in_turn(engine: Any) -> None:
    """Have one process take the lead, and print who gets it before and after that process is killed."""
    read, written = os.pipe()

    def lead() -> None:
        os.write(written, b"1" if engine.leadership("work").take() else b"0")
        time.sleep(600)

    leader = forked(lead)
    first = os.read(read, 1) == b"1"
    other = engine.leadership("work")
    while_it_lives = other.take()
    os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    say(lead=[first, while_it_lives, other.take()])


def microseconds(instant: datetime) -> int:
    """Return an instant as a number."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def say(**found: Any) -> None:
    """Print a line, all of it at once."""
    os.write(1, json.dumps(found).encode() + b"\n")


if __name__ == "__main__":
    main()
