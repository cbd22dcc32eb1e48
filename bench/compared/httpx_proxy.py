"""Proxy with FastAPI and httpx as people usually do, streaming, without authorization: `uvicorn httpx_proxy:app`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(base_url=os.environ["UPSTREAM"]) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def forward(request: Request, path: str) -> StreamingResponse:
    client: httpx.AsyncClient = request.app.state.client
    url = httpx.URL(path="/" + path, query=request.url.query.encode())
    outgoing = client.build_request(request.method, url, headers=request.headers.raw, content=request.stream())
    answer = await client.send(outgoing, stream=True)
    return StreamingResponse(
        answer.aiter_raw(), answer.status_code, headers=dict(answer.headers), background=BackgroundTask(answer.aclose)
    )
