"""Rotation on the pages: both ways of it, the ways back, and a lost or leaked token to its good end."""

import re
import time
import uuid
from datetime import timedelta

import pytest
import requests

import private_integrations
from management import Management, roles
from pages import Page
from private_integrations.contract import TOKEN_PATTERN
from private_integrations.rotation.policy import read_policy
from private_integrations_service.settings_pages.pulumi import rotation_line
from private_integrations_service.tokens.policy_defaults import POLICY_DEFAULTS
from throwaway import age
from visitors import new_account, new_visitor

LIST = "/settings/private-integrations"
MARK = "0123456789abcdef" * 2
EVERY = {"every_seconds": 30 * 86_400}


@pytest.fixture(scope="module")
def management(service, account):
    """The management API, for these tests' account."""
    return Management(service.url, service.key, account)


class Consumer:
    """An integration of a person, and the tokens that its page has shown."""

    def __init__(self, management, ada, **declared):
        self.management, self.ada = management, ada
        external_id = declared.pop("external_id", None) or f"cli/{uuid.uuid4().hex}"
        self.id = management.declare(external_id, **declared).json()["id"]
        self.path = f"{LIST}/{self.id}"
        self.tokens = {}

    def token(self, generation=1, **changes):
        """Issue a generation by the management API, as a deployment or the command line does."""
        answer = self.management.issue(self.id, generation, overlap_seconds=7 * 86_400, **changes)
        self.tokens[generation] = answer.json()["token"]
        return self

    def use(self, generation):
        """Use a token as a program does; answers the status."""
        headers = {"Authorization": f"Bearer {self.tokens[generation]}", "Version": "2021-07-28"}
        target = f"{self.management.url}/contacts/?locationId={self.management.account}"
        return requests.get(target, headers=headers, timeout=10).status_code

    def open(self, page=""):
        """Open one of its pages."""
        return self.ada.get(self.path + page)

    def rotate(self, page, button):
        """Press a button that rotates, and keep the token that is shown."""
        answer = self.ada.press(self.open(page), button)
        shown = Page(answer.text).ids["token"]
        assert TOKEN_PATTERN.fullmatch(shown)
        self.tokens[len(self.tokens) + 1] = shown
        return answer

    @property
    def roles(self):
        """The role of each generation."""
        return roles(self.management.state(self.id))


@pytest.fixture
def consumer(management, ada):
    """An integration whose first token is in use."""
    made = Consumer(management, ada).token()
    assert made.use(1) == 200
    return made


def test_rotate_later(consumer):
    """Both tokens work; the old one gets its end when the new one is used, seven days later."""
    page = Page(consumer.open("/rotate").text)
    assert "works on until 7 days after the first use of the new one" in page.text
    answer = consumer.rotate("/rotate", "Rotate and expire later")
    assert "The old token works on until 7 days after the first use of this one." in Page(answer.text).text
    assert "A new token waits for its first use" in Page(consumer.open().text).headings
    assert (consumer.use(1), consumer.use(2)) == (200, 200)
    page = Page(consumer.open().text)
    assert "The old token still works" in page.headings
    assert re.search(r"works until [^.]+ \(in 7 days\)", page.text)


def test_rotate_now(consumer):
    """Every older token is dead when the page is shown."""
    assert "the token in use, is dead at this moment" in Page(consumer.open("/rotate").text).text
    consumer.rotate("/rotate", "Rotate and expire now")
    assert (consumer.use(1), consumer.use(2)) == (401, 200)


def test_sending_the_form_again_issues_nothing(consumer):
    """Neither while the new token waits nor when it is in use; a page is never a second token."""
    page = consumer.open("/rotate")
    assert TOKEN_PATTERN.search(consumer.ada.press(page, "Rotate and expire later").text)
    waiting = consumer.ada.press(page, "Rotate and expire later")
    consumer.ada.press(consumer.open("/stored"), "I have stored it")
    in_use = consumer.ada.press(page, "Rotate and expire later")
    for again in (waiting, in_use):
        assert not TOKEN_PATTERN.search(again.text)
        assert "This form has rotated already" in Page(again.text).headings
    assert set(consumer.roles) == {1, 2}


def test_somebody_else_was_faster(consumer):
    """Who looked at the page before another rotation gets to see that one, and decides anew."""
    page = consumer.open("/rotate")
    consumer.token(2, issuer="other")
    answer = consumer.ada.press(page, "Rotate and expire now")
    assert answer.status_code == 409
    said = Page(answer.text)
    assert "Somebody rotated this integration since you opened the page" in said.text
    assert "which other had issued and nobody has used, is dead at once" in said.text
    assert (consumer.use(1), consumer.use(2)) == (200, 200)
    page = consumer.open("/leaked")
    consumer.token(3, issuer="other")
    answer = consumer.ada.press(page, "Rotate and expire now")
    assert (answer.status_code, Page(answer.text).form(f"{consumer.path}/rotate").fields["because"]) == (
        409,
        ["leaked"],
    )
    assert consumer.use(1) == 200
    assert TOKEN_PATTERN.search(consumer.ada.press(answer, "Rotate and expire now").text)
    assert (consumer.use(1), consumer.use(2), consumer.use(3)) == (401, 401, 401)


def test_an_unused_token_gives_way(consumer):
    """A new token that nobody has used is named on the page, and ends."""
    consumer.token(2)
    consumer.rotate("/rotate", "Rotate and expire later")
    assert (consumer.use(2), consumer.use(1), consumer.use(3)) == (401, 200, 200)


def test_too_many_live_tokens_is_a_sentence(consumer):
    """A rotation that would leave more than three old tokens is refused with what to do."""
    for generation in (2, 3, 4):
        consumer.token(generation)
        assert consumer.use(generation) == 200
    answer = consumer.ada.press(consumer.open("/rotate"), "Rotate and expire later")
    assert answer.status_code == 409
    assert "expire one or wait" in Page(answer.text).text
    assert set(consumer.roles) == {1, 2, 3, 4}


def test_cancel_while_the_new_token_waits(consumer):
    """The new token is dead, the old one has no end."""
    consumer.rotate("/rotate", "Rotate and expire later")
    page = Page(consumer.open("/cancel").text)
    assert "is dead at once: programs that have it already are refused" in page.text
    answer = consumer.ada.press(consumer.open("/cancel"), "Cancel rotation")
    assert answer.url.endswith(f"{consumer.path}?notice=cancelled")
    assert (consumer.use(2), consumer.use(1)) == (401, 200)
    assert consumer.roles == {1: "current", 2: "ended"}


def test_cancelling_twice_changes_nothing(consumer):
    """The second time there is no rotation any more, and the page says so."""
    consumer.rotate("/rotate", "Rotate and expire later")
    consumer.use(2)
    page = consumer.open("/cancel")
    assert re.search(r"The token from before, \w+ \(generation 1\), is the one in use again", Page(page.text).text)
    consumer.ada.press(page, "Cancel rotation")
    answer = consumer.ada.press(page, "Cancel rotation")
    assert answer.status_code == 200
    assert consumer.roles == {1: "current", 2: "ended"}
    assert "There is no rotation under way any more." in Page(consumer.open("/cancel").text).text


@pytest.mark.parametrize("question", ["/cancel", "/delete", "/rotate"])
def test_who_is_cut_off_is_named(consumer, question):
    """Before a token dies, its page names the programs that have used it in the last day."""
    consumer.rotate("/rotate", "Rotate and expire later")
    assert consumer.use(2) == 200
    expected = {""} if question == "/cancel" else {" with generation 1", " with generation 2"}
    deadline = time.monotonic() + 20
    # The service stores counts of requests a moment later.
    while named(consumer.open(question)) != expected:
        assert time.monotonic() < deadline, named(consumer.open(question))


def named(answer):
    """Return which programs a page names, by the words behind their names."""
    _, _, programs = Page(answer.text).text.partition("Used in the last 24 hours by:")
    return set(re.findall(r"python-requests/[0-9.]+( with generation \d)?", programs))


def test_a_cancellation_that_comes_too_late_says_so(consumer):
    """Another rotation has happened meanwhile: nothing changes."""
    consumer.rotate("/rotate", "Rotate and expire later")
    consumer.use(2)
    page = consumer.open("/cancel")
    consumer.token(3)
    consumer.use(3)
    answer = consumer.ada.press(page, "Cancel rotation")
    assert answer.status_code == 409
    assert "Nothing was done: generation 2 was superseded by a newer one" in Page(answer.text).text
    assert consumer.use(2) == 200


def test_a_schedule_is_held_after_a_cancellation(management, ada):
    """The page says until when, and the list shows it afterwards."""
    consumer = Consumer(management, ada, rotation=EVERY).token()
    consumer.use(1)
    consumer.rotate("/rotate", "Rotate and expire later")
    said = Page(consumer.open("/cancel").text).text
    assert re.search(r"The rotation that the rule asks for waits until [^.]+ \(in 7 days\)\.", said)
    answer = consumer.ada.press(consumer.open("/cancel"), "Cancel rotation")
    assert "held until" in Page(answer.text).text


def test_i_have_stored_it(consumer):
    """It counts as the first use: the old token's seven days begin."""
    answer = consumer.rotate("/rotate", "Rotate and expire later")
    answer = consumer.ada.press(answer, "I have stored the new token")
    page = Page(answer.text)
    assert "Done" in page.headings
    assert "is the token in use." in page.text
    assert re.search(r"works until [^.]+ \(in 7 days\) and then ends by itself\.", page.text)
    assert consumer.roles == {1: "previous", 2: "current"}


def test_a_wrong_fingerprint_stores_nothing(consumer):
    """A form that names another token than the one that waits is refused with a sentence."""
    consumer.rotate("/rotate", "Rotate and expire later")
    consumer.open("/stored")
    answer = consumer.ada.post(consumer.path + "/stored", generation=2, fingerprint="0" * 12)
    assert answer.status_code == 409
    assert "has no token with the fingerprint" in Page(answer.text).text
    assert consumer.roles == {1: "current", 2: "pending"}


def test_expire_the_old_one(consumer):
    """Only the tokens that the page has named end."""
    consumer.rotate("/rotate", "Rotate and expire later")
    assert "if no program has it, nothing works from this moment on" in Page(consumer.open("/expire").text).text
    consumer.use(2)
    page = consumer.open("/expire")
    assert "nothing works" not in Page(page.text).text
    answer = consumer.ada.press(page, "Expire now")
    assert answer.url.endswith(f"{consumer.path}?notice=expired")
    assert (consumer.use(1), consumer.use(2)) == (401, 200)
    assert "The token in use" not in Page(consumer.open().text).text


def test_a_lost_token_ends_well(consumer):
    """A new token, nothing stops, and a page that says what remains."""
    page = consumer.open("/lost")
    assert "nothing stops" in Page(page.text).text
    answer = consumer.rotate("/lost", "Get a new token")
    assert (consumer.use(1),) == (200,)
    done = Page(consumer.ada.get(Page(answer.text).link("I will do it later")).text)
    assert "works and waits for its first use." in done.text
    assert "Store the new token where your program reads it" in done.text
    consumer.use(2)
    done = Page(consumer.open("/rotated?because=lost").text)
    assert "Make sure that every program has the new token by then" in done.text
    consumer.ada.press(consumer.open("/expire"), "Expire now")
    assert "No other token works." in Page(consumer.open("/rotated?because=lost").text).text


def test_a_leaked_token_ends_well(consumer, account):
    """The leaked one is dead at once, and the page says what remains to be done."""
    page = Page(consumer.open("/leaked").text)
    assert "whoever has it can do what its 1 scope opens" in page.text
    answer = consumer.rotate("/leaked", "Rotate and expire now")
    assert consumer.use(1) == 401
    assert "Every older token is dead" in Page(answer.text).text
    done = Page(consumer.ada.press(answer, "I have stored the new token").text)
    assert "No other token works." in done.text
    assert "Take the leaked token out of the place where it was found" in done.text
    assert done.link("the audit log") == f"/settings/accounts/{account}/audit"
    assert consumer.use(2) == 200


def test_an_ended_token_says_why_and_is_brought_back(service, consumer):
    """The page of an integration without a token that works says what ended the last one; a rotation helps."""
    consumer.management.ask("POST", f"/integrations/{consumer.id}/expire", {"generations": [1]})
    page = Page(consumer.open().text)
    assert "No token works." in page.text
    assert "expired on request" in page.text
    consumer.rotate("/rotate", "Rotate and expire later")
    assert consumer.use(2) == 200


def test_a_deadline_that_has_passed(service, consumer):
    """After the overlap the strip is gone and the old token says that its overlap ended."""
    consumer.rotate("/rotate", "Rotate and expire later")
    consumer.use(2)
    age(service, consumer.id, timedelta(days=8))
    page = Page(consumer.open().text)
    assert "The old token still works" not in page.headings
    assert consumer.use(1) == 401
    assert "There is no rotation under way any more." in Page(consumer.open("/expire").text).text


def test_pulumi_is_told_of_beforehand(management, ada):
    """Rotation and both guided ways say what the next `up` does, and give the line for the program."""
    consumer = Consumer(management, ada, external_id=f"acme/crm/{uuid.uuid4().hex}/sync", rotation=EVERY).token()
    consumer.use(1)
    for page, line in (
        ("/rotate", r'rotation=pi\.Rotation\(every="30d", trigger="[0-9-]{10}"\)'),
        ("/lost", r'rotation=pi\.Rotation\(every="30d", trigger="[0-9-]{10}: token lost"\)'),
        ("/leaked", r'rotation=pi\.Rotation\(every="30d", overlap="0s", trigger="[0-9-]{10}: token leaked"\)'),
    ):
        text = Page(consumer.open(page).text).text
        assert "the next pulumi up rotates again" in text
        assert re.search(line, text)
    consumer.rotate("/rotate", "Rotate and expire later")
    assert "puts the old one back into its state" in Page(consumer.open("/cancel").text).text
    assert "doesn't know this token" in Page(consumer.open("/rotated").text).text


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("/rotate", {"how": "later"}),
        ("/rotate", {"how": "never", "generation": "2", "mark": MARK}),
        ("/rotate", {"how": "now", "generation": "2", "mark": "x" * 32}),
        ("/rotate", {"how": "now", "generation": "9" * 40, "mark": MARK}),
        ("/rotate", {"how": "now", "generation": "²", "mark": MARK}),
        ("/stored", {"generation": "1", "fingerprint": "\x00"}),
        ("/stored", {"generation": "-1"}),
        ("/cancel", {"generation": "0"}),
        ("/cancel", {}),
        ("/cancel", {"generation": "77"}),
        ("/expire", {}),
        ("/expire", {"generation": ["1", "x"]}),
        ("/expire", {"generation": ["99"]}),
    ],
)
def test_a_form_that_no_page_has_changes_nothing(management, ada, page, fields):
    """It is answered with a page, never with an error, and the tokens stay what they are."""
    consumer = Consumer(management, ada).token()
    consumer.use(1)
    consumer.token(2)
    before = consumer.roles
    consumer.open(page)
    answer = ada.post(consumer.path + page, **fields)
    assert answer.status_code in (409, 422)
    assert not TOKEN_PATTERN.search(answer.text)
    assert consumer.roles == before


def test_another_persons_integration_is_not_there(service, management, ada):
    """Each page and each form of it is the page of what doesn't exist."""
    mallory = new_visitor(service.url, service.key, new_account(service.url, service.key))
    consumer = Consumer(management, ada).token()
    consumer.use(1)
    mallory.get(LIST)
    pages = (
        "",
        "/rotate",
        "/lost",
        "/leaked",
        "/rotated",
        "/stored",
        "/cancel",
        "/expire",
        "/edit",
        "/scopes",
        "/delete",
    )
    for page in (*pages, "/scopes/review"):
        assert mallory.get(consumer.path + page).status_code == 404, page
    forms = {
        "/rotate": {"how": "now", "generation": "2", "mark": MARK},
        "/stored": {"generation": "1", "fingerprint": "0" * 12},
        "/cancel": {"generation": "1"},
        "/expire": {"generation": "1"},
        "/edit": {"name": "Mine", "version": "1"},
        "/scopes": {"scope": "contacts.write", "version": "1"},
        "/delete": {"name": "CRM sync"},
    }
    for page, fields in forms.items():
        assert mallory.post(consumer.path + page, **fields).status_code == 404, page
    assert consumer.use(1) == 200
    assert consumer.roles == {1: "current"}


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"every": "90d"},
        {"every": "12h", "overlap": "1h", "early_window": "30m"},
        {"schedule": "0 3 * * MON#1", "timezone": "Europe/Berlin"},
        {"schedule": "0 3 1 * *", "overlap": "1d", "early_window": "2h", "enabled": False},
        {"overlap": "3d"},
    ],
)
def test_the_line_for_the_program_changes_nothing_but_the_trigger(declared):
    """Whoever takes it over gets one rotation, and the policy that they had."""
    policy = read_policy(declared, lambda: POLICY_DEFAULTS)
    rotation = eval(rotation_line(policy, 'a "leak"').removeprefix("rotation="), {"pi": private_integrations})
    assert rotation.trigger == 'a "leak"'
    assert read_policy(rotation._policy(), lambda: POLICY_DEFAULTS) == policy
    at_once = eval(rotation_line(policy, "x", timedelta(0)).removeprefix("rotation="), {"pi": private_integrations})
    assert read_policy(at_once._policy(), lambda: POLICY_DEFAULTS) == policy.model_copy(update={"overlap_seconds": 0})
