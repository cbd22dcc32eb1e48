"""Read the service once for each engine process, in batches that all its threads share."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Generic, TypeVar

from ..client import Client, Outage
from ..connection import ServiceConnection
from ..contract import (
    AuditAction,
    AuditEntry,
    Integration,
    PolicyDefaults,
    PrincipalReport,
    Problem,
    ServiceRules,
    TokenState,
)
from ..errors import NotAuthorized, NotFound
from .holders import Holders
from .identity import stack_of

Value = TypeVar("Value")


@dataclass(frozen=True)
class KnownTokens:
    """The state of an integration's tokens, and the service's clock and policy defaults when it answered."""

    state: TokenState
    now: datetime
    defaults: PolicyDefaults


class Deployment:
    """One deployment's view of the service.

    Whatever lies below the same stack is fetched together the first time any of it is asked for;
    what is not among it (another stack's, or younger than the fetch) is asked for by id.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.holders = Holders()
        self._tokens: _Batch[KnownTokens] = _Batch(self._tokens_below)
        self._integrations: _Batch[Integration] = _Batch(self._integrations_below)
        self._principal = _Once(client.whoami)
        self._rules = _Once(client.rules)
        self._said: set[str] = set()
        self._saying = threading.Lock()

    def token(self, integration_id: str, external_id: str) -> KnownTokens | None:
        """Return the tokens of an integration; None if the integration is not in the service (any more)."""
        return self._tokens.find(integration_id, external_id) or self._token_by_id(integration_id)

    def integration(self, integration_id: str, external_id: str | None) -> Integration | None:
        """Return an integration; None if it is not in the service (any more)."""
        found = self._integrations.find(integration_id, external_id) if external_id else None
        return found or self._integration_by_id(integration_id)

    def owned(self, external_id: str, account: str) -> Integration | None:
        """Return the integration that this owner has in this account; None if there is none (any more)."""
        found = self._integrations.find(_owner_key(external_id, account), external_id)
        return None if found is None or self.holders.deleted(found.id) else found

    def principal(self) -> PrincipalReport:
        """Return the key of this deployment; asked for once."""
        return self._principal.get()

    def rules(self) -> ServiceRules:
        """Return the limits and scopes that the service accepts; ask the service for them once."""
        return self._rules.get()

    def policy_defaults(self) -> PolicyDefaults:
        """Return what the service puts in place of the parts that a policy leaves out."""
        return self.rules().policy_defaults

    def is_first(self, message: str) -> bool:
        """Tell whether this process has not yet printed this message, and note it as printed."""
        with self._saying:
            first = message not in self._said
            self._said.add(message)
            return first

    def refuse_key(self, integration_id: str, account: str | None, *, to: str) -> None:
        """Raise NotAuthorized where the key can't do this to an integration that the service does not show it.

        To a key, an integration in an account that it doesn't reach looks deleted. An `account` of None is unknown, so
        the call raises unless the key reaches every account.
        """
        key = self.principal()
        if account is None and not key.bound:
            return
        if account is None:
            raise NotAuthorized(
                f"management key {key.name} reaches some accounts only, and {integration_id} is in none of them: "
                f"it may be gone or in another one; {to} it with a key that reaches its account"
            )
        if account not in {reached.id for reached in key.accounts}:
            raise NotAuthorized(
                f"management key {key.name} does not reach account {account}, where {integration_id} is; "
                f"{to} it with a key that does"
            )

    def refuse_deletion(self, integration_id: str, account: str | None) -> None:
        """Raise where a deletion of this integration would fail: no answer, a wrong key, or one without the right."""
        key = self.principal()
        if not key.role.may_write:
            raise NotAuthorized(
                f"management key {key.name} is a {key.role}'s and can't delete {integration_id}; nothing was deleted"
            )
        if account is not None or self._integration_by_id(integration_id) is None:
            self.refuse_key(integration_id, account, to="delete")

    def edits_of(self, integration_id: str) -> Sequence[AuditEntry]:
        """Return the latest edits of an integration, the last one first; none if the service keeps no such log."""
        return self._audited(integration_id, AuditAction.EDIT)

    def adoption_of(self, integration_id: str) -> AuditEntry | None:
        """Return the latest adoption of an integration; None if there was none, or the service keeps no such log."""
        return next(iter(self._audited(integration_id, AuditAction.ADOPT)), None)

    def _audited(self, integration_id: str, action: AuditAction) -> Sequence[AuditEntry]:
        try:
            return self.client.audit(integration=integration_id, action=action).entries
        except NotFound as error:
            if error.problem != Problem.ROUTE_UNKNOWN:
                raise
            return []

    def remember_new(self, integration: Integration) -> None:
        """Note an integration made by this process, so that its tokens needn't be asked for."""
        state = TokenState(
            integration_id=integration.id,
            external_id=integration.external_id,
            last_generation=0,
            tokens=[],
        )
        self._tokens.add(integration.id, KnownTokens(state, integration.created_at, self.policy_defaults()))
        self._integrations.add(integration.id, integration)
        self.holders.note_made(integration.id)

    def _token_by_id(self, integration_id: str) -> KnownTokens | None:
        for page in self.client.tokens_of([integration_id]):
            for state in page.tokens:
                return KnownTokens(state, page.now, page.policy_defaults)
        return None

    def _integration_by_id(self, integration_id: str) -> Integration | None:
        try:
            return self.client.integration(integration_id)
        except NotFound as error:
            if error.problem != Problem.INTEGRATION_UNKNOWN:
                raise
            return None

    def _tokens_below(self, stack: str) -> Iterator[tuple[str, KnownTokens]]:
        for page in self.client.token_states(under=stack):
            for state in page.tokens:
                yield state.integration_id, KnownTokens(state, page.now, page.policy_defaults)

    def _integrations_below(self, stack: str) -> Iterator[tuple[str, Integration]]:
        for integration in self.client.integrations(under=stack):
            yield integration.id, integration
            yield _owner_key(integration.external_id, integration.account), integration


@dataclass
class _Batch(Generic[Value]):
    """Values by integration id or owner, fetched a whole stack at a time; threads wait for the first fetch."""

    fetch: Callable[[str], Iterable[tuple[str, Value]]]
    _values: dict[str, Value] = field(default_factory=dict)
    _stacks: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: str, external_id: str) -> Value | None:
        stack = stack_of(external_id)
        with self._lock:
            if key not in self._values and stack not in self._stacks:
                # This process's own changes are younger than any answer.
                self._values = dict(self.fetch(stack)) | self._values
                self._stacks.add(stack)
            return self._values.get(key)

    def add(self, key: str, value: Value) -> None:
        with self._lock:
            self._values[key] = value


class _Once(Generic[Value]):
    """Keep the answer to one question, which is asked once for all threads."""

    def __init__(self, ask: Callable[[], Value]) -> None:
        self._ask = ask
        self._answers: list[Value] = []
        self._lock = threading.Lock()

    def get(self) -> Value:
        with self._lock:
            if not self._answers:
                self._answers.append(self._ask())
            return self._answers[0]


_one_at_a_time = threading.Lock()


def deployment_for(connection: ServiceConnection, project: str) -> Deployment:
    """Return the one deployment of this process, of this project, for a service and key.

    The engine runs one process per command with one provider object per resource type: they share
    the connection pool, what was read, and what the run's resources have, and give up together when the service does
    not answer.
    """
    # A cache by itself lets threads that come together make one each.
    with _one_at_a_time:
        return _deployment(connection, project)


@cache
def _deployment(connection: ServiceConnection, project: str) -> Deployment:
    return Deployment(Client(connection, deployment_of=project, outage=Outage()))


def _owner_key(external_id: str, account: str) -> str:
    """Return a key that is no integration's id: those have no slash."""
    return f"{account}/{external_id}"
