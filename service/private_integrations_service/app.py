"""The whole application: the only place that joins the parts."""

from contextlib import ExitStack
from datetime import UTC, datetime

from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from private_integrations.contract import API

from .authorizer import Authorizer
from .authorizer.judge import Judge
from .catalogue import Catalogue
from .domain import Refused
from .forward_auth import AUTHORIZE, ForwardAuth
from .gateway import Gateway, GatewayLimits, Upstream
from .management_api import Clock, management_api
from .operations.upstreams import Credentials
from .problems import problem_response
from .request_body import Unread, read_body
from .sandbox import Sandbox
from .sandbox.limits import Limits, RateLimits
from .settings import Settings
from .storage.database import Database
from .storage.usage import UsageFile

_MANAGEMENT = API.removesuffix("/v1")


def utc_now() -> datetime:
    """The wall clock: read here, and passed on as a value."""
    return datetime.now(UTC)


class Application:
    """The ASGI application over an open database: management API, data API and health.

    With `settings.upstream` the data API is the gateway; raises ConfigurationError if the upstream can't be one.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock = utc_now) -> None:
        catalogue = Catalogue.load()
        self._database = database
        self._management = _limited(management_api(database, catalogue, settings, clock), settings.body_limit)
        self._closing = ExitStack()
        self._judge = Judge(database, catalogue, clock, settings.cached_grants)
        self._closing.callback(self._judge.close)
        self._gateway: Gateway | None = None
        if settings.upstream is None:
            limits = RateLimits(UsageFile(database.file.parent), Limits.of(settings))
            self._closing.callback(limits.close)
            self._data_api = Authorizer(Sandbox(database, limits), self._judge)
        else:
            upstream = Upstream.parse(settings.upstream)
            assert settings.sealer is not None, "the settings have seen to that"
            credentials = Credentials(database, settings.sealer)
            self._closing.callback(credentials.close)
            self._gateway = Gateway(self._judge, upstream, credentials.of, GatewayLimits.of(settings))
            self._data_api = Authorizer(self._gateway, self._judge)
        self._forward_auth = ForwardAuth(self._judge)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand each request to the part that its path belongs to."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            if self._gateway is not None:
                self._gateway.close()
        elif scope["path"] == "/health":
            await (await _health(self._database))(scope, receive, send)
        elif scope["raw_path"].startswith(AUTHORIZE):
            await self._forward_auth(scope, receive, send)
        elif scope["path"].startswith(_MANAGEMENT):
            await self._management(scope, receive, send)
        else:
            await self._data_api(scope, receive, send)

    def close(self) -> None:
        """Give back what the parts keep open."""
        self._closing.close()


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def _health(database: Database) -> JSONResponse:
    try:
        await to_thread.run_sync(_touch, database)
    except SQLAlchemyError:
        return JSONResponse({"status": "storage unavailable"}, status_code=503)
    return JSONResponse({"status": "ok"})


def _touch(database: Database) -> None:
    with database.read() as connection:
        connection.exec_driver_sql("SELECT high_water FROM clock")


def _limited(app: ASGIApp, limit: int) -> ASGIApp:
    """The application behind a bound on the body, which is read before the application is asked."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, limit)
        if body is Unread.TOO_LARGE:
            refused = Refused("body-too-large", f"a body may have at most {limit} bytes")
            await problem_response(refused)(scope, receive, send)
        elif isinstance(body, bytes):
            await app(scope, _replay(body, receive), send)

    return limited


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
