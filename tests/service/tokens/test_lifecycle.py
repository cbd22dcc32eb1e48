"""The life of tokens as pure decisions: tables, and a model that runs them at random."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from private_integrations.contract import GenerationRequest
from private_integrations_service.tokens.lifecycle import (
    Issue,
    Refused,
    StoredToken,
    TokenChanges,
    plan_acknowledgement,
    plan_cancellation,
    plan_expiry,
    plan_first_use,
    plan_issue,
    plan_overlap,
)

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIMIT = 3


def request(*, issuer="us", run="r1", attempt=1, holding=None, overlap=DAY, replace_pending=False):
    """A request for a generation."""
    return GenerationRequest(
        issuer=issuer,
        run=run,
        attempt=attempt,
        holding=holding,
        replace_pending=replace_pending,
        overlap_seconds=int(overlap.total_seconds()),
    )


class Store:
    """Carries plans out as the database would, and refuses what its indexes would."""

    def __init__(self):
        self.tokens: dict[int, StoredToken] = {}
        self.last = 0
        self.now = T0

    def issue(self, generation=None, **options):
        """Ask for a generation, the next one unless told otherwise."""
        asked = request(**options)
        generation = self.last + 1 if generation is None else generation
        plan = plan_issue(list(self.tokens.values()), self.last, generation, asked, self.now, LIMIT)
        if isinstance(plan, Refused):
            return plan
        self.apply(plan)
        made = StoredToken(
            id=len(self.tokens) + 1,
            generation=plan.generation,
            role="pending",
            issuer=asked.issuer,
            run=asked.run,
            attempt=asked.attempt,
            fingerprint=f"{len(self.tokens) + 1:012d}",
            overlap=timedelta(seconds=asked.overlap_seconds),
            issued_at=self.now,
        )
        self.save(made)
        self.last = plan.generation
        return made.id

    def use(self, token_id):
        """Use a token, if it is alive."""
        if self.tokens[token_id].is_live(self.now):
            self.apply(plan_first_use(list(self.tokens.values()), token_id, self.now))

    def expire(self, *generations):
        """End these generations."""
        change = plan_expiry(list(self.tokens.values()), self.last, generations, self.now)
        if not isinstance(change, Refused):
            self.apply(change)
        return change

    def cancel(self, generation):
        """Go back from this generation."""
        change = plan_cancellation(list(self.tokens.values()), self.last, generation, self.now)
        if not isinstance(change, Refused):
            self.apply(change)
        return change

    def acknowledge(self, generation, fingerprint):
        """Say that a token is stored."""
        change = plan_acknowledgement(list(self.tokens.values()), generation, fingerprint, self.now)
        if not isinstance(change, Refused):
            self.apply(change)
        return change

    def apply(self, change: TokenChanges):
        """Save tokens one by one, as the database does."""
        for token in change.tokens:
            self.save(token)

    def save(self, token):
        """Keep the schema's promises after every single statement."""
        self.tokens[token.id] = token
        open_ones = [each for each in self.tokens.values() if each.ended_at is None]
        for role in ("current", "pending"):
            assert sum(each.role == role for each in open_ones) <= 1
        generations = [each.generation for each in open_ones]
        assert len(generations) == len(set(generations))
        assert (token.role == "previous") == (token.expires_at is not None)

    def live(self, role=None):
        """The generations alive now, in this role."""
        return [
            token.generation for token in self.tokens.values() if token.is_live(self.now) and role in (None, token.role)
        ]


def test_first_use_makes_a_pending_token_current_and_starts_the_old_ones_overlap():
    """The full overlap is counted from the first use of the new token, not from its issue."""
    store = Store()
    store.use(store.issue())
    new = store.issue(overlap=7 * DAY)
    assert (store.live("current"), store.live("pending")) == ([1], [2])
    store.now += 30 * DAY
    store.use(new)
    assert (store.live("previous"), store.live("current"), store.live("pending")) == ([1], [2], [])
    assert store.tokens[1].expires_at == store.now + 7 * DAY
    store.now += 7 * DAY
    assert store.live() == [2]


def test_a_lost_answer_is_issued_again_for_the_same_generation():
    """A higher attempt of the same run revokes what nobody received."""
    store = Store()
    first, again = store.issue(attempt=1), store.issue(1, attempt=2)
    assert store.tokens[first].ended_because == "answer lost, issued again"
    assert store.live() == [1]
    assert store.tokens[again].generation == 1


def test_late_duplicates_change_nothing():
    """An equal or lower attempt, another run, and any attempt after delivery are refused."""
    store = Store()
    store.issue(attempt=1)
    second = store.issue(1, attempt=2)
    before = dict(store.tokens)
    assert store.issue(1, attempt=2).problem == "attempt-stale"
    assert store.issue(1, attempt=1).about == {"last_attempt": 2}
    assert store.issue(1, run="r2", attempt=9).problem == "generation-used"
    assert store.issue(1, issuer="them", attempt=9).problem == "generation-used"
    assert store.tokens == before
    store.use(second)
    assert store.issue(1, attempt=3).problem == "generation-used"


def test_another_issuer_waits_while_a_rotation_is_open():
    """Somebody else's pending generation is named, with who and since when."""
    store = Store()
    store.issue(issuer="settings page/anna")
    refused = store.issue(issuer="us")
    assert refused.problem == "rotation-open"
    assert "generation 1 was started by settings page/anna at 2026-01-01T00:00Z" in refused.detail


def test_holding_the_pending_generation_acknowledges_it():
    """The issuer that has stored its pending token and asks for the next one delivers it thereby."""
    store = Store()
    store.use(store.issue())
    store.issue(overlap=DAY)
    store.issue(holding=2, overlap=HOUR)
    assert (store.live("previous"), store.live("current"), store.live("pending")) == ([1], [2], [3])
    assert store.tokens[1].expires_at == store.now + DAY


def test_a_pending_generation_that_nobody_holds_is_replaced_and_works_on():
    """What may have been received by somebody keeps working for the overlap, and a use counts."""
    store = Store()
    store.use(store.issue())
    lost = store.issue()
    store.issue(run="r2", holding=1, overlap=HOUR)
    assert (store.live("current"), store.live("previous"), store.live("pending")) == ([1], [2], [3])
    store.use(lost)
    assert store.tokens[lost].delivered_at == store.now
    assert store.tokens[lost].expires_at == store.now + HOUR
    assert store.live("current") == [1]


def test_no_overlap_ends_the_older_ones_at_issue():
    """With overlap 0 a compromised token is dead before anybody has the new one; the answer may still be repeated."""
    store = Store()
    store.use(store.issue())
    store.use(store.issue())
    store.issue(overlap=timedelta(0))
    assert store.live() == [3]
    store.issue(3, attempt=2, overlap=timedelta(0))
    assert store.live("pending") == [3]


def test_a_rotation_during_an_overlap_keeps_the_promise():
    """An older token lives exactly to the deadline it had."""
    store = Store()
    for _ in range(2):
        store.use(store.issue(overlap=7 * DAY))
    promised = store.tokens[1].expires_at
    store.now += DAY
    store.use(store.issue(overlap=HOUR))
    assert store.tokens[1].expires_at == promised
    assert store.live() == [1, 2, 3]


def test_at_most_three_superseded_ones_live():
    """A fourth would be refused with the deadlines named, unless one that nobody ever used can give way."""
    store = Store()
    for _ in range(4):
        store.use(store.issue(overlap=30 * DAY))
    refused = store.issue(overlap=30 * DAY)
    assert refused.problem == "too-many-live-tokens"
    assert "generations 1 (until 2026-01-31T00:00Z), 2 (until" in refused.detail
    assert store.live() == [1, 2, 3, 4]

    other = Store()
    other.use(other.issue(overlap=30 * DAY))
    for run in ("r2", "r3", "r4", "r5"):
        other.issue(run=run, holding=1, overlap=30 * DAY)
    assert other.live() == [1, 3, 4, 5]
    assert other.tokens[2].ended_because == "gave way to a newer token"


def test_acknowledgement():
    """An ack counts like a first use, may be repeated, and must name the right token."""
    store = Store()
    store.issue()
    assert store.acknowledge(1, "0" * 12).problem == "fingerprint-unknown"
    store.acknowledge(1, "000000000001")
    assert store.live("current") == [1]
    assert store.acknowledge(1, "000000000001") == TokenChanges()
    store.expire(1)
    assert store.acknowledge(1, "000000000001").problem == "generation-ended"


def test_expiry_names_generations():
    """Only what is named ends; a repetition changes nothing; what was never issued is refused."""
    store = Store()
    store.use(store.issue())
    store.use(store.issue())
    store.expire(1)
    assert store.live() == [2]
    assert store.expire(1) == TokenChanges()
    assert store.expire(3).problem == "generation-unknown"


def test_a_person_replaces_what_somebody_else_has_started():
    """On request the other issuer's unused token dies; the one in use is not touched."""
    store = Store()
    store.use(store.issue())
    theirs = store.issue(issuer="settings page/anna")
    store.issue(issuer="cli/bert", replace_pending=True)
    assert (store.live("current"), store.live("pending"), store.live("previous")) == ([1], [3], [])
    assert store.tokens[theirs].ended_because == "replaced on request"


def test_cancelling_an_unused_generation():
    """The new token dies, the one in use goes on without a deadline, and the number counts as used."""
    store = Store()
    store.use(store.issue())
    store.issue()
    store.cancel(2)
    assert store.live() == store.live("current") == [1]
    assert store.cancel(2) == TokenChanges()
    assert store.issue(2, attempt=2).problem == "generation-used"
    store.issue()
    assert store.live("pending") == [3]


def test_cancelling_during_the_overlap():
    """The new token dies and the one before is in use again, for good; older deadlines stay."""
    store = Store()
    for _ in range(3):
        store.use(store.issue(overlap=7 * DAY))
    promised = store.tokens[1].expires_at
    store.now += 7 * DAY - HOUR
    store.cancel(3)
    assert (store.live("current"), store.live("previous")) == ([2], [1])
    assert store.tokens[1].expires_at == promised
    store.now += 400 * DAY
    assert store.live() == [2]


def test_two_rotations_are_cancelled_one_after_the_other():
    """Each goes back by one, as long as the token before is alive."""
    store = Store()
    for _ in range(3):
        store.use(store.issue(overlap=7 * DAY))
    store.cancel(3)
    store.cancel(2)
    assert store.live() == store.live("current") == [1]


TOO_LATE = "its rotation can't be cancelled any more; rotate to get a new token"
NO_WAY_BACK = "does not work any more: there is none to go back to; rotate instead"


def test_a_cancellation_that_would_leave_nothing_is_refused():
    """Too early, too late, no way back, or a newer one in the way: nothing changes, and the answer says why."""
    store = Store()
    store.issue()
    assert store.cancel(1).detail == f"the token before generation 1 {NO_WAY_BACK}"
    store.use(1)
    assert store.cancel(1).detail == f"the token before generation 1 {NO_WAY_BACK}"
    assert store.cancel(2).detail == "generation 2 was never issued; the last one is 1"
    store.use(store.issue(overlap=HOUR))
    assert store.cancel(1).detail == f"generation 1 was superseded by a newer one: {TOO_LATE}"
    store.issue(overlap=HOUR)
    assert store.cancel(2).problem == "rotation-open"
    store.cancel(3)
    before = dict(store.tokens)
    store.now += HOUR
    assert store.cancel(2).detail == f"the token before generation 2 {NO_WAY_BACK}"
    assert store.cancel(1).detail == f"generation 1 has ended: {TOO_LATE}"
    assert store.tokens == before


def test_a_superseded_token_is_no_way_back_over_one_that_was_ended():
    """Only the token directly before comes back, not an older one that happens to live still."""
    store = Store()
    for _ in range(2):
        store.use(store.issue(overlap=7 * DAY))
    store.expire(2)
    store.issue()
    assert store.cancel(3).detail == f"the token before generation 3 {NO_WAY_BACK}"
    assert (store.live("previous"), store.live("pending")) == ([1], [3])


def test_an_edited_overlap_moves_only_the_running_one():
    """What an earlier rotation promised stays, what is not in use yet will be followed by the new overlap."""
    store = Store()
    for _ in range(3):
        store.use(store.issue(overlap=7 * DAY))
    store.issue(overlap=7 * DAY)
    promised = store.tokens[1].expires_at
    store.apply(plan_overlap(list(store.tokens.values()), 7 * DAY, DAY, store.now))
    assert (store.tokens[1].expires_at, store.tokens[2].expires_at) == (promised, T0 + DAY)
    store.use(4)
    assert store.tokens[3].expires_at == store.now + DAY


def test_the_dead_stay_dead():
    """A token past its deadline is neither used nor delivered nor revived by anything."""
    store = Store()
    store.use(store.issue())
    store.use(store.issue(overlap=HOUR))
    store.now += HOUR
    store.use(1)
    assert store.live() == [2]
    store.issue()
    assert store.tokens[1].ended_because == "overlap ended"
    assert store.tokens[1].ended_at == T0 + HOUR


class LifeOfTokens(RuleBasedStateMachine):
    """Issue, use, acknowledge, expire and time in any order: the promises hold after every step."""

    def __init__(self):
        super().__init__()
        self.store = Store()
        self.promised: dict[int, datetime] = {}
        self.delivered: dict[int, StoredToken] = {}

    @rule(
        issuer=st.sampled_from(["us", "them"]),
        run=st.sampled_from(["r1", "r2"]),
        attempt=st.integers(1, 3),
        step=st.integers(-1, 2),
        holding=st.none() | st.integers(0, 5),
        overlap=st.sampled_from([HOUR, DAY, 7 * DAY]),
    )
    def issue(self, issuer, run, attempt, step, holding, overlap):
        """Ask for a generation, the right one or not."""
        generation = max(1, self.store.last + step)
        self.store.issue(generation, issuer=issuer, run=run, attempt=attempt, holding=holding, overlap=overlap)

    @rule(which=st.integers(1, 12))
    def use(self, which):
        """Use any token."""
        if which in self.store.tokens:
            self.store.use(which)

    @rule(which=st.integers(1, 12))
    def expire(self, which):
        """End a generation; what was promised to it is off."""
        self.store.expire(which)
        for token in self.store.tokens.values():
            if token.generation == which:
                self.promised.pop(token.id, None)
                self.delivered.pop(token.id, None)

    @rule(passing=st.sampled_from([timedelta(seconds=1), HOUR, DAY]))
    def wait(self, passing):
        """Let time pass."""
        self.store.now += passing

    @invariant()
    def a_promised_deadline_is_kept(self):
        """Once a token that was in use has a deadline, it lives exactly until then."""
        for token in self.store.tokens.values():
            if token.role == "previous" and token.delivered_at and token.ended_because != "expired on request":
                assert token.expires_at == self.promised.setdefault(token.id, token.expires_at)
                assert token.is_live(self.store.now) == (self.store.now < token.expires_at)

    @invariant()
    def a_delivered_token_is_never_killed_by_another_request(self):
        """Only its own deadline or an expiry ends a token that somebody uses."""
        for token in self.store.tokens.values():
            if token.delivered_at is not None and token.ended_at is not None:
                assert token.ended_because in ("overlap ended", "expired on request")

    @invariant()
    def one_undelivered_token_for_a_generation(self):
        """A generation has at most one live token, and at most three superseded ones live beside the two others."""
        live = [token for token in self.store.tokens.values() if token.is_live(self.store.now)]
        assert len({token.generation for token in live}) == len(live)
        assert sum(token.role == "previous" for token in live) <= LIMIT


TestLifeOfTokens = LifeOfTokens.TestCase
TestLifeOfTokens.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_an_issue_plan_leaves_unrelated_tokens_alone():
    """A first generation changes nothing that exists."""
    assert plan_issue([], 0, 1, request(), T0, LIMIT) == Issue(tokens=(), generation=1)
