"""Is a rotation due, and why: tables over the pure functions that preview and service share."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations.contract import Secret, TokenState
from private_integrations.rotation import Keep, Policy, Rotate, canonical_policy, decide, read_policy, status

T0 = datetime(2026, 8, 22, tzinfo=UTC)
DAY = timedelta(days=1)
US = "organization/p/dev/crm"


def secret(generation, role="current", *, issued_at=T0, issuer=US, expires_at=None, ended_at=None):
    """A secret as the service would tell of it."""
    return Secret(
        generation=generation,
        role=role,
        fingerprint="0" * 12,
        issuer=issuer,
        issued_at=issued_at,
        delivered_at=None if role == "pending" else issued_at,
        expires_at=expires_at,
        ended_at=ended_at,
        overlap_seconds=0,
    )


def tokens(*secrets, last=None):
    """The state of an integration that has these secrets."""
    highest = max((each.generation for each in secrets), default=0)
    return TokenState(integration_id="int_7", external_id=US, last_generation=last or highest, secrets=list(secrets))


def decided(state, held, *, now=T0, **declared):
    """The decision about a state under a declared policy."""
    trigger_changed = declared.pop("trigger_changed", False)
    return decide(read_policy(declared), state, held, now, issuer=US, trigger_changed=trigger_changed)


EVERY_90D = {"every": "90d"}


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
    policy = read_policy(declared)
    assert policy == read_policy(
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
        read_policy(declared)
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
    ],
)
def test_status(policy, state, now, expected):
    """The most pressing word comes first."""
    assert status(policy, state, now) == expected


@given(policy=st.builds(Policy, every=st.none() | st.integers(1, 10**6).map(lambda s: timedelta(seconds=s))))
def test_a_policy_survives_the_wire(policy):
    """What the service stores is the policy that was declared."""
    assert Policy.from_the_wire(policy.on_the_wire()) == policy
