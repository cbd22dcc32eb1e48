"""The identity of an integration: the external id by which the service knows the resource that owns it.

`organization/project/stack/crm` for a resource without a parent, `organization/project/stack/app:index:Shop::crm` for
one below components: what makes a URN unique within its stack makes the external id unique, too. Nothing is asked here.
"""

import hashlib
import shlex
from collections.abc import Sequence

LONGEST = 512
"""Characters that an external id may have at most (contract.ExternalId)."""

_STACK_TYPE = "pulumi:pulumi:Stack"
INTEGRATION_TYPE = "pulumi-python:dynamic/private_integrations:PrivateIntegration"
TOKEN_TYPE = "pulumi-python:dynamic/private_integrations:Token"  # noqa: S105 - a type's name
"""The type tokens in every stack's state (resource.py)."""

_TOKEN_BELOW = f"{INTEGRATION_TYPE}${TOKEN_TYPE}"


def external_id(stack: str, name: str, parent_urn: str | None = None, parent_name: str | None = None) -> str:
    """Compute the external id of a new resource.

    Args:
        stack: `organization/project/stack`.
        name: the resource's logical name.
        parent_urn: the URN of its parent, if it has one.
        parent_name: the parent's logical name, where it is known; a type with `::` in it is only told apart with it.

    """
    parents = qualified_type(parent_urn, parent_name) if parent_urn else ""
    if not parents and "::" not in name:
        return f"{stack}/{name}"
    whole = f"{stack}/{parents}::{name}"
    if len(whole) <= LONGEST or not parents:
        return whole
    # No type begins with a dollar sign, so that no shortened one is another resource's whole one.
    return f"{stack}/${hashlib.sha256(parents.encode()).hexdigest()[:32]}::{name}"


def qualified_type(urn: str, name: str | None = None) -> str:
    """Read the types on the way to a resource from its URN, `A$B`; empty for the stack itself."""
    tail = urn.split("::", 2)[2]
    end = f"::{name}"
    types = tail.removesuffix(end) if name is not None and tail.endswith(end) else tail.split("::", 1)[0]
    return "" if types == _STACK_TYPE else types


def stack_of(external_id: str) -> str:
    """Read `organization/project/stack`, the part of an external id that names the stack."""
    return "/".join(external_id.split("/")[:3])


def identity_of(external_id: str) -> str:
    """Read the part of an external id that tells the resource apart within its stack."""
    return external_id.split("/", 3)[3] if external_id.count("/") >= 3 else external_id


def is_named(external_id: str, name: str) -> bool:
    """Tell whether an external id was computed for a resource of this logical name."""
    identity = identity_of(external_id)
    return name in (identity, identity.partition("::")[2])


def name_of(external_id: str) -> str:
    """Read the logical name from an external id; one of an older release has no types before a `::`."""
    types, separator, name = identity_of(external_id).partition("::")
    return name if separator else types


def token_urn(external_id: str, name: str) -> str:
    """Tell the URN that the Token of a resource has under another logical name.

    `external_id` is the one that the resource would have today if it were new: stack and parents are its present ones.
    """
    _, project, stack = stack_of(external_id).split("/")
    types, separator, _ = identity_of(external_id).partition("::")
    parents = f"{types}$" if separator and types else ""
    return f"urn:pulumi:{stack}::{project}::{parents}{_TOKEN_BELOW}::{name}"


def rename_command(external_id: str, before: str, now: str) -> str:
    """Give the command that renames a Token in the state as its integration was renamed."""
    if identity_of(external_id).startswith("$"):
        return (
            f"pulumi state rename … {shlex.quote(now)}, with the URN of the Token {before} that "
            "pulumi stack --show-urns shows"
        )
    return f"pulumi state rename {shlex.quote(token_urn(external_id, before))} {shlex.quote(now)}"


def earlier_names(external_id: str, recorded: str | None) -> Sequence[str]:
    """List the names under which the last run may have known a resource: the recorded one, or those of its id."""
    if recorded is not None:
        return (recorded,)
    return tuple(dict.fromkeys((name_of(external_id), identity_of(external_id))))
