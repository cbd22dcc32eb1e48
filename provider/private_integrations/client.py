"""The management API as Python calls: safe to repeat, bounded in time, thread-safe."""

import os
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import quote

import requests
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter

from .connection import Connection
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
    Principal,
    Problem,
    Replayed,
    ReplayRequest,
    Resealed,
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
    ServiceRefused,
    ServiceUnreachable,
)

Model = TypeVar("Model", bound=BaseModel)
Value = TypeVar("Value")

_TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and to wait between two bytes of an answer."""
_PAUSES = (0.2, 0.6, 1.5)
"""Seconds before the second, third and fourth try, each with up to half of it more."""
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_IDS_PER_REQUEST = 100
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
    """Talks to one service with one key, or with none where none is needed.

    Every method raises ServiceUnreachable when there is no answer of the service's after a few tries,
    and the ServiceRefused that fits when the answer is no. Every request may be repeated safely.
    """

    def __init__(self, connection: Connection, deployment_of: str | None = None) -> None:
        """`deployment_of` is the Pulumi project that asks: the service's audit log names it beside the key."""
        self.url = connection.url
        self._session = _session(connection, deployment_of)

    def accounts(self) -> list[Account]:
        """The accounts that the key may see."""
        return self._ask("GET", "/accounts", AccountList).accounts

    def put_account(self, account_id: str, request: AccountRequest) -> Account:
        """Make an account known under its id on the platform, or change its name."""
        return self._ask("PUT", f"/accounts/{_segment(account_id)}", Account, body=request)

    def inactivity(self, account_id: str) -> Inactivity:
        """When an account's tokens that nobody uses are ended."""
        return self._ask("GET", f"/accounts/{_segment(account_id)}/inactivity", Inactivity)

    def set_inactivity(self, account_id: str, request: InactivityRequest) -> Inactivity:
        """Say when an account's tokens that nobody uses are ended."""
        return self._ask("PUT", f"/accounts/{_segment(account_id)}/inactivity", Inactivity, body=request)

    def declare(self, external_id: str, request: IntegrationRequest) -> Integration:
        """Create an integration, or get the one that this very request created before."""
        return self._ask("PUT", f"/integrations/by-external-id/{_segment(external_id)}", Integration, body=request)

    def integrations(self, *, account: str | None = None, under: str | None = None) -> Iterator[Integration]:
        """Integrations, page by page, by account or below a path of external ids."""
        cursor: str | None = ""
        while cursor is not None:
            query = {"account": account, "under": under, "cursor": cursor or None}
            page = self._ask("GET", "/integrations", IntegrationList, query=query)
            yield from page.integrations
            cursor = page.cursor

    def integration(self, integration_id: str) -> Integration:
        """One integration."""
        return self._ask("GET", f"/integrations/{_segment(integration_id)}", Integration)

    def edit(
        self, integration_id: str, change: IntegrationEdit, *, claim: str | None = None, version: int | None = None
    ) -> Integration:
        """Change the fields that are set in `change`, for the owner with this claim; the tokens stay what they are.

        With `version`, only what nobody has changed since: a late copy of this request does not undo a newer edit.
        """
        path = f"/integrations/{_segment(integration_id)}"
        headers = None if version is None else {"If-Match": f'"{version}"'}
        return self._ask("PATCH", path, Integration, body=change, query={"claim": claim}, headers=headers)

    def delete(self, integration_id: str, *, claim: str | None = None) -> None:
        """Delete an integration and its tokens; one that is gone, or is another owner's by now, is left alone."""
        try:
            self._ask("DELETE", f"/integrations/{_segment(integration_id)}", Deletion, query={"claim": claim})
        except NotFound as error:
            if error.problem != "integration-unknown":
                raise

    def token_states(self, *, under: str) -> Iterator[TokenStates]:
        """The state of all tokens below a path of external ids, in as few requests as possible."""
        cursor: str | None = ""
        while cursor is not None:
            page = self._ask("GET", "/tokens", TokenStates, query={"under": under, "cursor": cursor or None})
            yield page
            cursor = page.cursor

    def tokens_of(self, integration_ids: Sequence[str], *, last_used: bool = False) -> Iterator[TokenStates]:
        """The state of the tokens of these integrations; those that are gone are missing from the answer.

        With `last_used` also when each was last used.
        """
        for start in range(0, len(integration_ids), _IDS_PER_REQUEST):
            ids = list(integration_ids[start : start + _IDS_PER_REQUEST])
            query = {"integration": ids, "last_used": "true" if last_used else None}
            yield self._ask("GET", "/tokens", TokenStates, query=query)

    def activity(self, integration_id: str, period: Period) -> ActivityReport:
        """What an integration's tokens were used for in a period that ends now."""
        path = f"/integrations/{_segment(integration_id)}/activity"
        return self._ask("GET", path, ActivityReport, query={"period": period})

    def issue(
        self,
        integration_id: str,
        generation: int,
        *,
        issuer: str,
        holding: int | None,
        overlap_seconds: int,
        reason: str,
        owner: str | None = None,
        replace_pending: bool = False,
    ) -> IssuedToken:
        """Make a generation exist and get its token; with `owner`, only while that external id owns the integration.

        Each try is a higher attempt of one run: where an answer was lost, the service revokes the
        token nobody received and issues another one for the same generation.
        """
        run = secrets.token_hex(16)
        path = f"/integrations/{_segment(integration_id)}/generations/{generation}"

        def attempt(number: int) -> IssuedToken:
            request = GenerationRequest(
                issuer=issuer,
                run=run,
                attempt=number,
                holding=holding,
                overlap_seconds=overlap_seconds,
                reason=reason,
                owner=owner,
                replace_pending=replace_pending,
            )
            try:
                return self._once("PUT", path, IssuedToken, body=request)
            except Conflict as error:
                if error.problem == "attempt-stale":
                    # A copy of this attempt has overtaken it: its answer went nowhere, the next attempt's comes here.
                    raise _TryAgain(str(error)) from error
                raise

        return _trying(attempt)

    def cancel(self, integration_id: str, generation: int, hold_seconds: int | None = None) -> TokenState:
        """Cancel a rotation: the token before is the current one again, and the rule is held for a while."""
        path = f"/integrations/{_segment(integration_id)}/generations/{generation}"
        return self._ask("DELETE", path, TokenState, query={"hold_seconds": hold_seconds})

    def expire(self, integration_id: str, generations: Sequence[int]) -> TokenState:
        """End these generations at once."""
        body = Expiry(generations=list(generations))
        return self._ask("POST", f"/integrations/{_segment(integration_id)}/expire", TokenState, body=body)

    def introspect(self, token: str) -> Introspection:
        """What a token opens; asking delivers none, but a live one counts as used."""
        return self._ask("POST", "/introspect", Introspection, form={"token": token})

    def report_leaked(self, report: LeakReport) -> LeakReceipt:
        """End tokens that leaked; no key is needed, holding them is enough. `ended` counts those of the last try."""
        return self._ask("POST", "/leaked", LeakReceipt, body=report)

    def health(self) -> Health:
        """The rotations that a person should look at."""
        return self._ask("GET", "/health", Health)

    def audit(self, *, cursor: str | None = None, **search: str | bool | None) -> AuditPage:
        """Rows of the audit log, the newest first; a page's `cursor` leads on to older ones.

        By `account` or `own`, `integration`, `actor`, `action`, and from `since` until before `until` (RFC 3339).
        """
        return self._ask("GET", "/audit", AuditPage, query={"cursor": cursor, **search})

    def audit_log(self, *, account: str | None = None, own: bool = False) -> Iterator[bytes]:
        """The audit log as lines of JSON, the oldest first: an account's, the service's own, or all that there is."""
        cursor = "0"
        while True:
            query = {"account": account, "own": own or None, "cursor": cursor}
            answer = self._exported(query)
            if not answer.content:
                return
            yield from answer.content.splitlines()
            cursor = answer.headers[AUDIT_CURSOR]

    def keys(self) -> KeyList:
        """Every management key; the key in use must be an admin's."""
        return self._ask("GET", "/keys", KeyList)

    def whoami(self) -> Principal:
        """Ask which key this is, what its role allows, and which accounts it reaches."""
        return self._ask("GET", "/whoami", Principal)

    def make_key(self, name: str, request: KeyRequest) -> Key:
        """Make a management key known by its digest."""
        return self._ask("PUT", f"/keys/{_segment(name)}", Key, body=request)

    def revoke_key(self, key_id: str) -> Key:
        """End a management key."""
        return self._ask("DELETE", f"/keys/{_segment(key_id)}", Key)

    def upstreams(self) -> list[UpstreamCredential]:
        """What is known of the upstream credentials of the accounts that the key reaches; never a value."""
        return self._ask("GET", "/upstreams", UpstreamCredentialList).upstreams

    def invite_user(self, email: str, request: UserRequest) -> Invitation:
        """Make a user of the settings pages; the one-time code is in this answer only."""
        return self._ask("PUT", f"/users/{_segment(email)}", Invitation, body=request)

    def data_webhook(self, integration_id: str) -> DataWebhook:
        """What there is to know of an integration's data webhook, also before it has one."""
        return self._ask("GET", f"/integrations/{_segment(integration_id)}/data-webhook", DataWebhook)

    def put_data_webhook(self, integration_id: str, request: DataWebhookRequest) -> DataWebhook:
        """Have an integration's data events sent to a URL."""
        return self._ask("PUT", f"/integrations/{_segment(integration_id)}/data-webhook", DataWebhook, body=request)

    def users(self) -> list[UserReport]:
        """Everybody who uses the settings pages."""
        return self._ask("GET", "/users", UserList).users

    def make_sign_in_link(self, email: str) -> Invitation:
        """Another one-time code for a user; the one before is worth nothing from then on."""
        return self._ask("POST", f"/users/{_segment(email)}/link", Invitation)

    def disable_user(self, email: str) -> UserReport:
        """Let a user in no more; their sessions end."""
        return self._ask("POST", f"/users/{_segment(email)}/disable", UserReport)

    def enable_user(self, email: str) -> UserReport:
        """Let a user in again."""
        return self._ask("POST", f"/users/{_segment(email)}/enable", UserReport)

    def forget_identities(self, email: str) -> UserReport:
        """Forget whom the identity provider means by a user."""
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
        """The webhooks of the accounts that the key reaches, or of one; never a secret."""
        return self._ask("GET", "/webhooks", WebhookList, query={"account": account}).webhooks

    def webhook(self, webhook_id: str) -> Webhook:
        """One webhook."""
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
            if error.problem != "webhook-unknown":
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
        """A page of what was sent to a webhook or is to be, the newest first."""
        path = f"/webhooks/{_segment(webhook_id)}/deliveries"
        return self._ask("GET", path, WebhookDeliveryList, query={"state": state, "cursor": cursor})

    def replay_webhook(self, webhook_id: str, request: ReplayRequest) -> int:
        """Send messages again; answers how many."""
        return self._ask("POST", f"/webhooks/{_segment(webhook_id)}/replay", Replayed, body=request).replayed

    def _ask(self, method: str, path: str, model: type[Model], **parts: Any) -> Model:
        return _trying(lambda _: self._once(method, path, model, **parts))

    def _exported(self, query: dict[str, Any]) -> requests.Response:
        def once(_: int) -> requests.Response:
            answer = self._answered("GET", "/audit/export", query=query)
            if AUDIT_CURSOR not in answer.headers:
                raise self._not_the_service(answer)
            return answer

        return _trying(once)

    def _once(self, method: str, path: str, model: type[Model], **parts: Any) -> Model:
        return self._read(self._answered(method, path, **parts), model)

    def _answered(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: BaseModel | None = None,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        content_type = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = self._session.request(
                method,
                self.url + API + path,
                params=query,
                data=form if body is None else body.model_dump_json(exclude_unset=True),
                headers={**content_type, **(headers or {})},
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise _TryAgain(f"{self.url} does not answer ({_why(error)}); is the service running?") from error
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
        return refusal(problem.detail, problem=problem.slug, about=problem.about)

    def _not_the_service(self, answer: requests.Response) -> ServiceUnreachable:
        return ServiceUnreachable(
            f"{self.url} answers {answer.status_code}, but not as the service would; check PRIVATE_INTEGRATIONS_URL"
        )


class _TryAgain(ServiceUnreachable):
    """No answer, or one that may be better next time."""


def _trying(once: Callable[[int], Value]) -> Value:
    """Call `once` with 1, 2, 3 … until it has an answer or the tries are used up."""
    for number, pause in enumerate(_PAUSES, start=1):
        try:
            return once(number)
        except _TryAgain:
            time.sleep(pause * random.uniform(1, 1.5))  # noqa: S311 - jitter is no secret
    return once(len(_PAUSES) + 1)


def _session(connection: Connection, deployment_of: str | None) -> requests.Session:
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=_POOL, pool_block=True)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # The environment is read here once, not at every request; and no .netrc takes the key's place.
    session.trust_env = False
    session.proxies = requests.utils.get_environ_proxies(connection.url)
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    if connection.key:
        session.headers["Authorization"] = f"Bearer {connection.key}"
    session.headers["Accept"] = "application/json"
    release = version("private-integrations")
    ours = f"private-integrations/{release}"
    session.headers["User-Agent"] = f"{DEPLOYMENT_AGENT}{release} ({deployment_of})" if deployment_of else ours
    return session


def _problem(answer: requests.Response) -> Problem | None:
    try:
        problem = Problem.model_validate_json(answer.content)
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
