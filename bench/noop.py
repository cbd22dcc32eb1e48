"""The cheapest dynamic resource there is: what the engine itself costs."""

from typing import Any

from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class NoopProvider(ResourceProvider):
    """Does nothing."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Only take a place in the state."""
        return CreateResult("noop", dict(props))


class Noop(Resource, module="bench", name="Noop"):
    """A resource without any effect."""

    def __init__(self, name: str) -> None:
        super().__init__(NoopProvider(), name, {"number": name})
