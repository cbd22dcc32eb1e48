"""A consumer of a token, importable by the engine's provider process: it stores what it is given."""

from typing import Any

from pulumi import Input, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


class ConsumerProvider(ResourceProvider):
    """Stores a token, as a secret store or a deployed application would."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        return CreateResult("consumer", dict(props))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=_olds.get("token") != _news.get("token"))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        return UpdateResult(dict(_news))


class Consumer(Resource, module="test", name="Consumer"):
    """Holds a token."""

    def __init__(self, name: str, token: Input[str | None], opts: ResourceOptions | None = None) -> None:
        merged = ResourceOptions.merge(ResourceOptions(additional_secret_outputs=["token"]), opts)
        super().__init__(ConsumerProvider(), name, {"token": token}, merged)
