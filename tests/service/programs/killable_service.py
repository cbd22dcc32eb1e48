"""The real service, made to die: a request with the header `fail-at: after-commit` kills it there with SIGKILL.

Every other answer names the points that its request passed, in the header `passed`. The data folder is read from
stdin, so that a process can be started ahead of its turn.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from sqlalchemy import event

from private_integrations_service import server
from private_integrations_service.app import Application


class Killable(Application):
    """The whole application, with points on the writer's connection and before the answer; one request at a time."""

    def __init__(self, database, settings):
        super().__init__(database, settings)
        self._fatal = ""
        self._passed: list[str] = []
        writer = database._writer
        event.listen(writer, "before_cursor_execute", self._before_statement)
        writer.dialect.do_commit = self._around(writer.dialect.do_commit)

    async def __call__(self, scope, receive, send):
        """Answer a request, or die in the middle of it."""
        self._fatal = dict(scope.get("headers", ())).get(b"fail-at", b"").decode()
        self._passed = []

        async def answering(message):
            if message["type"] == "http.response.start":
                self._pass("before-answer")
                passed = (b"passed", " ".join(self._passed).encode())
                message = {**message, "headers": [*message.get("headers", ()), passed]}
            await send(message)

        await super().__call__(scope, receive, answering)

    def _pass(self, point):
        if point == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        self._passed.append(point)

    def _before_statement(self, connection, cursor, statement, *_):
        if statement.startswith("BEGIN"):
            self._pass("before-begin")
        else:
            number = sum(point.startswith("statement-") for point in self._passed) + 1
            self._pass(f"statement-{number}")

    def _around(self, commit):
        def do_commit(connection):
            self._pass("before-commit")
            commit(connection)
            self._pass("after-commit")

        return do_commit


if __name__ == "__main__":
    folder = Path(sys.stdin.readline().strip())
    server.Application = Killable
    say = partial(print, flush=True)
    server.serve(data_dir=folder, host="127.0.0.1", port=0, say=say)
