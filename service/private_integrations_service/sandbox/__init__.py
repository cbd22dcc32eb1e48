"""The sandbox: a small API v2 of contacts and locations over the service's own database, behind the authorizer."""

from collections.abc import Mapping
from types import MappingProxyType

from anyio import to_thread
from starlette.types import Receive, Scope, Send

from ..authorizer import GRANTED
from ..authorizer.judge import STORAGE_ERRORS, Granted
from ..authorizer.replies import UNAVAILABLE, Refusal, Reply, send_reply
from ..catalogue import Endpoint
from ..request_body import Unread, read_body
from ..storage.database import Database
from . import contacts, locations
from .bodies import BODY_LIMIT, TOO_LARGE, TOO_SLOW
from .requests import Handler, Request

_HANDLERS: Mapping[tuple[str, str], Handler] = MappingProxyType(
    {
        ("GET", "/contacts/"): contacts.list_contacts,
        ("POST", "/contacts/"): contacts.create_contact,
        ("GET", "/contacts/{contactId}"): contacts.read_contact,
        ("PUT", "/contacts/{contactId}"): contacts.update_contact,
        ("DELETE", "/contacts/{contactId}"): contacts.delete_contact,
        ("GET", "/locations/{locationId}"): locations.read_location,
    }
)

_UNREAD = MappingProxyType({Unread.TOO_LARGE: TOO_LARGE, Unread.TOO_SLOW: TOO_SLOW})


class Sandbox:
    """Answers what the authorizer let through; operations that it doesn't have are a 501."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an authorized request."""
        granted: Granted = scope[GRANTED]
        endpoint = granted.match.endpoint
        handler = _HANDLERS.get((endpoint.method, endpoint.path))
        if handler is None:
            await send_reply(send, _not_implemented(endpoint))
            return
        body = await read_body(receive, BODY_LIMIT)
        if isinstance(body, bytes):
            request = Request(self._database, granted, scope, body)
            await send_reply(send, await to_thread.run_sync(_answer, handler, request))
        elif body in _UNREAD:
            await send_reply(send, _UNREAD[body])


def _answer(handler: Handler, request: Request) -> Reply | Refusal:
    try:
        return handler(request)
    except STORAGE_ERRORS:
        return UNAVAILABLE


def _not_implemented(endpoint: Endpoint) -> Refusal:
    return Refusal(501, "not-implemented", f"The sandbox has no {endpoint.method} {endpoint.path}")
