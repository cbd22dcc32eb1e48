"""Define resources that do nothing, to measure the cost of the engine itself.

`Noop` is the cheapest possible dynamic resource. `Shape` and its child `ShapeToken` have the properties, the
relations and the secret of an integration and its token, and still do nothing: their cost beyond `Noop` is
the engine's for a larger state, and the cost of an integration beyond theirs is ours.
"""

from typing import Any

from pulumi import Output, ResourceOptions
from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class NoopProvider(ResourceProvider):
    """Do nothing."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Only take a place in the state."""
        return CreateResult("noop", dict(props))


class ShapeTokenProvider(NoopProvider):
    """Only invent a secret."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Take as much place in the state as a token does."""
        token = {"token": "pit-" + "0" * 36, "fingerprint": "0" * 12, "rotated_at": "2026-11-21T09:52:11.374Z"}
        return CreateResult("int_00000000000000000000/token", {**props, **token, "status": "pending"})


class Noop(Resource, module="bench", name="Noop"):
    """Declare a resource without any effect."""

    def __init__(self, name: str) -> None:
        super().__init__(NoopProvider(), name, {"number": name})


class Shape(Resource, module="integrations_without_a_service", name="ShapeIntegration"):
    """Declare a resource as large as a PrivateIntegration."""

    def __init__(self, name: str) -> None:
        external_id = f"organization/integrations/dev/{name}"
        inputs = {
            "account": "0" * 20,
            "owner_nonce": "0" * 32,
            "external_id": external_id,
            "name": name,
            "rotation": {"every": "90d"},
            "scopes": ["contacts.readonly"],
        }
        super().__init__(NoopProvider(), name, inputs)
        ShapeToken(name, self, external_id, Output.from_input(self.id))


class ShapeToken(Resource, module="integrations_without_a_service", name="ShapeT"):
    """Declare a resource as large as a Token."""

    def __init__(self, name: str, parent: Shape, external_id: str, integration_id: Output[str]) -> None:
        inputs = {
            "external_id": external_id,
            "generation": 1,
            "integration_id": integration_id,
            "rotation": {"every": "90d"},
            "rotation_reason": "created",
            "token": None,
        }
        options = ResourceOptions(parent=parent, additional_secret_outputs=["token", "previous_token"])
        super().__init__(ShapeTokenProvider(), name, inputs, options)
