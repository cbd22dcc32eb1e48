"""Serve a bare Starlette endpoint: `uvicorn starlette_app:app`."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def contact(request: Request) -> JSONResponse:
    return JSONResponse({"contact": {"id": "sx6wyHhbFdRXh302LunR"}})


app = Starlette(routes=[Route("/contacts/{contact_id}", contact)])
