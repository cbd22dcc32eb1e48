"""Exported stacks (`pulumi stack export`): which integrations they hold, and the import file that brings them back."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..deployment.identity import INTEGRATION_TYPE, TOKEN_TYPE
from ..errors import InvalidRequest

_STACK_TYPE = "pulumi:pulumi:Stack"

# How the engine marks a secret value in JSON (sdk/go/common/resource/sig).
_SIGNATURE = "4dabf18193072939515e22adb298388d"

Resource = Mapping[str, Any]


def read_export(text: str | bytes, source: str) -> list[Resource]:
    """Read the resources of an exported stack.

    Raises:
        InvalidRequest: the text is not what `pulumi stack export` writes; `source` is named in the error.

    """
    try:
        resources = json.loads(text)["deployment"].get("resources") or []
        well_formed = all(isinstance(one["type"], str) and isinstance(one["urn"], str) for one in resources)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        well_formed = False
    if not well_formed:
        raise InvalidRequest(f"{source} is not an exported stack; write one with: pulumi stack export --file FILE")
    return list(resources)


def integration_ids(resources: Iterable[Resource]) -> set[str]:
    """Find the ids of the integrations that a stack manages; those that it only looks up (`get`) are not among them."""
    return {
        str(one["id"])
        for one in resources
        if one["type"] == INTEGRATION_TYPE and one.get("id") and not one.get("external") and not one.get("delete")
    }


def import_file(resources: Iterable[Resource]) -> dict[str, Any]:
    """Make the import file (`pulumi import --file`) of the integrations of an exported stack and their tokens.

    Each resource comes with its inputs and outputs, so that the engine asks for nothing; the components above the
    integrations come along as components.

    Raises:
        InvalidRequest: there is no integration, or a secret is encrypted with the key of the old stack.

    """
    by_urn = {one["urn"]: one for one in resources if not one.get("external") and not one.get("delete")}
    wanted = [one for one in by_urn.values() if one["type"] in (INTEGRATION_TYPE, TOKEN_TYPE)]
    if not any(one["type"] == INTEGRATION_TYPE for one in wanted):
        raise InvalidRequest("the exported stack has no private integration")
    if any(_is_encrypted(one.get(side)) for one in wanted for side in ("inputs", "outputs")):
        raise InvalidRequest("the export has encrypted values; write it with: pulumi stack export --show-secrets")
    needed: dict[str, Resource] = {}
    for one in wanted:
        for ancestor in reversed(_with_ancestors(one, by_urn)):
            needed.setdefault(ancestor["urn"], ancestor)
    names = {urn: f"resource-{number}" for number, urn in enumerate(needed, start=1)}
    return {"resources": [_spec(one, names) for one in needed.values()]}


def _with_ancestors(resource: Resource, by_urn: Mapping[str, Resource]) -> list[Resource]:
    """Find the resource and the components above it, up to the stack, the nearest first."""
    found: list[Resource] = []
    current: Resource | None = resource
    while current is not None and current["type"] != _STACK_TYPE and current not in found:
        found.append(current)
        current = by_urn.get(current.get("parent", ""))
    return found


def _spec(resource: Resource, names: Mapping[str, str]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "type": resource["type"],
        "name": names[resource["urn"]],
        "logicalName": resource["urn"].split("::", maxsplit=3)[3],
    }
    if resource.get("parent") in names:
        spec["parent"] = names[resource["parent"]]
    if not resource.get("custom"):
        return {**spec, "component": True}
    return {**spec, "id": resource["id"], "inputs": resource["inputs"], "outputs": resource["outputs"]}


def _is_encrypted(value: Any) -> bool:
    if isinstance(value, Mapping):
        if _SIGNATURE in value and "ciphertext" in value:
            return True
        return any(_is_encrypted(part) for part in value.values())
    return isinstance(value, list) and any(_is_encrypted(part) for part in value)
