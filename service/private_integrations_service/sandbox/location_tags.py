"""List, create, read, update and delete the tags of a location."""

from dataclasses import replace
from types import MappingProxyType

from private_integrations.contract import Reason

from ..authorizer.replies import PlatformError, Reply
from ..tokens.format import new_id
from .answers import SUCCEEDED, not_found
from .requests import SandboxRequest
from .storage import location_tags as stored
from .storage.location_tags import Tag


def list_tags(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/{locationId}/tags`: all of them, by name."""
    with request.read() as connection:
        tags = stored.list_tags(connection, request.account_id)
    return Reply(200, {"tags": [_shown(tag) for tag in tags]})


def create_tag(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /locations/{locationId}/tags`; the platform's spec says 200 here."""
    given = request.body_fields()
    if isinstance(given, PlatformError):
        return given
    tag = Tag(new_id(), request.account_id, given["name"].lower())
    with request.write() as write:
        if stored.tag_named(write.connection, tag.account_id, tag.name) is not None:
            return _TAKEN
        stored.add_tag(write.connection, tag)
    return Reply(200, {"tag": _shown(tag)})


def read_tag(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/{locationId}/tags/{tagId}`."""
    tag_id = request.parameter("tagId")
    with request.read() as connection:
        tag = stored.tag_by_id(connection, request.account_id, tag_id)
    return not_found("Tag", tag_id) if tag is None else Reply(200, {"tag": _shown(tag)})


def update_tag(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /locations/{locationId}/tags/{tagId}`; contacts keep the name that they were tagged with."""
    tag_id = request.parameter("tagId")
    given = request.body_fields()
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        old = stored.tag_by_id(write.connection, request.account_id, tag_id)
        if old is None:
            return not_found("Tag", tag_id)
        tag = replace(old, name=given["name"].lower())
        if stored.tag_named(write.connection, tag.account_id, tag.name) not in (None, old):
            return _TAKEN
        stored.rename_tag(write.connection, tag)
    return Reply(200, {"tag": _shown(tag)})


def delete_tag(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /locations/{locationId}/tags/{tagId}`; contacts keep it."""
    tag_id = request.parameter("tagId")
    with request.write() as write:
        removed = stored.remove_tag(write.connection, request.account_id, tag_id)
    return Reply(200, SUCCEEDED) if removed else not_found("Tag", tag_id)


_TAKEN = PlatformError(400, Reason.DUPLICATE_TAG, "This location does not allow duplicated tags.")


def _shown(tag: Tag) -> dict[str, object]:
    return {"id": tag.id, "name": tag.name, "locationId": tag.account_id}


HANDLERS = MappingProxyType(
    {
        ("GET", "/locations/{locationId}/tags"): list_tags,
        ("POST", "/locations/{locationId}/tags"): create_tag,
        ("GET", "/locations/{locationId}/tags/{tagId}"): read_tag,
        ("PUT", "/locations/{locationId}/tags/{tagId}"): update_tag,
        ("DELETE", "/locations/{locationId}/tags/{tagId}"): delete_tag,
    }
)
