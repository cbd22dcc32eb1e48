"""Rate limits: the arithmetic of windows and days, and what a client is told."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations.errors import ConfigurationError
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.sandbox import Sandbox
from private_integrations_service.sandbox.limits import AccountLimits, RateLimits, Spent, Usage, spend
from private_integrations_service.server.application import Application
from private_integrations_service.settings import Settings

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
FEW = AccountLimits(per_interval=3, interval=1000, per_day=7)


def asked(limits, *instants):
    """Which of the requests at these instants pass, and what the last one was told."""
    usage, verdicts = Usage(), []
    for instant in instants:
        usage, spent = spend(limits, instant, usage)
        verdicts.append(spent.exhausted or "passed")
    return verdicts, spent


# The model: every request is remembered, and what counts is looked up among them.


def model(limits, instants):
    """Which requests pass, at instants that never run backwards."""
    verdicts, passed, start = [], [], None
    interval = timedelta(milliseconds=limits.interval)
    for now in instants:
        if start is None or now - start >= interval:
            start = now
        if sum(then.date() == now.date() for then in passed) >= limits.per_day:
            verdicts.append("daily")
        elif sum(then >= start for then in passed) >= limits.per_interval:
            verdicts.append("burst")
        else:
            passed.append(now)
            verdicts.append("passed")
    return verdicts


# Steps of nothing, within a window, just around its end, and over a midnight.
steps = st.lists(st.sampled_from([0, 0, 1, 400, 999, 1000, 1001, 86_400_000]) | st.integers(0, 3000), max_size=60)
few = st.builds(AccountLimits, per_interval=st.integers(1, 4), interval=st.just(1000), per_day=st.integers(1, 9))


@given(few, steps)
def test_windows_and_days(limits, steps):
    """For any requests in the order of time, exactly those pass that the model lets pass."""
    instants, now = [], MIDNIGHT - 2 * timedelta(seconds=1)
    for step in steps:
        now += step * MILLISECOND
        instants.append(now)
    if instants:
        assert asked(limits, *instants)[0] == model(limits, instants)


@given(few, st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 999)), max_size=60))
def test_clocks_that_differ_a_little(limits, steps):
    """Requests of processes whose clocks are behind by less than an interval pass as if they came at the latest."""
    latest = MIDNIGHT - timedelta(seconds=20)
    instants, seen = [latest], [latest]
    for step, behind in steps:
        instants.append(latest + (step - behind) * MILLISECOND)
        latest = max(latest, instants[-1])
        seen.append(latest)
    assert asked(limits, *instants)[0] == asked(limits, *seen)[0]


def test_a_window_begins_with_its_first_request():
    """After the last request of a budget the next one waits until the window is over, and not a moment longer."""
    first, last = NOON + 5 * MILLISECOND, NOON + 900 * MILLISECOND
    burst = [first, last, last]
    assert asked(FEW, *burst, NOON + 1004 * MILLISECOND) == (["passed"] * 3 + ["burst"], Spent(0, 4, "burst"))
    assert asked(FEW, *burst, NOON + 1005 * MILLISECOND) == (["passed"] * 4, Spent(2, 3, None))


def test_a_day_ends_at_midnight():
    """The daily budget comes back at midnight in UTC, and a refused request of the day before has cost nothing."""
    day = [MIDNIGHT - timedelta(hours=hour) for hour in range(8, 0, -1)]
    assert asked(FEW, *day) == (["passed"] * 7 + ["daily"], Spent(3, 0, "daily"))
    assert asked(FEW, *day, MIDNIGHT) == (["passed"] * 7 + ["daily", "passed"], Spent(2, 6, None))


def test_a_clock_set_back_far_begins_anew():
    """A clock that was ahead by years doesn't lock anybody out until then; within the day the count goes on."""
    ahead = [NOON + timedelta(days=700)] * 4
    assert asked(FEW, *ahead, NOON) == (["passed"] * 3 + ["burst", "passed"], Spent(2, 6, None))
    later = [NOON + timedelta(hours=1)] * 4
    assert asked(FEW, *later, NOON) == (["passed"] * 3 + ["burst", "passed"], Spent(2, 3, None))


def test_a_lowered_limit():
    """A limit below what was used already leaves nothing, never less."""
    usage, _ = spend(FEW, NOON, Usage(0, 0))
    for _ in range(2):
        usage, _ = spend(FEW, NOON, usage)
    assert spend(AccountLimits(1, 1000, 2), NOON, usage)[1] == Spent(0, 0, "daily")


# The accounts.


def spent(limits, account, times=1, now=NOON):
    """What the last of so many requests was told."""
    for _ in range(times):
        answer = limits.spend(account, now)
    return answer


def test_accounts_have_budgets_of_their_own():
    """One account's requests cost another nothing."""
    limits = RateLimits(FEW)
    assert spent(limits, "a", 4) == Spent(0, 4, "burst")
    assert spent(limits, "b") == Spent(2, 6, None)


def test_the_account_that_asked_longest_ago_begins_anew():
    """The memory is bounded: with more accounts than are counted, the one that asked longest ago is forgotten."""
    limits = RateLimits(FEW, accounts=2)
    assert spent(limits, "a") == Spent(2, 6, None)
    assert spent(limits, "b") == Spent(2, 6, None)
    assert spent(limits, "a") == Spent(1, 5, None)
    assert spent(limits, "c") == Spent(2, 6, None)
    assert spent(limits, "a") == Spent(0, 4, None)
    assert spent(limits, "b") == Spent(2, 6, None)


# Settings.


def test_settings():
    """The limits are the documented ones, or those in the environment."""
    assert AccountLimits.of(Settings()) == AccountLimits(100, 10_000, 200_000)
    environment = {
        "PRIVATE_INTEGRATIONS_RATE_LIMIT": "25",
        "PRIVATE_INTEGRATIONS_RATE_INTERVAL": "1m",
        "PRIVATE_INTEGRATIONS_DAILY_RATE_LIMIT": "10000",
    }
    assert AccountLimits.of(Settings.from_environment(environment)) == AccountLimits(25, 60_000, 10_000)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("RATE_LIMIT", "0", '"0" is not a whole number between 1 and 1000000000'),
        ("RATE_LIMIT", "²", '"²" is not a whole number between 1 and 1000000000'),
        (
            "DAILY_RATE_LIMIT",
            "1000000001",
            '"1000000001" is not a whole number between 1 and 1000000000',
        ),
        ("RATE_INTERVAL", "10", '"10" has no unit: write "10d" for days'),
        ("RATE_INTERVAL", "0s", '"0s" is not between "1s" and "1d"'),
        ("RATE_INTERVAL", "2d", '"2d" is not between "1s" and "1d"'),
    ],
)
def test_settings_that_make_no_sense(variable, text, message):
    """A limit that can't be meant names its variable."""
    name = f"PRIVATE_INTEGRATIONS_{variable}"
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment({name: text})
    assert str(refused.value) == f"{name} {message}"


# Answers.

SCOPES = (
    "contacts.readonly",
    "contacts.write",
    "locations/tags.readonly",
    "locations.readonly",
    "calendars/groups.readonly",
)


@pytest.fixture
def limited(api, database, catalogue, clock, desk):
    """The data API with few requests a second, asked with a token of the location."""
    limits = RateLimits(FEW)
    api.app = AuthorizerMiddleware(Sandbox(database, limits), Authorizer(database, catalogue, 100))
    api.token = desk.token_with(*SCOPES)
    yield api
    api.app.authorizer.close()


def told(answer):
    """The headers about limits."""
    return {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit")}


def headers(remaining, daily):
    """The documented headers."""
    return {
        "x-ratelimit-limit-daily": "7",
        "x-ratelimit-daily-remaining": str(daily),
        "x-ratelimit-interval-milliseconds": "1000",
        "x-ratelimit-max": "3",
        "x-ratelimit-remaining": str(remaining),
    }


def test_every_answer_has_the_headers(limited, clock, accounts):
    """Found, created, invalid, missing, too large or not built: each request counts, each answer says what is left."""
    contacts = f"/contacts/?locationId={accounts.location}"
    for number, (status, method, target, body) in enumerate(
        (
            (200, "GET", contacts, None),
            (201, "POST", "/contacts/", {"locationId": accounts.location}),
            (422, "POST", "/contacts/", {"locationId": accounts.location, "x": 1}),
            (400, "GET", "/contacts/never", None),
            (413, "POST", "/contacts/", b"x" * 200_000),
            (501, "GET", f"/calendars/groups?locationId={accounts.location}", None),
        )
    ):
        clock.move(seconds=number % 3 == 0)
        answer = limited.ask(method, target, body)
        assert (answer.status, told(answer)) == (status, headers(2 - number % 3, 6 - number))


def test_one_request_too_many(limited, clock, accounts):
    """The fourth request of a second is refused in the platform's words, and the next second's is answered."""
    contacts = f"/contacts/?locationId={accounts.location}"
    for left in (2, 1, 0):
        answer = limited.ask("GET", contacts)
        assert (answer.status, told(answer)) == (200, headers(left, 4 + left))
    for _ in range(2):
        answer = limited.ask("GET", contacts)
        assert (answer.status, told(answer)) == (429, headers(0, 4))
        assert answer.body == {"statusCode": 429, "message": "Too Many Requests", "reason": "rate-limit-burst"}
        assert answer.headers["x-pit-problem"] == "rate-limit-burst"
    clock.move(seconds=1)
    assert limited.ask("GET", contacts).status == 200


def test_a_refused_write_is_not_done(limited, clock, accounts):
    """A request that is one too many changes nothing."""
    for _ in range(4):
        answer = limited.ask("POST", "/contacts/", {"locationId": accounts.location})
    assert answer.status == 429
    clock.move(seconds=1)
    assert limited.ask("GET", f"/contacts/?locationId={accounts.location}").body["count"] == 3


def test_the_day_is_spent(limited, clock, accounts):
    """The eighth request of a day is refused until midnight, with nothing left for the day."""
    contacts = f"/contacts/?locationId={accounts.location}"
    for _ in range(7):
        assert limited.ask("GET", contacts).status == 200
        clock.move(seconds=1)
    answer = limited.ask("GET", contacts)
    assert (answer.status, told(answer)) == (429, headers(3, 0))
    assert answer.body["reason"] == "rate-limit-daily"
    clock.move(hours=12)
    assert limited.ask("GET", contacts).status == 200


def test_tokens_of_a_location_share_its_budget(limited, desk, accounts):
    """Another integration of the account spends the same budget; a sister location and the agency have their own."""
    tokens = {
        name: desk.token_with("locations.readonly", account=account)
        for name, account in (("other", accounts.location), ("sister", accounts.sister), ("agency", accounts.agency))
    }
    for token, account, left in (
        (None, accounts.location, 2),
        ("other", accounts.location, 1),
        ("agency", accounts.location, 2),
        ("sister", accounts.sister, 2),
        (None, accounts.location, 0),
    ):
        answer = limited.ask("GET", f"/locations/{account}", token=tokens.get(token))
        assert (answer.status, told(answer)["x-ratelimit-remaining"]) == (200, str(left))
    assert limited.ask("GET", f"/locations/{accounts.location}", token=tokens["other"]).status == 429


def test_what_the_authorizer_refuses_costs_nothing(limited, accounts):
    """A request that doesn't get in is not counted: a stranger can't spend anybody's budget."""
    for _ in range(5):
        assert told(limited.ask("GET", f"/contacts/?locationId={accounts.sister}")) == {}
        assert limited.ask("GET", "/contacts/", token="pit-" + "00000000-0000-0000-0000-000000000000").status == 401
    assert told(limited.ask("GET", f"/contacts/?locationId={accounts.location}")) == headers(2, 6)


def test_the_application_limits(database, clock, desk, accounts, api):
    """The service as a whole counts in its data folder, by the settings that it was given."""
    app = Application(database, Settings(rate_limit=1))
    api.app, api.token = app, desk.token_with("locations.readonly")
    assert api.ask("GET", "/locations/search").headers["x-ratelimit-max"] == "1"
    assert api.ask("GET", "/locations/search").status == 429
    app.close()
