"""Inactive tokens: when they are warned of and ended, as pure decisions and over real files."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from forked import running_service
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import LONGEST_INACTIVITY, InactivityRequest, Problem, Refused
from private_integrations.errors import ConfigurationError
from private_integrations.rotation import decisions
from private_integrations_service.access.actors import Actor
from private_integrations_service.instants import to_milliseconds
from private_integrations_service.operations import generations
from private_integrations_service.operations.inactivity import Swept, rule_of, set_rule, sweep
from private_integrations_service.settings import Settings
from private_integrations_service.storage import tables
from private_integrations_service.storage.activity import USES_KEPT, ActivityStore, Batch
from private_integrations_service.storage.integrations import integration_by_id
from private_integrations_service.tokens.inactivity import (
    Confirm,
    End,
    Leave,
    Recall,
    TokenUse,
    Warn,
    plan_inactivity,
    shortest_notice,
)
from private_integrations_service.tokens.lifecycle import StoredToken
from private_integrations_service.tokens.policy_defaults import in_force

T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
AFTER = 90 * DAY
CURRENT = StoredToken(
    id=7,
    generation=3,
    role="current",
    issuer="us",
    run="r",
    attempt=1,
    fingerprint="0123456789ab",
    overlap=7 * DAY,
    issued_at=T0,
    delivered_at=T0,
)


def seen(now: datetime, *, used: datetime | None = None, since: datetime = T0) -> TokenUse:
    """What is recorded at this instant, completely."""
    return TokenUse({} if used is None else {CURRENT.id: used}, since, now)


def warned(now: datetime, *, after: timedelta = AFTER, token: StoredToken = CURRENT, **use) -> StoredToken:
    """The token once its end was announced at this instant."""
    step = plan_inactivity([token], after, seen(now, **use), now)
    assert isinstance(step, Warn), step
    return step.token


def looked_at(token: StoredToken, now: datetime) -> StoredToken:
    """The same token, after a sweep at this instant that found nothing new."""
    return replace(token, notice=replace(token.notice, seen_at=now))


# The rules, one by one.


def test_a_token_in_use_is_left_alone():
    """Until 15 days before its end nothing is said of a token."""
    assert plan_inactivity([CURRENT], AFTER, seen(T0 + 75 * DAY - HOUR), T0 + 75 * DAY - HOUR) == Leave()


def test_three_warnings_and_the_end():
    """It is warned of 15, 7 and 1 days before, each time once; then it ends, and says why."""
    token, said = CURRENT, []
    for hour in range(91 * 24):
        now = T0 + hour * HOUR
        step = plan_inactivity([token], AFTER, seen(now), now)
        if isinstance(step, Warn):
            said.append((hour / 24, decisions.days_left(step.notice.ends_at, now)))
        if isinstance(step, End):
            break
        if isinstance(step, Warn | Confirm):
            token = looked_at(step.token, now)
    assert said == [(75, 15), (83, 7), (89, 1)]
    assert now == T0 + AFTER
    assert (step.token.ended_at, step.token.ended_because) == (now, "not used for 90 days")


def test_a_use_takes_the_announcement_back():
    """A token that is used again lives on, and its next end is announced like the first."""
    token = warned(T0 + 75 * DAY)
    used = T0 + 80 * DAY
    assert plan_inactivity([token], AFTER, seen(used + HOUR, used=used), used + HOUR) == Recall((CURRENT,))
    assert warned(used + 75 * DAY, used=used).notice.ends_at == used + AFTER


def test_a_use_that_is_learnt_of_late_is_a_use():
    """An end is announced anew when more is known of the past, even if it changes nothing about the end."""
    now = T0 + 200 * DAY
    later = now + 6 * HOUR
    again = plan_inactivity([warned(now)], AFTER, seen(later, used=T0 + 50 * DAY), later)
    assert (again.notice.since, again.notice.ends_at) == (T0 + 50 * DAY, later + 7 * DAY)


def test_time_counts_from_the_latest_of_all_that_is_known():
    """The last use, the delivery, the issue and the beginning of the record: the latest of them counts."""
    issued = replace(CURRENT, role="pending", delivered_at=None, issued_at=T0 + DAY)
    delivered = replace(CURRENT, delivered_at=T0 + 2 * DAY)
    used, recorded = {"used": T0 + 3 * DAY}, {"since": T0 + 4 * DAY}
    for days, token, use in (
        (1, issued, {}),
        (2, delivered, {}),
        (3, delivered, used),
        (4, delivered, used | recorded),
    ):
        notice = warned(T0 + (75 + days) * DAY, token=token, **use).notice
        assert notice.since == T0 + days * DAY
        assert notice.ends_at == T0 + (90 + days) * DAY


@pytest.mark.parametrize("role", ["pending", "previous"])
def test_no_token_ends_while_a_rotation_is_open(role):
    """Beside another token that works nothing is announced, and what was announced is taken back."""
    other = replace(CURRENT, id=8, role=role, expires_at=T0 + 400 * DAY if role == "previous" else None)
    now = T0 + 200 * DAY
    assert plan_inactivity([CURRENT, other], AFTER, seen(now), now) == Leave()
    announced = warned(T0 + 75 * DAY)
    assert plan_inactivity([announced, other], AFTER, seen(now), now) == Recall((CURRENT,))
    # The other one is dead by then: it stands beside nothing.
    assert isinstance(plan_inactivity([CURRENT, replace(other, ended_at=T0)], AFTER, seen(now), now), Warn)


def test_what_has_a_deadline_is_left_to_it():
    """A superseded token that is the last one to work ends when it was promised to."""
    previous = replace(CURRENT, role="previous", expires_at=T0 + 300 * DAY)
    assert plan_inactivity([previous], AFTER, seen(T0 + 200 * DAY), T0 + 200 * DAY) == Leave()


def test_nobody_is_ended_unwarned():
    """After an upgrade, a long absence or a cancelled rotation an old token is announced first, with a week to come."""
    now = T0 + 200 * DAY
    assert warned(now).notice.ends_at == now + 7 * DAY
    later = now + 6 * DAY + HOUR
    assert plan_inactivity([looked_at(warned(now), later - HOUR)], AFTER, seen(later), later).notice.warned == 1


@pytest.mark.parametrize(("after", "notice"), [(2, 1), (7, 3.5), (14, 7), (90, 7)])
def test_the_shortest_notice(after, notice):
    """A week, or half of the time that a token may be unused where that is less; what isn't late ends on time."""
    assert shortest_notice(after * DAY) == notice * DAY
    hours = (T0 + n * HOUR for n in range(after * 24))
    first = next(now for now in hours if plan_inactivity([CURRENT], after * DAY, seen(now), now) != Leave())
    announced = warned(first, after=after * DAY).notice
    assert announced.ends_at == T0 + after * DAY
    assert announced.ends_at - first >= notice * DAY


def test_a_shorter_setting_announces_anew():
    """An end that comes nearer by another setting is announced again, with as much notice as any."""
    now = T0 + 76 * DAY
    again = plan_inactivity([looked_at(warned(T0 + 75 * DAY), now)], 30 * DAY, seen(now), now)
    assert isinstance(again, Warn)
    assert (again.notice.ends_at, again.notice.warned) == (now + 7 * DAY, 7)


def test_a_longer_setting_or_none_takes_it_back():
    """An end that goes far away, or for good, is not announced any more; one that goes a little later is said anew."""
    now = T0 + 76 * DAY
    token = looked_at(warned(T0 + 75 * DAY), now)
    assert plan_inactivity([token], 180 * DAY, seen(now), now) == Recall((CURRENT,))
    assert plan_inactivity([token], None, seen(now), now) == Recall((CURRENT,))
    assert plan_inactivity([token], 91 * DAY, seen(now), now).notice.ends_at == T0 + 91 * DAY


def test_only_what_is_recorded_ends_a_token():
    """As long as it isn't recorded what happened until the end, the token lives."""
    end = T0 + AFTER
    token = looked_at(replace(CURRENT, notice=replace(warned(T0 + 75 * DAY).notice, warned=1)), end - HOUR)
    until = replace(seen(end), recorded_until=end - timedelta(seconds=1))
    assert plan_inactivity([token], AFTER, until, end + HOUR) == Confirm(token)
    assert isinstance(plan_inactivity([token], AFTER, seen(end), end), End)


@pytest.mark.parametrize("away", [timedelta(hours=25), 100 * DAY])
def test_an_absence_of_the_service_counts_for_nobody(away):
    """What was announced before the service was away for a day is announced anew: nobody could use the token."""
    announced = warned(T0 + 75 * DAY)
    token = looked_at(replace(announced, notice=replace(announced.notice, warned=1)), T0 + 89 * DAY)
    now = T0 + 89 * DAY + away
    assert plan_inactivity([token], AFTER, seen(now), now).notice.ends_at == now + 7 * DAY


def test_without_the_last_warning_nothing_ends():
    """Whose last warning was slept through is told again."""
    end = T0 + AFTER
    token = looked_at(warned(T0 + 83 * DAY), end - 23 * HOUR)
    assert plan_inactivity([token], AFTER, seen(end), end).notice.ends_at == end + 7 * DAY


@given(
    st.lists(
        st.tuples(
            st.sampled_from([HOUR, 6 * HOUR, DAY, 5 * DAY, 40 * DAY]),
            st.sampled_from(["nothing", "use", "use", "behind"]),
            st.sampled_from([AFTER, AFTER, 2 * DAY, 10 * DAY, 365 * DAY, None]),
        ),
        max_size=60,
    )
)
def test_whatever_happens_an_end_was_announced_in_time(history):
    """However uses, settings and absences follow each other: who ends was warned in time and not used since."""
    token, now, used, first = CURRENT, T0, None, None
    for passed, event, after in [*history, *[(HOUR, "nothing", 3 * DAY)] * 300]:
        now += passed
        used = now - timedelta(seconds=1) if event == "use" else used
        if event == "behind":
            continue
        step = plan_inactivity([token], after, seen(now, used=used), now)
        if isinstance(step, Warn):
            anew = token.notice is None or token.notice.ends_at != step.notice.ends_at
            first = now if anew else first
            assert step.notice.ends_at - first >= shortest_notice(after) or not anew
            token = step.token
        elif isinstance(step, Confirm):
            token = looked_at(token, now)
        elif isinstance(step, Recall):
            token = CURRENT
        elif isinstance(step, End):
            assert token.notice.warned == 1
            assert now - first >= shortest_notice(2 * DAY)
            assert used is None or used <= first
            assert now - (used or T0) >= after
            break
    else:
        pytest.fail("nobody used it for days, and it was never ended")


# Sweeps over a real database and a real record of uses.


@dataclass
class Sweeper:
    """A service's hourly sweep, and consumers whose use is recorded."""

    database: object
    clock: object
    activity: ActivityStore

    def use(self, token_id: int) -> None:
        """Record that the token was used now."""
        uses = {(token_id, "contacts.readonly", ""): to_milliseconds(self.clock())}
        self.activity.store(Batch(tokens={token_id: ("int", 1)}, uses=uses), self.clock())

    def sweep(self, *, recorded: bool = True) -> Swept:
        """One sweep; before it the workers store what they have recorded, unless they don't."""
        if recorded:
            self.activity.store(Batch(), self.clock())
        return sweep(self.database, self.activity, Settings())

    def days(self, count: int) -> list[Swept]:
        """Some days with two sweeps each; what they did, those that did nothing left out."""
        done = []
        for _ in range(count * 2):
            self.clock.move(hours=12)
            done += [swept] if (swept := self.sweep()) != Swept() else []
        return done


@pytest.fixture
def sweeper(database, clock):
    """Nothing was recorded before now."""
    activity = database.activity()
    made = Sweeper(database, clock, activity)
    assert made.sweep() == Swept()
    yield made
    activity.close()


def rows(database, table):
    """Every row of a table."""
    with database.read() as connection:
        return connection.execute(select(table)).all()


def state_of(database, integration, now, used=None):
    """The state of an integration's tokens as the API says it, where its last use was `used` if that is known."""
    last_used = (lambda ids: dict.fromkeys(ids, used)) if used else None
    with database.read() as connection:
        (state,) = generations.token_states.step(
            connection, [integration_by_id(connection, integration)], now, last_used
        )
    secrets = [secret.model_copy(update={"last_used_at": None}) for secret in state.tokens]
    return state.model_copy(update={"tokens": secrets})


def test_a_token_that_nobody_uses_ends_and_is_brought_back_by_a_rotation(api, desk, database, clock, sweeper):
    """It is announced, shown, ended and told so; the next deployment rotates, and says why."""
    integration = desk.integration("contacts.readonly")
    token = desk.token(integration)
    contacts = f"/contacts/?locationId={desk.account}"
    assert api.ask("GET", contacts, token=token).status == 200
    assert sweeper.days(74) == []
    assert sweeper.days(2) == [Swept(warned=(integration,))]
    inactive = state_of(database, integration, clock()).inactive
    assert (inactive.generation, inactive.since, inactive.ends_at) == (1, NOON, NOON + AFTER)
    assert state_of(database, integration, clock(), used=NOON) == state_of(database, integration, clock())
    assert state_of(database, integration, clock(), used=clock()).inactive is None
    (alarm,) = decisions.alarms(in_force(None), state_of(database, integration, clock()), clock())
    assert (alarm.kind, alarm.since) == ("inactive", NOON)
    assert alarm.text == (
        "generation 1 was not used since 2026-11-20T12:00Z and is ended in 14 days, at 2027-02-18T12:00Z, "
        "unless somebody uses it"
    )
    warning = Swept(warned=(integration,))
    assert sweeper.days(14) == [warning, warning, Swept(ended=(integration,))]

    answer = api.ask("GET", contacts, token=token)
    assert (answer.status, answer.body["reason"]) == (401, "token-inactive")
    assert answer.body["message"] == "Invalid Private Integration token"
    state = state_of(database, integration, clock())
    assert state.inactive is None
    assert decisions.decide(in_force(None), state, 1, clock(), issuer="us") == decisions.Rotate(
        2, "ended in the service at 2027-02-18T12:00Z: not used for 90 days"
    )
    last = rows(database, tables.audit)[-1]
    assert (last.actor, last.action, last.detail["reason"]) == ("service", "expire inactive", "not used for 90 days")

    assert api.ask("GET", contacts, token=desk.token(integration)).status == 200


def test_over_http_an_ended_token_says_why_and_a_rotation_repairs_it(
    under_test, desk, database, clock, sweeper, accounts, tmp_path
):
    """A service with a warned and an ended token says so to lists, alarms, previews and consumers."""
    ended = desk.integration("contacts.readonly")
    token = desk.token(ended)
    sweeper.days(89)
    put(database, clock, accounts.sister, rule="after", after_seconds=2 * 86_400)
    warned_of = desk.integration("contacts.readonly", account=accounts.sister)
    desk.token(warned_of)
    sweeper.days(1)
    folder = under_test.copy_open(database, tmp_path / "copy")

    with running_service(folder) as service:
        client = Client(ServiceConnection(service.url, service.key))
        (page,) = client.tokens_of([ended, warned_of])
        states = {state.integration_id: state for state in page.tokens}
        assert states[ended].present is None
        decision = decisions.decide(in_force(None), states[ended], 1, page.now, issuer=states[ended].external_id)
        assert decision == decisions.Rotate(2, "ended in the service at 2027-02-18T12:00Z: not used for 90 days")
        assert states[warned_of].inactive.ends_at == clock() + DAY
        assert [(alarm.integration_id, alarm.kind) for alarm in client.health().alarms] == [(warned_of, "inactive")]

        issued = client.issue(ended, 2, issuer="us", holding=1, overlap_seconds=0, reason=decision.reason)
        for shown, status in ((token, 401), (issued.token, 200)):
            answer = requests.get(
                f"{service.url}/contacts/?locationId={accounts.location}",
                headers={"Authorization": shown, "Version": "v3"},
                timeout=10,
            )
            assert answer.status_code == status
            if status == 401:
                assert answer.headers["X-PIT-Problem"] == answer.json()["reason"] == "token-inactive"


def test_a_token_that_is_used_in_time_lives_on(desk, database, clock, sweeper):
    """A use after the last warning is enough, and the warnings begin anew."""
    integration = desk.integration("contacts.readonly")
    desk.token(integration)
    assert [swept.warned for swept in sweeper.days(89)] == [(integration,)] * 3
    (row,) = rows(database, tables.tokens)
    sweeper.use(row.id)
    assert sweeper.days(74) == []
    assert state_of(database, integration, clock()).inactive is None
    assert sweeper.days(2) == [Swept(warned=(integration,))]


def test_nothing_ends_while_recording_is_behind(desk, clock, sweeper):
    """With the flush stopped for more than five minutes a sweep does nothing, whatever time has come."""
    desk.token(desk.integration("contacts.readonly"))
    sweeper.days(89)
    clock.move(days=1)
    clock.move(minutes=-6)
    sweeper.activity.store(Batch(), clock())
    clock.move(minutes=6)
    assert sweeper.sweep(recorded=False) == Swept(is_behind=True)
    assert len(sweeper.sweep().ended) == 1


def test_a_service_that_just_learnt_to_record_ends_nothing(desk, database, clock, tmp_path):
    """After an upgrade the time begins with the record: tokens that are years old have all of it before them."""
    desk.token(desk.integration("contacts.readonly"))
    clock.move(days=1000)
    late = Sweeper(database, clock, database.activity())
    assert late.sweep() == Swept()
    assert late.days(74) == []
    assert len(late.days(2)) == 1
    late.activity.close()


def test_a_clock_set_back_ends_nothing_and_revives_nothing(desk, database, clock, sweeper):
    """A sweep happens at the latest instant ever stored; what is recorded before it is behind."""
    integration = desk.integration("contacts.readonly")
    desk.token(integration)
    sweeper.days(90)
    assert desk.secrets(integration)[1][0] == "ended"
    clock.move(days=-60)
    assert sweeper.sweep() == Swept(is_behind=True)
    assert desk.secrets(integration)[1][0] == "ended"


def test_an_account_has_a_rule_of_its_own(desk, database, clock, sweeper, accounts):
    """An account may be slower, quicker or off; the service's setting holds for the others."""
    ours, theirs = desk.integration("contacts.readonly"), desk.integration("contacts.readonly", account=accounts.sister)
    desk.token(ours)
    desk.token(theirs)
    put(database, clock, accounts.sister, rule="off")
    put(database, clock, accounts.location, rule="after", after_seconds=10 * 86_400)
    ended = [integration for swept in sweeper.days(91) for integration in swept.ended]
    assert ended == [ours]
    assert desk.secrets(theirs)[1][0] == "pending"
    put(database, clock, accounts.sister, rule="service")
    assert [swept.warned for swept in sweeper.days(1)] == [(theirs,)]


ADMIN = Actor("key/a/1")


def put(database, clock, account, actor=ADMIN, **rule):
    """Give an account a rule."""
    return set_rule(database, account, InactivityRequest(**rule), Settings(), actor=actor)


def test_a_rule_is_audited_and_shown(desk, database, clock, accounts):
    """What it comes to is said, each change is in the audit log once, and foreign accounts are not there."""
    assert rule_of(database, accounts.location, Settings(), actor=Actor("a")).after_seconds == 90 * 86_400
    for _ in range(2):
        assert put(database, clock, accounts.location, rule="off").after_seconds is None
    shown = rule_of(database, accounts.location, Settings(), actor=Actor("a"))
    assert (shown.rule, shown.after_seconds) == ("off", None)
    assert put(database, clock, accounts.location, rule="after", after_seconds=200_000).after_seconds == 200_000
    assert [(row.action, row.account_id, row.detail) for row in rows(database, tables.audit)] == [
        ("set inactivity", accounts.location, {"rule": "off"}),
        ("set inactivity", accounts.location, {"rule": "after", "after_seconds": 200_000}),
    ]
    stranger = Actor("key/b/2", frozenset({accounts.stranger}))
    refused = Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {accounts.location}")
    assert put(database, clock, accounts.location, actor=stranger, rule="off") == refused
    assert rule_of(database, accounts.location, Settings(), actor=stranger) == refused


def test_what_happens_between_look_and_deed_counts(desk, database, clock, sweeper):
    """A rotation that is begun while the sweep looks keeps the old token alive: the condition is asked again."""
    integration = desk.integration("contacts.readonly")
    desk.token(integration)
    sweeper.days(89)
    clock.move(days=1)

    class Interrupted:
        """Somebody begins a rotation while the last uses are read, the third thing that a sweep reads here."""

        reads = 0

        def read(self):
            self._count()
            return sweeper.activity.read()

        def flushes(self):
            self._count()
            return sweeper.activity.flushes()

        def _count(self):
            self.reads += 1
            if self.reads == 3:
                desk.token(integration)

    sweeper.activity.store(Batch(), clock())
    interrupted = Interrupted()
    assert sweep(database, interrupted, Settings()) == Swept()
    assert interrupted.reads == 3
    assert {role for role, _ in desk.secrets(integration).values()} == {"pending", "current"}


def test_the_longest_time_counts_from_a_use_that_is_still_remembered(desk, database, clock, sweeper, accounts):
    """A token that was used lives as long after it as was said, however long that may be."""
    desk.token(desk.integration("contacts.readonly"))
    put(database, clock, accounts.location, rule="after", after_seconds=LONGEST_INACTIVITY)
    clock.move(days=100)
    (row,) = rows(database, tables.tokens)
    sweeper.use(row.id)
    clock.move(days=366 - 16)
    assert sweeper.sweep() == Swept()
    assert len(sweeper.days(2)) == 1
    assert timedelta(seconds=LONGEST_INACTIVITY) + 15 * DAY <= USES_KEPT


@pytest.mark.parametrize(("text", "after"), [("off", None), ("OFF", None), ("2d", 2 * DAY), ("366d", 366 * DAY)])
def test_the_services_setting(text, after):
    """A duration from two days to a year, or off."""
    assert Settings.from_environment({"PRIVATE_INTEGRATIONS_INACTIVE_AFTER": text}).inactive_after == after


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1d", '"1d" leaves no day to warn of it: write "2d" or more, or "off"'),
        ("367d", '"367d" is longer than uses are remembered: write "366d" or less, or "off"'),
        ("90", '"90" has no unit: write "90d" for days, or "off"'),
        ("never", '"never" is not a duration: write one like "90d", "12h" or "30m", or "off"'),
    ],
)
def test_a_setting_that_cannot_be(text, said):
    """What can't be understood is refused at the start, with what to write instead."""
    with pytest.raises(ConfigurationError) as error:
        Settings.from_environment({"PRIVATE_INTEGRATIONS_INACTIVE_AFTER": text})
    assert str(error.value) == f"PRIVATE_INTEGRATIONS_INACTIVE_AFTER {said}"
