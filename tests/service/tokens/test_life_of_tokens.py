"""The real service under everything that can happen, in any order, against what its users were promised.

The oracle is written from the promises (docs/how-it-works.md), token by token, and shares no code with the service.
A search of hours: CONTRIBUTING.md.
"""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from decision_columns import Watch
from engines import EngineUnderTest
from private_integrations.contract import (
    GenerationRequest,
    IntegrationEdit,
    IntegrationRequest,
    Refused,
    RotationPolicy,
)
from private_integrations.rotation.decisions import Keep, Rotate, decide, status
from private_integrations.rotation.policy import EffectivePolicy
from private_integrations_service.access.actors import Actor
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.operations import generations, integrations
from private_integrations_service.operations.integrations import Rules
from private_integrations_service.settings import Settings
from private_integrations_service.storage import tables
from private_integrations_service.storage.integrations import integration_by_id

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACCOUNT = "locationOneAAAAAAAAA"
STACK = "org/project/stack/crm"
SOMEBODY = Actor("somebody")
SUPERSEDED_LIMIT = 3

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOTHING = timedelta(0)
OVERLAPS = [NOTHING, HOUR, 7 * DAY, 30 * DAY]
SCOPES = [["contacts.readonly"], ["contacts.readonly", "contacts.write"], ["contacts.readonly", "locations.readonly"]]


@dataclass(eq=False)
class Given:
    """A token that the service gave away, and what was promised about it."""

    value: str
    generation: int
    fingerprint: str
    issuer: str
    run: str
    attempt: int
    overlap: timedelta
    used_since: datetime | None = None
    ends_at: datetime | None = None
    followed_by: int | None = None
    dead: bool = False


@dataclass
class Promises:
    """What people may count on: which tokens live, until when, and how many changes the audit log tells of."""

    clock: datetime = NOON
    latest: datetime = NOON
    tokens: list[Given] = field(default_factory=list)
    waiting: Given | None = None
    in_use: Given | None = None
    last: int = 0
    cancelled: set[int] = field(default_factory=set)
    held_until: datetime | None = None
    overlap: timedelta = 7 * DAY
    changes: int = 0

    @property
    def now(self) -> datetime:
        """The service's time: it never runs backwards over anything that it has decided."""
        return max(self.clock, self.latest)

    def alive(self) -> list[Given]:
        """Those that open the API, oldest first."""
        return [token for token in self.tokens if not token.dead]

    def pass_time(self, *, decided: bool) -> None:
        """Whatever reached its deadline is dead for ever, and that it was seen is remembered."""
        now, ending = self.now, [token for token in self.tokens if token.ends_at is not None]
        if decided or any(self.latest < token.ends_at <= now for token in ending):
            self.latest = now
        for token in ending:
            token.dead = token.dead or now >= token.ends_at

    def accepts(self, generation: int, asked: GenerationRequest) -> bool:
        """Whether a rotation is carried out at all."""
        if generation <= self.last:
            return (
                self.waiting is not None
                and (self.waiting.generation, self.waiting.issuer, self.waiting.run)
                == (generation, asked.issuer, asked.run)
                and asked.attempt > self.waiting.attempt
            )
        if self.waiting is not None and self.waiting.issuer != asked.issuer and not asked.replace_pending:
            return False
        if asked.overlap_seconds == 0:
            return True
        survivors = [token for token in self.alive() if token is not self.waiting or asked.issuer == token.issuer]
        stored_safely = self.waiting if asked.holding == self.last else None
        in_their_way = [token for token in survivors if token.used_since is not None or token is stored_safely]
        return len(in_their_way) <= SUPERSEDED_LIMIT

    def issue(self, asked: GenerationRequest, given: Given) -> None:
        """A new token works at once; the others keep what they were promised, but as the request says."""
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            self._settle(waiting, asked, given)
        if given.generation > self.last:
            self._make_way(given)
        self.tokens.append(given)
        self.waiting, self.last, self.held_until = given, given.generation, None

    def _settle(self, waiting: Given, asked: GenerationRequest, given: Given) -> None:
        if waiting.generation == given.generation or waiting.issuer != asked.issuer:
            waiting.dead = True
        elif asked.holding == waiting.generation:
            self.deliver(waiting)
        else:
            waiting.ends_at = self.now + given.overlap

    def _make_way(self, given: Given) -> None:
        if given.overlap == NOTHING:
            self.end(self.alive())
        while len(self.alive()) > SUPERSEDED_LIMIT:
            self.end([next(token for token in self.alive() if token.used_since is None)])

    def deliver(self, token: Given) -> bool:
        """A first use: the full overlap of the older one begins now and not earlier."""
        if token.dead or token.used_since is not None:
            return False
        token.used_since = self.now
        if token.ends_at is None:
            if self.in_use is not None:
                self.in_use.ends_at, self.in_use.followed_by = self.now + token.overlap, token.generation
            self.in_use, self.waiting = token, None
        return True

    def end(self, tokens: list[Given]) -> None:
        """Dead at once."""
        for token in tokens:
            token.dead = True
        self.waiting = None if self.waiting in tokens else self.waiting
        self.in_use = None if self.in_use in tokens else self.in_use

    def begin_anew(self) -> None:
        """Another integration; what was given for the one before stays buried."""
        self.last, self.held_until = 0, None
        self.cancelled.clear()

    def before(self, generation: int) -> Given | None:
        """The living token that one goes back to if this generation is cancelled."""
        if self.waiting is not None:
            return self.in_use if self.waiting.generation == generation else None
        if self.in_use is None or self.in_use.generation != generation:
            return None
        return next((token for token in self.alive() if token.followed_by == generation), None)

    def cancel(self, generation: int, hold: timedelta) -> None:
        """The token before is in use again without a deadline, and the schedule is held."""
        back_to = self.before(generation)
        self.end([token for token in self.alive() if token.generation == generation])
        back_to.ends_at = back_to.followed_by = None
        self.in_use, self.held_until = back_to, self.now + hold
        self.cancelled.add(generation)

    def edit_overlap(self, overlap: timedelta) -> None:
        """The running overlap is counted anew from the same delivery; one that a rotation had of its own stays."""
        before, self.overlap = self.overlap, overlap
        for newer in (self.waiting, self.in_use):
            if newer is None or newer.overlap != before:
                continue
            newer.overlap = overlap
            for token in self.alive():
                if token.followed_by == newer.generation:
                    token.ends_at = newer.used_since + overlap


class LifeOfTokens(RuleBasedStateMachine):
    """Deployments with lost answers, people, consumers, late duplicates, clocks and restarts over one database."""

    def __init__(
        self,
        under_test: EngineUnderTest,
        fresh_folder: Path,
        folder: Path,
        catalogue: Any,
        watch: Callable[[Any], object],
    ) -> None:
        super().__init__()
        self.under_test, self.catalogue, self.watch = under_test, catalogue, watch
        self.rules = Rules(catalogue, Settings())
        self.folder = under_test.copy(fresh_folder, folder)
        self.start()
        self.promised = Promises()
        self.scopes, self.runs = SCOPES[0], 0
        self.owner_nonces: list[str] = []
        self.sent: list[Callable[[], None]] = []
        self.asked: list[tuple[int, GenerationRequest]] = []
        self.buried: set[str] = set()

    def start(self) -> None:
        """Open the service's parts on the data folder."""
        self.database = self.under_test.open(self.folder, lambda: self.promised.clock)
        self.watch(self.database)
        self.middleware = AuthorizerMiddleware(_opened, Authorizer(self.database, self.catalogue, 100))

    def stop(self) -> None:
        """Close them."""
        self.middleware.authorizer.close()
        self.database.close()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.stop()
        self.under_test.remove(self.folder)
        shutil.rmtree(self.folder)

    # What is asked of the service. Each request can come again at any time, word for word.

    def write(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        """Carry out an operation as a request of the management API does."""
        self.promised.pass_time(decided=True)
        return operation(self.database, *arguments, actor=SOMEBODY)

    def create(self) -> None:
        """Make the integration."""
        self.owner_nonces.append(f"owner_nonce{len(self.owner_nonces)}")
        declared = self.write(integrations.declare, STACK, self.declaration(self.owner_nonces[-1]), self.rules)
        self.integration = declared.integration.id
        self.promised.changes += 1

    def declaration(self, owner_nonce: str, **more: str) -> IntegrationRequest:
        """The integration as its program declares it."""
        rotation = self.policy(self.promised.overlap)
        return IntegrationRequest(
            account=ACCOUNT, name="CRM", scopes=self.scopes, rotation=rotation, owner_nonce=owner_nonce, **more
        )

    def policy(self, overlap: timedelta) -> RotationPolicy:
        """Every 90 days with this overlap."""
        return EffectivePolicy(every=90 * DAY, overlap=overlap, early_window=HOUR).on_the_wire()

    def issue(self, generation: int, asked: GenerationRequest) -> Given | None:
        """`PUT generations/n`: carried out exactly when promised."""
        answer = self.write(generations.issue, self.integration, generation, asked, SUPERSEDED_LIMIT)
        expected = self.promised.accepts(generation, asked)
        assert isinstance(answer, Refused) is not expected, answer
        if not expected:
            return None
        given = Given(
            answer.token,
            generation,
            answer.fingerprint,
            asked.issuer,
            asked.run,
            asked.attempt,
            timedelta(seconds=asked.overlap_seconds),
        )
        self.promised.issue(asked, given)
        self.promised.changes += 1
        return given

    def acknowledge(self, token: Given) -> None:
        """Somebody says that the token is stored."""
        answer = self.write(generations.acknowledge, self.integration, token.generation, token.fingerprint)
        assert isinstance(answer, Refused) is token.dead, answer
        self.promised.changes += self.promised.deliver(token)

    def cancel(self, generation: int, hold: timedelta) -> None:
        """Go back from a generation, where that is possible."""
        answer = self.write(generations.cancel, self.integration, generation, hold)
        if self.promised.before(generation) is None:
            assert isinstance(answer, Refused) or generation in self.promised.cancelled, answer
            return
        assert not isinstance(answer, Refused), answer
        self.promised.cancel(generation, hold)
        self.promised.changes += 1

    def expire(self, *named: int) -> None:
        """End generations at once."""
        answer = self.write(generations.expire, self.integration, named)
        assert isinstance(answer, Refused) is (max(named) > self.promised.last), answer
        if max(named) <= self.promised.last:
            ended = [token for token in self.promised.alive() if token.generation in named]
            self.promised.end(ended)
            self.promised.changes += bool(ended)

    def edit_scopes(self, scopes: list[str]) -> None:
        """Give the integration these scopes."""
        self.write(integrations.edit, self.integration, IntegrationEdit(scopes=scopes), self.rules)
        self.promised.changes += scopes != self.scopes
        self.scopes = scopes

    def edit_overlap(self, overlap: timedelta) -> None:
        """Declare another overlap."""
        change = IntegrationEdit(rotation=self.policy(overlap))
        self.write(integrations.edit, self.integration, change, self.rules)
        if overlap != self.promised.overlap:
            self.promised.edit_overlap(overlap)
            self.promised.changes += 1

    def adopt(self, owner_nonce: str) -> None:
        """Another state takes the integration over, tokens and all."""
        self.write(integrations.declare, STACK, self.declaration(owner_nonce, adopts=self.integration), self.rules)
        if owner_nonce not in self.owner_nonces:
            self.owner_nonces.append(owner_nonce)
            self.promised.changes += 1

    def delete(self, owner_nonce: str) -> None:
        """The owner with this owner nonce deletes the integration."""
        deleted = self.write(integrations.delete, self.integration, owner_nonce)
        assert deleted is (owner_nonce == self.owner_nonces[-1])
        if deleted:
            self.promised.end(self.promised.alive())
            self.promised.changes += 1

    def send(self, message: Callable[[], None]) -> None:
        """Send a request, and keep a copy that may arrive late."""
        self.sent.append(message)
        message()

    def ask_for(self, generation: int, **asked: Any) -> Given | None:
        """Ask for a generation, and keep the question for late and repeated attempts."""
        overlap = asked.pop("overlap")
        request = GenerationRequest(overlap_seconds=int(overlap.total_seconds()), **asked)
        self.asked.append((generation, request))
        return self.issue(generation, request)

    # What happens.

    @initialize()
    def begin(self) -> None:
        """There is an integration."""
        self.create()

    @rule(lost=st.integers(0, 2), overlap=st.sampled_from(OVERLAPS), stored=st.booleans(), used=st.booleans())
    def deploy(self, lost: int, overlap: timedelta, stored: bool, used: bool) -> None:
        """A deployment rotates and repeats what was not answered; it may not know of the generation before."""
        self.runs += 1
        generation, holding = self.promised.last + 1, self.promised.last - (not stored)
        for attempt in range(1, lost + 2):
            given = self.ask_for(
                generation,
                issuer=STACK,
                run=f"run{self.runs}",
                attempt=attempt,
                holding=max(0, holding),
                overlap=overlap,
            )
            if given is None:
                return
        assert not given.dead
        if used:
            self.use(0)

    @rule(overlap=st.sampled_from(OVERLAPS), replace_pending=st.booleans(), ahead=st.integers(1, 2))
    def rotate_by_hand(self, overlap: timedelta, replace_pending: bool, ahead: int) -> None:
        """A person rotates at the settings page, over somebody else's head or not."""
        self.runs += 1
        who = f"settings page/anna{self.runs}"
        self.ask_for(
            self.promised.last + ahead,
            issuer=who,
            run="page",
            attempt=1,
            overlap=overlap,
            replace_pending=replace_pending,
        )

    @precondition(lambda self: self.asked)
    @rule(which=st.integers(0, 5), later=st.integers(-1, 2))
    def ask_again(self, which: int, later: int) -> None:
        """Any question comes again, as it was or as a later attempt; what is in use survives it."""
        generation, request = self.asked[-1 - which % len(self.asked)]
        before = self.promised.alive()
        in_use = [token for token in before if token.used_since is not None]
        repeated = generation <= self.promised.last
        self.issue(generation, request.model_copy(update={"attempt": max(1, request.attempt + later)}))
        if repeated:
            assert not any(token.dead for token in in_use)
            assert sum(token.dead for token in before) <= 1

    @precondition(lambda self: self.promised.tokens)
    @rule(which=st.integers(0, 5))
    def consume(self, which: int) -> None:
        """A consumer uses a token, one of the last few."""
        self.use(which)

    def use(self, which: int) -> None:
        """Ask the data API with the last token but `which`."""
        token = self.promised.tokens[-1 - which % len(self.promised.tokens)]
        self.promised.pass_time(decided=False)
        assert self.opens(token) is not token.dead
        if self.promised.deliver(token):
            self.promised.latest = self.promised.now
            self.promised.changes += 1

    @precondition(lambda self: self.promised.tokens)
    @rule(which=st.integers(0, 5))
    def store(self, which: int) -> None:
        """A person confirms a token, one of the last few."""
        self.send(partial(self.acknowledge, self.promised.tokens[-1 - which % len(self.promised.tokens)]))

    @rule(back=st.integers(-1, 3), hold=st.sampled_from([NOTHING, DAY, 100 * DAY]))
    def think_better_of_it(self, back: int, hold: timedelta) -> None:
        """A person cancels a rotation, the last one or another."""
        self.send(partial(self.cancel, max(1, self.promised.last - back), hold))

    @rule(back=st.sets(st.integers(-1, 4), min_size=1, max_size=2))
    def suspect(self, back: set[int]) -> None:
        """A person ends generations."""
        self.send(partial(self.expire, *{max(1, self.promised.last - each) for each in back}))

    @rule(scopes=st.sampled_from(SCOPES))
    def declare_scopes(self, scopes: list[str]) -> None:
        """A deployment edits the scopes."""
        self.send(partial(self.edit_scopes, scopes))

    @rule(overlap=st.sampled_from(OVERLAPS))
    def declare_overlap(self, overlap: timedelta) -> None:
        """A deployment edits the overlap."""
        self.send(partial(self.edit_overlap, overlap))

    @rule()
    def take_over(self) -> None:
        """Another stack adopts the integration."""
        self.send(partial(self.adopt, f"owner_nonce{len(self.owner_nonces)}"))

    @rule(which=st.integers(0, 2))
    def destroy_an_older_state(self, which: int) -> None:
        """A state that doesn't own the integration any more is destroyed: nothing happens."""
        older = ["never owned", *self.owner_nonces[:-1]]
        self.send(partial(self.delete, older[-1 - which % len(older)]))

    @precondition(lambda self: self.promised.last > SUPERSEDED_LIMIT)
    @rule()
    def destroy(self) -> None:
        """The owner's state is destroyed: every token is dead for ever, and the same program begins anew."""
        self.delete(self.owner_nonces[-1])
        self.promised.begin_anew()
        self.sent.clear()
        self.asked.clear()
        self.create()

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 11))
    def come_late(self, which: int) -> None:
        """A copy of any earlier request arrives; no token dies that its first copy did not mean."""
        self.sent[-1 - which % len(self.sent)]()

    @rule(by=st.sampled_from([timedelta(seconds=1), HOUR, DAY, 8 * DAY, 91 * DAY, -HOUR, -10 * DAY, -400 * DAY]))
    def move_clock(self, by: timedelta) -> None:
        """Time passes, or somebody sets the clock."""
        self.promised.clock += by

    @precondition(lambda self: any(token.ends_at for token in self.promised.alive()))
    @rule(early=st.sampled_from([NOTHING, timedelta(milliseconds=1)]))
    def reach_a_deadline(self, early: timedelta) -> None:
        """The clock stands exactly at the next deadline, or a moment before it."""
        self.promised.clock = min(token.ends_at for token in self.promised.alive() if token.ends_at) - early

    @rule(back=st.sampled_from([NOTHING, HOUR, 30 * DAY]))
    def restart(self, back: timedelta) -> None:
        """The service is stopped and started, perhaps on a machine whose clock is behind."""
        self.stop()
        self.promised.clock -= back
        self.start()

    # What must be true after each of it.

    @invariant()
    def exactly_the_promised_tokens_open_the_api(self) -> None:
        """Every token is asked for, the dead too: none lives again, and none dies before its time."""
        self.promised.pass_time(decided=False)
        for token in self.promised.tokens:
            if token.dead or token.used_since is not None:
                assert self.opens(token) is not token.dead, token
            else:
                # Asking the data API would be its first use.
                told = self.told(token)
                assert told.active
                assert told.scope == " ".join(self.scopes)
        dead = {token.value for token in self.promised.tokens if token.dead}
        assert dead >= self.buried
        self.buried = dead

    @invariant()
    def the_promised_roles_and_deadlines_are_told(self) -> None:
        """At most one in use, one waiting and three superseded, each of those with exactly its deadline."""
        state = self.state()
        live = [secret for secret in state.tokens if secret.role != "ended"]
        roles = [secret.role for secret in live]
        assert roles.count("current") <= 1
        assert roles.count("pending") <= 1
        assert roles.count("previous") <= SUPERSEDED_LIMIT
        assert all((secret.role == "previous") is (secret.expires_at is not None) for secret in live)
        assert {secret.fingerprint: secret.expires_at for secret in live} == {
            token.fingerprint: token.ends_at for token in self.promised.alive()
        }
        assert state.held_until == self.promised.held_until

    @invariant()
    def the_audit_log_has_one_row_for_each_change(self) -> None:
        """None is missing, and none tells of a request that was refused or had nothing to change."""
        with self.database.read() as connection:
            rows = connection.execute(select(func.count()).select_from(tables.audit)).scalar_one()
        assert rows == self.promised.changes

    @invariant()
    def the_next_deployment_loses_no_token(self) -> None:
        """Status and plan agree, and whatever token a state holds: kept is only one without a deadline."""
        state, policy = self.state(), EffectivePolicy(every=90 * DAY, overlap=7 * DAY, early_window=HOUR)
        live = [secret for secret in state.tokens if secret.role != "ended"]
        newest = max((s.generation for s in live if s.role != "previous"), default=state.last_generation)
        planned = decide(policy, state, newest, self.promised.now, issuer=STACK)
        assert isinstance(planned, Rotate) is (status(policy, state, self.promised.now) in ("due", "overdue"))
        for secret in live:
            if isinstance(decide(policy, state, secret.generation, self.promised.now, issuer=STACK), Keep):
                assert secret.expires_at is None

    def opens(self, token: Given) -> bool:
        """Whether the data API lets a request with this token through."""
        return asyncio.run(_ask(self.middleware, token.value)) == 200

    def told(self, token: Given) -> Any:
        """What the service tells another gateway of a token."""
        return generations.introspect(self.database, token.value, self.promised.now, actor=SOMEBODY)

    def state(self) -> Any:
        """The integration's tokens as the management API lists them."""
        with self.database.read() as connection:
            found = integration_by_id(connection, self.integration)
            assert found is not None
            (state,) = generations.token_states.step(connection, [found], self.promised.now)
        return state


async def _opened(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def _ask(middleware: AuthorizerMiddleware, token: str) -> int:
    answered: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        answered.append(message)

    headers = [(b"authorization", f"Bearer {token}".encode()), (b"version", b"2021-07-28")]
    request = {"type": "http", "method": "GET", "raw_path": b"/contacts/", "headers": headers}
    await middleware(request | {"query_string": f"locationId={ACCOUNT}".encode()}, receive, send)
    return int(answered[0]["status"])


def test_life_of_tokens(request, under_test, fresh_folder, catalogue, tmp_path):
    """Every promise about tokens is kept in any order of events, and the epoch moves with each change of decisions.

    The epoch is watched with SQLite's means. On PostgreSQL, where a step takes longer, the histories are fewer.
    """
    share, watch = 10, _unwatched
    if under_test.name == "sqlite":
        share, watch = 3, partial(Watch, columns=request.getfixturevalue("decision_columns"))
    run_state_machine_as_test(
        partial(LifeOfTokens, under_test, fresh_folder, tmp_path / "data", catalogue, watch),
        settings=settings(max_examples=settings().max_examples // share, stateful_step_count=30),
    )


def _unwatched(_: Any) -> None:
    """Watch nothing."""
