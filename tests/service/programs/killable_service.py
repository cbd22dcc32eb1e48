"""The real service, made to die: a request with the header `fail-at: after-commit` kills it there with SIGKILL.

Every other answer names the points that its request passed, in the header `passed`. Each line on stdin is a data
folder to serve, with the address of a PostgreSQL database behind a tab if there is one. They are served one after the
other, by a fork of this process: the imports are done once. What it says on stdout: the service's pid, its own lines,
and at last how it ended. The one argument is the number of workers, of which the one
that has the request dies.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import psycopg
from sqlalchemy import event

from fork_server import warm_up
from private_integrations_service.server import serve
from private_integrations_service.server.application import Application


class Killable(Application):
    """The whole application, with points on the writer's connection and before the answer; one request at a time."""

    def __init__(self, engine, settings, **options):
        super().__init__(engine, settings, **options)
        self._fatal = ""
        self._passed: list[str] = []
        writer = engine._writer
        if writer.dialect.name == "postgresql":
            event.listen(writer, "checkout", self._watch)
        else:
            event.listen(writer, "before_cursor_execute", lambda *parts: self._before_statement(parts[2]))
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

    def _watch(self, connection, *_):
        """Pass a point before each statement of a PostgreSQL connection: the engine sends some past SQLAlchemy."""
        before = self._before_statement

        class Watched(psycopg.Cursor):
            def execute(self, query, *arguments, **options):
                before(query)
                return super().execute(query, *arguments, **options)

        connection.cursor_factory = Watched

    def _before_statement(self, statement):
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
    warm_up()
    serve.Application = Killable
    say = partial(print, flush=True)
    workers = int(sys.argv[1]) if sys.argv[1:] else 1
    for line in sys.stdin:
        folder, _, database = line.strip().partition("\t")
        service = os.fork()
        if not service:
            say(os.getpid())
            serve.serve(
                data_dir=Path(folder), database=database or None, host="127.0.0.1", port=0, say=say, workers=workers
            )
            os._exit(0)
        say(f"ended {os.waitstatus_to_exitcode(os.waitpid(service, 0)[1])}")
