"""Build the whole application, and hand each request to the part that its path belongs to."""

import math
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial

from anyio import to_thread
from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from private_integrations.contract import API, Problem, Reason, Refused

from ..access.security_log import SecurityLog, sink_of
from ..authorizer import AuthorizerMiddleware
from ..authorizer.authorizer import Authorizer
from ..authorizer.replies import PlatformError, send_reply
from ..catalogue.endpoints import Catalogue
from ..forward_auth import AUTHORIZE, ForwardAuth
from ..gateway import Gateway, GatewayLimits, PastedCredentials, Upstream
from ..http.client_address import client_address
from ..http.client_connections import Clients
from ..http.problems import problem_response
from ..http.rate_limiter import LONGEST_WAIT, RateLimiter, UnknownClients
from ..http.request_body import USUAL, Unread, read_body, replay
from ..jobs.schedule import Job, Jobs
from ..jobs.webhook_sender import Sender, Signer
from ..jobs.webhook_signatures import StandardSigner
from ..management_api import DOCUMENT, REPORT, document, management_api
from ..management_api.introspection import INTROSPECT, RememberedIntrospections
from ..operations import deliveries, detection
from ..operations.activity import ActivityStore, refused_scopes
from ..operations.health import answers
from ..operations.inactivity import sweep
from ..operations.live_keys import LiveKeys
from ..operations.recording import Flusher, Recorder
from ..operations.replicas import lease_numbers
from ..operations.signing import DataSigner
from ..operations.upstreams import Credentials
from ..sandbox import Sandbox
from ..sandbox.limits import AccountLimits, RateLimits
from ..sandbox.storage.furniture import furnish
from ..settings import Settings
from ..settings_pages import PREFIX as PAGES
from ..settings_pages import SIGN_IN, is_asset, settings_pages, too_many_visitors
from ..storage.engine import StorageEngine, StorageError
from ..storage.known_credentials import KnownCredentials
from ..webhooks.endpoints import Kind
from ..webhooks.posting import Poster
from .doors import Door, OwnerOf, Repeated, owner_by_key, owner_by_session

_MANAGEMENT = API.removesuffix("/v1").encode()
# It is unknown where the next request on this connection would begin.
_CLOSE = (b"connection", b"close")
# For an application without a server.
_CONNECTIONS = 1000
_OFTEN = timedelta(seconds=1)
# For a year, and for this host alone: subdomains may belong to others.
_HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")


class Application:
    """The ASGI application over an open database: management API, settings pages, data API and health.

    Args:
        database: An open database.
        settings: With an `upstream`, the data API is the gateway, without one the sandbox.
        clock: Returns the present instant in UTC.
        connections: How many connections the server accepts at once.

    Raises:
        ConfigurationError: The upstream is not a base URL.

    """

    def __init__(self, engine: StorageEngine, settings: Settings, connections: int = _CONNECTIONS) -> None:
        self.clients = Clients(connections)
        catalogue = Catalogue.load()
        self._closing = ExitStack()
        activity = engine.activity()
        self._closing.callback(activity.close)
        self._health = _https_only(Repeated(_health(engine), RateLimiter(per_second=20, burst=20)), settings)
        recorder = Recorder()
        known = KnownCredentials(engine)
        self._closing.callback(known.close)
        self._trusted = settings.trusted_proxies
        security = SecurityLog(engine.security_counts, sink_of(settings.security_log, engine.folder))
        self._authorizer = Authorizer(engine, catalogue, settings.cached_grants, recorder, security)
        self._closing.callback(self._authorizer.close)
        keys = LiveKeys(engine)
        self._closing.callback(keys.close)
        api = management_api(engine, catalogue, settings, activity, recorder, furnish, security)
        introspections = RememberedIntrospections(api, self._authorizer, keys, recorder, self._trusted)
        self._management = self._management_doors(api, introspections, owner_by_key(keys, engine.now), settings)
        pages = settings_pages(engine, catalogue, settings, activity, security)
        by_session, crowded = owner_by_session(known), too_many_visitors(pages, LONGEST_WAIT)
        limited_pages = _limited(pages, settings.body_limit)

        def pages_door(per_second: float, burst: float) -> ASGIApp:
            unknown = UnknownClients(per_second, burst)
            door = Door(limited_pages, by_session, self.clients, unknown, crowded, self._trusted, is_asset)
            return _https_only(door, settings)

        # A page takes some milliseconds, comparing a password a hundred and more.
        self._pages, self._sign_ins = pages_door(25, 50), pages_door(5, 20)
        self._gateway: Gateway | None = None
        if settings.upstream is None:
            limits = RateLimits(AccountLimits.of(settings))
            self._data_api = AuthorizerMiddleware(
                Sandbox(engine, limits), self._authorizer, settings.trusted_proxies, self.clients
            )
        else:
            upstream = Upstream.parse(settings.upstream)
            assert settings.sealer is not None, "the settings require sealing keys beside an upstream"
            credentials = Credentials(engine, settings.sealer)
            self._closing.callback(credentials.close)
            self._gateway = Gateway(
                self._authorizer, upstream, PastedCredentials(credentials.of), GatewayLimits.of(settings)
            )
            self._data_api = AuthorizerMiddleware(
                self._gateway, self._authorizer, settings.trusted_proxies, self.clients
            )
        self._forward_auth = ForwardAuth(self._authorizer, settings.trusted_proxies, self.clients)
        # Last, when nothing can fail any more: after an error in here these would never be closed.
        self._flusher = Flusher(recorder, activity, engine.now)
        poster = Poster(settings.destinations)
        signers: dict[Kind, Signer] = {
            "service": StandardSigner(settings.sealer),
            "data": DataSigner(engine, settings.sealer),
        }
        sender = Sender(engine, poster, signers)
        self._jobs = Jobs(engine.leadership("jobs"), _jobs(engine, activity, settings))
        self._closing.callback(self._jobs.close)
        self._sending = Jobs(engine.machine_leadership("webhooks"), [Job("send webhooks", _OFTEN, sender.run)])
        self._closing.callback(self._sending.close)
        # Before the lock is released, so that no other worker sends meanwhile.
        self._closing.callback(sender.close)

    def start(self) -> None:
        """Start the threads of this process: the recorder's and the jobs'; call it after a fork."""
        self._flusher.start()
        self._closing.callback(self._flusher.stop)
        self._jobs.start()
        self._sending.start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the part that its path belongs to."""
        await self._part(scope)(scope, receive, send)

    async def refuse_malformed(self, scope: Scope, receive: Receive, send: Send, fault: str) -> None:
        """Refuse a request that can't be read, as late as the rate limit of its address says."""
        await self._authorizer.unknown.admit(client_address(scope, self._trusted))
        await _refuse_malformed(scope, receive, send, fault)

    def end_exchanges(self) -> None:
        """Break off the running exchanges with the upstream."""
        if self._gateway is not None:
            self._gateway.close()

    def _part(self, scope: Scope) -> ASGIApp:
        """Return the part that answers a request."""
        if _is_management(scope):
            if scope["raw_path"].startswith(AUTHORIZE):
                return self._forward_auth
            return self._management.get(scope["raw_path"], self._management[b""])
        if scope["raw_path"].startswith(PAGES + b"/"):
            is_sign_in = scope["raw_path"] == SIGN_IN.encode() and scope["method"] == "POST"
            return self._sign_ins if is_sign_in else self._pages
        return self._health if scope["raw_path"] == b"/health" else self._data_api

    def _management_doors(
        self, api: FastAPI, introspections: ASGIApp, owner_of: OwnerOf, settings: Settings
    ) -> dict[bytes, ASGIApp]:
        """Return the doors of the management API by raw path, and the one for all other paths.

        Each has a limit of its own, so a storm at one does not delay requests at another.
        """
        detail = f"too many requests at the moment; nothing was done; send this one again in {LONGEST_WAIT:g} s"
        refusal = problem_response(
            Refused(Problem.REQUESTS_TOO_MANY, detail, {"retry_after_seconds": math.ceil(LONGEST_WAIT)})
        )

        def door(app: ASGIApp, per_second: float, burst: float) -> ASGIApp:
            limit = UnknownClients(per_second, burst)
            door = Door(app, owner_of, self.clients, limit, refusal, self._trusted)
            return _https_only(door, settings)

        limited = _limited(api, settings.body_limit)
        return {
            DOCUMENT.encode(): door(document(api), 20, 20),
            REPORT.encode(): door(limited, 50, 100),
            INTROSPECT.encode(): door(_limited(introspections, settings.body_limit), 50, 100),
            b"": door(limited, 50, 100),
        }

    def close(self) -> None:
        """Close the files, connections and threads of all parts."""
        self._closing.close()


def _jobs(engine: StorageEngine, activity: ActivityStore, settings: Settings) -> list[Job]:
    """Return the jobs of which one process on all machines is enough."""
    forget = partial(deliveries.forget_old, engine, settings.webhook_retention)
    return [
        Job("publish due rotations", timedelta(minutes=1), partial(detection.publish_due, engine)),
        Job("publish ended overlaps", timedelta(seconds=10), partial(detection.publish_ended_overlaps, engine)),
        Job("publish missing scopes", timedelta(minutes=1), partial(_publish_missing_scopes, engine, activity)),
        # The first run after a start finds nothing, because nothing is recorded yet; so the next must come soon.
        Job("end inactive tokens", timedelta(minutes=10), partial(sweep, engine, activity, settings)),
        Job("forget old deliveries", timedelta(hours=1), forget),
    ]


def _publish_missing_scopes(engine: StorageEngine, activity: ActivityStore) -> None:
    refused = refused_scopes(activity, engine.now() - timedelta(days=1), detection.OFTEN)
    detection.publish_refused_often(engine, refused)


def _is_management(scope: Scope) -> bool:
    """Return whether a request is for the management API.

    The path counts as it was sent: another spelling must not bypass a proxy that hides this API.
    """
    raw_path: bytes = scope["raw_path"]
    return raw_path.startswith(_MANAGEMENT)


async def _refuse_malformed(scope: Scope, receive: Receive, send: Send, fault: str) -> None:
    if _is_management(scope):
        response = problem_response(Refused(Problem.REQUEST_MALFORMED, fault))
        response.raw_headers.append(_CLOSE)
        await response(scope, receive, send)
    else:
        reply = PlatformError(400, Reason.REQUEST_MALFORMED, fault, {"error": "Bad Request"}).reply()
        await send_reply(send, replace(reply, headers=(*reply.headers, _CLOSE)))


def _health(engine: StorageEngine) -> ASGIApp:
    """Return the application that reports whether the database answers, and this replica's lease; it needs no key."""

    async def health(scope: Scope, receive: Receive, send: Send) -> None:
        status, code = "ok", 200
        try:
            await to_thread.run_sync(answers, engine)
        except StorageError:
            status, code = "storage unavailable", 503
        numbers = lease_numbers(engine)
        if numbers.get("lease_remaining_seconds"):
            # It serves remembered tokens: without any replica, a load balancer would refuse those too.
            code = 200
        response = JSONResponse({"status": status, **numbers}, status_code=code)
        await response(scope, receive, send)

    return health


def _https_only(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Make browsers use https only (RFC 6797), if the public URL is https.

    The setting decides, not a proxy's header: on plain http any machine on the way could set that.
    """
    if settings.public_url is None or not settings.public_url.startswith("https://"):
        return app

    async def https_only(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), _HTTPS_ONLY]}
            await send(message)

        await app(scope, receive, sending)

    return https_only


def _limited(app: ASGIApp, limit: int) -> ASGIApp:
    """Limit the size of bodies; a body is read whole before the application gets the request."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, limit)
        if body is Unread.TOO_LARGE:
            refused = Refused(Problem.BODY_TOO_LARGE, f"a body may have at most {limit} bytes")
            await problem_response(refused)(scope, receive, send)
        elif body is Unread.TOO_SLOW:
            refused = Refused(Problem.BODY_TOO_SLOW, f"a body must arrive within {USUAL.total:g} seconds")
            await problem_response(refused)(scope, receive, send)
        elif isinstance(body, bytes):
            await app(scope, replay(body, receive), send)

    return limited
