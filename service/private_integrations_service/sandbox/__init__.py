"""The sandbox: a small API v2 of contacts and locations over the service's own database, behind the authorizer."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from anyio import to_thread
from starlette.types import Receive, Scope, Send

from ..authorizer import GRANTED
from ..authorizer.judge import STORAGE_ERRORS, Granted
from ..authorizer.replies import UNAVAILABLE, Refusal, Reply, send_reply
from ..catalogue import Endpoint
from ..request_body import Unread, read_body
from ..storage.database import Database
from . import contacts, custom_fields, custom_values, location_tags, locations
from .bodies import BODY_LIMIT, TOO_LARGE
from .limits import RateLimits
from .requests import Handler, Request

_HANDLERS: Mapping[tuple[str, str], Handler] = MappingProxyType(
    {
        ("GET", "/contacts/"): contacts.list_contacts,
        ("POST", "/contacts/"): contacts.create_contact,
        ("GET", "/contacts/{contactId}"): contacts.read_contact,
        ("PUT", "/contacts/{contactId}"): contacts.update_contact,
        ("DELETE", "/contacts/{contactId}"): contacts.delete_contact,
        ("GET", "/locations/search"): locations.search_locations,
        ("GET", "/locations/{locationId}"): locations.read_location,
        ("GET", "/locations/{locationId}/tags"): location_tags.list_tags,
        ("POST", "/locations/{locationId}/tags"): location_tags.create_tag,
        ("GET", "/locations/{locationId}/tags/{tagId}"): location_tags.read_tag,
        ("PUT", "/locations/{locationId}/tags/{tagId}"): location_tags.update_tag,
        ("DELETE", "/locations/{locationId}/tags/{tagId}"): location_tags.delete_tag,
        ("GET", "/locations/{locationId}/customFields"): custom_fields.list_custom_fields,
        ("POST", "/locations/{locationId}/customFields"): custom_fields.create_custom_field,
        ("GET", "/locations/{locationId}/customFields/{id}"): custom_fields.read_custom_field,
        ("PUT", "/locations/{locationId}/customFields/{id}"): custom_fields.update_custom_field,
        ("DELETE", "/locations/{locationId}/customFields/{id}"): custom_fields.delete_custom_field,
        ("GET", "/locations/{locationId}/customValues"): custom_values.list_custom_values,
        ("POST", "/locations/{locationId}/customValues"): custom_values.create_custom_value,
        ("GET", "/locations/{locationId}/customValues/{id}"): custom_values.read_custom_value,
        ("PUT", "/locations/{locationId}/customValues/{id}"): custom_values.update_custom_value,
        ("DELETE", "/locations/{locationId}/customValues/{id}"): custom_values.delete_custom_value,
    }
)


class Sandbox:
    """Answers what the authorizer let through, as far as the account's limits go; other operations are a 501."""

    def __init__(self, database: Database, limits: RateLimits) -> None:
        self._database = database
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an authorized request."""
        granted: Granted = scope[GRANTED]
        spent = self._limits.spend(granted.grant.account_id, granted.now)
        answer = spent.refusal or await self._answer(granted, scope, receive)
        if answer is not None:
            reply = answer.reply() if isinstance(answer, Refusal) else answer
            headers = (*reply.headers, *spent.headers(self._limits.limits))
            await send_reply(send, replace(reply, headers=headers))

    async def _answer(self, granted: Granted, scope: Scope, receive: Receive) -> Reply | Refusal | None:
        """What to answer; None if the client is gone."""
        endpoint = granted.match.endpoint
        handler = _HANDLERS.get((endpoint.method, endpoint.path))
        if handler is None:
            return _not_implemented(endpoint)
        body = await read_body(receive, BODY_LIMIT)
        if isinstance(body, bytes):
            return await to_thread.run_sync(_answer, handler, Request(self._database, granted, scope, body))
        return TOO_LARGE if body is Unread.TOO_LARGE else None


def _answer(handler: Handler, request: Request) -> Reply | Refusal:
    try:
        return handler(request)
    except STORAGE_ERRORS:
        return UNAVAILABLE


def _not_implemented(endpoint: Endpoint) -> Refusal:
    return Refusal(501, "not-implemented", f"The sandbox has no {endpoint.method} {endpoint.path}")
