"""A FastAPI upstream for tests/service/gateway/test_real_upstreams.py: answers with what it read of the request."""

import socket
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def saw(request: Request) -> dict[str, Any]:
    """Answer with the query, and the body read as the two ways that a handler has."""
    body: Any = None
    form: Any = None
    # A handler never sees a body that can't be read.
    with suppress(ValueError, RecursionError):
        body = await request.json()
    try:
        form = [
            [name, value if isinstance(value, str) else None] for name, value in (await request.form()).multi_items()
        ]
    except Exception as error:
        form = [["error", str(error)]]
    return {"query": dict_of(request.query_params.multi_items()), "form": dict_of(form), "body": body}


def dict_of(pairs: Any) -> dict[str, list[Any]]:
    """The values by name."""
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"listening on http://127.0.0.1:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listener])
