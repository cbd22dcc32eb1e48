"""Imitate the platform's API v2 over the service's own database, behind the authorizer.

A module per noun has the `HANDLERS` of its operations; `storage/` has their tables and statements. Names, statuses and
texts are the platform's, so unmodified clients of it work. For example: `Sandbox(database, limits)` is an ASGI
application that answers `GET /contacts/`.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from anyio import to_thread
from starlette.types import Receive, Scope, Send

from private_integrations.contract import Reason

from ..authorizer import ALLOWED, Allowed
from ..authorizer.decisions import accounts_to_look_up, refuse_accounts
from ..authorizer.named_accounts import MOST_NAMED, named_in_json
from ..authorizer.replies import PlatformError, Reply, send_reply
from ..authorizer.storage_errors import refuse_storage
from ..catalogue.account_fields import Names
from ..catalogue.endpoints import Endpoint
from ..http.request_body import Unread, read_body
from ..operations.accounts import agencies_of
from ..storage.engine import StorageEngine, StorageError
from . import (
    bulk,
    businesses,
    contact_search,
    contact_sets,
    contacts,
    custom_fields,
    custom_values,
    enrolments,
    location_lists,
    location_tags,
    locations,
    notes,
    object_fields,
    opportunities,
    pipelines,
    tasks,
    users,
)
from .bodies import BODY_LIMIT, TOO_LARGE, TOO_SLOW
from .limits import RateLimits
from .requests import Handler, SandboxRequest

_HANDLERS: Mapping[tuple[str, str], Handler] = MappingProxyType(
    {
        **contacts.HANDLERS,
        **contact_search.HANDLERS,
        **contact_sets.HANDLERS,
        **notes.HANDLERS,
        **tasks.HANDLERS,
        **enrolments.HANDLERS,
        **bulk.HANDLERS,
        **businesses.HANDLERS,
        **locations.HANDLERS,
        **location_tags.HANDLERS,
        **custom_fields.HANDLERS,
        **custom_values.HANDLERS,
        **object_fields.HANDLERS,
        **opportunities.HANDLERS,
        **pipelines.HANDLERS,
        **location_lists.HANDLERS,
        **users.HANDLERS,
    }
)

_TOO_DEEP = PlatformError(400, Reason.BODY_MALFORMED, "Unexpected token in JSON", {"error": "Bad Request"})
_UNREAD = MappingProxyType({Unread.TOO_LARGE: TOO_LARGE, Unread.TOO_SLOW: TOO_SLOW})


class Sandbox:
    """Answer allowed requests within the account's rate limits; an operation that the sandbox lacks is a 501."""

    is_platform = True
    """Let the authorizer refuse what the platform itself would refuse."""

    def __init__(self, engine: StorageEngine, limits: RateLimits) -> None:
        self._engine = engine
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an authorized request."""
        allowed: Allowed = scope[ALLOWED]
        spent = self._limits.spend(allowed.grant.account_id, allowed.now)
        answer = spent.refusal or await self._answer(allowed, scope, receive)
        if answer is not None:
            reply = answer.reply() if isinstance(answer, PlatformError) else answer
            headers = (*reply.headers, *spent.headers(self._limits.limits))
            await send_reply(send, replace(reply, headers=headers))

    async def _answer(self, allowed: Allowed, scope: Scope, receive: Receive) -> Reply | PlatformError | None:
        """Return the reply to an allowed request; None if the client is gone."""
        endpoint = allowed.match.endpoint
        handler = _HANDLERS.get((endpoint.method, endpoint.path))
        if handler is None:
            return _not_implemented(endpoint)
        body = await read_body(receive, BODY_LIMIT)
        if isinstance(body, bytes):
            return await to_thread.run_sync(_answer, handler, SandboxRequest(self._engine, allowed, scope, body))
        return _UNREAD.get(body)


def _answer(handler: Handler, request: SandboxRequest) -> Reply | PlatformError:
    try:
        return _refuse_accounts(request) or handler(request)
    except StorageError as error:
        return refuse_storage(error)


def _refuse_accounts(request: SandboxRequest) -> PlatformError | None:
    """Refuse a body that names an account that the token doesn't reach, if the operation's body may name one.

    Validation refuses all else in the platform's words: values that are no text, and fields that the operation lacks.
    """
    if not request.allowed.match.endpoint.body_names_account or not request.body.strip():
        return None
    try:
        named = {each for each in named_in_json(request.body.decode()) if each.kind is not Names.OTHER}
    except ValueError:
        # The handlers read bodies in the same way: they refuse this one, or don't look at it.
        return None
    except RecursionError:
        # The depth that a reader reaches depends on its caller's own depth: a handler might get deeper.
        return _TOO_DEEP
    endpoint, grant = request.allowed.match.endpoint, request.allowed.grant
    asked = accounts_to_look_up(grant, named)
    if not asked or len(named) > MOST_NAMED:
        return refuse_accounts(endpoint, grant, named, {})
    return refuse_accounts(endpoint, grant, named, agencies_of(request.engine, asked))


def _not_implemented(endpoint: Endpoint) -> PlatformError:
    return PlatformError(501, Reason.NOT_IMPLEMENTED, f"The sandbox has no {endpoint.method} {endpoint.path}")
