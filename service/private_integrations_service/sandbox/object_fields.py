"""Serve the fields of custom objects and their folders (`/custom-fields/`, the platform's apps/custom-fields.json).

The sandbox has no custom objects: it takes any key of one.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from private_integrations.contract import Reason, rfc3339

from ..authorizer.replies import PlatformError, Reply
from ..storage.engine import Write
from ..tokens.format import new_id
from .answers import CUSTOM_FIELD_TAKEN, SUCCEEDED, not_found
from .bodies import Check, invalid
from .keys import key_of, named
from .requests import SandboxRequest
from .storage import object_fields as stored
from .storage.object_fields import ObjectField

_OBJECT_KEY = re.compile(r"business|custom_objects?\.[a-z0-9_]+")
_FIELD_NAME = re.compile(r"[a-z0-9_]+")


def list_object_fields(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /custom-fields/object-key/{objectKey}`: the object's fields and folders."""
    faults = request.query_faults()
    if faults:
        return invalid(faults)
    with request.read() as connection:
        found = stored.list_object_fields(connection, request.account_id, request.parameter("objectKey"))
    return Reply(
        200,
        {
            "fields": [_shown(field) for field in found if not field.is_folder],
            "folders": [_shown(field) for field in found if field.is_folder],
        },
    )


def create_field(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /custom-fields/`: 201; the folder must be one of the same object."""
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    folder_id, object_key, key = given["parentId"], given["objectKey"], given["fieldKey"]
    prefix, _, name = key.rpartition(".")
    if prefix != object_key or not _FIELD_NAME.fullmatch(name):
        return invalid([f"fieldKey must be {object_key}. and a name of lower-case letters, digits and _"])
    with request.write() as write:
        folder = _folder(write.connection, request.account_id, folder_id)
        if folder is None or folder.object_key != object_key:
            return not_found("Folder", folder_id)
        return _added(write, request, object_key, key, folder_id, _kept({}, given))


def read_field(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /custom-fields/{id}`."""
    field_id = request.parameter("id")
    with request.read() as connection:
        field = _field(connection, request.account_id, field_id)
    return not_found("Custom field", field_id) if field is None else Reply(200, {"field": _shown(field)})


def update_field(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /custom-fields/{id}`: given values replace stored ones, options as a whole."""
    field_id = request.parameter("id")
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        old = _field(write.connection, request.account_id, field_id)
        if old is None:
            return not_found("Custom field", field_id)
        field = replace(old, fields=_kept(old.fields, given), updated_at=write.now)
        stored.save_object_field(write.connection, field)
    return Reply(200, {"field": _shown(field)})


def delete_field(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /custom-fields/{id}`."""
    field_id = request.parameter("id")
    with request.write() as write:
        field = _field(write.connection, request.account_id, field_id)
        return not_found("Custom field", field_id) if field is None else _removed(write, field)


def create_folder(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /custom-fields/folder`: 201 with the folder, without an envelope."""
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    object_key = given["objectKey"]
    # One word longer than a field's key: a folder never stands in the way of a field.
    key = f"{object_key}.folder.{key_of(given['name'])}"
    with request.write() as write:
        return _added(write, request, object_key, key, None, _kept({}, given))


def update_folder(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /custom-fields/folder/{id}`: another name; the key stays."""
    folder_id = request.parameter("id")
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        old = _folder(write.connection, request.account_id, folder_id)
        if old is None:
            return not_found("Folder", folder_id)
        folder = replace(old, fields=_kept(old.fields, given), updated_at=write.now)
        stored.save_object_field(write.connection, folder)
    return Reply(200, _shown_folder(folder))


def delete_folder(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /custom-fields/folder/{id}`: only of one that holds no fields."""
    faults = request.query_faults()
    if faults:
        return invalid(faults)
    folder_id = request.parameter("id")
    with request.write() as write:
        folder = _folder(write.connection, request.account_id, folder_id)
        if folder is None:
            return not_found("Folder", folder_id)
        if stored.count_held(write.connection, request.account_id, folder_id):
            return PlatformError(400, Reason.FOLDER_NOT_EMPTY, f"Folder with id {folder_id} is not empty")
        return _removed(write, folder)


def _object_key(name: str, value: object) -> list[str]:
    good = isinstance(value, str) and _OBJECT_KEY.fullmatch(value)
    return [] if good else [f"{name} must be business or a custom object's key, as custom_objects.pet"]


_CHECKS: Mapping[str, Check] = MappingProxyType({"name": named, "objectKey": _object_key})
# These are stored beside the fields.
_COLUMNS = frozenset({"locationId", "fieldKey", "objectKey", "parentId"})


def _kept(stored_fields: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge checked fields into stored ones; null removes a field."""
    changed = {name: value for name, value in given.items() if name not in _COLUMNS}
    return {name: value for name, value in {**stored_fields, **changed}.items() if value is not None}


def _added(
    write: Write, request: SandboxRequest, object_key: str, key: str, folder_id: str | None, fields: Mapping[str, Any]
) -> Reply | PlatformError:
    if stored.object_field_by_key(write.connection, request.account_id, key) is not None:
        return CUSTOM_FIELD_TAKEN
    field = ObjectField(
        new_id(), request.account_id, object_key, key, folder_id, fields, added_at=write.now, updated_at=write.now
    )
    stored.add_object_field(write.connection, field)
    return Reply(201, _shown_folder(field) if field.is_folder else {"field": _shown(field)})


def _removed(write: Write, field: ObjectField) -> Reply:
    stored.remove_object_field(write.connection, field.account_id, field.id)
    return Reply(200, {**SUCCEEDED, "id": field.id, "key": field.key})


def _field(connection: Connection, account_id: str, field_id: str) -> ObjectField | None:
    found = stored.object_field_by_id(connection, account_id, field_id)
    return None if found is None or found.is_folder else found


def _folder(connection: Connection, account_id: str, folder_id: str) -> ObjectField | None:
    found = stored.object_field_by_id(connection, account_id, folder_id)
    return found if found is not None and found.is_folder else None


def _shown_folder(folder: ObjectField) -> dict[str, object]:
    return {
        "id": folder.id,
        "objectKey": folder.object_key,
        "locationId": folder.account_id,
        "name": folder.fields["name"],
    }


def _shown(field: ObjectField) -> dict[str, object]:
    """Show a field or folder in a list: in the spec, a folder there has all that a field must have."""
    return {
        "id": field.id,
        "locationId": field.account_id,
        "objectKey": field.object_key,
        "fieldKey": field.key,
        "parentId": field.folder_id or "",
        "dataType": "TEXT",
        "showInForms": False,
        **field.fields,
        "dateAdded": rfc3339(field.added_at),
        "dateUpdated": rfc3339(field.updated_at),
    }


HANDLERS = MappingProxyType(
    {
        ("GET", "/custom-fields/object-key/{objectKey}"): list_object_fields,
        ("POST", "/custom-fields/"): create_field,
        ("GET", "/custom-fields/{id}"): read_field,
        ("PUT", "/custom-fields/{id}"): update_field,
        ("DELETE", "/custom-fields/{id}"): delete_field,
        ("POST", "/custom-fields/folder"): create_folder,
        ("PUT", "/custom-fields/folder/{id}"): update_folder,
        ("DELETE", "/custom-fields/folder/{id}"): delete_folder,
    }
)
