"""Create New Integration: three steps that keep what was entered, and a token that is shown once."""

import re
import shlex
import uuid
from pathlib import Path

import pytest
import requests

from management import Management
from pages import Page
from private_integrations.contract import TOKEN_PATTERN, Account, AccountClass
from private_integrations_service.sandbox import _HANDLERS
from private_integrations_service.settings_pages.first_request import VARIABLE, first_request
from private_integrations_service.settings_pages.scope_choice import AREAS, PRESETS, area_of, offered, searched
from visitors import new_account, new_agency, new_visitor

LIST = "/settings/private-integrations"
NEW = f"{LIST}/new"
GUIDE = (Path(__file__).parents[3] / "docs" / "scopes.md").read_text()


@pytest.fixture(scope="module")
def management(service, account):
    """The management API, for these tests' account."""
    return Management(service.url, service.key, account)


@pytest.fixture
def name():
    """A name that no other integration has."""
    return f"Booking widget {uuid.uuid4()}"


@pytest.fixture
def bookings(ada, name):
    """The last step of an integration that is to manage bookings."""
    answer = ada.press(ada.get(NEW), "Next: scopes", name=name, description="Of the website.\r\nAsk Eve.")
    return ada.press(ada.press(answer, "Bookings"), "Next: token")


def listed(management, name):
    """The integrations of the account that are called so."""
    found = management.ask("GET", "/integrations", params={"account": management.account}).json()["integrations"]
    return [integration for integration in found if integration["name"] == name]


def test_the_token_works_and_the_integration_is_what_was_entered(service, management, ada, bookings, name):
    """Name, description, scopes and who made it; the token opens the first request that the page proposes."""
    page = Page(ada.press(bookings, "Generate Access Token").text)
    token = page.ids["token"]
    assert TOKEN_PATTERN.fullmatch(token)
    assert "It will not be shown again." in page.text
    assert page.ids["env-line"] == f"{VARIABLE}={token}"
    [made] = listed(management, name)
    assert made["description"] == "Of the website.\nAsk Eve."
    assert made["scopes"] == ["calendars.readonly", "calendars/events.readonly", "calendars/events.write"]
    assert re.fullmatch(r"person/[0-9a-f]{12}@example\.com/[0-9a-f]{32}", made["external_id"])
    asked = shlex.split(page.ids["first-request"].replace(f"${VARIABLE}", token))
    assert (asked[0], asked[1], asked[3]) == ("curl", "-H", "-H")
    headers = dict(part.split(": ") for part in (asked[2], asked[4]))
    assert asked[5] == f"{service.url}/calendars/?locationId={management.account}"
    assert requests.get(asked[5], headers=headers, timeout=10).status_code == 200


def test_sending_the_form_again_issues_nothing(management, ada, bookings, name):
    """Reloading the page of the token, or going back and pressing again, makes no second integration and no token."""
    first = ada.press(bookings, "Generate Access Token")
    again = ada.press(bookings, "Generate Access Token")
    assert f"{name} exists already" in Page(again.text).headings
    assert TOKEN_PATTERN.search(first.text)
    assert not TOKEN_PATTERN.search(again.text)
    [made] = listed(management, name)
    assert made["last_generation"] == 1
    assert "exists already" in ada.get(bookings.url.removeprefix(ada.url)).text


def test_the_page_of_the_token_is_kept_nowhere(ada, bookings):
    """It may be stored by nobody, and no address has the token in it."""
    answer = ada.press(bookings, "Generate Access Token")
    token = Page(answer.text).ids["token"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert token not in answer.url
    assert not any(token in value for _, attributes in Page(answer.text).tags for value in attributes.values())


def test_going_back_keeps_what_was_entered(ada, bookings, name):
    """Both ways: by the steps' links and by the button; the choice of scopes stays."""
    page = Page(bookings.text)
    scopes = ada.get(page.link("Scopes"))
    assert len(Page(scopes.text).form(f"{NEW}/scopes").fields["scope"]) == 3
    for basics in (ada.get(page.link("Basic info")), ada.press(scopes, "Back")):
        form = Page(basics.text).form(f"{NEW}/scopes")
        assert form.fields["name"] == [name]
        assert form.fields["description"] == ["Of the website.\nAsk Eve."]
        assert "Next: token" in [
            button.text for button in Page(ada.press(basics, "Next: scopes").text).forms[-1].buttons
        ]
        assert len(form.fields["scope"]) == 3


def test_a_search_keeps_the_choice(ada):
    """By area, scope, path or a request's very path; what is out of sight stays chosen."""
    answer = ada.press(ada.get(NEW), "Next: scopes", name="One")
    answer = ada.press(answer, "Bookings")
    answer = ada.press(answer, "Search", search="zebra")
    assert "No scope and no endpoint has all of" in Page(answer.text).text
    answer = ada.press(answer, "Search", search="GET /contacts/abc123/notes")
    page = Page(answer.text)
    assert "Your choice: 3 scopes" in page.headings
    offers = [attributes for tag, attributes in page.tags if attributes.get("type") == "checkbox"]
    assert [offer["value"] for offer in offers] == ["contacts.readonly"]
    answer = ada.press(answer, "Search", scope=[*page.form(f"{NEW}/scopes").fields["scope"], "contacts.readonly"])
    assert "Your choice: 4 scopes" in Page(answer.text).headings
    answer = ada.get(answer.url.removeprefix(ada.url) + "&drop=calendars.readonly")
    assert "Your choice: 3 scopes" in Page(answer.text).headings


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("trigger links", {"links.readonly", "links.write"}),
        ("locations/tags", {"locations/tags.readonly", "locations/tags.write"}),
        ("delete appointments", {"calendars/events.write"}),
        ("/contacts/upsert", {"contacts.write"}),
        ("https://services.example.com/contacts/abc?x=1", {"contacts.readonly", "contacts.write"}),
        ("put /contacts/abc", {"contacts.write"}),
        ("http://[", set()),
        ("\x00 ﷽", set()),
    ],
)
def test_what_a_search_finds(catalogue, words, found):
    """All words in one endpoint, scope or area; a path with ids is matched as a request is."""
    areas = searched(catalogue, offered(catalogue, AccountClass.SUB_ACCOUNT), words)
    assert {offer.name for area in areas for offer in area.offers} == found


def test_only_what_the_account_may_hold_is_offered(service, catalogue):
    """An agency is offered no scope of sub-accounts alone, nobody one for OAuth apps; chosen before, it is left out."""
    agency = new_agency(service.url, service.key)
    eve = new_visitor(service.url, service.key, agency)
    answer = eve.get(f"{NEW}/scopes?account={agency}&name=x&scope=contacts.readonly&scope=snapshots.readonly")
    page = Page(answer.text)
    names = {attributes["value"] for _, attributes in page.tags if attributes.get("type") == "checkbox"}
    assert names == {name for name in catalogue.scopes if catalogue.refuse_scope(name, AccountClass.AGENCY) is None}
    assert "Left out, because this kind of account can't have it: contacts.readonly." in page.text
    assert page.form(f"{NEW}/scopes").fields["scope"] == ["snapshots.readonly"]
    refused = eve.post(f"{NEW}/token", account=agency, name="x", mark="0" * 32, scope=["contacts.readonly"])
    assert refused.status_code == 422
    assert "scope contacts.readonly is for sub-accounts only" in Page(refused.text).text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("name=", "A name is needed."),
        ("name=%20%20", "A name is needed."),
        (f"name={'n' * 101}", "A name has at most 100 characters."),
        ("name=a%00b", "A name must not contain control characters."),
        (f"name=x&description={'d' * 1001}", "A description has at most 1000 characters."),
        ("name=x&account=nowhere", "Choose one of the accounts."),
    ],
)
def test_a_fault_is_said_at_its_field(ada, account, query, said):
    """The step with the field comes back with what was entered and what is wrong with it."""
    given = query if "account=" in query else f"account={account}&{query}"
    answer = ada.get(f"{NEW}/token?{given}&scope=contacts.readonly")
    assert answer.status_code == 422
    page = Page(answer.text)
    assert said in page.text
    assert page.form(f"{NEW}/scopes").fields["scope"] == ["contacts.readonly"]


def test_without_a_scope_there_is_no_third_step(ada, account):
    """The second one comes back and says so."""
    answer = ada.get(f"{NEW}/token?account={account}&name=x")
    assert answer.status_code == 422
    assert "Choose at least one scope." in Page(answer.text).text


@pytest.mark.parametrize("scope", ["nonsense", "", "contacts.readonly\x00", "x" * 1000, "<script>"])
def test_an_unknown_scope_is_a_sentence(ada, account, scope):
    """Nothing is made of it, and nothing breaks."""
    fields = {"account": account, "name": "x", "mark": "a" * 32, "scope": [scope, "contacts.readonly"]}
    answer = ada.post(f"{NEW}/token", **fields)
    assert answer.status_code == 422
    assert "<script>" not in answer.text


def test_hostile_text_stays_text(ada, management):
    """In every step, in hidden fields and on the page of the token."""
    hostile = "\"><img src=x onerror=alert(1)>'{{ 7*7 }}"
    answer = ada.press(ada.get(NEW), "Next: scopes", name=hostile, description=hostile)
    answer = ada.press(answer, "Search", search=hostile)
    assert "<img" not in answer.text
    answer = ada.press(ada.press(answer, "Bookings"), "Next: token")
    assert "<img" not in answer.text
    answer = ada.press(answer, "Generate Access Token")
    assert "<img" not in answer.text
    assert len(listed(management, hostile)) == 1


def test_of_another_account_nothing_is_made(service, ada):
    """An account that the visitor doesn't manage can't be chosen, by whatever form."""
    other = new_account(service.url, service.key)
    fields = {"account": other, "name": "x", "mark": "b" * 32, "scope": ["contacts.readonly"]}
    assert ada.post(f"{NEW}/token", **fields).status_code == 422
    assert listed(Management(service.url, service.key, other), "x") == []


def test_the_sets_are_those_of_the_guide(catalogue):
    """Each preset has the name, the kind of account and the scopes that docs/scopes.md gives for the job."""
    jobs = re.findall(r"^### ([^\n]+) \((agency|sub-account)\)\n(.*?)(?=^### |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    told = {
        (title, kind.replace("-", "_"), tuple(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)))
        for title, kind, text in jobs
    }
    assert told == {(preset.title, preset.account_kind, preset.scopes) for preset in PRESETS}


def test_every_scope_has_an_area_in_the_platforms_words(catalogue):
    """A scope that a newer catalogue brings is not shown under its bare prefix."""
    for scope in catalogue.scopes:
        assert area_of(scope) in AREAS.values(), scope


@pytest.mark.parametrize("kind", ["agency", "sub_account"])
def test_the_first_request_is_one_that_the_scope_opens(catalogue, kind):
    """For every scope that opens a plain reading request, and with a Version that the endpoint has."""
    account = Account(id="acc0unt", name="x", kind=kind, agency_id=None if kind == "agency" else "agency")
    proposed = 0
    for scope in catalogue.scopes:
        line = first_request(catalogue, account, [scope], "https://tokens.example.com")
        if line is None:
            continue
        proposed += 1
        _, _, bearer, _, version, url = shlex.split(line)
        assert bearer == f"Authorization: Bearer ${VARIABLE}"
        match = catalogue.match("GET", url.removeprefix("https://tokens.example.com").partition("?")[0])
        assert match.endpoint.scope == scope
        assert kind in match.endpoint.account_kinds
        assert version.removeprefix("Version: ") in (*match.endpoint.versions, "2021-07-28")
        assert "acc0unt" in url
    assert proposed > (10 if kind == "agency" else 50)


@pytest.mark.parametrize("kind", ["agency", "location"])
def test_the_first_request_is_answered(api, desk, accounts, catalogue, kind):
    """Wherever the sandbox has the operation, what the page proposes succeeds as it is."""
    of_agency = kind == "agency"
    account = Account(
        id=getattr(accounts, kind),
        name="x",
        kind="agency" if of_agency else "sub_account",
        agency_id=None if of_agency else accounts.agency,
    )
    answered = set()
    for scope in catalogue.scopes:
        line = first_request(catalogue, account, [scope], "https://tokens.example.com")
        if line is None:
            continue
        _, _, _, _, version, url = shlex.split(line)
        target = url.removeprefix("https://tokens.example.com")
        match = catalogue.match("GET", target.partition("?")[0])
        if ("GET", match.endpoint.path) in _HANDLERS:
            token = desk.token_with(scope, account=account.id)
            answer = api.ask("GET", target, token=token, version=version.removeprefix("Version: "))
            assert answer.status == 200, (scope, answer)
            answered.add(match.endpoint.path)
    expected = {"/users/search"} if of_agency else {"/contacts/", "/opportunities/search", "/users/", "/calendars/"}
    assert expected <= answered


def test_scopes_that_only_write_have_no_first_request(catalogue):
    """Nothing is proposed that would change something."""
    account = Account(id="a", name="x", kind="sub_account", agency_id="b")
    assert first_request(catalogue, account, ["contacts.write"], "https://x") is None
