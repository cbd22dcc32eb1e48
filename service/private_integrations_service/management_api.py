"""The management API: routes, each a caller, one transaction and a wire model."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Form, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from private_integrations.contract import (
    API,
    LAST_GENERATION,
    Account,
    AccountId,
    AccountList,
    AccountRequest,
    Acknowledgement,
    Deletion,
    Expiry,
    ExternalId,
    GenerationRequest,
    Health,
    Identifier,
    Integration,
    IntegrationEdit,
    IntegrationList,
    IntegrationRequest,
    Introspection,
    IssuedToken,
    Key,
    KeyList,
    KeyRequest,
    Problem,
    Resealed,
    TokenState,
    TokenStates,
    UpstreamCredential,
    UpstreamCredentialList,
    UpstreamRequest,
)

from . import metrics, problems
from .access import actor_of, identify, refuse_administration, refuse_method
from .actor import Actor
from .catalogue import Catalogue
from .domain import Refused
from .operations import accounts as managed
from .operations import generations, health, integrations, keys, upstreams
from .operations.integrations import Rules
from .operations.verification import verify
from .sealing import Sealer
from .settings import Settings
from .storage import accounts
from .storage import integrations as stored
from .storage.database import Database, DiskFull, Write
from .storage.keys import ManagementKey
from .storage.turn import StorageBusy

_PAGE = 1000
_HOLD = 7 * 86_400
_LONGEST_HOLD = 366 * 86_400

Clock = Callable[[], datetime]
Value = TypeVar("Value")
_router = APIRouter()
_Generation = Annotated[int, Path(ge=1, le=LAST_GENERATION)]
_KeyName = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._@-]+$")]
_bearer = HTTPBearer(auto_error=False, description="A management key (pmk-…)")


@dataclass(frozen=True)
class Parts:
    """What the API was made from."""

    database: Database
    rules: Rules
    clock: Clock


@dataclass(frozen=True)
class Caller:
    """Who asks and when, and what their request works with."""

    key: ManagementKey
    actor: Actor
    now: datetime
    database: Database
    rules: Rules


def management_api(database: Database, catalogue: Catalogue, settings: Settings, clock: Clock) -> FastAPI:
    """The management API over this database; `clock` gives the present instant in UTC."""
    api = FastAPI(
        title="Private integrations",
        version="1",
        summary="Declare private integrations, rotate their tokens, see their state.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            problems.ProblemError: problems.on_problem,
            RequestValidationError: problems.on_invalid_request,
            HTTPException: problems.on_http_error,
            DiskFull: problems.on_full_disk,
            StorageBusy: problems.on_busy_storage,
            SQLAlchemyError: problems.on_storage_error,
        },
        responses={
            code: {"model": Problem, "description": text, "content": {problems.MEDIA_TYPE: {}}}
            for code, text in _PROBLEMS.items()
        },
    )
    api.state.parts = Parts(database, Rules(catalogue, settings), clock)
    api.include_router(_router, prefix=API)
    return api


def _caller(request: Request, presented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Caller:
    if len(request.headers.getlist("authorization")) > 1:
        raise problems.ProblemError(Refused("key-repeated", "send one Authorization header, with one management key"))
    parts: Parts = request.app.state.parts
    now = max(parts.clock(), parts.database.high_water)
    with parts.database.read() as connection:
        key = _value(identify(connection, presented.credentials if presented else None, now))
    # Introspection asks by POST, so that the token is in no URL, but changes nothing.
    refused = None if request.url.path == f"{API}/introspect" else refuse_method(key, request.method)
    if refused is not None:
        raise problems.ProblemError(refused)
    return Caller(key, actor_of(key), now, parts.database, parts.rules)


Asking = Annotated[Caller, Depends(_caller)]


def _administrator(of: str) -> Callable[[Caller], Caller]:
    def administrator(asking: Asking) -> Caller:
        refused = refuse_administration(asking.key, of)
        if refused is not None:
            raise problems.ProblemError(refused)
        return asking

    return administrator


Administering = Annotated[Caller, Depends(_administrator("keys"))]
AdministeringAccounts = Annotated[Caller, Depends(_administrator("accounts and their upstream credentials"))]


@_router.get("/accounts")
def list_accounts(asking: Asking) -> AccountList:
    """The accounts that integrations can live in, as far as the key reaches."""
    with asking.database.read() as connection:
        return AccountList(accounts=accounts.list_accounts(connection, asking.actor.accounts))


@_router.put("/accounts/{account_id}", responses={201: {"model": Account}})
def put_account(
    account_id: AccountId, body: AccountRequest, asking: AdministeringAccounts, response: Response
) -> Account:
    """Make an account known under its id on the platform (201), or change its name (200)."""
    with asking.database.write(asking.now, verdicts=False) as write:
        known = _value(managed.put(write, account_id, body, actor=asking.actor))
    response.status_code = 201 if known.created else 200
    return known.account


@_router.get("/upstreams")
def list_upstreams(asking: Asking, response: Response) -> UpstreamCredentialList:
    """The upstream credentials of the accounts that the key reaches; never a value."""
    response.headers["Cache-Control"] = "no-store"
    with asking.database.read() as connection:
        found = upstreams.listed(connection, asking.rules.settings.sealer, actor=asking.actor)
    return UpstreamCredentialList(upstreams=found)


@_router.post("/upstreams/reseal")
def reseal_upstreams(asking: AdministeringAccounts, response: Response) -> Resealed:
    """Seal every upstream credential with the first sealing key."""
    response.headers["Cache-Control"] = "no-store"
    sealer = _sealer(asking)
    with asking.database.write(asking.now) as write:
        return upstreams.reseal(write, sealer, actor=asking.actor)


@_router.put("/upstreams/{account_id}")
def set_upstream(
    account_id: AccountId, body: UpstreamRequest, asking: AdministeringAccounts, response: Response
) -> UpstreamCredential:
    """Seal and store an account's upstream credential; with `verify` only if the upstream accepts it."""
    response.headers["Cache-Control"] = "no-store"
    sealer, verification = _sealer(asking), None
    if body.verify:
        with asking.database.read() as connection:
            account = _value(upstreams.refuse_credential(connection, account_id, body.credential))
        verification = verify(_upstream(asking), account, body.credential, asking.now)
        if verification.outcome != "accepted":
            raise problems.ProblemError(upstreams.not_accepted(verification))
    with asking.database.write(asking.now) as write:
        return _value(
            upstreams.put(write, account_id, body.credential, sealer, verification=verification, actor=asking.actor)
        )


@_router.delete("/upstreams/{account_id}")
def remove_upstream(account_id: AccountId, asking: AdministeringAccounts, response: Response) -> Deletion:
    """Forget an account's upstream credential: the next request for the account is forwarded no more."""
    response.headers["Cache-Control"] = "no-store"

    def remove(write: Write) -> bool:
        return _value(upstreams.remove(write, account_id, actor=asking.actor))

    return Deletion(deleted=asking.database.ending(asking.now, remove))


@_router.post("/upstreams/{account_id}/verify")
def verify_upstream(account_id: AccountId, asking: AdministeringAccounts, response: Response) -> UpstreamCredential:
    """Ask the upstream with the account's credential, and note what it said."""
    response.headers["Cache-Control"] = "no-store"
    sealer, upstream = _sealer(asking), _upstream(asking)
    with asking.database.read() as connection:
        opened = _value(upstreams.open_credential(connection, account_id, sealer))
    verification = verify(upstream, opened.account, opened.value, asking.now)
    with asking.database.write(asking.now, verdicts=False) as write:
        return _value(upstreams.note_verification(write, opened, verification, sealer, actor=asking.actor))


@_router.put("/integrations/by-external-id/{external_id:path}", responses={201: {"model": Integration}})
def declare_integration(
    external_id: ExternalId, body: IntegrationRequest, asking: Asking, response: Response
) -> Integration:
    """Create an integration (201), or answer the repetition of its creation (200)."""
    with asking.database.write(asking.now) as write:
        declared = _value(integrations.declare(write, external_id, body, asking.rules, actor=asking.actor))
    response.status_code = 201 if declared.created else 200
    return declared.integration


@_router.get("/integrations")
def list_integrations(
    asking: Asking, account: str | None = None, under: str | None = None, cursor: str = ""
) -> IntegrationList:
    """Integrations, by account or below a path of external ids; never a secret."""
    with asking.database.read() as connection:
        found = stored.list_integrations(
            connection, account=account, under=under, accounts=asking.actor.accounts, after=cursor, limit=_PAGE
        )
    return IntegrationList(integrations=found, cursor=_next(found))


@_router.get("/integrations/{integration_id}")
def read_integration(integration_id: str, asking: Asking, response: Response) -> Integration:
    """One integration."""
    with asking.database.read() as connection:
        integration = _value(integrations.find(connection, integration_id, asking.actor))
    response.headers["ETag"] = f'"{integration.version}"'
    return integration


@_router.patch("/integrations/{integration_id}")
def edit_integration(
    integration_id: str,
    body: IntegrationEdit,
    asking: Asking,
    claim: str | None = None,
    if_match: Annotated[str | None, Header(pattern=r'^"[0-9]{1,9}"$')] = None,
) -> Integration:
    """Change name, description, scopes or rotation policy; never a new token."""
    version = None if if_match is None else int(if_match.strip('"'))
    with asking.database.write(asking.now) as write:
        return _value(
            integrations.edit(
                write,
                integration_id,
                body,
                asking.rules,
                actor=asking.actor,
                claim=claim,
                expected_version=version,
            )
        )


@_router.delete("/integrations/{integration_id}")
def delete_integration(integration_id: str, asking: Asking, claim: str | None = None) -> Deletion:
    """Delete an integration with all its tokens; with a claim that isn't the present one, nothing happens."""

    def delete(write: Write) -> bool:
        return _value(integrations.delete(write, integration_id, claim, actor=asking.actor))

    return Deletion(deleted=asking.database.ending(asking.now, delete))


@_router.get("/tokens")
def read_tokens(
    asking: Asking,
    under: str | None = None,
    integration: Annotated[list[Identifier] | None, Query(max_length=_PAGE)] = None,
    cursor: str = "",
) -> TokenStates:
    """The state of tokens below a path of external ids, or of the integrations named; and the service's clock."""
    with asking.database.read() as connection:
        found = stored.list_integrations(
            connection,
            under=under,
            ids=integration or (),
            accounts=asking.actor.accounts,
            after=cursor,
            limit=_PAGE,
        )
        states = generations.token_states(connection, found, asking.now)
    return TokenStates(now=asking.now, tokens=states, cursor=_next(found))


@_router.put("/integrations/{integration_id}/generations/{generation}", status_code=201)
def issue_generation(
    integration_id: str,
    generation: _Generation,
    body: GenerationRequest,
    asking: Asking,
    response: Response,
) -> IssuedToken:
    """Make a generation exist; the token is in this answer and nowhere else."""
    response.headers["Cache-Control"] = "no-store"
    with asking.database.write(asking.now) as write:
        return _value(
            generations.issue(
                write, integration_id, generation, body, asking.rules.settings.superseded_tokens, actor=asking.actor
            )
        )


@_router.post("/integrations/{integration_id}/generations/{generation}/ack")
def acknowledge_generation(
    integration_id: str, generation: _Generation, body: Acknowledgement, asking: Asking
) -> TokenState:
    """Say that the token is safely stored: it becomes the current one, and the old one's overlap begins."""
    with asking.database.write(asking.now) as write:
        return _value(generations.acknowledge(write, integration_id, generation, body.fingerprint, actor=asking.actor))


@_router.delete("/integrations/{integration_id}/generations/{generation}")
def cancel_rotation(
    integration_id: str,
    generation: _Generation,
    asking: Asking,
    hold_seconds: Annotated[int, Query(ge=0, le=_LONGEST_HOLD)] = _HOLD,
) -> TokenState:
    """Cancel a rotation: the token before is the current one again; the rule is not due before the hold ends."""
    hold = timedelta(seconds=hold_seconds)

    def cancel(write: Write) -> TokenState:
        return _value(generations.cancel(write, integration_id, generation, hold, actor=asking.actor))

    return asking.database.ending(asking.now, cancel)


@_router.post("/integrations/{integration_id}/expire")
def expire_generations(integration_id: str, body: Expiry, asking: Asking) -> TokenState:
    """End the named generations; they are dead when this is answered."""

    def expire(write: Write) -> TokenState:
        return _value(generations.expire(write, integration_id, body.generations, actor=asking.actor))

    return asking.database.ending(asking.now, expire)


@_router.post("/introspect", response_model_exclude_none=True)
def introspect(
    asking: Asking,
    token: Annotated[str, Form()],
    response: Response,
    token_type_hint: Annotated[str | None, Form()] = None,
) -> Introspection:
    """What a token opens (RFC 7662); asking is no use of it. There is one type of token: a hint changes nothing."""
    response.headers["Cache-Control"] = "no-store"
    return generations.introspect(asking.database, token, asking.now, actor=asking.actor)


@_router.get("/health")
def read_health(asking: Asking) -> Health:
    """The rotations that a person should look at: overdue ones, and new tokens that nobody has used."""
    with asking.database.read() as connection:
        found = health.examine(connection, asking.now, asking.actor).alarms
    return Health(status="attention" if found else "ok", now=asking.now, alarms=found)


@_router.get("/metrics", response_class=PlainTextResponse)
def read_metrics(asking: Asking) -> Response:
    """The same as numbers, for Prometheus, and how many integrations have which status."""
    with asking.database.read() as connection:
        examined = health.examine(connection, asking.now, asking.actor)
    return Response(metrics.exposition(examined), media_type=metrics.MEDIA_TYPE)


@_router.put("/keys/{name}", responses={201: {"model": Key}})
def make_key(name: _KeyName, body: KeyRequest, asking: Administering, response: Response) -> Key:
    """Make a management key known by its digest (201), or answer the repetition of that (200)."""
    with asking.database.write(asking.now, verdicts=False) as write:
        made = _value(keys.make(write, name, body, actor=asking.actor))
    response.status_code = 201 if made.created else 200
    return made.key


@_router.get("/keys")
def list_keys(asking: Administering) -> KeyList:
    """Every management key, never its value or digest."""
    with asking.database.read() as connection:
        return KeyList(now=asking.now, keys=keys.listed(connection))


@_router.delete("/keys/{key_id}")
def revoke_key(key_id: Identifier, asking: Administering) -> Key:
    """End a management key: the next request with it is refused."""

    def revoke(write: Write) -> Key:
        return _value(keys.revoke(write, key_id, actor=asking.actor))

    return asking.database.ending(asking.now, revoke)


_PROBLEMS: dict[int | str, str] = {
    400: "The request or its body can't be read, or it has two keys",
    401: "No management key, or one that is not known here",
    403: "The key's role forbids this",
    404: "There is no such thing",
    408: "The body did not arrive in time",
    409: "Somebody else got there first",
    412: "The version given is old",
    413: "The body is too large",
    422: "The values are not acceptable",
    503: "The database does not answer, or too many changes are waiting; nothing was changed",
    507: "The disk is full; nothing was changed",
}


def _value(answer: Value | Refused) -> Value:
    if isinstance(answer, Refused):
        raise problems.ProblemError(answer)
    return answer


def _sealer(asking: Caller) -> Sealer:
    sealer = asking.rules.settings.sealer
    if sealer is None:
        raise problems.ProblemError(
            Refused("sealing-keys-missing", "the service runs without sealing keys; start it with --sealing-keys FILE")
        )
    return sealer


def _upstream(asking: Caller) -> str:
    upstream = asking.rules.settings.upstream
    if upstream is None:
        raise problems.ProblemError(
            Refused("upstream-missing", "the service has no upstream to ask; start it with --upstream URL")
        )
    return upstream


def _next(found: list[Any]) -> str | None:
    return found[-1].id if len(found) == _PAGE else None
