"""Run pipelines as the engine does: the real provider, a state file, and a process that may die at any request."""

import copy
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.deployment.batched_reads import Deployment
from private_integrations.errors import ConfigurationError
from private_integrations.provider import IntegrationProvider, TokenProvider
from trials.promises import Ledger

EVERY, OVERLAP = 6 * 3600, 3600
"""Declare a period and an overlap of so many seconds."""


class DiedError(Exception):
    """Report that the process was killed here, before it could write its last answer anywhere."""


class Wire(HTTPAdapter):
    """Send requests of one process, note each in the ledger, and kill the process after `lives` of them."""

    def __init__(self, ledger: Ledger, lives: int | None = None) -> None:
        super().__init__()
        self._ledger = ledger
        self._lives = lives

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send one request and read its whole answer."""
        noted = self._ledger.sent(request.method or "", request.url or "", request.body, request.headers)
        try:
            answer = super().send(request, *args, **options)
            self._ledger.answered(noted, answer.status_code, answer.content)
        finally:
            if self._lives is not None:
                self._lives -= 1
                if self._lives == 0:
                    raise DiedError
        return answer


@dataclass
class State:
    """Hold a stack's state of an integration and its token, which is written after an answer, never before."""

    id: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    token_inputs: dict[str, Any] = field(default_factory=dict)
    token_outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str | None:
        """Return the token that consumers get."""
        return self.token_outputs.get("token")


@dataclass
class Stack:
    """Hold a program, its state, and older copies of that state."""

    external_id: str
    state: State = field(default_factory=State)
    older: list[State] = field(default_factory=list)
    trigger: int = 0
    edits: int = 0
    overlap: int = OVERLAP
    adopt: dict[str, str] = field(default_factory=dict)
    undisturbed: bool = True
    """Tell that only its own pipeline, one run at a time, has ever touched the token."""


@dataclass(frozen=True)
class Processes:
    """Connect every process to the service, and record its requests in the ledger."""

    connection: ServiceConnection
    account: str
    ledger: Ledger

    @contextmanager
    def client(self, lives: int | None = None) -> Iterator[Client]:
        """Return the real client, of a process that dies after so many requests."""
        client = Client(self.connection)
        client._session.mount("http://", Wire(self.ledger, lives))
        try:
            yield client
        finally:
            client._session.close()

    def up(self, stack: Stack, state: State, *, lives: int | None = None, gate: threading.Barrier | None = None) -> str:
        """Run `up` in a process of its own; at the gate it waits for another one before it changes a token."""
        stack.older.append(copy.deepcopy(state))
        with self.client(lives) as client:
            deployment = Deployment(client)
            self._deploy_integration(stack, state, deployment)
            return _deploy_token(stack, state, deployment, gate)

    def destroy(self, state: State) -> str:
        """Run `destroy` with this state."""
        if state.id is None:
            return "there is nothing"
        with self.client() as client:
            _call(_integration_provider(Deployment(client), self.account), "delete", state.id, state.outputs)
        return f"{state.id} by the owner: {self.ledger.owned(state.id, state.outputs['claim'])}"

    def is_gone(self, state: State) -> bool:
        """Tell whether `refresh` would drop the integration, and its token with it, from the state."""
        with self.client() as client:
            provider = _integration_provider(Deployment(client), self.account)
            return state.id is None or _call(provider, "read", state.id, state.outputs).id == ""

    def _deploy_integration(self, stack: Stack, state: State, deployment: Deployment) -> None:
        provider = _integration_provider(deployment, self.account)
        declared = {
            "name": f"CRM {stack.edits}",
            "scopes": ["contacts.readonly"],
            "external_id": stack.external_id,
            "rotation": _policy(stack),
            **{key: value for key, value in stack.adopt.items() if key == "adopt"},
        }
        inputs = _call(provider, "check", state.inputs, declared).inputs
        if state.id is None:
            made = _call(provider, "create", inputs)
            state.id, state.outputs = made.id, made.outs
        elif _call(provider, "diff", state.id, state.outputs, inputs).changes:
            state.outputs = _call(provider, "update", state.id, state.outputs, inputs).outs
        state.inputs = inputs


def _deploy_token(stack: Stack, state: State, deployment: Deployment, gate: threading.Barrier | None) -> str:
    provider = TokenProvider()
    provider._deployment = deployment
    declared = {
        "integration_id": state.id,
        "external_id": stack.external_id,
        "rotation": {**_policy(stack), **({"trigger": str(stack.trigger)} if stack.trigger else {})},
        **stack.adopt,
    }
    checked = _call(provider, "check", state.token_inputs, declared)
    if checked.failures:
        # The engine stops here as it does at an error.
        raise ConfigurationError(checked.failures[0].reason)
    if gate is not None:
        with suppress(threading.BrokenBarrierError):
            gate.wait(0.05)
    if not state.token_outputs:
        outputs = _call(provider, "create", checked.inputs).outs
    elif _call(provider, "diff", "", state.token_outputs, checked.inputs).changes:
        outputs = _call(provider, "update", "", state.token_outputs, checked.inputs).outs
    else:
        outputs = state.token_outputs
    state.token_inputs, state.token_outputs = checked.inputs, outputs
    return f"generation {outputs['generation']}, {checked.inputs['rotation_reason']}"


def _integration_provider(deployment: Deployment, account: str) -> IntegrationProvider:
    provider = IntegrationProvider()
    provider._deployment, provider._default_account = deployment, account
    return provider


def _policy(stack: Stack) -> dict[str, str]:
    return {"every": f"{EVERY}s", "overlap": f"{stack.overlap}s"}


def _call(provider: Any, method: str, *arguments: Any) -> Any:
    """Call a provider's method as the engine does, but raise the error itself instead of printing one line."""
    return inspect.unwrap(getattr(type(provider), method))(provider, *arguments)
