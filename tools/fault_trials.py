"""Trials of the rotation over a network that fails: random actors, each step held against the promises.

A trial is one stack and everybody who may touch its integration: pipelines that crash, run twice or
from an older state, another stack that adopts it, a person at the command line, a consumer, a service
that is killed. What acts is the real provider, method by method as the engine calls it, and its real
client, through a faulty proxy, against the real service with a clock that is moved. What is promised
is `promises.Ledger`'s to say. A trial is repeated by its seed, but for the races of two pipelines.
"""

import copy
import http.client
import inspect
import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.adapters import HTTPAdapter

import private_integrations.client
from faulty_proxy import Faults, FaultyProxy
from private_integrations.client import Client
from private_integrations.connection import Connection
from private_integrations.contract import API
from private_integrations.deployment import Deployment
from private_integrations.errors import ConfigurationError, PrivateIntegrationError
from private_integrations.provider import IntegrationProvider, TokenProvider
from promises import Broken, Ledger
from throwaway import REPOSITORY, listening_address
from weakened_service import OFFSET

EVERY, OVERLAP = 6 * 3600, 3600
"""Seconds of a declared period and of its overlap."""
STEPS = (6, 11)
_TRIES = 4
_TOKEN_OUTPUTS = ("token", "previous_token", "generation", "fingerprint", "rotated_at", "status")

# The production pauses spread load over seconds; here the network's faults don't depend on time.
_PAUSES = (0.001, 0.002, 0.004)


class DiedError(Exception):
    """The process was killed here: nothing of it runs on, and what it learned last is written nowhere."""


class Wire(HTTPAdapter):
    """Sends requests of one process, tells the ledger of each, and kills the process after `lives` of them."""

    def __init__(self, ledger: Ledger, lives: int | None = None) -> None:
        super().__init__()
        self._ledger = ledger
        self._lives = lives

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """One request and its whole answer."""
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
    """What a stack's state file holds of an integration and its token."""

    id: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    token_inputs: dict[str, Any] = field(default_factory=dict)
    token_outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str | None:
        """The token that consumers are given."""
        return self.token_outputs.get("token")


@dataclass
class Stack:
    """A program, its state, and older copies of that state."""

    external_id: str
    state: State = field(default_factory=State)
    older: list[State] = field(default_factory=list)
    trigger: int = 0
    edits: int = 0
    overlap: int = OVERLAP
    adopt: dict[str, str] = field(default_factory=dict)
    undisturbed: bool = True
    """Nobody but its own pipeline, one run at a time, has ever touched the token."""


@dataclass(frozen=True)
class Result:
    """A trial's seed, what was done in it and what was broken."""

    seed: int
    log: list[str]
    broken: list[Broken]


@dataclass
class MovedService:
    """A running service and the file that says by how much its clock is ahead."""

    folder: Path
    rule: str
    url: str = ""
    key: str = field(default="", repr=False)
    account: str = ""

    def __post_init__(self) -> None:
        self._clock = self.folder / "clock"
        self._clock.write_bytes(OFFSET.pack(0))
        self.ahead = 0.0
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again; the port is another one each time."""
        command = [sys.executable, str(REPOSITORY / "tools" / "weakened_service.py")]
        self._process = subprocess.Popen(
            [*command, str(self.folder / "data"), str(self._clock), *([self.rule] if self.rule else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.url = listening_address(self._process)
        if not self.key:
            self.key = (self.folder / "data" / "admin.key").read_text().strip()
            accounts = Client(Connection(self.url, self.key)).accounts()
            self.account = next(account.id for account in accounts if account.kind == "sub_account")

    def kill(self) -> None:
        """SIGKILL: nothing is finished or closed."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def move(self, seconds: float) -> None:
        """Move its clock forward."""
        self.ahead += seconds
        with self._clock.open("r+b") as stream:
            stream.write(OFFSET.pack(self.ahead))


class Lane:
    """A service of its own behind a proxy of its own, for one trial after another."""

    def __init__(self, service: MovedService, proxy: FaultyProxy) -> None:
        self.service = service
        self.proxy = proxy
        self.done: Counter[str] = Counter()

    def run(self, seed: int, losses: tuple[float, float]) -> Result:
        """The trial with this seed."""
        return Trial(self, seed, losses).run()

    def ask(self, path: str, token: str) -> tuple[int, Any]:
        """A GET straight to the service, as nobody's but the harness's own."""
        connection = http.client.HTTPConnection(urlsplit(self.service.url).netloc)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Version": "2021-07-28"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def revive(self) -> None:
        """Kill the service and start it again."""
        self.service.kill()
        self.service.start()
        self.proxy.aim(self.service.url)


@contextmanager
def lane(folder: Path, rule: str = "") -> Iterator[Lane]:
    """A lane in this folder, with one of the service's rules switched off if named."""
    pauses = private_integrations.client._PAUSES
    service = MovedService(folder, rule)
    try:
        private_integrations.client._PAUSES = _PAUSES
        with FaultyProxy(service.url) as proxy:
            yield Lane(service, proxy)
    finally:
        private_integrations.client._PAUSES = pauses
        service.kill()


class Trial:
    """One stack's life among all who may touch its integration."""

    def __init__(self, where: Lane, seed: int, losses: tuple[float, float]) -> None:
        self._random = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
        self._lane = where
        self._proxy = where.proxy
        self._proxy.behave(Faults.at_loss(self._random.uniform(*losses)), seed)
        self._ledger = Ledger()
        self._seed = seed
        self._project = f"faults-{seed}"
        self._stack = self._new_stack("dev")
        self._former: list[Stack] = []
        self._checkouts: list[State] = []
        self._persons: list[str] = []
        self._log: list[str] = []

    def run(self) -> Result:
        """Some random steps, then everything late arrives, what is broken off is repeated, and all is destroyed."""
        steps, weights = zip(*_STEPS, strict=True)
        self._step(Trial.deploy)
        for step in self._random.choices(steps, weights, k=self._random.randint(*STEPS)):
            if self._ledger.broken:
                break
            self._step(step)
        for step in (Trial.settle, Trial.heal, Trial.end):
            if not self._ledger.broken:
                self._step(step)
        return Result(self._seed, self._log, self._ledger.broken)

    def _step(self, step: Callable[["Trial"], str]) -> None:
        said = step(self)
        self._lane.done[step.__name__] += 1
        self._log.append(f"{step.__name__}: {said}")
        self._check()

    def _check(self) -> None:
        _, found = self._lane.ask(f"{API}/tokens?under={quote(f'organization/{self._project}')}", self._key)
        states = [self._stack.state, *self._checkouts, *(stack.state for stack in self._former)]
        self._ledger.check_states(found["tokens"], {*self._persons, *(state.token for state in states)})
        live = {s["fingerprint"] for state in found["tokens"] for s in state["secrets"] if s["role"] != "ended"}
        state = self._stack.state
        if self._stack.undisturbed and state.token and state.token_outputs["fingerprint"] not in live:
            self._ledger.fail("an undisturbed state holds a working token", str(state.token_outputs), in_hand=True)

    # What may happen.

    def deploy(self) -> str:
        """`up` of the program as it stands; where it finds the integration gone, a `refresh`."""
        said = self._attempt(lambda: self._up(self._stack, self._stack.state))
        if "run pulumi refresh" in said or "there is no integration" in said:
            self._attempt(self._refresh)
        return said

    def rotate(self) -> str:
        """`up` with another trigger."""
        self._stack.trigger += 1
        return self.deploy()

    def rotate_due(self) -> str:
        """`up` after the period has passed."""
        self._move(EVERY + 60)
        return self.deploy()

    def edit(self) -> str:
        """`up` with another name."""
        self._stack.edits += 1
        return self.deploy()

    def crash(self) -> str:
        """`up` with another trigger, in a process that is killed on the way; its requests may be on theirs."""
        self._stack.trigger += self._random.random() < 0.7
        lives = self._random.randint(1, 5)
        return f"after {lives} requests: " + self._attempt(
            lambda: self._up(self._stack, self._stack.state, lives=lives)
        )

    def race(self) -> str:
        """Two processes of one stack decide from the same state and the same answers, and act at the same time."""
        stack = self._stack
        stack.undisturbed = False
        stack.trigger += self._random.random() < 0.8
        states = [stack.state, copy.deepcopy(stack.state)]
        lives = [self._random.choice((None, None, 2, 3, 4)) for _ in states]
        gate = threading.Barrier(2, timeout=10) if self._random.random() < 0.7 else None
        said = ["", ""]

        def process(number: int) -> None:
            said[number] = self._attempt(lambda: self._up(stack, states[number], lives=lives[number], gate=gate))

        threads = [threading.Thread(target=process, args=(number,)) for number in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = self._random.choice([n for n in (0, 1) if "failed" not in said[n]] or [0])
        stack.state = states[won]
        self._checkouts.append(states[1 - won])
        if states[1 - won].id == stack.state.id:
            stack.older.append(states[1 - won])
        return " | ".join(said)

    def restore(self) -> str:
        """The state file is an older one from now on."""
        usable = [state for state in self._stack.older if state.id == self._stack.state.id]
        if not usable:
            return "there is none"
        self._stack.undisturbed = False
        self._stack.older.append(self._stack.state)
        self._stack.state = copy.deepcopy(self._random.choice(usable))
        return f"generation {self._stack.state.token_outputs.get('generation')}"

    def consume(self) -> str:
        """A consumer takes the token from the state and uses it."""
        token = self._stack.state.token
        if token is None:
            return "there is no token"
        status = self._use(token)
        if status is not None:
            self._ledger.check_use(token, status, "the consumer")
        return str(status)

    def person_rotates(self) -> str:
        """A person issues a token at the command line, and uses it sooner or later."""
        integration_id = self._stack.state.id
        if integration_id is None:
            return "there is nothing to rotate"
        self._stack.undisturbed = False
        return self._attempt(lambda: self._issue_to_person(integration_id))

    def person_uses(self) -> str:
        """A person uses the token that they issued last."""
        if not self._persons:
            return "there is none"
        status = self._use(self._persons[-1])
        if status is not None:
            self._ledger.check_use(self._persons[-1], status, "a person")
        return str(status)

    def person_expires(self) -> str:
        """A person ends the superseded tokens, and a pending one that nobody uses."""
        integration_id = self._stack.state.id
        if integration_id is None:
            return "there is nothing to expire"
        self._stack.undisturbed = False
        return self._attempt(lambda: self._expire(integration_id, {"previous", "pending"}))

    def no_overlap(self) -> str:
        """The answer to a compromised token: `up` with another trigger and an overlap of nothing."""
        self._stack.undisturbed = False
        self._stack.overlap = 0
        said = self.rotate()
        self._stack.overlap = OVERLAP
        return said

    def adopt(self) -> str:
        """Another stack takes the integration over; the former one still has its state."""
        state = self._stack.state
        if state.id is None or len(self._former) > 1:
            return "there is nothing to adopt"
        adopting = self._new_stack(f"adopting-{len(self._former)}")
        adopting.undisturbed = False
        adopting.adopt = {"adopt": state.id, **({"adopt_token": state.token} if state.token else {})}
        self._former.append(self._stack)
        self._stack = adopting
        return self.deploy()

    def former_acts(self) -> str:
        """The former stack, which knows of nothing, is deployed or destroyed."""
        if not self._former:
            return "there is none"
        former = self._former[-1]
        if self._random.random() < 0.5:
            former.trigger += 1
            return self._attempt(lambda: self._up(former, former.state))
        return self._attempt(lambda: self._destroy(former.state))

    def destroy(self) -> str:
        """`destroy`, from the present state or an older one."""
        stack = self._stack
        stack.undisturbed = False
        said = self._attempt(lambda: self._destroy(stack.state))
        if "failed" not in said:
            stack.state, stack.older, stack.adopt = State(), [], {}
        return said

    def overlap_passes(self) -> str:
        """The service's clock moves beyond every overlap."""
        return self._move(OVERLAP + 180)

    def time_passes(self) -> str:
        """The service's clock moves a little."""
        return self._move(OVERLAP * 0.4)

    def late_arrives(self) -> str:
        """Every late copy arrives now."""
        self._proxy.flush()
        return "all"

    def service_dies(self) -> str:
        """The service is killed in the middle of an `up`, and started again."""
        killer = threading.Timer(self._random.uniform(0, 0.03), self._lane.service.kill)
        self._stack.trigger += 1
        killer.start()
        said = self.deploy()
        killer.join()
        self._lane.revive()
        return said

    # How a trial ends.

    def settle(self) -> str:
        """Everything late arrives, and the network is whole again."""
        self._proxy.behave(Faults())
        self._proxy.flush()
        return self.person_uses()

    def heal(self) -> str:
        """A pipeline that repeats `up` to its end holds a token that works, at most with the help of a person."""
        for _ in range(2 * _TRIES):
            said = self.deploy()
            if "failed" not in said and self._stack.state.token:
                break
            if self._stack.undisturbed:
                self._ledger.fail("who retries holds a live token", f"an undisturbed pipeline needs help: {said}")
            self._help(said)
        token = self._stack.state.token
        status = self._lane.ask(self._contacts, token)[0] if token else 0
        if status != 200:
            self._ledger.fail("who retries holds a live token", f"{said}; its token gets {status}", in_hand=True)
        for other in self._persons:
            self._ledger.check_use(other, self._lane.ask(self._contacts, other)[0], "a person")
        return said

    def end(self) -> str:
        """The former stacks' destroy harms nothing; the owner's leaves nothing."""
        for former in self._former:
            self._attempt(lambda former=former: self._destroy(former.state))  # type: ignore[misc]
        self._check()
        token = self._stack.state.token or ""
        if self._lane.ask(self._contacts, token)[0] != 200:
            self._ledger.fail("an old claim deletes nothing", "the token in use is dead", in_hand=True)
        self._stack.undisturbed = False
        said = self._attempt(lambda: self._destroy(self._stack.state))
        self._proxy.flush()
        _, left = self._lane.ask(f"{API}/integrations?under={quote(f'organization/{self._project}')}", self._key)
        self._ledger.check_left(left["integrations"])
        if any(integration["id"] == self._stack.state.id for integration in left["integrations"]):
            self._ledger.fail("the owner's destroy leaves nothing", f"{self._stack.state.id} is still there")
        if self._lane.ask(self._contacts, token)[0] != 401:
            self._ledger.fail("the owner's destroy leaves nothing", "its token still works")
        return said

    # What it is made of.

    @property
    def _key(self) -> str:
        return self._lane.service.key

    @property
    def _contacts(self) -> str:
        return f"/contacts/?locationId={self._lane.service.account}&limit=1"

    def _new_stack(self, name: str) -> Stack:
        return Stack(f"organization/{self._project}/{name}/crm")

    def _attempt(self, action: Callable[[], str]) -> str:
        """What an action did, or why it failed: with an error of ours, or by the death of its process."""
        try:
            return action()
        except DiedError:
            return "failed: killed"
        except PrivateIntegrationError as error:
            return f"failed: {error}"

    def _refresh(self) -> str:
        """Drop from the state what the service says is gone, as `refresh` does."""
        state = self._stack.state
        with self._client() as client:
            provider = IntegrationProvider()
            provider._deployment = Deployment(client)
            if state.id is None or _undecorated(provider, "read", state.id, state.outputs).id == "":
                self._stack.state, self._stack.older, self._stack.adopt = State(), [], {}
        return "refreshed"

    @contextmanager
    def _client(self, lives: int | None = None) -> Iterator[Client]:
        """The client of a new process, through the proxy."""
        client = Client(Connection(self._proxy.url, self._key))
        client._session.mount("http://", Wire(self._ledger, lives))
        try:
            yield client
        finally:
            client._session.close()

    def _up(
        self, stack: Stack, state: State, *, lives: int | None = None, gate: threading.Barrier | None = None
    ) -> str:
        stack.older.append(copy.deepcopy(state))
        with self._client(lives) as client:
            deployment = Deployment(client)
            self._deploy_integration(stack, state, deployment)
            return self._deploy_token(stack, state, deployment, gate)

    def _deploy_integration(self, stack: Stack, state: State, deployment: Deployment) -> None:
        provider = IntegrationProvider()
        provider._deployment, provider._default_account = deployment, self._lane.service.account
        declared = {
            "name": f"CRM {stack.edits}",
            "scopes": ["contacts.readonly"],
            "external_id": stack.external_id,
            "rotation": self._policy(stack),
            **{key: value for key, value in stack.adopt.items() if key == "adopt"},
        }
        inputs = _undecorated(provider, "check", state.inputs, declared).inputs
        if state.id is None:
            made = _undecorated(provider, "create", inputs)
            state.id, state.outputs = made.id, made.outs
        elif _undecorated(provider, "diff", state.id, state.outputs, inputs).changes:
            state.outputs = _undecorated(provider, "update", state.id, state.outputs, inputs).outs
        state.inputs = inputs

    def _deploy_token(self, stack: Stack, state: State, deployment: Deployment, gate: threading.Barrier | None) -> str:
        provider = TokenProvider()
        provider._deployment = deployment
        declared = {
            "integration_id": state.id,
            "external_id": stack.external_id,
            "rotation": {**self._policy(stack), **({"trigger": str(stack.trigger)} if stack.trigger else {})},
            **stack.adopt,
            **dict.fromkeys(_TOKEN_OUTPUTS),
        }
        del declared["generation"]
        checked = _undecorated(provider, "check", state.token_inputs, declared)
        if checked.failures:
            # Not a person's kind of error, but one that stops the `up` in the same way.
            raise ConfigurationError(checked.failures[0].reason)
        if gate is not None:
            with suppress(threading.BrokenBarrierError):
                gate.wait(0.05)
        if not state.token_outputs:
            outputs = _undecorated(provider, "create", checked.inputs).outs
        elif _undecorated(provider, "diff", "", state.token_outputs, checked.inputs).changes:
            outputs = _undecorated(provider, "update", "", state.token_outputs, checked.inputs).outs
        else:
            outputs = state.token_outputs
        state.token_inputs, state.token_outputs = checked.inputs, outputs
        return f"generation {outputs['generation']}, {checked.inputs['rotation_reason']}"

    def _policy(self, stack: Stack) -> dict[str, str]:
        return {"every": f"{EVERY}s", "overlap": f"{stack.overlap}s"}

    def _destroy(self, state: State) -> str:
        if state.id is None:
            return "there is nothing"
        with self._client() as client:
            provider = IntegrationProvider()
            provider._deployment = Deployment(client)
            _undecorated(provider, "delete", state.id, state.outputs)
        return f"{state.id} by the owner: {self._ledger.owned(state.id, state.outputs['claim'])}"

    def _use(self, token: str) -> int | None:
        """A consumer's request to the data API, repeated until there is an answer; None if there is none."""
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", Wire(self._ledger))
            for _ in range(_TRIES):
                with suppress(requests.RequestException):
                    return session.get(
                        self._proxy.url + self._contacts,
                        headers={"Authorization": f"Bearer {token}", "Version": "2021-07-28"},
                        timeout=30,
                    ).status_code
        return None

    def _issue_to_person(self, integration_id: str) -> str:
        with self._client() as client:
            integration = client.integration(integration_id)
            issued = client.issue(
                integration_id,
                integration.last_generation + 1,
                issuer=f"cli/anna/{self._random.getrandbits(64):016x}",
                holding=None,
                overlap_seconds=OVERLAP,
                reason="rotated on the command line",
            )
        self._persons.append(issued.token)
        return f"generation {issued.generation}"

    def _expire(self, integration_id: str, roles: set[str]) -> str:
        with self._client() as client:
            secrets = [
                secret
                for page in client.tokens_of([integration_id])
                for state in page.tokens
                for secret in state.secrets
                if secret.role in roles
            ]
            generations = sorted({secret.generation for secret in secrets})
            if generations:
                client.expire(integration_id, generations)
        return f"generations {generations}"

    def _move(self, seconds: float) -> str:
        self._lane.service.move(seconds)
        self._ledger.moved += seconds
        return f"{seconds:.0f} s"

    def _help(self, said: str) -> None:
        """What a person does about an `up` that says no: as its message advises."""
        stack = self._stack
        if "is not in use yet" in said and stack.state.id:
            self.person_expires()
        elif "are all alive" in said:
            self.overlap_passes()
        elif "adopt_token does not belong" in said:
            # Either it waits for its first use, behind another that is in use, or it is an old one.
            self._use(stack.adopt.pop("adopt_token"))
        elif 'adopt="' in said:
            stack.adopt = {"adopt": said.split('adopt="')[1].split('"')[0]}
        elif stack.state.id and not stack.state.token:
            # Adopted without its value: a trigger brings a known token.
            stack.trigger += 1


_STEPS: tuple[tuple[Callable[[Trial], str], float], ...] = (
    (Trial.deploy, 3),
    (Trial.rotate, 4),
    (Trial.rotate_due, 2),
    (Trial.edit, 1),
    (Trial.crash, 4),
    (Trial.race, 4),
    (Trial.restore, 1.5),
    (Trial.consume, 6),
    (Trial.person_rotates, 2.5),
    (Trial.person_uses, 2),
    (Trial.person_expires, 0.7),
    (Trial.no_overlap, 0.5),
    (Trial.adopt, 1.2),
    (Trial.former_acts, 1.5),
    (Trial.destroy, 0.6),
    (Trial.overlap_passes, 4),
    (Trial.time_passes, 1.5),
    (Trial.late_arrives, 1.5),
    (Trial.service_dies, 0.05),
)


def _undecorated(provider: Any, method: str, *arguments: Any) -> Any:
    """A provider's method, as the engine calls it, but with the error itself in place of the engine's one line."""
    return inspect.unwrap(getattr(type(provider), method))(provider, *arguments)
