"""Give the sandbox's handlers an authorized request: its body is read, and its token is left out."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection
from starlette.types import Scope

from private_integrations.contract import rfc3339

from ..authorizer import Allowed
from ..authorizer.named_accounts import read_query
from ..authorizer.replies import PlatformError, Reply
from ..storage.engine import StorageEngine, Write
from .bodies import Check, read_fields, refuse_fields, required_text
from .shapes import Generation, OperationShapes, operation_shapes

_V3 = b"v3"
_NO_CHECKS: Mapping[str, Check] = MappingProxyType({})


@dataclass(frozen=True)
class SandboxRequest:
    """Hold the decision on a request, and the request itself."""

    engine: StorageEngine
    allowed: Allowed
    scope: Scope
    body: bytes

    @property
    def account_id(self) -> str:
        """Return the account of the request's token."""
        return self.allowed.grant.account_id

    @property
    def now(self) -> datetime:
        """Return the instant at which the request was authorized."""
        return self.allowed.now

    @property
    def author(self) -> dict[str, str]:
        """Describe the integration that makes an object with this request, as the platform describes an app."""
        grant = self.allowed.grant
        return {
            "source": "INTEGRATION",
            "channel": "OAUTH",
            "sourceId": grant.integration_id,
            "sourceName": grant.integration_name,
            "timestamp": rfc3339(self.now),
        }

    def read(self) -> AbstractContextManager[Connection]:
        """Begin a read-only transaction."""
        return self.engine.read()

    def write(self) -> AbstractContextManager[Write]:
        """Begin a write transaction."""
        return self.engine.write()

    def parameter(self, name: str) -> str:
        """Return the value of a path parameter."""
        return self.allowed.match.params[name]

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Return the query's values by name."""
        return read_query(self.scope["query_string"])

    @property
    def base_url(self) -> str:
        """Return the address that the client used for the API, for links in the answer to it."""
        host = next((value for name, value in self.scope["headers"] if name == b"host"), b"localhost")
        return f"{self.scope.get('scheme', 'http')}://{host.decode('latin-1')}"

    @property
    def generation(self) -> Generation:
        """Return the generation of the specification that the client was written for, by its `Version` header."""
        version = next((value for name, value in self.scope["headers"] if name == b"version"), b"")
        return "v3" if version.strip() == _V3 else "v2"

    @cached_property
    def shapes(self) -> OperationShapes:
        """Look up what the operation takes in the client's generation."""
        endpoint = self.allowed.match.endpoint
        return operation_shapes(endpoint.method, endpoint.path, self.generation)

    def body_fields(
        self,
        refined: Mapping[str, Check] = _NO_CHECKS,
        *,
        also: Mapping[str, Check] = _NO_CHECKS,
        also_required: Collection[str] = (),
        optional: Collection[str] = (),
    ) -> dict[str, Any] | PlatformError:
        """Read the body's fields, and check them against the operation's shape.

        The accounts among them were checked before.

        Args:
            refined: checks of documented fields beyond their types. Checks of other fields are left out, so that the
                operations of one resource can share them.
            also: fields that the platform takes although its specification lacks them.
            also_required: fields that it requires although its specification calls them optional.
            optional: fields that its specification calls required, and the platform doesn't.

        """
        shape = self.shapes.body
        checks = {**{name: refined.get(name, check) for name, check in shape.checks.items()}, **also}
        given = read_fields(self.body)
        if isinstance(given, PlatformError):
            return given
        required = (shape.required - set(optional)) | set(also_required)
        return refuse_fields(given, checks, required) or given

    def query_faults(self, also: Collection[str] = ()) -> list[str]:
        """Find parameters that the operation doesn't take, and required ones that are missing or empty.

        Args:
            also: parameters that the platform takes although its specification lacks them.

        """
        shape = self.shapes.query
        faults = [f"property {name} should not exist" for name in self.query if name not in {*shape.checks, *also}]
        for name in sorted(shape.required):
            faults += required_text(name, next(iter(self.query.get(name, ())), None))
        return faults


Handler = Callable[[SandboxRequest], Reply | PlatformError]
"""Answer a request, in a worker thread, so that it may wait for the database."""
