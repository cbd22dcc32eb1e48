"""A file that holds a token, as an application on this machine would read it.

In a module of its own, so that the state names the provider's class and does not contain its code.
"""

import os
from pathlib import Path
from typing import Any

from pulumi import Input, ResourceOptions
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult


class TokenFileProvider(ResourceProvider):
    """Writes, rewrites and removes the file."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        write(Path(props["path"]), props["token"])
        return CreateResult(props["path"], props)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        moved = _olds["path"] != _news["path"]
        return DiffResult(changes=moved or _olds["token"] != _news["token"], replaces=["path"] if moved else [])

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        write(Path(_news["path"]), _news["token"])
        return UpdateResult(_news)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        Path(_props["path"]).unlink(missing_ok=True)


class TokenFile(Resource, module="examples", name="TokenFile"):
    """A file with a token in it, which only its owner may read."""

    def __init__(self, name: str, path: Input[str], token: Input[str | None]) -> None:
        secret = ResourceOptions(additional_secret_outputs=["token"])
        super().__init__(TokenFileProvider(), name, {"path": path, "token": token}, secret)


def write(path: Path, token: str) -> None:
    """Put the token into the file at one instant: who reads it meets the old one or the new one, never half of it."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    new.replace(path)
