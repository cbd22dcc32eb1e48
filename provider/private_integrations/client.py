"""The management API as Python calls: safe to repeat, bounded in time, thread-safe."""

import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from importlib.metadata import version
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter

from .connection import ServiceConnection, is_this_machine
from .contract import (
    API,
    AUDIT_CURSOR,
    DEPLOYMENT_AGENT,
    PROBLEM_PREFIX,
    Account,
    AccountList,
    AccountRequest,
    ActivityReport,
    AuditPage,
    DataWebhook,
    DataWebhookRequest,
    Deletion,
    Expiry,
    GenerationRequest,
    Health,
    Inactivity,
    InactivityRequest,
    Integration,
    IntegrationEdit,
    IntegrationList,
    IntegrationRequest,
    Introspection,
    Invitation,
    IssuedToken,
    Key,
    KeyList,
    KeyRequest,
    LeakReceipt,
    LeakReport,
    MembershipEdit,
    Period,
    Pinged,
    PolicyDefaults,
    PrincipalReport,
    Problem,
    ProblemDocument,
    Replayed,
    ReplayRequest,
    ReplicaList,
    Resealed,
    ServiceRules,
    TokenState,
    TokenStates,
    UpstreamCredential,
    UpstreamCredentialList,
    UpstreamRequest,
    UserList,
    UserReport,
    UserRequest,
    Webhook,
    WebhookDeliveryList,
    WebhookEdit,
    WebhookList,
    WebhookRequest,
    WebhookSecretRequest,
)
from .errors import (
    Conflict,
    InvalidRequest,
    NotAuthorized,
    NotFound,
    PrivateIntegrationError,
    ServiceRefused,
    ServiceUnreachable,
)

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")


@dataclass(frozen=True)
class _Patience:
    """Seconds that one try may take in total, and all tries of a request together."""

    one: float
    all: float


_READING = _Patience(one=10, all=16)
_WRITING = _Patience(one=30, all=45)
_CONNECTING = 5.0
_PAUSES = (0.2, 0.6, 1.5)
"""Seconds before the second, third and fourth try, each with up to half of it more."""
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_IDS_PER_REQUEST = 100
_KEY_REFUSED = frozenset({Problem.KEY_MISSING, Problem.KEY_UNKNOWN, Problem.KEY_ENDED})
_STALE_KEY = (
    "it is from the stack's configuration (private-integrations:adminKey), of which refresh and destroy use the copy "
    "of the last up: after replacing the key, run them with --run-program"
)
_STALE_URL = (
    "The URL is from the stack's configuration, of which refresh and destroy use the copy of the last up: after "
    "changing it, run them with --run-program"
)
_POOL = 8

_REFUSALS: dict[int, type[ServiceRefused]] = {
    400: InvalidRequest,
    401: NotAuthorized,
    403: NotAuthorized,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: InvalidRequest,
    422: InvalidRequest,
}


class Client:
    """Call one service with one key, or without one where none is needed.

    Every method raises ServiceUnreachable when there is no answer of the service's after a few tries,
    and the ServiceRefused that fits when the answer is no. Every request may be repeated safely.
    """

    def __init__(
        self, connection: ServiceConnection, deployment_of: str | None = None, outage: "Outage | None" = None
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            connection: where the service is, and the key.
            deployment_of: the Pulumi project that asks; the service's audit log names it beside the key.
            outage: shared by all requests of one engine command, so that they give up together. Without it every
                request has tries of its own, and a client that lives on recovers as soon as the service does.

        """
        self.url = connection.url
        self._connection = connection
        self._session = _session(connection, deployment_of)
        self._outage = outage

    def accounts(self) -> list[Account]:
        """Return the accounts that the key may see."""
        return self._ask("GET", "/accounts", AccountList).accounts

    def put_account(self, account_id: str, request: AccountRequest) -> Account:
        """Make an account known under its id on the platform, or change its name."""
        return self._ask("PUT", f"/accounts/{_segment(account_id)}", Account, body=request)

    def inactivity(self, account_id: str) -> Inactivity:
        """Return after what time the service ends an account's inactive tokens."""
        return self._ask("GET", f"/accounts/{_segment(account_id)}/inactivity", Inactivity)

    def set_inactivity(self, account_id: str, request: InactivityRequest) -> Inactivity:
        """Set after what time the service ends an account's inactive tokens."""
        return self._ask("PUT", f"/accounts/{_segment(account_id)}/inactivity", Inactivity, body=request)

    def declare(self, external_id: str, request: IntegrationRequest) -> Integration:
        """Create an integration, or get the one that this very request created before."""
        return self._ask("PUT", f"/integrations/by-external-id/{_segment(external_id)}", Integration, body=request)

    def integrations(self, *, account: str | None = None, under: str | None = None) -> Iterator[Integration]:
        """Return integrations, page by page, by account or below a path of external ids."""
        cursor: str | None = ""
        while cursor is not None:
            query = {"account": account, "under": under, "cursor": cursor or None}
            page = self._ask("GET", "/integrations", IntegrationList, query=query)
            yield from page.integrations
            cursor = page.cursor

    def integration(self, integration_id: str) -> Integration:
        """Return one integration."""
        return self._ask("GET", f"/integrations/{_segment(integration_id)}", Integration)

    def edit(
        self,
        integration_id: str,
        change: IntegrationEdit,
        *,
        owner_nonce: str | None = None,
        version: int | None = None,
    ) -> Integration:
        """Change the fields that are set in `change`; the tokens stay as they are.

        With `owner_nonce`, only if it is the present owner's.

        With `version`, only if it was not changed since: a late copy of this request does not undo a newer edit.
        """
        path = f"/integrations/{_segment(integration_id)}"
        headers = None if version is None else {"If-Match": f'"{version}"'}
        return self._ask("PATCH", path, Integration, body=change, query={"owner_nonce": owner_nonce}, headers=headers)

    def delete(self, integration_id: str, *, owner_nonce: str | None = None) -> None:
        """Delete an integration and its tokens; one that is gone, or is another owner's by now, is left alone."""
        try:
            self._ask(
                "DELETE", f"/integrations/{_segment(integration_id)}", Deletion, query={"owner_nonce": owner_nonce}
            )
        except NotFound as error:
            if error.problem != Problem.INTEGRATION_UNKNOWN:
                raise

    def token_states(self, *, under: str) -> Iterator[TokenStates]:
        """Return the state of all tokens below a path of external ids, in as few requests as possible."""
        cursor: str | None = ""
        while cursor is not None:
            page = self._ask("GET", "/tokens", TokenStates, query={"under": under, "cursor": cursor or None})
            yield page
            cursor = page.cursor

    def tokens_of(self, integration_ids: Sequence[str], *, last_used: bool = False) -> Iterator[TokenStates]:
        """Return the state of the tokens of these integrations; those that are gone are missing from the answer.

        With `last_used` also when each was last used.
        """
        for start in range(0, len(integration_ids), _IDS_PER_REQUEST):
            ids = list(integration_ids[start : start + _IDS_PER_REQUEST])
            query = {"integration": ids, "last_used": "true" if last_used else None}
            yield self._ask("GET", "/tokens", TokenStates, query=query)

    def activity(self, integration_id: str, period: Period) -> ActivityReport:
        """Return what an integration's tokens were used for in a period that ends now."""
        path = f"/integrations/{_segment(integration_id)}/activity"
        return self._ask("GET", path, ActivityReport, query={"period": period})

    def issue(
        self,
        integration_id: str,
        generation: int,
        *,
        issuer: str,
        holding: int | None,
        overlap_seconds: int | None = None,
        reason: str,
        owner: str | None = None,
        replace_pending: bool = False,
    ) -> IssuedToken:
        """Make a generation exist and get its token; with `owner`, only while that external id owns the integration.

        Without `overlap_seconds`, the integration's policy decides.

        Each try is a higher attempt of one run: where an answer was lost, the service revokes the
        token that was lost and issues another one for the same generation.
        """
        run = secrets.token_hex(16)
        path = f"/integrations/{_segment(integration_id)}/generations/{generation}"

        def attempt(number: int, seconds: float) -> IssuedToken:
            request = GenerationRequest(
                issuer=issuer,
                run=run,
                attempt=number,
                holding=holding,
                **({} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}),
                reason=reason,
                owner=owner,
                replace_pending=replace_pending,
            )
            try:
                return self._once("PUT", path, IssuedToken, seconds=seconds, body=request)
            except Conflict as error:
                if error.problem == Problem.ATTEMPT_STALE:
                    # A copy of this attempt has overtaken it: its answer went nowhere, the next attempt's comes here.
                    raise _TryAgain(str(error)) from error
                raise

        return self._trying(attempt, _WRITING)

    def cancel(self, integration_id: str, generation: int, hold_seconds: int | None = None) -> TokenState:
        """Cancel a rotation: the token before is the current one again, and the rule is held for a while."""
        path = f"/integrations/{_segment(integration_id)}/generations/{generation}"
        return self._ask("DELETE", path, TokenState, query={"hold_seconds": hold_seconds})

    def expire(self, integration_id: str, generations: Sequence[int]) -> TokenState:
        """End these generations at once."""
        body = Expiry(generations=list(generations))
        return self._ask("POST", f"/integrations/{_segment(integration_id)}/expire", TokenState, body=body)

    def introspect(self, token: str) -> Introspection:
        """Return what a token opens; asking delivers none, but a live one counts as used."""
        return self._ask("POST", "/introspect", Introspection, form={"token": token})

    def report_leaked(self, report: LeakReport) -> LeakReceipt:
        """End tokens that leaked; no key is needed, holding them is enough. `ended` counts those of the last try."""
        return self._ask("POST", "/leaked", LeakReceipt, body=report)

    def health(self) -> Health:
        """Return the rotations that a person should look at."""
        return self._ask("GET", "/health", Health)

    def audit(self, *, cursor: str | None = None, **search: str | bool | None) -> AuditPage:
        """Return rows of the audit log, the newest first; a page's `cursor` leads on to older ones.

        By `account` or `own`, `integration`, `actor`, `action`, and from `since` until before `until` (RFC 3339).
        """
        return self._ask("GET", "/audit", AuditPage, query={"cursor": cursor, **search})

    def audit_log(self, *, account: str | None = None, own: bool = False) -> Iterator[bytes]:
        """Return the audit log as lines of JSON, the oldest first: an account's, the service's own, or everything."""
        cursor = "0"
        while True:
            query = {"account": account, "own": own or None, "cursor": cursor}
            answer = self._exported(query)
            if not answer.content:
                return
            yield from answer.content.splitlines()
            cursor = answer.headers[AUDIT_CURSOR]

    def keys(self) -> KeyList:
        """Return every management key; the key in use must be an admin's."""
        return self._ask("GET", "/keys", KeyList)

    def whoami(self) -> PrincipalReport:
        """Ask which key this is, what its role allows, and which accounts it reaches."""
        return self._ask("GET", "/whoami", PrincipalReport)

    def rules(self) -> ServiceRules:
        """Ask what the service accepts: its limits, and which accounts may hold which scopes."""
        return self._ask("GET", "/rules", ServiceRules)

    def policy_defaults(self) -> PolicyDefaults:
        """Ask what the service puts in place of the parts that a rotation policy leaves out."""
        return self.rules().policy_defaults

    def make_key(self, name: str, request: KeyRequest) -> Key:
        """Make a management key known by its digest."""
        return self._ask("PUT", f"/keys/{_segment(name)}", Key, body=request)

    def revoke_key(self, key_id: str) -> Key:
        """End a management key."""
        return self._ask("DELETE", f"/keys/{_segment(key_id)}", Key)

    def upstreams(self) -> list[UpstreamCredential]:
        """Return the facts about the upstream credentials of the accounts that the key reaches; never a value."""
        return self._ask("GET", "/upstreams", UpstreamCredentialList).upstreams

    def invite_user(self, email: str, request: UserRequest) -> Invitation:
        """Make a user of the settings pages; the one-time code is in this answer only."""
        return self._ask("PUT", f"/users/{_segment(email)}", Invitation, body=request)

    def data_webhook(self, integration_id: str) -> DataWebhook:
        """Describe an integration's data webhook, also before it has one."""
        return self._ask("GET", f"/integrations/{_segment(integration_id)}/data-webhook", DataWebhook)

    def put_data_webhook(self, integration_id: str, request: DataWebhookRequest) -> DataWebhook:
        """Have an integration's data events sent to a URL."""
        return self._ask("PUT", f"/integrations/{_segment(integration_id)}/data-webhook", DataWebhook, body=request)

    def replicas(self) -> ReplicaList:
        """Ask which machines serve."""
        return self._ask("GET", "/replicas", ReplicaList)

    def users(self) -> list[UserReport]:
        """Return the users of the settings pages."""
        return self._ask("GET", "/users", UserList).users

    def make_sign_in_link(self, email: str) -> Invitation:
        """Return another one-time code for a user; the code before ends."""
        return self._ask("POST", f"/users/{_segment(email)}/link", Invitation)

    def disable_user(self, email: str) -> UserReport:
        """Let a user in no more; their sessions end."""
        return self._ask("POST", f"/users/{_segment(email)}/disable", UserReport)

    def enable_user(self, email: str) -> UserReport:
        """Let a user in again."""
        return self._ask("POST", f"/users/{_segment(email)}/enable", UserReport)

    def forget_identities(self, email: str) -> UserReport:
        """Forget the identities at the identity provider that belong to a user."""
        return self._ask("DELETE", f"/users/{_segment(email)}/identities", UserReport)

    def put_membership(self, email: str, account_id: str, edit: MembershipEdit) -> UserReport:
        """Give a user a place in an account, or change it."""
        path = f"/users/{_segment(email)}/memberships/{_segment(account_id)}"
        return self._ask("PUT", path, UserReport, body=edit)

    def remove_membership(self, email: str, account_id: str) -> UserReport:
        """Take a user's place in an account away."""
        return self._ask("DELETE", f"/users/{_segment(email)}/memberships/{_segment(account_id)}", UserReport)

    def set_upstream(self, account_id: str, request: UpstreamRequest) -> UpstreamCredential:
        """Store an account's upstream credential."""
        return self._ask("PUT", f"/upstreams/{_segment(account_id)}", UpstreamCredential, body=request)

    def remove_upstream(self, account_id: str) -> bool:
        """Forget an account's upstream credential; False if it was gone already."""
        return self._ask("DELETE", f"/upstreams/{_segment(account_id)}", Deletion).deleted

    def verify_upstream(self, account_id: str) -> UpstreamCredential:
        """Let the service ask the upstream with an account's credential; `verification` is what came out."""
        return self._ask("POST", f"/upstreams/{_segment(account_id)}/verify", UpstreamCredential)

    def reseal_upstreams(self) -> Resealed:
        """Seal every upstream credential with the service's first sealing key."""
        return self._ask("POST", "/upstreams/reseal", Resealed)

    def webhooks(self, *, account: str | None = None) -> list[Webhook]:
        """Return the webhooks of the accounts that the key reaches, or of one; never a secret."""
        return self._ask("GET", "/webhooks", WebhookList, query={"account": account}).webhooks

    def webhook(self, webhook_id: str) -> Webhook:
        """Return one webhook."""
        return self._ask("GET", f"/webhooks/{_segment(webhook_id)}", Webhook)

    def create_webhook(self, request: WebhookRequest) -> Webhook:
        """Have events sent to a URL; the request is known by its secret, so repeating it makes no second one."""
        return self._ask("POST", "/webhooks", Webhook, body=request)

    def edit_webhook(self, webhook_id: str, change: WebhookEdit) -> Webhook:
        """Change the fields that are set in `change`."""
        return self._ask("PATCH", f"/webhooks/{_segment(webhook_id)}", Webhook, body=change)

    def delete_webhook(self, webhook_id: str) -> bool:
        """Delete a webhook with what is still to be sent to it; False if it was gone already."""
        try:
            return self._ask("DELETE", f"/webhooks/{_segment(webhook_id)}", Deletion).deleted
        except NotFound as error:
            if error.problem != Problem.WEBHOOK_UNKNOWN:
                raise
            return False

    def rotate_webhook_secret(self, webhook_id: str, request: WebhookSecretRequest) -> Webhook:
        """Have messages signed with another secret."""
        return self._ask("POST", f"/webhooks/{_segment(webhook_id)}/secret", Webhook, body=request)

    def ping_webhook(self, webhook_id: str) -> str:
        """Send an event that tests a webhook; answers the message's id. A repetition sends another one."""
        return self._ask("POST", f"/webhooks/{_segment(webhook_id)}/ping", Pinged).message_id

    def webhook_deliveries(
        self, webhook_id: str, *, state: str | None = None, cursor: str | None = None
    ) -> WebhookDeliveryList:
        """Return a page of what was sent to a webhook or is to be, the newest first."""
        path = f"/webhooks/{_segment(webhook_id)}/deliveries"
        return self._ask("GET", path, WebhookDeliveryList, query={"state": state, "cursor": cursor})

    def replay_webhook(self, webhook_id: str, request: ReplayRequest) -> int:
        """Send messages again; answers how many."""
        return self._ask("POST", f"/webhooks/{_segment(webhook_id)}/replay", Replayed, body=request).replayed

    def _ask(self, method: str, path: str, model: type[Model], **parts: Any) -> Model:
        patience = _READING if method == "GET" else _WRITING
        return self._trying(lambda _, seconds: self._once(method, path, model, seconds=seconds, **parts), patience)

    def _exported(self, query: dict[str, Any]) -> requests.Response:
        def once(_: int, seconds: float) -> requests.Response:
            answer = self._answered("GET", "/audit/export", seconds=seconds, query=query)
            if AUDIT_CURSOR not in answer.headers:
                raise self._not_the_service(answer)
            return answer

        return self._trying(once, _READING)

    def _trying(self, once: "_Try[Value]", patience: _Patience) -> Value:
        return _try(once, patience) if self._outage is None else self._outage.try_together(once, patience)

    def _once(self, method: str, path: str, model: type[Model], **parts: Any) -> Model:
        return self._read(self._answered(method, path, **parts), model)

    def _answered(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: dict[str, Any] | None = None,
        body: BaseModel | None = None,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        content_type = {"Content-Type": "application/json"} if body is not None else {}

        def send() -> requests.Response:
            return self._session.request(
                method,
                self.url + API + path,
                params=query,
                data=form if body is None else body.model_dump_json(exclude_unset=True),
                headers={**content_type, **(headers or {})},
                timeout=(min(_CONNECTING, seconds), seconds),
                allow_redirects=False,
            )

        try:
            answer = _within(seconds, send)
        except requests.RequestException as error:
            moved = "" if self._connection.url_from == "environment" else f" {_STALE_URL}"
            raise _TryAgain(f"{self.url} does not answer ({_why(error)}); is the service running?{moved}") from error
        if answer.ok and answer.status_code < 300:
            return answer
        raise self._refusal(answer)

    def _read(self, answer: requests.Response, model: type[Model]) -> Model:
        try:
            return model.model_validate_json(answer.content)
        except ValidationError:
            wrong = self._not_the_service(answer)
            # Nothing at all was cut off on its way: the next answer may be whole.
            raise wrong if answer.content else _TryAgain(str(wrong)) from None

    def _refusal(self, answer: requests.Response) -> Exception:
        problem = _problem(answer)
        if answer.status_code in _TRY_AGAIN:
            said = f": {problem.detail}" if problem else ""
            return _TryAgain(f"{self.url} answers {answer.status_code}{said}; try again later")
        if problem is None:
            return self._not_the_service(answer)
        refusal = _REFUSALS.get(answer.status_code, ServiceRefused)
        stale = f"; {_STALE_KEY}" if answer.status_code == 401 and self._connection.key_from == "stack" else ""
        return refusal(problem.detail + stale, problem=problem.problem, about=problem.about)

    def _not_the_service(self, answer: requests.Response) -> ServiceUnreachable:
        return ServiceUnreachable(
            f"{self.url} answers {answer.status_code}, but not as the service would; check PRIVATE_INTEGRATIONS_URL"
        )


class _TryAgain(ServiceUnreachable):
    """No answer, or one that may be better next time."""


_Try = Callable[[int, float], Value]
"""Ask once: the number of the try, from 1, and the seconds that it may take."""


class Outage:
    """Let the requests of one engine command give up together when the service does not answer, or refuses the key.

    Until the first answer one request at a time is tried, and after a failed try one at a time is tried again. When
    one has used up its tries, every other one fails at once with the same error.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._answered = False
        self._gave_up: PrivateIntegrationError | None = None

    def try_together(self, once: _Try[Value], patience: _Patience) -> Value:
        """Ask, and ask again as `_try` does; raises ServiceUnreachable at once after another request gave up."""
        begun = time.monotonic()
        first = 1
        if self._answered and self._gave_up is None:
            try:
                return once(1, patience.one)
            except _TryAgain:
                first = 2
        with self._turn:
            if self._gave_up is not None:
                raise copy(self._gave_up)
            try:
                answer = _try(once, patience, first, begun if first > 1 else None)
            except ServiceUnreachable as error:
                self._gave_up = error
                raise
            except ServiceRefused as error:
                if error.problem in _KEY_REFUSED:
                    self._gave_up = error
                self._answered = True
                raise
            self._answered = True
            return answer


def _try(once: _Try[Value], patience: _Patience, first: int = 1, begun: float | None = None) -> Value:
    """Call `once` with 1, 2, 3 … until it has an answer or its tries or its time are used up.

    `first` is the number to begin with, after a pause if it is not 1, and `begun` when the first try began.
    """
    begun = time.monotonic() if begun is None else begun
    number = first
    while True:
        if number > 1:
            time.sleep(_PAUSES[number - 2] * random.uniform(1, 1.5))  # noqa: S311 - jitter is no secret
        left = begun + patience.all - time.monotonic()
        try:
            return once(number, min(patience.one, max(left, _CONNECTING)))
        except _TryAgain:
            if number > len(_PAUSES) or time.monotonic() > begun + patience.all - _CONNECTING:
                raise
        number += 1


def _within(seconds: float, send: Callable[[], requests.Response]) -> requests.Response:
    """Send a request and raise Timeout unless the whole answer is there after so many seconds.

    The time-outs of `requests` begin anew with every byte, and none of them bounds the search for the host's address.
    """
    outcome: SimpleQueue[requests.Response | BaseException] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put(send())
        except BaseException as error:
            outcome.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        answer = outcome.get(timeout=seconds)
    except Empty:
        raise requests.Timeout from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _session(connection: ServiceConnection, deployment_of: str | None) -> requests.Session:
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=_POOL, pool_block=True)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # The environment is read here once, not at every request; and no .netrc takes the key's place.
    session.trust_env = False
    # A proxy would read requests to this machine, with the key; it can't read https.
    session.proxies = {} if is_this_machine(connection.url) else requests.utils.get_environ_proxies(connection.url)
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    if connection.key:
        session.headers["Authorization"] = f"Bearer {connection.key}"
    session.headers["Accept"] = "application/json"
    release = version("private-integrations")
    ours = f"private-integrations/{release}"
    session.headers["User-Agent"] = f"{DEPLOYMENT_AGENT}{release} ({deployment_of})" if deployment_of else ours
    return session


def _problem(answer: requests.Response) -> ProblemDocument | None:
    try:
        problem = ProblemDocument.model_validate_json(answer.content)
    except ValidationError:
        return None
    return problem if problem.type.startswith(PROBLEM_PREFIX) else None


def _segment(value: str) -> str:
    return quote(value, safe="")


def _why(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__
