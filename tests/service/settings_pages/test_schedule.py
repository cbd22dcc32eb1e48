"""When an integration is rotated, edited on its page: each rule, faults at their fields, what it does said before."""

import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

import private_integrations
from guests import admitted, invited, pages_over
from management import Management, new_external_id
from pages import Page
from private_integrations.contract import instant_text
from private_integrations.rotation.policy import read_policy
from private_integrations.rotation.schedules import Schedule
from private_integrations_service.settings import Settings
from private_integrations_service.settings_pages.pulumi import policy_line
from private_integrations_service.settings_pages.schedule import Entered
from private_integrations_service.tokens.policy_defaults import POLICY_DEFAULTS
from throwaway import age
from visitors import new_account, new_visitor

LIST = "/settings/private-integrations"
DAY = 86_400
EVERY = {"every_seconds": 90 * DAY}
MONDAYS = {"schedule": "0 3 * * MON#1", "timezone": "Europe/Berlin"}


@pytest.fixture(scope="module")
def account(service):
    """A sub-account of these tests."""
    return new_account(service.url, service.key)


@pytest.fixture(scope="module")
def management(service, account):
    """The management API, for it."""
    return Management(service.url, service.key, account)


@pytest.fixture(scope="module")
def ada(service, account):
    """An admin of it."""
    return new_visitor(service.url, service.key, account)


@pytest.fixture
def crm(management):
    """An integration without a schedule, made on the command line; answers its id."""
    return management.declare(f"cli/{uuid.uuid4().hex}").json()["id"]


def read(management, integration):
    """An integration as it is now."""
    return management.ask("GET", f"/integrations/{integration}").json()


def stored(management, integration):
    """Its policy as a person declares it, or None."""
    policy = read(management, integration)["rotation"]
    return policy and {name: value for name, value in policy.items() if value is not None}


def patch(management, integration, **changes):
    """Change an integration behind a page's back."""
    assert management.ask("PATCH", f"/integrations/{integration}", changes).status_code == 200


def review(ada, integration, **entered):
    """Fill in the form and ask for the review."""
    return ada.press(ada.get(f"{LIST}/{integration}/schedule"), "Review the change", **entered)


def test_every_so_many_days(management, ada, crm):
    """A bare number is days; saved from the review, and the form says it again."""
    page = ada.get(Page(ada.get(f"{LIST}/{crm}").text).link("Edit rotation"))
    assert Page(page.text).form(f"{LIST}/{crm}/schedule/review").fields["rule"] == ["none"]
    answer = ada.press(page, "Review the change", rule="every", every=" 90 ")
    assert "every 90d; the old token works on for 7d" in Page(answer.text).text
    assert stored(management, crm) is None
    answer = ada.press(answer, "Save")
    assert answer.url.endswith(f"{LIST}/{crm}?notice=schedule-edited")
    assert stored(management, crm) == {**EVERY, "enabled": True}
    fields = Page(ada.get(f"{LIST}/{crm}/schedule").text).form(f"{LIST}/{crm}/schedule/review").fields
    assert (fields["rule"], fields["every"], fields["overlap"], fields["early_window"]) == (
        ["every"],
        ["90d"],
        [""],
        [""],
    )


def test_by_the_calendar(management, ada, crm):
    """The review has the rule's next three instants in UTC, as the deployments count them."""
    answer = review(ada, crm, rule="calendar", schedule="0 3 * *  MON#1", timezone="Europe/Berlin")
    tick, schedule, page = datetime.now(UTC), Schedule(*MONDAYS.values()), Page(answer.text)
    for _ in range(3):
        tick = schedule.next_after(tick)
        assert instant_text(tick) in page.text
    ada.press(answer, "Save")
    assert stored(management, crm) == MONDAYS | {"enabled": True}


def test_overlap_early_window_and_pause(management, ada, crm):
    """All that a program can declare; what belongs to a rule that isn't chosen is left out."""
    entered = {"overlap": "2w", "early_window": "2h", "paused": "yes", "schedule": "nonsense", "timezone": "nowhere"}
    answer = review(ada, crm, rule="every", every="1d12h30m", **entered | {"overlap": "12h"})
    assert "every 1d12h30m; the old token works on for 12h, paused" in Page(answer.text).text
    ada.press(answer, "Save")
    assert stored(management, crm) == {
        "every_seconds": int(timedelta(days=1, hours=12, minutes=30).total_seconds()),
        "overlap_seconds": DAY // 2,
        "early_window_seconds": 7200,
        "enabled": False,
    }
    answer = review(ada, crm, rule="none", overlap="2w", paused=[])
    ada.press(answer, "Save")
    assert stored(management, crm) == {"overlap_seconds": 14 * DAY, "enabled": True}
    ada.press(review(ada, crm, overlap=""), "Save")
    assert stored(management, crm) is None


@pytest.mark.parametrize(
    ("field", "entered", "said"),
    [
        ("every", {"rule": "every", "every": "soon"}, 'Every "soon" is not a duration: write one like "90d"'),
        ("every", {"rule": "every", "every": "0"}, "Every must be longer than nothing"),
        ("overlap", {"rule": "every", "every": "7d", "overlap": "7d"}, "Overlap 7d must be shorter than every 7d"),
        ("overlap", {"rule": "none", "overlap": "1 month"}, 'Overlap "1 month" is not a duration'),
        (
            "early_window",
            {"rule": "every", "every": "7d", "early_window": "8d"},
            "Early window 8d must be shorter than every 7d.",
        ),
        ("schedule", {"rule": "calendar", "schedule": "0 3 30 2 *"}, 'Schedule "0 3 30 2 *" never matches.'),
        ("schedule", {"rule": "calendar", "schedule": ""}, "must have five fields: minute hour day month weekday."),
        ("schedule", {"rule": "calendar", "schedule": "0 " * 150}, "Schedule has more than 200 characters."),
        (
            "timezone",
            {"rule": "calendar", "schedule": "0 3 * * *", "timezone": "Europe/New_Berlin"},
            'Timezone "Europe/New_Berlin" is not an IANA name.',
        ),
    ],
)
def test_a_fault_is_said_at_its_field_and_nothing_entered_is_lost(management, ada, crm, field, entered, said):
    """In the words of the preview; the form comes back as it was filled in, and a forged form saves nothing either."""
    answer = review(ada, crm, **entered)
    assert answer.status_code == 422
    page = Page(answer.text)
    assert said in page.ids[f"{field}-fault"]
    fields = page.form(f"{LIST}/{crm}/schedule/review").fields
    assert {name: fields[name] for name in entered} == {name: [value.strip()] for name, value in entered.items()}
    assert ada.post(f"{LIST}/{crm}/schedule", version="1", **entered).status_code == 422
    assert read(management, crm)["version"] == 1


def test_after_a_fault_the_form_says_what_the_calendar_means(ada, crm):
    """A wrong overlap beside a right expression still shows when that fires."""
    answer = review(ada, crm, rule="calendar", schedule="0 3 * * *", timezone="", overlap="30d")
    assert answer.status_code == 422
    assert Page(answer.text).text.count("T03:00Z") >= 3


def test_the_services_minimum_holds_here_too(database, catalogue, accounts, clock, desk):
    """What the management API refuses is refused here, by the same sentence."""
    app = pages_over(database, catalogue, Settings())
    invited(database, clock(), "ada@example.com", **{accounts.location: "admin"})
    guest = admitted(app, database, clock(), "ada@example.com")
    page = f"{LIST}/{desk.integration('contacts.readonly')}/schedule"
    for entered in ({"rule": "every", "every": "30m"}, {"rule": "calendar", "schedule": "*/5 * * * *", "overlap": "0"}):
        answers = (guest.get(f"{page}/review?{urlencode(entered)}"), guest.post(page, version=1, **entered))
        for answer in answers:
            assert answer.status == 422
            said = Page(answer.text).ids["every-fault" if "every" in entered else "schedule-fault"]
            assert said.endswith("below the service's minimum of 1h.")


def test_two_people_edit_at_once(management, ada, crm):
    """Who saves later sees what their choice does to what the other one saved, and overwrites it only knowingly."""
    answer = review(ada, crm, rule="every", every="30")
    patch(management, crm, rotation=EVERY)
    answer = ada.press(answer, "Save")
    assert answer.status_code == 412
    page = Page(answer.text)
    assert "Somebody changed this integration since you opened the page" in page.text
    assert "every 90d; the old token" in page.text
    assert stored(management, crm)["every_seconds"] == 90 * DAY
    ada.press(answer, "Save")
    assert stored(management, crm)["every_seconds"] == 30 * DAY


def test_a_forged_version_is_no_way_around(management, ada, crm):
    """A form without the version that somebody has seen changes nothing."""
    ada.get(f"{LIST}/{crm}/schedule")
    for version in ("", "x", "-1", "9" * 30, "²"):
        answer = ada.post(f"{LIST}/{crm}/schedule", rule="every", every="30d", version=version)
        assert answer.status_code == 422
        assert Page(answer.text).form(f"{LIST}/{crm}/schedule/review").fields["every"] == ["30d"]
    assert ada.post(f"{LIST}/{crm}/schedule", rule="every", every="30d", version="7").status_code == 412
    assert ada.post(f"{LIST}/{crm}/schedule", rule="both", version="1").status_code == 422
    assert read(management, crm)["version"] == 1


def test_the_same_in_other_words_is_no_change(management, ada, crm):
    """Nothing to save, and no new version if it is saved all the same."""
    patch(management, crm, rotation=EVERY)
    answer = review(ada, crm, every="12w6d", overlap="1w", early_window="60m")
    assert "there is nothing to save" in Page(answer.text).text
    ada.post(f"{LIST}/{crm}/schedule", version="2", rule="every", every="90")
    assert read(management, crm)["version"] == 2
    patch(management, crm, rotation={"overlap_seconds": 7 * DAY})
    assert "there is nothing to save" in Page(review(ada, crm).text).text


def test_a_running_overlap_follows_and_the_review_says_so(management, ada, crm):
    """A longer one, then one that is over already: its end is named before, and is what the token then has."""
    patch(management, crm, rotation=EVERY)
    management.issue(crm, 1, overlap_seconds=7 * DAY)
    management.issue(crm, 2, overlap_seconds=7 * DAY, holding=1)
    [old] = [s["fingerprint"] for s in management.state(crm)["tokens"] if s["generation"] == 1]
    page = Page(review(ada, crm, overlap="10d").text)
    assert f"{old} (generation 1), the token in use, works on until 10 days after the first use" in page.text
    assert "it was to be 7 days" in page.text
    fingerprint = next(s["fingerprint"] for s in management.state(crm)["tokens"] if s["generation"] == 2)
    management.ask("POST", f"/integrations/{crm}/generations/2/ack", {"fingerprint": fingerprint})
    answer = review(ada, crm, overlap="10d")
    ends = datetime.fromisoformat(expiry(management, crm)) + timedelta(days=3)
    assert f"{old} (generation 1), an old token, works until" in Page(answer.text).text
    assert instant_text(ends.replace(microsecond=0))[:16] in answer.text
    ada.press(answer, "Save")
    assert datetime.fromisoformat(expiry(management, crm)) == ends
    assert "keeps its end" in Page(review(ada, crm, every="30d", overlap="1d").text).text
    answer = review(ada, crm, overlap="0")
    assert f"{old} (generation 1), an old token, is dead when you save" in Page(answer.text).text
    ada.press(answer, "Save")
    assert {s["generation"]: s["role"] for s in management.state(crm)["tokens"]} == {1: "ended", 2: "current"}


def expiry(management, integration):
    """When its first generation ends."""
    [secret] = [s for s in management.state(integration)["tokens"] if s["generation"] == 1]
    return secret["expires_at"]


def test_due_at_once_is_said_before(service, management, ada, crm):
    """A rule by which the token is old already, or so nearly that the early window begins."""
    management.issue(crm, 1)
    age(service, crm, timedelta(days=30))
    for entered in ({"every": "30d"}, {"every": "31d", "early_window": "2d"}):
        answer = review(ada, crm, rule="every", **entered)
        assert "By this rule it is due at once" in Page(answer.text).text
    for entered in ({"every": "31d"}, {"every": "30d", "paused": "yes"}):
        assert "due at once" not in Page(review(ada, crm, rule="every", **entered).text).text


def test_pulumi_is_told_of_before_an_edit(management, ada):
    """What the next `up` puts back, and the line for the program in its place."""
    crm = management.declare(new_external_id(), rotation=EVERY).json()["id"]
    assert "its next pulumi up puts back" in Page(ada.get(f"{LIST}/{crm}/schedule").text).text
    page = Page(review(ada, crm, rule="calendar", overlap="3", **MONDAYS).text)
    assert 'rotation=pi.Rotation(schedule="0 3 * * MON#1", timezone="Europe/Berlin", overlap="3d")' in page.text
    assert "rotation=None" in Page(review(ada, crm, rule="none").text).text


@pytest.mark.parametrize(
    "declared",
    [
        {"every": "90d"},
        {"every": "1d", "overlap": "0s", "enabled": False},
        {"schedule": "0 3 * * MON#1", "timezone": "Europe/Berlin", "early_window": "1h"},
        {"overlap": "3d"},
        {"enabled": False},
    ],
)
def test_the_form_and_the_line_mean_what_is_stored(declared):
    """A policy is the same after the form has shown it, and as the program's line declares it."""
    policy = read_policy(declared, lambda: POLICY_DEFAULTS)
    assert Entered.read({name: [value] for name, value in Entered.of(policy).fields.items()}).policy() == policy
    line = policy_line(policy).removeprefix("rotation=")
    rotation = eval(line, {"pi": private_integrations})
    assert read_policy(rotation._policy(), lambda: POLICY_DEFAULTS) == policy


def test_a_stored_policy_that_nobody_could_enter_is_shown_all_the_same(management, ada, crm):
    """The management API takes a time a little longer than a duration can be written."""
    patch(management, crm, rotation={"every_seconds": 36_600 * DAY, "overlap_seconds": 0})
    fields = Page(ada.get(f"{LIST}/{crm}/schedule").text).form(f"{LIST}/{crm}/schedule/review").fields
    assert (fields["every"], fields["overlap"], fields["early_window"]) == (["36600d"], ["0s"], [""])
    assert ada.get(f"{LIST}/{crm}/rotate").status_code == 200


def test_without_a_rule_there_is_nothing_to_declare():
    """The line that takes a schedule away."""
    assert policy_line(None) == "rotation=None"


def test_hostile_text_stays_text(ada, crm):
    """Whatever is entered, on the form and in the review."""
    hostile = "</code><img src=x onerror=alert(1)>\"'{{ 7*7 }}"
    for name in ("every", "schedule", "timezone", "overlap", "early_window", "rule", "version"):
        answer = review(ada, crm, **{"rule": "calendar", name: hostile})
        assert answer.status_code in (200, 422)
        assert "<img" not in answer.text, name
