"""List, create, read, update and delete the custom fields of a location's contacts and opportunities."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from private_integrations.contract import Reason

from ..authorizer.replies import PlatformError, Reply
from ..tokens.format import new_id
from .answers import CUSTOM_FIELD_TAKEN, SUCCEEDED, not_found
from .bodies import Check, invalid, one_of, required_text, text, texts
from .keys import key_of, named
from .queries import last
from .requests import SandboxRequest
from .storage import custom_fields as stored
from .storage.custom_fields import CustomField

_MODELS = ("contact", "opportunity", "all")


def list_custom_fields(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/{locationId}/customFields`: those of `model`, or all."""
    model = last(request.query, "model") or "all"
    faults = [*request.query_faults(), *one_of("model", model, _MODELS)]
    if faults:
        return invalid(faults)
    with request.read() as connection:
        found = stored.list_custom_fields(connection, request.account_id, None if model == "all" else model)
    return Reply(200, {"customFields": [_shown(field) for field in found]})


def create_custom_field(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /locations/{locationId}/customFields`: 201, with a key made of model and name."""
    given = request.body_fields(_CHECKS, also=_CREATE_CHECKS)
    if isinstance(given, PlatformError):
        return given
    if given["dataType"] in _CHOOSING and not (given.get("options") or given.get("picklistOptionsImage")):
        return _NO_OPTIONS
    model = given.get("model") or "contact"
    key = f"{model}.{key_of((given.pop('fieldKey', None) or given['name']).removeprefix(f'{model}.'))}"
    with request.write() as write:
        field = CustomField(new_id(), request.account_id, model, key, _merged({}, given), added_at=write.now)
        if stored.custom_field_by_key(write.connection, field.account_id, key) is not None:
            return CUSTOM_FIELD_TAKEN
        stored.add_custom_field(write.connection, field)
    return Reply(201, {"customField": _shown(field)})


def read_custom_field(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/{locationId}/customFields/{id}`, which also takes the field's key."""
    field_id = request.parameter("id")
    with request.read() as connection:
        field = stored.custom_field_by_id(connection, request.account_id, field_id) or stored.custom_field_by_key(
            connection, request.account_id, field_id
        )
    return not_found("Custom field", field_id) if field is None else Reply(200, {"customField": _shown(field)})


def update_custom_field(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /locations/{locationId}/customFields/{id}`; contacts and forms use key and model, so they stay."""
    field_id = request.parameter("id")
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        old = stored.custom_field_by_id(write.connection, request.account_id, field_id)
        if old is None:
            return not_found("Custom field", field_id)
        if given.get("model") not in (None, old.model):
            return invalid([f"model must be equal to {old.model}"])
        field = replace(old, fields=_merged(old.fields, given))
        stored.save_custom_field(write.connection, field)
    return Reply(200, {"customField": _shown(field)})


def delete_custom_field(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /locations/{locationId}/customFields/{id}`; contacts keep their values."""
    field_id = request.parameter("id")
    with request.write() as write:
        removed = stored.remove_custom_field(write.connection, request.account_id, field_id)
    return Reply(200, SUCCEEDED) if removed else not_found("Custom field", field_id)


def _data_type(name: str, value: object) -> list[str]:
    return required_text(name, value) or one_of(name, value, _TYPES)


# The platform lists these types when it refuses another one.
_TYPES = (
    *("TEXT", "LARGE_TEXT", "NUMERICAL", "PHONE", "MONETORY", "CHECKBOX", "SINGLE_OPTIONS", "MULTIPLE_OPTIONS"),
    *("FLOAT", "TIME", "DATE", "TEXTBOX_LIST", "FILE_UPLOAD", "SIGNATURE", "RADIO"),
)
# People choose among the options of these; a CHECKBOX is several boxes, of which there must be one.
_CHOOSING = frozenset({"CHECKBOX", "SINGLE_OPTIONS", "MULTIPLE_OPTIONS", "RADIO"})
_NO_OPTIONS = PlatformError(
    400,
    Reason.OPTIONS_MISSING,
    "Either options or picklistOptionsImage should exists and should not be empty",
    {"error": "Bad Request"},
)

_CHECKS: Mapping[str, Check] = MappingProxyType({"name": named, "dataType": _data_type})
# Create takes these though its specification (CreateCustomFieldsDTO of apps/locations.json) doesn't name them.
_CREATE_CHECKS: Mapping[str, Check] = MappingProxyType(
    {"parentId": text, "fieldKey": named, "description": text, "options": texts, "picklistOptionsImage": texts}
)

# Clients write these under one name and read them under another.
_SHOWN_AS = MappingProxyType(
    {
        "isMultipleFile": "isMultiFileAllowed",
        "maxNumberOfFiles": "maxFileLimit",
        "options": "picklistOptions",
        "picklistOptionsImage": "picklistImageOptions",
    }
)


def _merged(stored_fields: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge checked fields into stored ones; null removes a field."""
    changed = {_SHOWN_AS.get(name, name): value for name, value in given.items() if name != "model"}
    if "textBoxListOptions" in changed:
        options = changed.pop("textBoxListOptions")
        changed["picklistOptions"] = options and [option.get("label", "") for option in options]
    return {name: value for name, value in {**stored_fields, **changed}.items() if value is not None}


def _shown(field: CustomField) -> dict[str, object]:
    return {
        "id": field.id,
        "fieldKey": field.key,
        "placeholder": "",
        "position": 0,
        "picklistOptions": [],
        "picklistImageOptions": [],
        "isAllowedCustomOption": False,
        "isMultiFileAllowed": False,
        **field.fields,
        "locationId": field.account_id,
        "model": field.model,
    }


HANDLERS = MappingProxyType(
    {
        ("GET", "/locations/{locationId}/customFields"): list_custom_fields,
        ("POST", "/locations/{locationId}/customFields"): create_custom_field,
        ("GET", "/locations/{locationId}/customFields/{id}"): read_custom_field,
        ("PUT", "/locations/{locationId}/customFields/{id}"): update_custom_field,
        ("DELETE", "/locations/{locationId}/customFields/{id}"): delete_custom_field,
    }
)
