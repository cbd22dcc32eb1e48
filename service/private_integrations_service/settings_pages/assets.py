"""Serve stylesheet, script and icon, named by their content, so that browsers keep them until they change."""

import mimetypes
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent / "static"
PATH = "/settings/static"


class _File(NamedTuple):
    content: bytes
    media_type: str
    digest: str


def _read(file: Path) -> _File:
    content = file.read_bytes()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return _File(content, kind, sha256(content).hexdigest()[:16])


_FILES: Mapping[str, _File] = MappingProxyType({file.name: _read(file) for file in sorted(STATIC.iterdir())})


def asset(name: str) -> str:
    """Return the address of a file in `static/`, which changes with its content."""
    return f"{PATH}/{name}?{_FILES[name].digest}"


def is_asset(path: str) -> bool:
    """Tell whether a path is that of a file, which is cheap to serve."""
    return path.startswith(f"{PATH}/") and path.removeprefix(f"{PATH}/") in _FILES


class Assets:
    """Serve the files of `static/`: cached forever under an address of `asset`, revalidated under any other."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the file, from memory."""
        await self._answer(Request(scope))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        file = _FILES.get(request.scope["path"].removeprefix(f"{PATH}/"))
        if file is None:
            raise HTTPException(404)
        if request.method not in ("GET", "HEAD"):
            raise HTTPException(405)
        kept = request.url.query == file.digest
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if kept else "no-cache",
            "X-Content-Type-Options": "nosniff",
            "ETag": f'"{file.digest}"',
        }
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)
