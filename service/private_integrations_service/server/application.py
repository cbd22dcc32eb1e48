"""The whole application: the only place that joins the parts."""

import math
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from anyio import to_thread
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from private_integrations.contract import API

from ..access.security_log import SecurityLog, sink_of
from ..authorizer import Authorizer
from ..authorizer.judge import Judge
from ..authorizer.recording import Flusher, Recorder
from ..authorizer.replies import Refusal, send_reply
from ..catalogue.endpoints import Catalogue
from ..forward_auth import AUTHORIZE, ForwardAuth
from ..gateway import Gateway, GatewayLimits, Upstream
from ..http.client_address import client_address
from ..http.client_connections import Clients
from ..http.framing import is_chunked, refuse_framing
from ..http.problems import problem_response
from ..http.rate_limiter import LONGEST_WAIT, RateLimiter, UnknownClients
from ..http.request_body import USUAL, Unread, read_body
from ..jobs.schedule import Job, Jobs
from ..jobs.webhook_sender import Sender, Signer
from ..jobs.webhook_signatures import StandardSigner
from ..management_api import DOCUMENT, REPORT, Clock, document, management_api
from ..operations import deliveries, detection
from ..operations.activity import refused_scopes
from ..operations.inactivity import sweep
from ..operations.signing import DataSigner
from ..operations.upstreams import Credentials
from ..sandbox import Sandbox
from ..sandbox.limits import Limits, RateLimits
from ..sandbox.storage.furniture import furnish
from ..settings import Settings
from ..settings_pages import PREFIX as PAGES
from ..settings_pages import SIGN_IN, is_asset, settings_pages, too_many_visitors
from ..storage.known_credentials import KnownCredentials
from ..storage.sqlite.activity import Activity
from ..storage.sqlite.database import Database
from ..storage.usage import UsageFile
from ..storage.webhooks import Kind
from ..tokens.lifecycle import Refused
from ..webhooks.posting import Poster
from .doors import Door, Repeated, owner_by_key, owner_by_session

_MANAGEMENT = API.removesuffix("/v1").encode()
# Nobody knows where the next request on this connection would begin.
_CLOSE = (b"connection", b"close")
# Of an application without a server of its own.
_PLACES = 1000
# For a year, and this host alone: what is beside it is not ours.
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")


def utc_now() -> datetime:
    """The wall clock: read here, and passed on as a value."""
    return datetime.now(UTC)


class Application:
    """The ASGI application over an open database: management API, settings pages, data API and health.

    With `settings.upstream` the data API is the gateway; raises ConfigurationError if the upstream can't be one.
    `places` is how many connections the server takes at once.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock = utc_now, places: int = _PLACES) -> None:
        self.clients = Clients(places)
        catalogue = Catalogue.load()
        self._closing = ExitStack()
        activity = Activity(database.file.parent, database.run)
        self._closing.callback(activity.close)
        self._health = _https_only(Repeated(_health(database), RateLimiter(per_second=20, burst=20)), settings)
        recorder = Recorder()
        known = KnownCredentials(database)
        self._closing.callback(known.close)
        self._trusted = settings.trusted_proxies
        security = SecurityLog(database.security_counts, sink_of(settings.security_log, database.file.parent))
        self._management = self._management_doors(
            management_api(database, catalogue, settings, clock, activity, recorder, furnish, security), known, settings
        )
        pages = settings_pages(database, catalogue, settings, clock, activity, security)
        by_session, crowded = owner_by_session(known), too_many_visitors(pages, LONGEST_WAIT)
        limited_pages = _limited(pages, settings.body_limit)

        def pages_door(per_second: float, burst: float) -> ASGIApp:
            unknown = UnknownClients(per_second, burst)
            door = Door(limited_pages, by_session, self.clients, unknown, crowded, self._trusted, is_asset)
            return _https_only(door, settings)

        # A page takes some milliseconds; to compare a password takes a hundred and more.
        self._pages, self._sign_ins = pages_door(25, 50), pages_door(5, 20)
        self._judge = Judge(database, catalogue, clock, settings.cached_grants, recorder, security)
        self._closing.callback(self._judge.close)
        self._gateway: Gateway | None = None
        if settings.upstream is None:
            limits = RateLimits(UsageFile(database.file.parent), Limits.of(settings))
            self._closing.callback(limits.close)
            self._data_api = Authorizer(Sandbox(database, limits), self._judge, settings.trusted_proxies, self.clients)
        else:
            upstream = Upstream.parse(settings.upstream)
            assert settings.sealer is not None, "the settings have seen to that"
            credentials = Credentials(database, settings.sealer)
            self._closing.callback(credentials.close)
            self._gateway = Gateway(self._judge, upstream, credentials.of, GatewayLimits.of(settings))
            self._data_api = Authorizer(self._gateway, self._judge, settings.trusted_proxies, self.clients)
        self._forward_auth = ForwardAuth(self._judge, settings.trusted_proxies, self.clients)
        # Last, when nothing can fail any more: who doesn't get an application can't close it.
        self._flusher = Flusher(recorder, activity, clock)
        poster = Poster(settings.destinations)
        signers: dict[Kind, Signer] = {
            "service": StandardSigner(settings.sealer),
            "data": DataSigner(database, settings.sealer),
        }
        sender = Sender(database, poster, signers, clock)
        self._jobs = Jobs(database.file.parent, _jobs(database, activity, settings, sender), clock)
        self._closing.callback(self._jobs.close)
        # Before the lock of the jobs is given free: until then nobody else sends.
        self._closing.callback(sender.close)

    def start(self) -> None:
        """Begin what is done beside the requests; in the process that serves them, once it is forked."""
        self._flusher.start()
        self._closing.callback(self._flusher.stop)
        self._jobs.start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand each request to the part that its path belongs to, if it can be read in one way only."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            if self._gateway is not None:
                self._gateway.close()
            return
        fault = refuse_framing(scope["headers"])
        if fault is not None:
            await self._judge.unknown.turn(client_address(scope, self._trusted))
            await _refuse_malformed(scope, receive, send, fault)
        elif is_chunked(scope["headers"]):
            await self._answer_always(scope, receive, send)
        else:
            await self._part(scope)(scope, receive, send)

    def _part(self, scope: Scope) -> ASGIApp:
        """The part that answers."""
        if _is_management(scope):
            if scope["raw_path"].startswith(AUTHORIZE):
                return self._forward_auth
            return self._management.get(scope["raw_path"], self._management[b""])
        if scope["raw_path"].startswith(PAGES + b"/"):
            is_sign_in = scope["raw_path"] == SIGN_IN.encode() and scope["method"] == "POST"
            return self._sign_ins if is_sign_in else self._pages
        return self._health if scope["raw_path"] == b"/health" else self._data_api

    def _management_doors(self, api: FastAPI, known: KnownCredentials, settings: Settings) -> dict[bytes, ASGIApp]:
        """Return the doors of the management API by raw path, and the one for all other paths.

        Each has a limit of its own, so a storm at one does not delay requests at another.
        """
        detail = f"too many requests at the moment; nothing was done; send this one again in {LONGEST_WAIT:g} s"
        refusal = problem_response(
            Refused("requests-too-many", detail, {"retry_after_seconds": math.ceil(LONGEST_WAIT)})
        )

        def door(app: ASGIApp, per_second: float, burst: float) -> ASGIApp:
            limit = UnknownClients(per_second, burst)
            door = Door(app, owner_by_key(known), self.clients, limit, refusal, self._trusted)
            return _https_only(door, settings)

        limited = _limited(api, settings.body_limit)
        return {
            DOCUMENT.encode(): door(document(api), 20, 20),
            REPORT.encode(): door(limited, 50, 100),
            b"": door(limited, 50, 100),
        }

    async def _answer_always(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer also when the body ends in what is no chunk, which looks as if the client had gone."""
        answering = False

        async def noticing(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        await self._part(scope)(scope, receive, noticing)
        if not answering:
            await self._judge.unknown.turn(client_address(scope, self._trusted))
            await _refuse_malformed(scope, receive, send, "the body's chunks can't be read")

    def close(self) -> None:
        """Give back what the parts keep open."""
        self._closing.close()


def _jobs(database: Database, activity: Activity, settings: Settings, sender: Sender) -> list[Job]:
    """What is done beside the requests."""
    forget = partial(deliveries.forget_old, database, settings.webhook_retention)
    return [
        Job("send webhooks", timedelta(seconds=1), sender.run),
        Job("tell of due rotations", timedelta(minutes=1), partial(detection.tell_due, database)),
        Job("tell of ended overlaps", timedelta(seconds=10), partial(detection.tell_run_out, database)),
        Job("tell of scopes that are lacked", timedelta(minutes=1), partial(_tell_refused, database, activity)),
        # Not by the hour: after a start nothing is recorded yet, and the first look finds nothing out.
        Job("end inactive tokens", timedelta(minutes=10), partial(sweep, database, activity, settings)),
        Job("forget old deliveries", timedelta(hours=1), forget),
    ]


def _tell_refused(database: Database, activity: Activity, now: datetime) -> None:
    refused = refused_scopes(activity, now - timedelta(days=1), detection.OFTEN)
    detection.tell_refused_often(database, refused, now)


def _is_management(scope: Scope) -> bool:
    """By the path as it was sent: a proxy that keeps this API inside must not be passed by another spelling of it."""
    raw_path: bytes = scope["raw_path"]
    return raw_path.startswith(_MANAGEMENT)


async def _refuse_malformed(scope: Scope, receive: Receive, send: Send, fault: str) -> None:
    if _is_management(scope):
        response = problem_response(Refused("request-malformed", fault))
        response.raw_headers.append(_CLOSE)
        await response(scope, receive, send)
    else:
        reply = Refusal(400, "request-malformed", fault, {"error": "Bad Request"}).reply()
        await send_reply(send, replace(reply, headers=(*reply.headers, _CLOSE)))


async def _lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _health(database: Database) -> ASGIApp:
    """Says whether the database answers; no key is needed to ask."""

    async def health(scope: Scope, receive: Receive, send: Send) -> None:
        response = JSONResponse({"status": "ok"})
        try:
            await to_thread.run_sync(_touch, database)
        except SQLAlchemyError:
            response = JSONResponse({"status": "storage unavailable"}, status_code=503)
        await response(scope, receive, send)

    return health


def _touch(database: Database) -> None:
    database.require_files()
    with database.read() as connection:
        connection.exec_driver_sql("SELECT high_water FROM clock")


def _https_only(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Have the application's answers tell browsers to use https only, if the public URL is https (RFC 6797).

    The setting decides, not a proxy's header on a request, because on plain http any machine on the way can set one.
    """
    if settings.public_url is None or not settings.public_url.startswith("https://"):
        return app

    async def https_only(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), _HTTPS_ONLY]}
            await send(message)

        await app(scope, receive, told)

    return https_only


def _limited(app: ASGIApp, limit: int) -> ASGIApp:
    """The application behind a bound on the body, which is read before the application is asked."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, limit)
        if body is Unread.TOO_LARGE:
            refused = Refused("body-too-large", f"a body may have at most {limit} bytes")
            await problem_response(refused)(scope, receive, send)
        elif body is Unread.TOO_SLOW:
            refused = Refused("body-too-slow", f"a body must arrive within {USUAL.total:g} seconds")
            await problem_response(refused)(scope, receive, send)
        elif isinstance(body, bytes):
            await app(scope, _replay(body, receive), send)

    return limited


def _replay(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
