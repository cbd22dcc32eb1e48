"""Is a rotation due, and why: tables over the pure functions that preview and service share."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations.contract import EndReason, InactiveToken, TokenReport, TokenState
from private_integrations.rotation.decisions import (
    Alarm,
    Keep,
    Rotate,
    alarms,
    days_left,
    decide,
    due_at,
    in_days,
    status,
)
from private_integrations.rotation.policy import (
    EffectivePolicy,
    canonical_policy,
    effective_policy,
    read_policy,
    refuse_policy,
)
from private_integrations.rotation.schedules import Schedule
from private_integrations_service.tokens.policy_defaults import POLICY_DEFAULTS, in_force

Policy = partial(EffectivePolicy, overlap=timedelta(days=7))
T0 = datetime(2026, 8, 22, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
US = "organization/p/dev/crm"


def secret(
    generation, role="current", *, issued_at=T0, issuer=US, expires_at=None, ended_at=None, reason=None, detail=None
):
    """A secret as the service would tell of it."""
    return TokenReport(
        generation=generation,
        role=role,
        fingerprint="0" * 12,
        issuer=issuer,
        issued_at=issued_at,
        delivered_at=None if role == "pending" else issued_at,
        expires_at=expires_at,
        ended_at=ended_at,
        ended_because=reason and reason.in_words(detail),
        end_reason=reason,
        overlap_seconds=0,
    )


def tokens(*secrets, last=None, held_until=None):
    """The state of an integration that has these secrets."""
    highest = max((each.generation for each in secrets), default=0)
    return TokenState(
        integration_id="int_7",
        external_id=US,
        last_generation=last or highest,
        held_until=held_until,
        tokens=list(secrets),
    )


def read(declared):
    """The declared policy, as it is sent."""
    return read_policy(declared, lambda: POLICY_DEFAULTS)


def holds(declared):
    """The policy that holds where this is declared."""
    return in_force(read(declared))


def cancelled(generation, ended_at=T0):
    """A secret whose rotation was cancelled."""
    return secret(generation, "ended", ended_at=ended_at, reason=EndReason.CANCELLED)


def decided(state, held, *, now=T0, **declared):
    """The decision about a state under a declared policy."""
    trigger_changed = declared.pop("trigger_changed", False)
    return decide(holds(declared), state, held, now, issuer=US, trigger_changed=trigger_changed)


EVERY_90D = {"every": "90d"}
EVERY_DAY = {"every": "1d", "early_window": "0s"}
CALENDAR = {"schedule": "0 3 * * MON#1", "timezone": "Europe/Berlin"}
FIRST_MONDAY = datetime(2026, 9, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "held", "options", "expected"),
    [
        (tokens(), 0, {}, Rotate(1, "created")),
        (tokens(last=4), 0, {}, Rotate(5, "created")),
        (
            tokens(secret(1, "pending")),
            0,
            {},
            Rotate(2, "generation 1 was issued but never stored: issued anew"),
        ),
        (
            tokens(secret(3), secret(4, "pending")),
            3,
            EVERY_90D,
            Rotate(5, "generation 4 was issued but never stored: issued anew"),
        ),
        (
            tokens(secret(3, "previous", expires_at=T0 + DAY), secret(4)),
            3,
            EVERY_90D,
            Rotate(5, "state has generation 3, service has 4: rotated elsewhere"),
        ),
        (
            tokens(secret(3, "ended", ended_at=datetime(2026, 11, 18, 9, 12, tzinfo=UTC))),
            3,
            {},
            Rotate(4, "revoked in the service at 2026-11-18T09:12Z"),
        ),
        (
            tokens(secret(3, "ended", ended_at=T0 + 88 * DAY, reason=EndReason.INACTIVE, detail="90 days")),
            3,
            EVERY_90D,
            Rotate(4, "ended in the service at 2026-11-18T00:00Z: not used for 90 days"),
        ),
        (
            tokens(
                secret(2, "previous", expires_at=T0 + DAY),
                secret(3, "ended", ended_at=T0 + 88 * DAY, reason=EndReason.LEAKED),
            ),
            3,
            {},
            Rotate(4, "ended in the service at 2026-11-18T00:00Z: reported as leaked"),
        ),
        (tokens(secret(2)), 5, {}, Rotate(6, "generation 5 is not known to the service")),
        (tokens(secret(3)), 3, {"trigger_changed": True}, Rotate(4, "trigger changed")),
        (
            tokens(secret(3)),
            3,
            {**EVERY_90D, "now": T0 + 90 * DAY},
            Rotate(4, "due since 2026-11-20T00:00Z, every 90d"),
        ),
        (
            tokens(secret(3)),
            3,
            {**EVERY_90D, "now": T0 + 90 * DAY - timedelta(minutes=59)},
            Rotate(4, "due at 2026-11-20T00:00Z, inside early_window 1h"),
        ),
        (
            tokens(secret(3)),
            3,
            {**EVERY_90D, "now": T0 + 90 * DAY, "trigger_changed": True},
            Rotate(4, "trigger changed"),
        ),
        (tokens(secret(3)), 3, {**EVERY_90D, "now": T0 + 89 * DAY}, Keep(T0 + 90 * DAY)),
        (tokens(secret(3)), 3, {**EVERY_90D, "enabled": False, "now": T0 + 400 * DAY}, Keep(None)),
        (tokens(secret(3)), 3, {"now": T0 + 4000 * DAY}, Keep(None)),
        (tokens(secret(3), secret(4, "pending", issuer="cli/anna")), 3, {}, Keep(None)),
        (tokens(secret(2), secret(3, "pending")), 3, {}, Keep(None)),
        # A rotation was cancelled: the state goes back to what it had, and the rule waits for the end of the hold.
        (
            tokens(secret(2), cancelled(3), held_until=T0 + 7 * DAY),
            3,
            EVERY_DAY,
            Rotate(2, "rotation to 3 was cancelled: back to generation 2; schedule held until 2026-08-29T00:00Z"),
        ),
        (tokens(secret(2), cancelled(3)), 3, {}, Rotate(2, "rotation to 3 was cancelled: back to generation 2")),
        (
            tokens(secret(2), cancelled(3), held_until=T0 + 7 * DAY),
            2,
            {**EVERY_DAY, "now": T0 + 7 * DAY - timedelta(seconds=1)},
            Keep(T0 + 7 * DAY),
        ),
        (
            tokens(secret(2), cancelled(3), held_until=T0 + 7 * DAY),
            2,
            {**EVERY_DAY, "now": T0 + 7 * DAY},
            Rotate(4, "due since 2026-08-23T00:00Z, every 1d, held until 2026-08-29T00:00Z"),
        ),
        (tokens(secret(2), cancelled(3), held_until=T0 + DAY), 2, EVERY_90D, Keep(T0 + 90 * DAY)),
        (
            tokens(secret(2), cancelled(3), held_until=T0 + 7 * DAY),
            3,
            {"trigger_changed": True},
            Rotate(4, "trigger changed"),
        ),
        (
            tokens(secret(2), cancelled(3), held_until=T0 + 7 * DAY),
            2,
            {"trigger_changed": True},
            Rotate(4, "trigger changed"),
        ),
        (
            tokens(secret(2), cancelled(3), secret(4, "pending")),
            3,
            {},
            Rotate(5, "generation 4 was issued but never stored: issued anew"),
        ),
        (
            tokens(cancelled(3), secret(4)),
            3,
            {},
            Rotate(5, "state has generation 3, service has 4: rotated elsewhere"),
        ),
        (
            tokens(secret(2, "ended", ended_at=T0), cancelled(3)),
            3,
            {},
            Rotate(4, "revoked in the service at 2026-08-22T00:00Z"),
        ),
        # What the state holds was superseded, and what came after it is gone: it must not run out unnoticed.
        (
            tokens(secret(3, "previous", expires_at=T0 + DAY), secret(4, "ended", ended_at=T0)),
            3,
            {},
            Rotate(5, "generation 3 was superseded and ends at 2026-08-23T00:00Z"),
        ),
        (
            tokens(secret(2), secret(3, "previous", expires_at=T0 + DAY), cancelled(4)),
            3,
            {},
            Rotate(5, "generation 3 was superseded and ends at 2026-08-23T00:00Z"),
        ),
        (
            tokens(secret(3, "previous", expires_at=T0 + DAY)),
            3,
            {"now": T0 + DAY},
            Rotate(4, "generation 3 was superseded and ended at 2026-08-23T00:00Z"),
        ),
        # Calendar rules.
        (tokens(secret(3)), 3, {**CALENDAR, "now": FIRST_MONDAY - timedelta(seconds=1)}, Keep(FIRST_MONDAY)),
        (
            tokens(secret(3)),
            3,
            {**CALENDAR, "now": FIRST_MONDAY},
            Rotate(4, 'due since 2026-09-07T01:00Z, schedule "0 3 * * MON#1" in Europe/Berlin'),
        ),
        (
            tokens(secret(3)),
            3,
            {**CALENDAR, "early_window": "2h", "now": FIRST_MONDAY - timedelta(hours=2)},
            Rotate(4, "due at 2026-09-07T01:00Z, inside early_window 2h"),
        ),
    ],
)
def test_the_first_rule_that_applies_decides(state, held, options, expected):
    """Each row of the table of decisions, with the reason word for word."""
    assert decided(state, held, **options) == expected


@given(missed=st.integers(0, 1000), late=st.timedeltas(timedelta(0), DAY))
def test_missed_periods_are_one_rotation(missed, late):
    """However many periods were missed, one rotation is due, and the next lies a whole period after it."""
    policy = Policy(every=DAY)
    now = T0 + DAY * (missed + 1) + late
    assert isinstance(decide(policy, tokens(secret(1)), 1, now, issuer=US), Rotate)
    rotated = tokens(secret(1, "previous", expires_at=now + DAY), secret(2, issued_at=now))
    assert decide(policy, rotated, 2, now, issuer=US) == Keep(now + DAY)


@given(moment=st.timedeltas(-timedelta(days=200), timedelta(days=200)))
def test_due_exactly_from_the_instant_on(moment):
    """Due iff now >= due - early_window: not a moment before, and in the status as in the decision."""
    policy = Policy(every=90 * DAY, early_window=timedelta(hours=1))
    now = T0 + 90 * DAY - policy.early_window + moment
    state = tokens(secret(1))
    due = isinstance(decide(policy, state, 1, now, issuer=US), Rotate)
    assert due is (moment >= timedelta(0))
    assert (status(policy, state, now) in ("due", "overdue")) is due


rules = st.one_of(
    st.integers(2, 10**7).map(lambda seconds: Policy(every=timedelta(seconds=seconds))),
    st.builds(
        lambda expression, zone: Policy(schedule=Schedule(expression, zone)),
        st.sampled_from(["0 3 * * *", "30 2 * * *", "0 */6 * * *", "0 0 31 * *", "0 12 * * MON#1"]),
        st.sampled_from(["UTC", "Europe/Berlin", "Asia/Beirut", "Australia/Lord_Howe"]),
    ),
)


@given(rule=rules, share=st.floats(0, 0.49), jitters=st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_jitter_inside_the_early_window_neither_skips_nor_doubles_a_rotation(rule, share, jitters):
    """Deployments that come up to the window early rotate once each time, and a second one right after never."""
    assert rule.period is not None
    window = timedelta(seconds=int(rule.period.total_seconds() * share))
    policy = Policy(every=rule.every, schedule=rule.schedule, early_window=window)
    rotated_at = T0
    for jitter in jitters:
        due = due_at(policy, rotated_at)
        opens = due - window
        assert decide(
            policy, tokens(secret(1, issued_at=rotated_at)), 1, opens - timedelta.resolution, issuer=US
        ) == Keep(due)
        now = opens + window * jitter
        assert isinstance(decide(policy, tokens(secret(1, issued_at=rotated_at)), 1, now, issuer=US), Rotate)
        following = due_at(policy, now)
        assert decide(policy, tokens(secret(2, issued_at=now)), 2, max(now, due), issuer=US) == Keep(following)
        if policy.schedule is not None:
            assert following == policy.schedule.next_after(due)
        rotated_at = now


@given(
    rule=rules, passed=st.timedeltas(timedelta(0), 400 * DAY), hold=st.none() | st.timedeltas(timedelta(0), 400 * DAY)
)
def test_overdue_from_the_moment_that_patience_ends(rule, passed, hold):
    """The alarm is raised two days, or one period, after the due instant or the end of a hold; the token lives on."""
    held_until = None if hold is None else T0 + hold
    due = due_at(rule, T0, held_until)
    assert due == (due_at(rule, T0) if held_until is None else max(due_at(rule, T0), held_until))
    raised = due + min(2 * DAY, rule.period)
    text = f"due since {due:%Y-%m-%dT%H:%M}"
    for now in (raised - timedelta.resolution, raised, raised + passed):
        state = tokens(secret(1), held_until=held_until)
        found = alarms(rule, state, now)
        assert [alarm.kind for alarm in found] == (["overdue"] if now >= raised else [])
        assert all(alarm.since == due and alarm.text.startswith(text) for alarm in found)
        assert status(rule, state, now) == ("overdue" if now >= raised else "due")
        assert isinstance(decide(rule, state, 1, now, issuer=US), Rotate)


def test_alarms_word_for_word():
    """An alarm says since when and why; a paused rule raises none, and a token in use is not unused."""
    assert alarms(holds(EVERY_90D), tokens(secret(1)), T0 + 92 * DAY) == [
        Alarm(
            "overdue",
            T0 + 90 * DAY,
            "due since 2026-11-20T00:00Z, every 90d, and no deployment has rotated it",
        )
    ]
    waiting = tokens(secret(1), secret(2, "pending"))
    assert alarms(Policy(), waiting, T0 + 2 * DAY) == [
        Alarm("undelivered", T0, "generation 2 was issued at 2026-08-22T00:00Z and nobody has used it")
    ]
    assert alarms(Policy(), waiting, T0 + 2 * DAY - timedelta.resolution) == []
    assert alarms(Policy(every=DAY, enabled=False), tokens(secret(1)), T0 + 92 * DAY) == []
    inactive = tokens(secret(1)).model_copy(
        update={"inactive": InactiveToken(generation=1, since=T0, ends_at=T0 + 90 * DAY)}
    )
    assert alarms(Policy(), inactive, T0 + 89 * DAY) == [
        Alarm(
            "inactive",
            T0,
            "generation 1 was not used since 2026-08-22T00:00Z and is ended within a day, at 2026-11-20T00:00Z, "
            "unless somebody uses it",
        )
    ]


@pytest.mark.parametrize(
    ("hours", "days", "words"),
    [(-1, 0, "now"), (0, 0, "now"), (1, 1, "within a day"), (24, 1, "within a day"), (25, 2, "in 2 days")],
)
def test_days_left(hours, days, words):
    """A day that has begun counts whole, and what is past is no day."""
    ends_at = T0 + hours * HOUR
    assert (days_left(ends_at, T0), in_days(ends_at, T0)) == (days, words)
    assert alarms(Policy(every=DAY), tokens(), T0 + 92 * DAY) == []


instants = st.timedeltas(timedelta(0), 400 * DAY).map(lambda passed: T0 + passed)


@st.composite
def token_states(draw):
    """What a service may tell: any of the roles there or not, a cancelled or revoked last one, a hold."""
    found, generation = [], draw(st.integers(1, 3))
    for role in ("previous", "current", "pending", "ended"):
        if draw(st.booleans()):
            issued_at = draw(instants)
            deadline = draw(instants) if role == "previous" else None
            ended = draw(instants) if role == "ended" else None
            reason = (
                draw(st.sampled_from([EndReason.CANCELLED, EndReason.EXPIRED_ON_REQUEST])) if role == "ended" else None
            )
            issuer = draw(st.sampled_from([US, "settings page/anna"]))
            found.append(
                secret(
                    generation,
                    role,
                    issued_at=issued_at,
                    issuer=issuer,
                    expires_at=deadline,
                    ended_at=ended,
                    reason=reason,
                )
            )
            generation += 1
    return tokens(*found, last=generation - 1, held_until=draw(st.none() | instants))


@given(rule=rules | st.just(Policy()), enabled=st.booleans(), state=token_states(), now=instants)
def test_due_is_said_exactly_when_the_next_deployment_rotates(rule, enabled, state, now):
    """The status speaks of the deployment whose state holds the newest token, our own unused one too."""
    policy = Policy(every=rule.every, schedule=rule.schedule, enabled=enabled)
    present = state.in_role("pending") or state.in_role("current")
    held = present.generation if present else state.last_generation
    planned = decide(policy, state, held, now, issuer=US)
    assert (status(policy, state, now) in ("due", "overdue")) is isinstance(planned, Rotate)


@given(rule=rules, state=token_states(), now=instants, held=st.integers(1, 6))
def test_what_is_kept_has_no_deadline(rule, state, now, held):
    """A deployment that leaves its state's token alone may: no superseded one runs out behind its back."""
    if isinstance(decide(rule, state, held, now, issuer=US), Keep):
        assert state.of_generation(held).role in ("current", "pending")


@given(rule=rules, overlap=st.timedeltas(timedelta(0), 400 * DAY))
def test_an_overlap_is_refused_exactly_from_the_period_on(rule, overlap):
    """A promised overlap always ends before the next one begins; the default always does."""
    policy = replace(rule, overlap=overlap).on_the_wire()
    assert (refuse_policy(policy, POLICY_DEFAULTS) is None) is (overlap < rule.period)
    declared = {"every": f"{int(rule.period.total_seconds())}s"}
    assert holds(declared).overlap < rule.period


@pytest.mark.parametrize(
    ("declared", "overlap", "early_window"),
    [
        ({}, "7d", "0s"),
        ({"every": "90d"}, "7d", "1h"),
        ({"every": "8d"}, "4d", "1h"),
        ({"every": "5h"}, "2h30m", "30m"),
        ({"every": "90d", "overlap": "0s", "early_window": "0s"}, "0s", "0s"),
        ({"overlap": "400d"}, "400d", "0s"),
    ],
)
def test_defaults(declared, overlap, early_window):
    """Overlap is 7 days, or half of a shorter period; the early window an hour, or a tenth."""
    policy = holds(declared)
    assert policy == holds(
        {**declared, "overlap": overlap} | ({"early_window": early_window} if "every" in declared else {})
    )


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"every": "90"}, 'every "90" has no unit: write "90d" for days'),
        ({"every": "1mo"}, 'every "1mo" is not a duration: write one like "90d", "12h" or "30m"'),
        ({"every": "0s"}, 'every must be longer than nothing: write one like "90d"'),
        ({"every": 90.0}, 'every must be a duration such as "90d", not float'),
        (
            {"every": "90d", "overlap": "90d"},
            "overlap 90d must be shorter than every 90d, or old tokens would pile up; leave it out for 7d",
        ),
        ({"every": "1h", "early_window": "1h"}, "early_window 1h must be shorter than every 1h"),
        ({"early_window": "1h"}, "early_window is only used with every or schedule"),
    ],
)
def test_impossible_policies_say_why(declared, message):
    """A policy that contradicts itself is refused with the arithmetic and the way out."""
    with pytest.raises(ValueError) as caught:
        read(declared)
    assert str(caught.value) == message


def test_one_spelling():
    """Durations of the same length are the same declaration, and what is default is left out."""
    assert canonical_policy({"every": "1w", "overlap": "24h", "enabled": True, "trigger": None}) == {
        "every": "7d",
        "overlap": "1d",
    }
    assert canonical_policy({"every": "7d", "enabled": False}) == {"every": "7d", "enabled": False}


@pytest.mark.parametrize(
    ("policy", "state", "now", "expected"),
    [
        (Policy(), tokens(secret(1)), T0, "off"),
        (Policy(every=DAY), tokens(secret(1)), T0, "ok"),
        (Policy(every=DAY), tokens(secret(1)), T0 + DAY, "due"),
        (Policy(every=DAY, enabled=False), tokens(secret(1)), T0 + DAY, "paused"),
        (Policy(), tokens(secret(1), secret(2, "pending")), T0, "pending"),
        (Policy(), tokens(secret(1, "previous", expires_at=T0 + DAY), secret(2)), T0, "overlapping"),
        (Policy(), tokens(secret(1, "previous", expires_at=T0), secret(2)), T0, "off"),
        (Policy(), tokens(), T0, "due"),
        (Policy(every=DAY), tokens(secret(1)), T0 + 2 * DAY, "overdue"),
        (Policy(every=DAY), tokens(secret(2), cancelled(3), held_until=T0 + 9 * DAY), T0 + 2 * DAY, "paused"),
        (Policy(every=DAY), tokens(secret(2), cancelled(3), held_until=T0 + 9 * DAY), T0 + 9 * DAY, "due"),
        (Policy(every=DAY), tokens(secret(2), cancelled(3), held_until=T0 + 9 * DAY), T0 + 10 * DAY, "overdue"),
    ],
)
def test_status(policy, state, now, expected):
    """The most pressing word comes first."""
    assert status(policy, state, now) == expected


@given(policy=st.builds(Policy, every=st.none() | st.integers(1, 10**6).map(lambda s: timedelta(seconds=s))))
def test_a_policy_survives_the_wire(policy):
    """What the service stores is the policy that was declared."""
    assert effective_policy(policy.on_the_wire(), POLICY_DEFAULTS) == policy


@pytest.mark.parametrize(
    ("declared", "sent"),
    [
        ({"every": "90d"}, {"every_seconds": 90 * 86_400}),
        ({"schedule": "0  3 * * *"}, {"schedule": "0 3 * * *"}),
        ({"overlap": "0s", "enabled": False}, {"overlap_seconds": 0, "enabled": False}),
    ],
)
def test_what_is_left_out_is_not_sent(declared, sent):
    """A request has the parts that were declared, and no other."""
    assert read(declared).model_dump(exclude_unset=True) == sent
