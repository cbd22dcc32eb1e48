"""The 28 promises of declared rotation, each as a test that carries its number.

They are said here over the real service's operations and the provider's own plan. Some need more than that:

| promise | where it is proven |
|---|---|
| 3, 4 | there alone: `tests/provider/rotation/test_schedules.py` (every minute around changes of the clocks) |
| 6, 7, 10 | also `tests/provider/rotation/test_decisions.py` |
| 14, 17, 24, 26, 28 | also `tests/service/tokens/test_life_of_tokens.py` (anything in any order) |
| 15 | broken off between integration and token: `tests/engine/test_crash.py` |
| 18 | there alone: `tests/engine/test_crash.py` (the real engine, killed at every step) |
| 20, 21, 22 | also `tests/engine/test_lifecycle.py`, `test_drift.py`, `test_errors.py` (preview against result) |
| 23 | also `tests/engine/test_adoption.py` |
| 25 | also `tests/service/authorizer/test_authorizer.py` (what is remembered, and for how long) |
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from private_integrations.contract import (
    GenerationRequest,
    Integration,
    IntegrationEdit,
    IntegrationRequest,
    Refused,
    TokenState,
    digest_of,
)
from private_integrations.deployment.batched_reads import KnownTokens
from private_integrations.deployment.plan import planned_generation, refuse_plan
from private_integrations.rotation.decisions import Keep, decide, status
from private_integrations.rotation.policy import read_policy
from private_integrations_service.access.actors import Actor
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.operations import generations, integrations
from private_integrations_service.operations.health import examine
from private_integrations_service.sandbox import Sandbox
from private_integrations_service.storage import tables
from private_integrations_service.storage import tokens as stored
from private_integrations_service.storage.columns import metadata
from private_integrations_service.storage.integrations import integration_by_id
from private_integrations_service.tokens.policy_defaults import POLICY_DEFAULTS, in_force

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MOMENT = timedelta(milliseconds=1)
ANNA = Actor("anna")
READ, WRITE = "contacts.readonly", "contacts.write"


def read(declared):
    """The declared policy, as it is sent."""
    return read_policy(declared, lambda: POLICY_DEFAULTS)


def holds(declared):
    """The policy that holds where this is declared."""
    return in_force(read(declared))


class Stack:
    """A program with one integration and its token: plans with the provider's own functions, and keeps a state."""

    def __init__(self, desk, api, contacts, name="crm"):
        self.desk, self.api, self.contacts = desk, api, contacts
        self.external_id = f"org/project/stack/{name}"
        self.owner_nonce, self.runs, self.state = f"claim-{name}", 0, {}
        self.asked = []
        request = IntegrationRequest(
            account=desk.account, name="CRM", scopes=[READ, WRITE], owner_nonce=self.owner_nonce
        )
        self.id = self.write(integrations.declare, self.external_id, request, desk.rules).integration.id

    def write(self, operation, *arguments):
        """Carry out an operation at the service's clock."""
        return operation(self.desk.database, *arguments, actor=ANNA)

    def known(self):
        """What the service answers about the tokens, over the wire."""
        now = self.desk.database.now()
        with self.desk.database.read() as connection:
            found = integration_by_id(connection, self.id)
            if found is None:
                return None
            (state,) = generations.token_states.step(connection, [found], now)
        return KnownTokens(TokenState.model_validate_json(state.model_dump_json()), now, POLICY_DEFAULTS)

    def preview(self, **rotation):
        """The generation and the reason that a deployment with this policy would show."""
        checked = {"external_id": self.external_id, "integration_id": self.id, "rotation": rotation}
        known = self.known()
        assert refuse_plan(self.id, known, self.state, checked) is None
        return planned_generation(self.state, checked, known)

    def up(self, **rotation):
        """Deploy: edit the policy, rotate if planned; answers the reason for a rotation, None without one."""
        planned = self.preview(**rotation)
        self.edit(rotation=read(rotation) if rotation else None)
        before, self.state = self.state, {**self.state, **planned, "rotation": rotation}
        if planned["generation"] == before.get("generation"):
            return None
        if planned["generation"] < before.get("generation", 0):
            self.state |= {"token": before["previous_token"], "previous_token": None}
        else:
            issued = self.ask_for(planned["generation"], before.get("generation", 0), holds(rotation).overlap)
            self.state |= {"token": issued.token, "previous_token": before.get("token")}
        return planned["rotation_reason"]

    def ask_for(self, generation, holding, overlap, *, issuer=None, run=None, attempt=1):
        """Ask the service for a generation, each time as another process unless told otherwise."""
        self.runs += 1
        request = GenerationRequest(
            issuer=issuer or self.external_id,
            run=run or f"run{self.runs}",
            attempt=attempt,
            holding=holding,
            overlap_seconds=int(overlap.total_seconds()),
        )
        self.asked.append((generation, request))
        return self.write(generations.issue, self.id, generation, request, 3)

    def edit(self, **changes):
        """Edit the integration."""
        return self.write(integrations.edit, self.id, IntegrationEdit(**changes), self.desk.rules)

    def cancel(self, generation, hold=7 * DAY):
        """Cancel a rotation."""
        answer = self.write(generations.cancel, self.id, generation, hold)
        assert isinstance(answer, TokenState), answer

    def expire(self, *numbers):
        """End generations at once."""
        self.write(generations.expire, self.id, numbers)

    def delete(self, owner_nonce=None):
        """Delete the integration."""
        return self.write(integrations.delete, self.id, owner_nonce)

    def use(self, token=None):
        """Whether the token opens the data API, the state's one unless told otherwise; a first use delivers it."""
        return self.api.ask("GET", self.contacts, token=token or self.state["token"]).status == 200

    def rotate(self, **rotation):
        """Deploy a forced rotation and let the consumer follow; answers the new token."""
        assert self.up(**rotation, trigger=f"again {self.runs}") is not None
        assert self.use()
        return self.state["token"]

    def deadline(self, generation):
        """Until when a generation lives, as the service tells it."""
        return self.known().state.of_generation(generation).expires_at

    def status(self, **rotation):
        """The status that the service and the provider compute."""
        known = self.known()
        return status(holds(rotation), known.state, known.now)


@pytest.fixture
def contacts(accounts):
    """A request that every token of these tests may send."""
    return f"/contacts/?locationId={accounts.location}"


@pytest.fixture
def stack(desk, api, contacts):
    """A stack whose program has not run yet."""
    return Stack(desk, api, contacts)


@pytest.fixture
def overlapping(stack, clock):
    """A stack in the overlap of seven days that began just now, and its two tokens."""
    stack.up()
    assert stack.use()
    old = stack.state["token"]
    return stack, old, stack.rotate(overlap="7d")


@pytest.fixture
def restart(under_test, tmp_path, catalogue, desk, api, clock, limits):
    """Kill the service, and start it from what is on the disk."""
    started = []

    def restarted():
        folder = under_test.copy_open(desk.database, tmp_path / f"restarted{len(started)}")
        desk.database = under_test.open(folder, clock)
        api.app = AuthorizerMiddleware(Sandbox(desk.database, limits), Authorizer(desk.database, catalogue, 10))
        started.extend([api.app.authorizer, desk.database])

    yield restarted
    for each in started:
        each.close()


rules = st.sampled_from(
    [
        {"every": "1d"},
        {"every": "90d"},
        {"every": "12h", "early_window": "0s"},
        {"schedule": "0 3 * * *", "timezone": "Europe/Berlin"},
        {"schedule": "0 3 * * MON#1", "early_window": "2h"},
        {"every": "90d", "enabled": False},
        {},
    ]
)


@given(
    shift=st.timedeltas(-400 * DAY, 400 * DAY),
    rule=st.sampled_from(["1h", "1d", "90d"]),
    age=st.timedeltas(-DAY, 100 * DAY),
)
def test_invariant_01_the_callers_clock_enters_nowhere(shift, rule, age):
    """The same facts at any other date lead to the same decision: only the service's clock was looked at."""
    policy = holds({"every": rule})

    def decided(start):
        secret = {"generation": 1, "role": "current", "fingerprint": "0" * 12, "issuer": "us", "issued_at": start}
        unset = dict.fromkeys(("delivered_at", "expires_at", "ended_at"))
        state = TokenState(
            integration_id="int_7",
            external_id="us",
            last_generation=1,
            tokens=[{**secret, **unset, "overlap_seconds": 0}],
        )
        return decide(policy, state, 1, start + age, issuer="us"), status(policy, state, start + age)

    start = datetime(2026, 11, 20, tzinfo=UTC)
    (here, told_here), (there, told_there) = decided(start), decided(start + shift)
    assert (type(here), told_here) == (type(there), told_there)
    if isinstance(here, Keep):
        assert there.next_at == here.next_at + shift


def test_invariant_02_a_service_clock_set_back_rotates_nothing_twice(stack, clock):
    """After a rotation the clock steps back: the plan keeps, deadlines don't move, the dead stay dead."""
    stack.up(every="1d")
    assert stack.use()
    first = stack.state["token"]
    clock.move(days=1)
    assert stack.up(every="1d").startswith("due since")
    assert stack.use()
    deadline = stack.deadline(1)
    clock.move(days=-1)
    assert stack.up(every="1d") is None
    assert stack.deadline(1) == deadline
    clock.now = deadline
    assert not stack.use(first)
    clock.move(days=-30)
    assert not stack.use(first)
    assert stack.up(every="1d", overlap="20h") is None
    assert not stack.use(first)


@pytest.mark.parametrize("back", [MOMENT, DAY, 400 * DAY])
def test_invariant_02_nothing_lives_again_after_a_restart_with_an_older_clock(overlapping, clock, restart, back):
    """What was refused stays refused, a hold stays as long as promised, and a new deadline is no earlier."""
    stack, old, new = overlapping
    clock.now = stack.deadline(1)
    assert not stack.use(old)
    dead_since = clock()
    clock.now -= back
    restart()
    stack.edit(name="Renamed while the clock is behind")
    restart()
    assert not stack.use(old)
    assert stack.use(new)
    third = stack.rotate(overlap="7d")
    assert stack.deadline(2) == dead_since + 7 * DAY
    stack.cancel(3)
    assert stack.known().state.held_until == dead_since + 7 * DAY
    clock.now -= back
    restart()
    assert not stack.use(third)
    assert stack.use(new)
    assert stack.known().state.held_until == dead_since + 7 * DAY


def test_invariant_02_a_cancelled_rotation_stays_cancelled_over_a_restart(overlapping, clock, restart):
    """The token that a cancel brought back has no deadline, whatever the clock does; the other one is dead."""
    stack, old, new = overlapping
    clock.move(days=6, hours=23)
    stack.cancel(2)
    clock.move(days=-8)
    restart()
    assert stack.use(old)
    assert not stack.use(new)
    clock.move(days=400)
    assert stack.use(old)
    assert not stack.use(new)
    assert stack.deadline(1) is None


@pytest.mark.parametrize(("early", "lives"), [(MOMENT, True), (timedelta(0), False)])
def test_invariant_05_one_comparison_everywhere(overlapping, clock, early, lives):
    """At its deadline a token is dead for the data API, introspection, list and status; a moment before for none."""
    stack, old, _ = overlapping
    clock.now = stack.deadline(1) - early
    assert stack.use(old) is lives
    assert generations.introspect(stack.desk.database, old, clock(), actor=ANNA).active is lives
    assert (stack.known().state.of_generation(1).role == "previous") is lives
    assert stack.status() == ("overlapping" if lives else "off")


def test_invariant_02_what_introspection_called_dead_stays_dead(overlapping, clock):
    """A deadline that was passed when another gateway asked has passed for ever, also with the clock set back."""
    stack, old, _ = overlapping
    clock.now = stack.deadline(1)
    assert not generations.introspect(stack.desk.database, old, clock(), actor=ANNA).active
    clock.move(hours=-1)
    now = stack.desk.database.now()
    assert not generations.introspect(stack.desk.database, old, now, actor=ANNA).active
    assert not stack.use(old)


@pytest.mark.parametrize(("early", "due"), [(MOMENT, False), (timedelta(0), True)])
def test_invariant_05_due_is_the_same_for_plan_and_alarm(stack, clock, early, due):
    """From the very due instant on the preview rotates and the status says so; a moment before neither does."""
    stack.up(every="1d", early_window="0s")
    assert stack.use()
    clock.move(days=1)
    clock.now -= early
    assert (stack.status(every="1d", early_window="0s") == "due") is due
    assert (stack.up(every="1d", early_window="0s") is not None) is due


@pytest.mark.parametrize("rotation", [{"every": "90d"}, {"schedule": "0 12 * * FRI", "early_window": "1h"}])
def test_invariant_06_early_window(stack, clock, rotation):
    """An `up` at the start of the window rotates, and not again at the tick; a moment earlier it doesn't."""
    stack.up(**rotation)
    assert stack.use()
    due = holds(rotation)
    first = decide(due, stack.known().state, 1, clock(), issuer=stack.external_id).next_at
    clock.now = first - HOUR - MOMENT
    assert stack.up(**rotation) is None
    clock.now = first - HOUR
    assert stack.up(**rotation).endswith("inside early_window 1h")
    clock.now = first
    assert stack.up(**rotation) is None


@pytest.mark.parametrize("rotation", [{"every": "1d"}, {"schedule": "0 3 * * *", "timezone": "Europe/Berlin"}])
def test_invariant_07_missed_periods_are_one_rotation(stack, clock, rotation):
    """After years without a deployment one `up` rotates once, and the next is due in the future."""
    stack.up(**rotation)
    assert stack.use()
    clock.move(days=1000)
    assert stack.up(**rotation).startswith("due since 2026-11-")
    assert stack.up(**rotation) is None
    assert stack.known().state.last_generation == 2


@given(old=rules, new=rules, moment=st.timedeltas(timedelta(0), 120 * DAY))
def test_invariant_08_a_swapped_rule_rotates_only_if_due_under_the_new_one(old, new, moment):
    """What was declared before doesn't matter: same plan as if the new rule had been there from the beginning."""
    start = datetime(2026, 11, 20, tzinfo=UTC)
    secret = {"generation": 1, "role": "current", "fingerprint": "0" * 12, "issuer": "us", "issued_at": start}
    unset = dict.fromkeys(("delivered_at", "expires_at", "ended_at"))
    state = TokenState(
        integration_id="int_7", external_id="us", last_generation=1, tokens=[{**secret, **unset, "overlap_seconds": 0}]
    )
    known = KnownTokens(state, start + moment, POLICY_DEFAULTS)
    checked = {"external_id": "us", "integration_id": "int_7", "rotation": new}
    planned = [
        planned_generation({"generation": 1, "rotation_reason": "created", "rotation": before}, checked, known)
        for before in (old, new)
    ]
    assert planned[0] == planned[1]
    due = status(holds(new), state, known.now) in ("due", "overdue")
    assert planned[0]["generation"] == (2 if due else 1)


def test_invariant_09_the_policy_removed_and_added_during_an_overlap(overlapping, clock):
    """The running overlap ends on time, and nothing rotates."""
    stack, old, _ = overlapping
    deadline = stack.deadline(1)
    for rotation in ({"every": "90d"}, {}, {"every": "30d", "overlap": "1d"}, {}, {"overlap": "7d"}):
        clock.move(hours=1)
        assert stack.up(**rotation) is None
        assert stack.deadline(1) == deadline
    clock.now = deadline - MOMENT
    assert stack.use(old)
    clock.now = deadline
    assert not stack.use(old)


def test_invariant_10_at_most_three_superseded_tokens(stack):
    """Forced rotations pile up to three superseded tokens beside the current one; the next is refused in words."""
    for _ in range(4):
        stack.rotate(overlap="7d")
    refused = stack.ask_for(5, 4, 7 * DAY)
    assert isinstance(refused, Refused)
    assert refused.problem == "too-many-live-tokens"
    assert [s.role for s in stack.known().state.tokens] == ["previous", "previous", "previous", "current"]


@pytest.mark.parametrize(("overlap", "new"), [("1d", DAY), ("30d", 30 * DAY), ("2h", 2 * HOUR), ("0s", timedelta(0))])
def test_invariant_11_the_overlap_edited_while_it_runs(overlapping, clock, overlap, new):
    """The deadline is the delivery plus the new overlap; what is dead by then is not revived."""
    stack, old, current = overlapping
    delivered_at = clock()
    clock.move(hours=3)
    stack.up(overlap=overlap)
    assert stack.deadline(1) == delivered_at + new
    assert stack.use(old) is (clock() < delivered_at + new)
    was_dead = not stack.use(old)
    stack.up(overlap="40d")
    assert stack.use(old) is not was_dead
    assert stack.use(current)


def test_invariant_11_an_earlier_expiry_wins(overlapping):
    """A longer overlap gives nothing back to what somebody has ended."""
    stack, old, _ = overlapping
    stack.expire(1)
    stack.up(overlap="30d")
    assert not stack.use(old)


def test_invariant_12_trigger_and_schedule_in_one_deployment(stack, clock):
    """Both due is one rotation, and its reason is the trigger."""
    stack.up(every="1d", trigger="a")
    assert stack.use()
    clock.move(days=5)
    assert stack.up(every="1d", trigger="b") == "trigger changed"
    assert stack.state["generation"] == 2
    assert stack.up(every="1d", trigger="b") is None


def test_invariant_13_every_change_of_the_trigger_rotates_once(stack):
    """A to B and back to A are two rotations; the same program again, or the trigger removed, none."""
    rotated = []
    for trigger in ("a", "a", "b", "b", "a", None, "a"):
        rotated.append(stack.up(**({"trigger": trigger} if trigger else {})))
        assert stack.use()
    assert rotated == ["created", None, "trigger changed", None, "trigger changed", None, "trigger changed"]


def test_invariant_14_a_forced_rotation_cuts_no_promised_overlap(overlapping, clock):
    """Every older token lives exactly to the deadline it had."""
    stack, old, current = overlapping
    deadline = stack.deadline(1)
    clock.move(days=3)
    stack.rotate(overlap="7d")
    assert (stack.deadline(1), stack.deadline(2)) == (deadline, clock() + 7 * DAY)
    clock.now = deadline - MOMENT
    assert [stack.use(token) for token in (old, current)] == [True, True]
    clock.now = deadline
    assert [stack.use(token) for token in (old, current)] == [False, True]


def test_invariant_14_without_overlap_all_older_ones_are_dead_at_issue(overlapping):
    """With `0s` nothing but the new token opens the API, before anybody has used it."""
    stack, old, current = overlapping
    assert stack.up(overlap="0s", trigger="leaked") == "trigger changed; overlap 0s: every older token ends at once"
    assert [stack.use(token) for token in (old, current)] == [False, False]
    assert stack.use()


@pytest.fixture
def three_tokens(overlapping):
    """A stack with a superseded, a current and a pending token."""
    stack, old, current = overlapping
    stack.up(overlap="7d", trigger="once more")
    return stack, [old, current, stack.state["token"]]


def scopes_of(stack, tokens):
    """What each token opens at this instant."""
    told = [generations.introspect(stack.desk.database, token, stack.desk.clock(), actor=ANNA) for token in tokens]
    return [(each.role, each.scope) for each in told]


def test_invariant_15_an_edit_is_done_or_not_done(three_tokens):
    """All living tokens have the old scopes, or all have the new: an edit that fails on the way leaves no half."""
    stack, tokens = three_tokens
    assert isinstance(stack.edit(scopes=[READ], name="New"), Integration)
    whole = scopes_of(stack, tokens)
    refused = stack.edit(scopes=["no.such"], name="Newer", rotation=read({"every": "90d"}))
    assert isinstance(refused, Refused)
    with pytest.raises(ZeroDivisionError), stack.desk.database.write() as write:
        integrations.edit.step(write, stack.id, IntegrationEdit(scopes=[WRITE]), stack.desk.rules, actor=ANNA)
        raise ZeroDivisionError
    assert scopes_of(stack, tokens) == whole == [(role, READ) for role in ("previous", "current", "pending")]


def test_invariant_16_a_narrowed_scope_is_gone_for_all_at_once(three_tokens):
    """The next request of the superseded, the current and the pending token is refused what was taken away."""
    stack, tokens = three_tokens
    assert all(stack.use(token) for token in tokens[:2])
    stack.edit(scopes=[WRITE])
    assert [role for role, _ in scopes_of(stack, tokens)] == ["previous", "current", "pending"]
    for token in tokens:
        answer = stack.api.ask("GET", stack.contacts, token=token)
        assert answer.body["reason"] == "scope-missing"


@pytest.mark.parametrize("lost", [1, 2, 7])
def test_invariant_17_lost_answers_make_one_generation(stack, lost):
    """However often the answer is lost: one generation, one living token of it, one delivery, no late attempt."""
    stack.up()
    assert stack.use()
    given = [stack.ask_for(2, 1, DAY, run="r", attempt=attempt) for attempt in range(1, lost + 2)]
    assert [stack.use(each.token) for each in given] == [False] * lost + [True]
    assert stack.use(given[-1].token)
    late = stack.ask_for(2, 1, DAY, run="r", attempt=lost + 2)
    assert isinstance(late, Refused)
    assert late.problem == "generation-used"
    state = stack.known().state
    assert [s.generation for s in state.tokens if s.role != "ended"] == [1, 2]
    with stack.desk.database.read() as connection:
        found = connection.execute(select(tables.audit.c.action, tables.audit.c.detail)).all()
    assert [detail["generations"] for action, detail in found if action == "deliver"] == [[1], [1, 2]]


def test_invariant_19_one_of_many_at_once_wins(stack):
    """Eight processes of one stack ask for the same generation: one has it, the others are told who was first."""
    stack.up()
    assert stack.use()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda run: stack.ask_for(2, 1, DAY, run=f"process{run}"), range(8)))
    assert sum(not isinstance(answer, Refused) for answer in answers) == 1
    assert {answer.problem for answer in answers if isinstance(answer, Refused)} == {"generation-used"}
    assert stack.known().state.last_generation == 2


def test_invariant_19_another_issuer_is_told_who_and_since_when(stack, clock):
    """While somebody else's rotation is open, a deployment gets no token and a sentence that names them."""
    stack.up()
    assert stack.use()
    stack.ask_for(2, None, DAY, issuer="settings page/anna")
    clock.move(days=1)
    refused = stack.ask_for(3, 1, DAY)
    assert refused.problem == "rotation-open"
    assert "generation 2 was started by settings page/anna at 2026-11-20T12:00Z" in refused.detail
    assert stack.known().state.last_generation == 2


def test_invariant_20_previews_change_nothing(overlapping, clock):
    """Any number of previews leaves the database as it is, and the `up` does what the last one said."""
    stack, _, _ = overlapping
    clock.move(days=90)

    def everything():
        with stack.desk.database.read() as connection:
            return [connection.execute(select(table)).all() for table in metadata.sorted_tables]

    before = everything()
    previews = [stack.preview(every="90d", overlap="7d") for _ in range(20)]
    assert everything() == before
    assert stack.up(every="90d", overlap="7d") == previews[0]["rotation_reason"]
    assert all(preview == previews[0] for preview in previews)


def test_invariant_20_what_becomes_due_after_the_preview_is_named(stack, clock):
    """A preview that kept the token, then the due instant, then the `up`: it rotates once and says why."""
    stack.up(every="1d")
    assert stack.use()
    assert stack.preview(every="1d")["generation"] == 1
    clock.move(days=1)
    assert stack.up(every="1d") == "due since 2026-11-21T12:00Z, every 1d"


def test_invariant_21_rotated_elsewhere_is_found_and_repaired_once(stack):
    """A person rotated in between: the next `up` issues one token that the state knows, and the one after none."""
    stack.up()
    assert stack.use()
    theirs = stack.ask_for(2, None, 7 * DAY, issuer="settings page/anna")
    assert stack.use(theirs.token)
    assert stack.up() == "state has generation 1, service has 2: rotated elsewhere"
    assert stack.use()
    assert stack.up() is None
    assert stack.known().state.last_generation == 3


@pytest.mark.parametrize(
    ("revoked", "reason"),
    [
        ((1,), None),
        ((2,), "revoked in the service at 2026-11-20T12:00Z"),
        ((1, 2), "revoked in the service at 2026-11-20T12:00Z"),
    ],
)
def test_invariant_22_what_was_revoked_is_repaired_in_place(overlapping, revoked, reason):
    """A revoked current token is rotated in place under the same id; a revoked superseded one is nobody's loss."""
    stack, _, _ = overlapping
    stack.expire(*revoked)
    trigger = stack.state["rotation"]["trigger"]
    assert stack.up(overlap="7d", trigger=trigger) == reason
    assert stack.use()


def test_invariant_22_a_vanished_integration_is_not_planned_for(stack):
    """Its own word that it has no such integration fails the plan with what to do; state is not touched."""
    stack.up()
    stack.delete()
    checked = {"external_id": stack.external_id, "integration_id": stack.id}
    refusal = refuse_plan(stack.id, stack.known(), stack.state, checked)
    assert refusal == f"{stack.id} is not in the service any more; run pulumi refresh"


def test_invariant_22_a_superseded_token_in_state_does_not_run_out_unnoticed(overlapping):
    """Somebody rotated and then ended their token: the state's one still works, but only for the overlap."""
    stack, _, _ = overlapping
    stack.state |= {"generation": 1, "rotation": {}}
    stack.expire(2)
    assert stack.up() == "generation 1 was superseded and ends at 2026-11-27T12:00Z"
    assert stack.use()


def test_invariant_23_adopting_rotates_nothing(stack, desk, api, contacts):
    """The generation in force is taken over; the same program again keeps it; a trigger brings a known token."""
    stack.up()
    assert stack.use()
    checked = {"external_id": stack.external_id, "integration_id": stack.id, "adopt": stack.id}
    taken = planned_generation({}, checked, stack.known())
    assert taken == {"generation": 1, "rotation_reason": "adopted"}
    stack.state = taken
    assert stack.up() is None
    assert stack.up(trigger="known") == "trigger changed"
    assert stack.state["generation"] == 2
    assert stack.use()


@pytest.mark.parametrize("event", ["pause", "resume", "cancel", "destroy"])
def test_invariant_24_no_token_outlives_its_deadline(overlapping, clock, restart, event):
    """Whatever happened in mid overlap, a service that was down over the deadline refuses on its first request."""
    stack, old, new = overlapping
    deadline = stack.deadline(1)
    clock.move(days=3)
    if event == "cancel":
        newest = stack.rotate(overlap="7d")
        stack.cancel(3)
        assert not stack.use(newest)
    elif event == "destroy":
        stack.delete(stack.owner_nonce)
        assert not stack.use(old)
    else:
        stack.edit(rotation=read({"every": "90d", "enabled": event == "resume"}))
    clock.now = deadline
    restart()
    assert not stack.use(old)
    assert stack.use(new) is (event != "destroy")


def test_invariant_25_every_node_agrees(overlapping, catalogue, clock, limits):
    """Two nodes that remember what they have seen: both serve the whole overlap, and neither a moment longer."""
    stack, old, new = overlapping
    database = stack.desk.database
    other = AuthorizerMiddleware(Sandbox(database, limits), Authorizer(database, catalogue, 100))
    nodes, deadline = [stack.api.app, other], stack.deadline(1)
    for moment, lives in ((clock(), True), (deadline - MOMENT, True), (deadline, False)):
        clock.now = moment
        for stack.api.app in nodes:
            assert stack.use(old) is lives
            assert stack.use(new)
    stack.api.app = other
    stack.expire(2)
    assert not stack.use(new)
    stack.api.app = nodes[0]
    assert not stack.use(new)
    other.authorizer.close()


def test_invariant_25_a_refusal_is_not_remembered(stack):
    """A token that was tried before it existed works from its issue on."""
    value = "pit-" + "0123abcd-0123-0123-0123-0123456789ab"
    assert not stack.use(value)
    request = GenerationRequest(issuer="us", run="r", attempt=1, overlap_seconds=0)
    with stack.desk.database.write() as write:
        stored.add_token(write.connection, stack.id, 1, request, digest_of(value), write.now)
    assert stack.use(value)


def test_invariant_26_late_duplicates_end_nothing(three_tokens):
    """Every request that was sent before comes again: what lives now lives on."""
    stack, tokens = three_tokens

    def repeat():
        for generation, request in stack.asked:
            stack.write(generations.issue, stack.id, generation, request, 3)
        return stack.known().state

    waiting = stack.known().state
    assert repeat() == waiting
    stack.use(tokens[2])
    used = stack.known().state
    for secret in used.tokens:
        stack.write(generations.acknowledge, stack.id, secret.generation, secret.fingerprint)
    assert repeat() == used
    stack.expire(1)
    stack.cancel(3)
    after = stack.known().state
    stack.expire(1)
    stack.cancel(3, hold=90 * DAY)
    assert repeat() == after


def test_invariant_27_an_old_owner_nonce_deletes_nothing(stack, desk):
    """The state that was adopted away is destroyed: the newer owner keeps integration and token."""
    stack.up()
    adoption = IntegrationRequest(
        account=desk.account, name="CRM", scopes=[READ], owner_nonce="claim-newer", adopts=stack.id
    )
    stack.write(integrations.declare, "org/project/newer/crm", adoption, desk.rules)
    before = stack.known()
    assert stack.delete(stack.owner_nonce) is False
    assert stack.known() == before
    assert stack.use()
    assert stack.delete("claim-newer") is True
    assert not stack.use()


def test_invariant_28_an_undelivered_token_starts_no_overlap(overlapping, clock):
    """A new token that nobody uses takes nothing from the others, however long it waits, and may be replaced."""
    stack, _, current = overlapping
    promised = stack.deadline(1)
    for trigger in ("lost", "again"):
        stack.ask_for(stack.known().state.last_generation + 1, 2, DAY, run=trigger)
        clock.move(hours=1)
    assert stack.deadline(1) == promised
    clock.move(days=1000)
    assert stack.deadline(2) is None
    assert stack.use(current)


def test_cancelled_rotation_is_followed_by_the_next_deployment(overlapping, clock):
    """The state goes back to its own previous token, nothing is due before the hold ends, then it rotates once."""
    stack, old, _ = overlapping
    trigger = stack.state["rotation"]["trigger"]
    rotation = {"every": "10d", "overlap": "7d", "trigger": trigger}
    clock.move(days=6)
    stack.cancel(2)
    assert stack.up(**rotation).startswith("rotation to 2 was cancelled: back to generation 1; schedule held until")
    assert stack.state["token"] == old
    held_until = stack.known().state.held_until
    clock.now = held_until - MOMENT
    assert stack.up(**rotation) is None
    assert stack.status(**rotation) == "paused"
    clock.now = held_until
    assert stack.status(**rotation) == "due"
    assert stack.up(**rotation) == "due since 2026-11-30T12:00Z, every 10d, held until 2026-12-03T12:00Z"
    assert stack.state["generation"] == 3
    assert stack.use()


def test_what_is_overdue_is_told_with_the_words_of_the_plan(stack, clock):
    """The alarm of a service and the reason in a preview speak of the same instant; the token works on."""
    stack.up(every="10d")
    assert stack.use()
    clock.move(days=12)
    examined = examine(stack.desk.database, clock(), ANNA)
    assert examined.by_status == {"overdue": 1}
    assert [(alarm.kind, alarm.since) for alarm in examined.alarms] == [("overdue", clock() - 2 * DAY)]
    assert stack.use()
    assert stack.up(every="10d") == "due since 2026-11-30T12:00Z, every 10d"
