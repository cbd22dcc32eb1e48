"""A request as the sandbox's handlers see it: authorized, read, and without a trace of its token."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from starlette.types import Scope

from ..authorizer.judge import Granted
from ..authorizer.named_accounts import read_query
from ..authorizer.replies import Refusal, Reply
from ..storage.database import Database
from .bodies import Check, read_fields, refuse_fields


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

    def fields(self, checks: Mapping[str, Check], required: Collection[str] = ()) -> dict[str, Any] | Refusal:
        """The body's fields, or why they don't pass; the accounts among them were checked before."""
        given = read_fields(self.body)
        if isinstance(given, Refusal):
            return given
        return refuse_fields(given, checks, required) or given


Handler = Callable[[Request], Reply | Refusal]
"""Answers a request; runs in a worker thread and may wait for the database."""
