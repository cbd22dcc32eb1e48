"""Try rotations over a faulty network: random actors, and after each step a comparison with the promises.

A trial has one stack and all actors that may touch its integration: pipelines that crash, run twice or
from an older state, another stack that adopts it, a person at the command line, a consumer, a service
that is killed. They use the real provider, method by method as the engine calls it, and its real
client, through a faulty proxy, against the real service with a clock that is moved. `Ledger` derives the
promises. A seed repeats its trial, except for the races of two pipelines.
"""

import copy
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

import requests

from private_integrations.connection import ServiceConnection
from private_integrations.contract import API
from private_integrations.errors import PrivateIntegrationError
from trials.lane import Lane
from trials.pipelines import EVERY, OVERLAP, DiedError, Processes, Stack, State, Wire
from trials.promises import Broken, Ledger
from trials.proxy import Faults

STEPS = (6, 11)
"""Limit the steps of a trial, before it is brought to an end: the fewest and the most."""
_TRIES = 4


@dataclass(frozen=True)
class Result:
    """Hold a trial's seed, its steps and the broken promises."""

    seed: int
    log: list[str]
    broken: list[Broken]


def run_trial(where: Lane, seed: int, losses: tuple[float, float], steps: "Sequence[Step] | None" = None) -> Result:
    """Run the trial with this seed, at a loss between these two; with these steps, or else random ones."""
    return Trial(where, seed, losses).run(steps)


class Trial:
    """Run one stack among all actors that may touch its integration."""

    def __init__(self, where: Lane, seed: int, losses: tuple[float, float]) -> None:
        self._random = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
        self._lane = where
        self._proxy = where.proxy
        self._proxy.behave(Faults.at_loss(self._random.uniform(*losses)), seed)
        self._ledger = Ledger()
        connection = ServiceConnection(where.proxy.url, where.service.key)
        self._processes = Processes(connection, where.service.account, self._ledger)
        self._seed = seed
        self._project = f"faults-{seed}"
        self._stack = self._new_stack("dev")
        self._former: list[Stack] = []
        self._checkouts: list[State] = []
        self._persons: list[str] = []
        self._log: list[str] = []

    def run(self, steps: "Sequence[Step] | None" = None) -> Result:
        """Run the steps, let late copies arrive, repeat interrupted commands, and destroy all."""
        for step in (Trial.deploy, *(steps or self._random_steps()), Trial.settle, Trial.heal, Trial.end):
            if not self._ledger.broken:
                self._step(step)
        return Result(self._seed, self._log, self._ledger.broken)

    def _random_steps(self) -> "list[Step]":
        steps, weights = zip(*_STEPS, strict=True)
        return self._random.choices(steps, weights, k=self._random.randint(*STEPS))

    def _step(self, step: "Step") -> None:
        said = step(self)
        self._lane.done[step.__name__] += 1
        self._log.append(f"{step.__name__}: {said}")
        self._check()

    def _check(self) -> None:
        _, found = self._lane.ask(f"{API}/tokens?under={quote(f'organization/{self._project}')}", self._key)
        states = [self._stack.state, *self._checkouts, *(stack.state for stack in self._former)]
        self._ledger.check_states(found["tokens"], {*self._persons, *(state.token for state in states)})
        live = {s["fingerprint"] for state in found["tokens"] for s in state["tokens"] if s["role"] != "ended"}
        state = self._stack.state
        if self._stack.undisturbed and state.token and state.token_outputs["fingerprint"] not in live:
            detail = f"generation {state.token_outputs['generation']} of {state.id} is dead"
            self._ledger.fail("an undisturbed state holds a working token", detail, in_hand=True)

    # Steps.

    def deploy(self) -> str:
        """Run `up` of the present program; if it finds the integration gone, a `refresh`."""
        said = self._attempt(lambda: self._processes.up(self._stack, self._stack.state))
        if "run pulumi refresh" in said or "there is no integration" in said:
            self._attempt(self._refresh)
        return said

    def rotate(self) -> str:
        """Run `up` with another trigger."""
        self._stack.trigger += 1
        return self.deploy()

    def rotate_due(self) -> str:
        """Run `up` after the period has passed."""
        self._move(EVERY + 60)
        return self.deploy()

    def edit(self) -> str:
        """Run `up` with another name."""
        self._stack.edits += 1
        return self.deploy()

    def crash(self) -> str:
        """Run `up` with another trigger, in a process that is killed on the way; its requests may still arrive."""
        self._stack.trigger += self._random.random() < 0.7
        lives = self._random.randint(1, 5)
        return f"after {lives} requests: " + self._attempt(
            lambda: self._processes.up(self._stack, self._stack.state, lives=lives)
        )

    def race(self) -> str:
        """Let two processes of one stack decide from the same state and answers, and act at the same time."""
        stack = self._stack
        stack.undisturbed = False
        stack.trigger += self._random.random() < 0.8
        states = [stack.state, copy.deepcopy(stack.state)]
        lives = [self._random.choice((None, None, 2, 3, 4)) for _ in states]
        gate = threading.Barrier(2, timeout=10) if self._random.random() < 0.7 else None
        said = ["", ""]

        def process(number: int) -> None:
            said[number] = self._attempt(
                lambda: self._processes.up(stack, states[number], lives=lives[number], gate=gate)
            )

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
        """Replace the state file by an older one."""
        usable = [state for state in self._stack.older if state.id == self._stack.state.id]
        if not usable:
            return "there is none"
        self._stack.undisturbed = False
        self._stack.older.append(self._stack.state)
        self._stack.state = copy.deepcopy(self._random.choice(usable))
        return f"generation {self._stack.state.token_outputs.get('generation')}"

    def consume(self) -> str:
        """Let a consumer take the token from the state and use it."""
        token = self._stack.state.token
        if token is None:
            return "there is no token"
        status = self._use(token)
        if status is not None:
            self._ledger.check_use(token, status, "the consumer")
        return str(status)

    def person_rotates(self) -> str:
        """Let a person issue a token at the command line, and use it sooner or later."""
        integration_id = self._stack.state.id
        if integration_id is None:
            return "there is nothing to rotate"
        self._stack.undisturbed = False
        return self._attempt(lambda: self._issue_to_person(integration_id))

    def person_uses(self) -> str:
        """Let a person use the token that they issued last."""
        if not self._persons:
            return "there is none"
        status = self._use(self._persons[-1])
        if status is not None:
            self._ledger.check_use(self._persons[-1], status, "a person")
        return str(status)

    def person_expires(self) -> str:
        """Let a person end the superseded tokens, and a pending one that no consumer uses."""
        integration_id = self._stack.state.id
        if integration_id is None:
            return "there is nothing to expire"
        self._stack.undisturbed = False
        return self._attempt(lambda: self._expire(integration_id, {"previous", "pending"}))

    def no_overlap(self) -> str:
        """Answer a leak: run `up` with another trigger and an overlap of zero."""
        self._stack.undisturbed = False
        self._stack.overlap = 0
        said = self.rotate()
        self._stack.overlap = OVERLAP
        return said

    def adopt(self) -> str:
        """Let another stack take the integration over; the former one still has its state."""
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
        """Deploy or destroy the former stack, which can't know of the adoption."""
        if not self._former:
            return "there is none"
        former = self._former[-1]
        if self._random.random() < 0.5:
            former.trigger += 1
            return self._attempt(lambda: self._processes.up(former, former.state))
        return self._attempt(lambda: self._processes.destroy(former.state))

    def destroy(self) -> str:
        """Run `destroy`, from the present state or an older one."""
        stack = self._stack
        stack.undisturbed = False
        said = self._attempt(lambda: self._processes.destroy(stack.state))
        if "failed" not in said:
            stack.state, stack.older, stack.adopt = State(), [], {}
        return said

    def overlap_passes(self) -> str:
        """Move the service's clock beyond every overlap."""
        return self._move(OVERLAP + 180)

    def time_passes(self) -> str:
        """Move the service's clock a little."""
        return self._move(OVERLAP * 0.4)

    def late_arrives(self) -> str:
        """Let every late copy arrive now."""
        self._proxy.flush()
        return "all"

    def service_dies(self) -> str:
        """Kill the service in the middle of an `up`, and start it again."""
        killer = threading.Timer(self._random.uniform(0, 0.03), self._lane.service.kill)
        self._stack.trigger += 1
        killer.start()
        said = self.deploy()
        killer.join()
        self._lane.revive()
        return said

    # The end of a trial.

    def settle(self) -> str:
        """Let all late copies arrive, and repair the network."""
        self._proxy.behave(Faults())
        self._proxy.flush()
        return self.person_uses()

    def heal(self) -> str:
        """Repeat `up` until it succeeds, at most with the help of a person; the token in state then works."""
        for _ in range(2 * _TRIES):
            said = self.deploy()
            if "failed" not in said and self._stack.state.token:
                break
            if self._stack.undisturbed and "are all alive" not in said:
                # Waiting for the end of an overlap does not count as help; no other actor has caused any other failure.
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
        """Destroy the former stacks, which must harm nothing, and the owner's, which must leave nothing."""
        for former in self._former:
            self._attempt(lambda former=former: self._processes.destroy(former.state))  # type: ignore[misc]
        self._check()
        token = self._stack.state.token or ""
        if self._lane.ask(self._contacts, token)[0] != 200:
            self._ledger.fail("an old owner nonce deletes nothing", "the token in use is dead", in_hand=True)
        self._stack.undisturbed = False
        said = self._attempt(lambda: self._processes.destroy(self._stack.state))
        self._proxy.flush()
        _, left = self._lane.ask(f"{API}/integrations?under={quote(f'organization/{self._project}')}", self._key)
        self._ledger.check_left(left["integrations"])
        if any(integration["id"] == self._stack.state.id for integration in left["integrations"]):
            self._ledger.fail("the owner's destroy leaves nothing", f"{self._stack.state.id} is still there")
        if self._lane.ask(self._contacts, token)[0] != 401:
            self._ledger.fail("the owner's destroy leaves nothing", "its token still works")
        return said

    # Parts of the steps.

    @property
    def _key(self) -> str:
        return self._lane.service.key

    @property
    def _contacts(self) -> str:
        return f"/contacts/?locationId={self._lane.service.account}&limit=1"

    def _new_stack(self, name: str) -> Stack:
        return Stack(f"organization/{self._project}/{name}/crm")

    def _attempt(self, action: Callable[[], str]) -> str:
        """Run an action; return its result or its failure: an error of ours, or the death of its process."""
        try:
            return action()
        except DiedError:
            return "failed: killed"
        except PrivateIntegrationError as error:
            return f"failed: {error}"

    def _refresh(self) -> str:
        """Drop deleted resources from the state, as `refresh` does."""
        if self._processes.is_gone(self._stack.state):
            self._stack.state, self._stack.older, self._stack.adopt = State(), [], {}
        return "refreshed"

    def _use(self, token: str) -> int | None:
        """Send a consumer's request to the data API, repeated until there is an answer; None if there is none."""
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
        with self._processes.client() as client:
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
        with self._processes.client() as client:
            secrets = [
                secret
                for page in client.tokens_of([integration_id])
                for state in page.tokens
                for secret in state.tokens
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
        """Follow the advice of a failed `up`, as a person does."""
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


Step = Callable[[Trial], str]

# The relative frequencies of the steps.
_STEPS: tuple[tuple[Step, float], ...] = (
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
