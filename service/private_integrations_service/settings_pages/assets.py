"""Stylesheet, script and icon: named by their content, so that browsers keep them until they change."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
PATH = "/settings/static"

_DIGESTS: Mapping[str, str] = MappingProxyType(
    {file.name: sha256(file.read_bytes()).hexdigest()[:16] for file in sorted(STATIC.iterdir())}
)


def asset(name: str) -> str:
    """The address of a file in `static/`, which changes with its content."""
    return f"{PATH}/{name}?{_DIGESTS[name]}"


class Assets(StaticFiles):
    """The files of `static/`: kept for good under an address that `asset` gave, asked for again under any other."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with the file."""
        response = await super().get_response(path, scope)
        kept = scope["query_string"].decode("latin-1") == _DIGESTS.get(path)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response
