"""A consumer of a token, importable by the engine's provider process: it stores a token, and may try it out."""

from typing import Any

import requests
from pulumi import Input, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


class ConsumerProvider(ResourceProvider):
    """Stores a token, as a secret store or a deployed application would."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        _try_out(props)
        return CreateResult("consumer", dict(props))

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        return DiffResult(changes=_olds.get("token") != _news.get("token"))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        _try_out(_news)
        return UpdateResult(dict(_news))


class Consumer(Resource, module="test", name="Consumer"):
    """Something that needs a token; with `tries_out`, an address of the data API, it makes sure that it works."""

    def __init__(
        self,
        name: str,
        token: Input[str | None],
        tries_out: str | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        props = {"token": token} | ({"tries_out": tries_out} if tries_out else {})
        merged = ResourceOptions.merge(ResourceOptions(additional_secret_outputs=["token"]), opts)
        super().__init__(ConsumerProvider(), name, props, merged)


def _try_out(props: dict[str, Any]) -> None:
    if "tries_out" in props:
        headers = {"Authorization": f"Bearer {props['token']}", "Version": "2021-07-28"}
        requests.get(props["tries_out"], headers=headers, timeout=60).raise_for_status()
