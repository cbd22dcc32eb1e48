"""List, create, read, update and delete the custom values of a location, which are texts for its templates."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from private_integrations.contract import Reason

from ..authorizer.replies import PlatformError, Reply
from ..tokens.format import new_id
from .answers import SUCCEEDED, not_found
from .bodies import Check, text
from .keys import key_of, named
from .requests import SandboxRequest
from .storage import custom_values as stored
from .storage.custom_values import CustomValue

_CHECKS: Mapping[str, Check] = MappingProxyType({"name": named, "value": text})


def list_custom_values(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/{locationId}/customValues`: all of them, by name."""
    with request.read() as connection:
        values = stored.list_custom_values(connection, request.account_id)
    return Reply(200, {"customValues": [_shown(value) for value in values]})


def create_custom_value(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /locations/{locationId}/customValues`: 201, with a key made of the name."""
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    key = f"{{{{ custom_values.{key_of(given['name'])} }}}}"
    value = CustomValue(new_id(), request.account_id, key, given["name"], given["value"])
    with request.write() as write:
        if stored.custom_value_by_key(write.connection, value.account_id, value.key) is not None:
            return _TAKEN
        stored.add_custom_value(write.connection, value)
    return Reply(201, {"customValue": _shown(value)})


def read_custom_value(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /locations/{locationId}/customValues/{id}`."""
    value_id = request.parameter("id")
    with request.read() as connection:
        value = stored.custom_value_by_id(connection, request.account_id, value_id)
    return not_found("Custom value", value_id) if value is None else Reply(200, {"customValue": _shown(value)})


def update_custom_value(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /locations/{locationId}/customValues/{id}`; templates use the key, so a new name leaves it."""
    value_id = request.parameter("id")
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        old = stored.custom_value_by_id(write.connection, request.account_id, value_id)
        if old is None:
            return not_found("Custom value", value_id)
        value = replace(old, name=given["name"], value=given["value"])
        stored.save_custom_value(write.connection, value)
    return Reply(200, {"customValue": _shown(value)})


def delete_custom_value(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /locations/{locationId}/customValues/{id}`."""
    value_id = request.parameter("id")
    with request.write() as write:
        removed = stored.remove_custom_value(write.connection, request.account_id, value_id)
    return Reply(200, SUCCEEDED) if removed else not_found("Custom value", value_id)


_TAKEN = PlatformError(400, Reason.DUPLICATE_CUSTOM_VALUE, "This location does not allow duplicated custom values.")


def _shown(value: CustomValue) -> dict[str, object]:
    return {
        "id": value.id,
        "name": value.name,
        "fieldKey": value.key,
        "value": value.value,
        "locationId": value.account_id,
    }


HANDLERS = MappingProxyType(
    {
        ("GET", "/locations/{locationId}/customValues"): list_custom_values,
        ("POST", "/locations/{locationId}/customValues"): create_custom_value,
        ("GET", "/locations/{locationId}/customValues/{id}"): read_custom_value,
        ("PUT", "/locations/{locationId}/customValues/{id}"): update_custom_value,
        ("DELETE", "/locations/{locationId}/customValues/{id}"): delete_custom_value,
    }
)
