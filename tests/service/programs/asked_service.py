"""Answer requests to a service's application on stdin, without a server: each line is a request or an answer, in JSON.

Argument: a data folder. The first line says that the database is open.
"""

import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from in_process import in_process
from private_integrations_service.server.application import Application
from private_integrations_service.settings import Settings
from private_integrations_service.storage.sqlite.engine import open_database

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def main() -> None:
    """Open the database and answer until the requests end."""
    say = partial(print, flush=True)
    with (
        closing(open_database(Path(sys.argv[1]), lambda: NOON)) as engine,
        closing(Application(engine, Settings())) as app,
    ):
        send = in_process(app)
        say("open")
        for line in sys.stdin:
            say(json.dumps(send(*json.loads(line))))


if __name__ == "__main__":
    main()
