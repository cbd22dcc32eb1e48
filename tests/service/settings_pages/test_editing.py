"""Edit and delete on the pages: no token changes, nobody is overwritten unseen, and Pulumi is told of beforehand."""

import uuid

import pytest
import requests

from management import Management, new_external_id
from pages import Page

LIST = "/settings/private-integrations"


@pytest.fixture(scope="module")
def management(service, account):
    """The management API, for these tests' account."""
    return Management(service.url, service.key, account)


@pytest.fixture
def crm(management):
    """An integration that reads contacts, made on the command line; answers its id."""
    made = management.declare(f"cli/{uuid.uuid4().hex}", name="CRM sync", description="Nightly.")
    return made.json()["id"]


def read(management, integration):
    """An integration as it is now."""
    return management.ask("GET", f"/integrations/{integration}").json()


def patch(management, integration, **changes):
    """Change an integration behind a page's back."""
    assert management.ask("PATCH", f"/integrations/{integration}", changes).status_code == 200


def test_name_and_description(management, ada, crm):
    """They are saved as entered, and nothing else changes."""
    before = read(management, crm)
    answer = ada.press(ada.get(f"{LIST}/{crm}/edit"), "Save", name=" New name ", description="Two\r\nlines")
    assert answer.url.endswith(f"{LIST}/{crm}?notice=edited")
    after = read(management, crm)
    assert (after["name"], after["description"]) == ("New name", "Two\nlines")
    assert (after["scopes"], after["version"]) == (before["scopes"], before["version"] + 1)


@pytest.mark.parametrize(
    ("name", "description", "said"),
    [
        ("", "kept", "A name is needed."),
        ("n" * 101, "kept", "A name has at most 100 characters."),
        ("x", "d" * 1001, "A description has at most 1000 characters."),
        ("x", "a\x07b", "A description must not contain control characters."),
    ],
)
def test_a_fault_is_said_and_nothing_entered_is_lost(management, ada, crm, name, description, said):
    """The form comes back as it was filled in."""
    answer = ada.press(ada.get(f"{LIST}/{crm}/edit"), "Save", name=name, description=description)
    assert answer.status_code == 422
    page = Page(answer.text)
    assert said in page.text
    form = page.form(f"{LIST}/{crm}/edit")
    assert (form.fields["name"], form.fields["description"]) == ([name], [description])
    assert read(management, crm)["version"] == 1


def test_two_people_edit_at_once(management, ada, crm):
    """Who saves later sees what the other one saved beside their own, and overwrites it only knowingly."""
    page = ada.get(f"{LIST}/{crm}/edit")
    patch(management, crm, name="Theirs", scopes=["contacts.write"])
    answer = ada.press(page, "Save", name="Mine")
    assert answer.status_code == 412
    said = Page(answer.text)
    assert "Somebody changed this integration since you opened the page" in said.text
    assert "Theirs" in said.text
    assert said.form(f"{LIST}/{crm}/edit").fields["name"] == ["Mine"]
    assert read(management, crm)["name"] == "Theirs"
    ada.press(answer, "Save")
    assert (read(management, crm)["name"], read(management, crm)["scopes"]) == ("Mine", ["contacts.write"])


def test_a_forged_version_is_no_way_around(management, ada, crm):
    """A form without the version that somebody has seen changes nothing."""
    ada.get(f"{LIST}/{crm}/edit")
    for version in ("", "x", "-1", "9" * 30, "²"):
        assert ada.post(f"{LIST}/{crm}/edit", name="Mine", description="", version=version).status_code == 422
        assert ada.post(f"{LIST}/{crm}/scopes", scope="contacts.write", version=version).status_code == 422
    assert ada.post(f"{LIST}/{crm}/edit", name="Mine", description="", version="7").status_code == 412
    assert read(management, crm)["version"] == 1


def test_scopes_hold_for_the_same_token_at_once(service, management, ada, crm):
    """The review says what is added and taken and for which tokens; then the token that exists opens it."""
    token = management.issue(crm, 1).json()
    target = f"{service.url}/locations/{management.account}/tags"
    headers = {"Authorization": f"Bearer {token['token']}", "Version": "2021-07-28"}
    assert requests.get(target, headers=headers, timeout=10).status_code == 401
    answer = ada.press(ada.get(f"{LIST}/{crm}/scopes"), "Search", search="tags")
    fields = Page(answer.text).form(f"{LIST}/{crm}/scopes").fields
    assert fields["scope"] == ["contacts.readonly"]
    answer = ada.press(answer, "Review the change", scope=["locations/tags.readonly"])
    page = Page(answer.text)
    assert {"Added", "Taken away"} <= set(page.headings)
    assert f"This holds at once for every token that works: {token['fingerprint']} (generation 1)" in page.text
    assert requests.get(target, headers=headers, timeout=10).status_code == 401
    ada.press(answer, "Save the scopes")
    assert requests.get(target, headers=headers, timeout=10).status_code == 200
    assert read(management, crm)["scopes"] == ["locations/tags.readonly"]
    assert read(management, crm)["last_generation"] == 1


def test_a_review_of_nothing_saves_nothing(ada, crm):
    """The same choice is no change, and no choice at all is none either."""
    answer = ada.press(ada.get(f"{LIST}/{crm}/scopes"), "Review the change")
    assert "there is nothing to save" in Page(answer.text).text
    answer = ada.get(f"{LIST}/{crm}/scopes/review?version=1")
    assert answer.status_code == 422
    assert "Choose at least one scope." in Page(answer.text).text


def test_scopes_that_somebody_else_changed(management, ada, crm):
    """The change is shown anew against what they are now."""
    answer = ada.press(ada.get(f"{LIST}/{crm}/scopes"), "Review the change", scope=["forms.readonly"])
    patch(management, crm, scopes=["forms.readonly", "users.readonly"])
    answer = ada.press(answer, "Save the scopes")
    assert answer.status_code == 412
    page = Page(answer.text)
    assert "Somebody changed this integration since you opened the page" in page.text
    assert "Added" not in page.headings
    assert "users.readonly" in page.text
    assert read(management, crm)["scopes"] == ["forms.readonly", "users.readonly"]
    ada.press(answer, "Save the scopes")
    assert read(management, crm)["scopes"] == ["forms.readonly"]


def test_pulumi_is_told_of_before_an_edit(management, ada):
    """What the next `up` puts back, and the line for the program in its place, with every character as it is."""
    crm = management.declare(new_external_id(), name='A "name"', description="").json()["id"]
    assert "its next pulumi up puts back" in Page(ada.get(f"{LIST}/{crm}").text).text
    page = Page(ada.get(f"{LIST}/{crm}/edit").text)
    assert 'name="A \\"name\\"", description=""' in page.text
    review = Page(ada.press(ada.get(f"{LIST}/{crm}/scopes"), "Review the change", scope=["forms.readonly"]).text)
    assert "puts back the scopes of its program" in review.text
    assert 'scopes=["forms.readonly"]' in review.text
    assert "its next preview fails until pulumi refresh" in Page(ada.get(f"{LIST}/{crm}/delete").text).text


def test_deleting_asks_for_the_name(service, management, ada, crm):
    """Anything else deletes nothing; afterwards the token is dead and the page is gone."""
    token = management.issue(crm, 1).json()["token"]
    page = ada.get(f"{LIST}/{crm}/delete")
    assert "is dead at this moment" in Page(page.text).text
    for wrong in ("", "crm sync", "CRM", crm):
        answer = ada.press(page, "Delete", name=wrong)
        assert answer.status_code == 422
        assert Page(answer.text).form(f"{LIST}/{crm}/delete").fields["name"] == [wrong]
    answer = ada.press(page, "Delete", name=" CRM sync ")
    assert answer.url.endswith(f"{LIST}?notice=deleted")
    headers = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
    target = f"{service.url}/contacts/?locationId={management.account}"
    assert requests.get(target, headers=headers, timeout=10).status_code == 401
    assert ada.get(f"{LIST}/{crm}").status_code == 404
    assert ada.press(page, "Delete", name="CRM sync").status_code == 404


def test_hostile_text_stays_text(management, ada):
    """On every page of an integration."""
    hostile = "</code><img src=x onerror=alert(1)>\"'{{ 7*7 }}"
    crm = management.declare("o/<b>/s/<i>n", name=hostile, description=hostile).json()["id"]
    management.issue(crm, 1, issuer="<u>somebody")
    management.issue(crm, 2, issuer="<u>somebody", holding=1)
    for page in (
        "",
        "/edit",
        "/scopes",
        "/rotate",
        "/lost",
        "/leaked",
        "/stored",
        "/cancel",
        "/expire",
        "/delete",
        "/rotated",
    ):
        answer = ada.get(f"{LIST}/{crm}{page}")
        assert answer.status_code == 200
        assert hostile in Page(answer.text).text, page
        assert not any(tag in answer.text for tag in ("<img", "<b>", "<i>", "<u>")), page


@pytest.mark.parametrize("path", ["%00", "..%2Fnew", "int_x' OR 1=1", "new/nothing", "int_1/nothing", "é"])
def test_no_address_breaks_anything(ada, path):
    """What isn't there is said not to be."""
    assert ada.get(f"{LIST}/{path}").status_code == 404
