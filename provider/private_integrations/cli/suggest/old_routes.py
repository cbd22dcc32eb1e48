"""The routes of the API v1 (`rest.gohighlevel.com/v1`, opened by API keys) and what does the same in v2.

The routes are those of the vendor's published description of v1 as third-party clients generate themselves from it
(the repository gnosticdev/highlevel-api-sdk, `schemas/v1/openapi.json`). A route is here only where the counterpart is
sure, at least in the scope that it needs: the same operation on the same thing. Not here, because it isn't: calendar
teams and services, booking (`POST /appointments/` books and blocks), `users/lookup` and loading a snapshot.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

PREFIX = "/v1/"

_SAME = (
    "GET /contacts/",
    "POST /contacts/",
    "GET /contacts/{contactId}",
    "PUT /contacts/{contactId}",
    "DELETE /contacts/{contactId}",
    "GET /contacts/{contactId}/appointments",
    "POST /contacts/{contactId}/tags",
    "DELETE /contacts/{contactId}/tags",
    "POST /contacts/{contactId}/campaigns/{campaignId}",
    "DELETE /contacts/{contactId}/campaigns/{campaignId}",
    "POST /contacts/{contactId}/workflow/{workflowId}",
    "GET /contacts/{contactId}/notes",
    "POST /contacts/{contactId}/notes",
    "GET /contacts/{contactId}/notes/{id}",
    "PUT /contacts/{contactId}/notes/{id}",
    "DELETE /contacts/{contactId}/notes/{id}",
    "GET /contacts/{contactId}/tasks",
    "POST /contacts/{contactId}/tasks",
    "GET /contacts/{contactId}/tasks/{taskId}",
    "PUT /contacts/{contactId}/tasks/{taskId}",
    "DELETE /contacts/{contactId}/tasks/{taskId}",
    "GET /campaigns/",
    "GET /forms/",
    "GET /forms/submissions",
    "GET /links/",
    "POST /links/",
    "PUT /links/{linkId}",
    "DELETE /links/{linkId}",
    "POST /locations/",
    "GET /locations/{locationId}",
    "PUT /locations/{locationId}",
    "DELETE /locations/{locationId}",
    "GET /saas/locations",
    "PUT /saas/update-saas-subscription/{locationId}",
    "GET /snapshots/",
    "GET /surveys/",
    "GET /surveys/submissions",
    "POST /users/",
    "GET /users/{userId}",
    "PUT /users/{userId}",
    "DELETE /users/{userId}",
    "GET /workflows/",
)
_OTHERWISE = {
    "GET /appointments/": "GET /calendars/events",
    "GET /appointments/slots": "GET /calendars/{calendarId}/free-slots",
    "GET /appointments/{eventId}": "GET /calendars/events/appointments/{eventId}",
    "PUT /appointments/{eventId}": "PUT /calendars/events/appointments/{eventId}",
    "PUT /appointments/{eventId}/status": "PUT /calendars/events/appointments/{eventId}",
    "DELETE /appointments/{eventId}": "DELETE /calendars/events/{eventId}",
    "GET /contacts/lookup": "GET /contacts/search/duplicate",
    "DELETE /contacts/{contactId}/campaigns/remove-all": "DELETE /contacts/{contactId}/campaigns/removeAll",
    "PUT /contacts/{contactId}/tasks/{taskId}/status": "PUT /contacts/{contactId}/tasks/{taskId}/completed",
    "GET /custom-fields/": "GET /locations/{locationId}/customFields",
    "POST /custom-fields/": "POST /locations/{locationId}/customFields",
    "GET /custom-fields/{id}": "GET /locations/{locationId}/customFields/{id}",
    "PUT /custom-fields/{id}": "PUT /locations/{locationId}/customFields/{id}",
    "DELETE /custom-fields/{id}": "DELETE /locations/{locationId}/customFields/{id}",
    "GET /custom-values/": "GET /locations/{locationId}/customValues",
    "POST /custom-values/": "POST /locations/{locationId}/customValues",
    "GET /custom-values/{id}": "GET /locations/{locationId}/customValues/{id}",
    "PUT /custom-values/{id}": "PUT /locations/{locationId}/customValues/{id}",
    "DELETE /custom-values/{id}": "DELETE /locations/{locationId}/customValues/{id}",
    "GET /locations/": "GET /locations/search",
    "GET /locations/lookup": "GET /locations/search",
    "GET /pipelines/": "GET /opportunities/pipelines",
    "GET /pipelines/{pipelineId}/opportunities": "GET /opportunities/search",
    "POST /pipelines/{pipelineId}/opportunities": "POST /opportunities/",
    "GET /pipelines/{pipelineId}/opportunities/{id}": "GET /opportunities/{id}",
    "PUT /pipelines/{pipelineId}/opportunities/{id}": "PUT /opportunities/{id}",
    "DELETE /pipelines/{pipelineId}/opportunities/{id}": "DELETE /opportunities/{id}",
    "PUT /pipelines/{pipelineId}/opportunities/{id}/status": "PUT /opportunities/{id}/status",
    "GET /tags/": "GET /locations/{locationId}/tags",
    "POST /tags/": "POST /locations/{locationId}/tags",
    "GET /tags/{tagId}": "GET /locations/{locationId}/tags/{tagId}",
    "PUT /tags/{tagId}": "PUT /locations/{locationId}/tags/{tagId}",
    "DELETE /tags/{tagId}": "DELETE /locations/{locationId}/tags/{tagId}",
    "GET /timezones/": "GET /locations/{locationId}/timezones",
    "GET /users/": "GET /users/search",
    "GET /users/location": "GET /users/",
}
# Literals that a route of the same length would take for an id.
_UNSURE = ("GET /users/lookup",)

COUNTERPARTS: Mapping[str, str] = MappingProxyType({route: route for route in _SAME} | _OTHERWISE)
"""`METHOD /path/{id}` of v1, without the prefix, and the same of v2, as the catalogue writes it."""


def old_route(method: str, path: str) -> str | None:
    """Return the route of v1, as in `COUNTERPARTS`, for a request with this path below the prefix; None if none.

    A trailing slash means nothing, and a literal wins over an id.
    """
    segments = _segments(path)
    for template, route in _ROUTES.get((method, len(segments)), ()):
        if all(
            segment == literal or (literal == "" and segment)
            for literal, segment in zip(template, segments, strict=True)
        ):
            return None if route in _UNSURE else route
    return None


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")


def _template(route: str) -> list[str]:
    """Return the route's segments, "" for an id."""
    return ["" if segment.startswith("{") else segment for segment in _segments(route.partition(" ")[2])]


def _by_length(routes: Iterable[str]) -> Mapping[tuple[str, int], Sequence[tuple[list[str], str]]]:
    """Routes and their segments by method and number of segments; those with the fewest ids first."""
    found: dict[tuple[str, int], list[tuple[list[str], str]]] = {}
    for route in sorted(routes, key=lambda route: route.count("{")):
        template = _template(route)
        found.setdefault((route.partition(" ")[0], len(template)), []).append((template, route))
    return MappingProxyType(found)


_ROUTES = _by_length((*COUNTERPARTS, *_UNSURE))
