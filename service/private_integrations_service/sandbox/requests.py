"""A request as the sandbox's handlers see it: authorized, read, and without a trace of its token."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from starlette.types import Scope

from ..authorizer.decisions import read_query
from ..authorizer.judge import Granted
from ..authorizer.replies import Refusal, Reply
from ..storage.database import Database


@dataclass(frozen=True)
class Request:
    """What was granted, and what was sent."""

    database: Database
    granted: Granted
    scope: Scope
    body: bytes

    @property
    def account_id(self) -> str:
        """The account whose token this is."""
        return self.granted.grant.account_id

    @property
    def now(self) -> datetime:
        """The instant at which the request was authorized."""
        return self.granted.now

    def parameter(self, name: str) -> str:
        """The value of a path parameter."""
        return self.granted.match.params[name]

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query's values by name."""
        return read_query(self.scope["query_string"])

    @property
    def base_url(self) -> str:
        """Where the client reached the API, by its own word: for links in answers to itself."""
        host = next((value for name, value in self.scope["headers"] if name == b"host"), b"localhost")
        return f"{self.scope.get('scheme', 'http')}://{host.decode('latin-1')}"


Handler = Callable[[Request], Reply | Refusal]
"""Answers a request; runs in a worker thread and may wait for the database."""

SUCCEEDED: Mapping[str, object] = {"succeded": True, "succeeded": True}
"""The platform's answer when there is nothing else to say: in its own spelling, and in that of v3."""
