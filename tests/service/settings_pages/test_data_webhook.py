"""The data webhook of an integration on its page: what it is told of, where that is sent, and why it can't be."""

import re

import pytest

from guests import admitted, invited, pages_over
from pages import Page
from private_integrations.contract import IntegrationEdit, new_sealing_key
from private_integrations_service.access.actors import Actor
from private_integrations_service.operations import data_webhooks, integrations
from private_integrations_service.operations.data_events import app_id, version_id
from private_integrations_service.sealing import Sealer
from private_integrations_service.settings import Settings
from private_integrations_service.storage import webhooks

LIST = "/settings/private-integrations"
URL = "https://receiver.example/crm"
SEALER = Sealer([new_sealing_key()])


@pytest.fixture
def visiting(database, catalogue, accounts, clock):
    """Let an admin of the account in, at a service that is set as given."""

    def visit(account=accounts.location, settings=None):
        app = pages_over(database, catalogue, settings or Settings(sealer=SEALER))
        email = f"{account}@example.com"
        invited(database, clock(), email, **{account: "admin"})
        return admitted(app, database, clock(), email)

    return visit


@pytest.fixture
def described(database):
    """What the management API says of an integration's data webhook."""

    def describing(integration):
        return data_webhooks.described(database, integration, actor=Actor("test"))

    return describing


def test_made_once_and_then_shown(database, desk, accounts, visiting, described):
    """The events that its scopes allow, the ids and the key that a receiver needs, and the way to the log."""
    ada, crm = visiting(), desk.integration("contacts.readonly", "locations.readonly")
    page = f"{LIST}/{crm}/data-webhook"
    assert page == Page(ada.get(f"{LIST}/{crm}").text).link("Events of the data that it reads")
    before = Page(ada.get(page).text)
    assert all(said in before.text for said in ("ContactCreate", "NoteDelete", app_id(crm), version_id(crm)))
    assert "LocationCreate" not in before.text
    assert "as soon as there is a data webhook" in before.text
    form = before.form(page).fields | {"url": URL, "which": "some", "event": ["ContactCreate", "ContactDelete"]}
    assert ada.post(page, **form).location == f"{page}?notice=data-webhook-made"
    made = described(crm)
    assert (made.url, made.events) == (URL, ["ContactCreate", "ContactDelete"])
    after = Page(ada.get(page).text)
    assert after.ids["public-key"] == made.public_key
    assert "ContactUpdate" not in after.text
    log = after.link("Log, edit, delete")
    assert log == f"/settings/accounts/{accounts.location}/webhooks/{made.webhook}"
    assert ada.get(log).status == 200
    # The same form once more, as a person who is in doubt sends it.
    assert ada.post(page, **form | {"event": "ContactCreate"}).status == 303
    assert described(crm) == made
    with database.read() as connection:
        assert len(webhooks.all_endpoints(connection, kind="data")) == 1
    rows = Page(ada.get(f"/settings/accounts/{accounts.location}/audit").text).rows
    [entry] = [row for row in rows if any("set data webhook" in cell for cell in row)]
    assert any(f"{accounts.location}@example.com".lower() in cell for cell in entry)


def test_what_is_wrong_is_said_and_nothing_entered_is_lost(desk, visiting, described):
    """An address that may not be sent to, none at all, and no event."""
    ada, crm = visiting(), desk.integration("contacts.readonly")
    page = f"{LIST}/{crm}/data-webhook"
    for said, entered in (
        ("https", {"url": "http://receiver.example/crm"}),
        ("Url: ", {"url": ""}),
        ("Choose at least one event", {"url": URL, "which": "some"}),
        ("There is no event Nonsense", {"url": URL, "which": "some", "event": "Nonsense"}),
    ):
        answer = ada.post(page, description="The warehouse", **entered)
        assert (answer.status, said in answer.alert) == (422, True), answer.alert
        fields = Page(answer.text).form(page).fields
        assert (fields["url"], fields["description"]) == ([entered["url"]], ["The warehouse"])
        assert fields["which"] == [entered.get("which", "all")]
    assert described(crm).webhook is None


def test_two_people_make_one_at_once(desk, visiting, described):
    """The second is shown what the first one made, and puts nothing in its place."""
    ada, crm = visiting(), desk.integration("contacts.readonly")
    page = f"{LIST}/{crm}/data-webhook"
    assert ada.post(page, url=URL).status == 303
    answer = ada.post(page, url=URL + "/mine")
    assert answer.status == 412
    assert "Somebody gave it a data webhook meanwhile" in answer.alert
    assert described(crm).url == URL


@pytest.mark.parametrize(
    ("settings", "status", "said"),
    [
        (Settings(), 409, "The service runs without sealing keys; start it with --sealing-keys FILE."),
        (Settings(upstream="https://api.example", sealer=SEALER), 409, "This service is a gateway: the data is the"),
    ],
    ids=["without sealing keys", "gateway"],
)
def test_where_there_can_be_none(desk, visiting, described, settings, status, said):
    """The page says why and has no form; one that is sent all the same is refused."""
    ada, crm = visiting(settings=settings), desk.integration("contacts.readonly")
    page = f"{LIST}/{crm}/data-webhook"
    shown = Page(ada.get(page).text)
    assert said in shown.text
    assert not [form for form in shown.forms if form.action == page]
    answer = ada.post(page, url=URL)
    assert answer.status == status
    assert said in Page(answer.text).text
    assert described(crm).webhook is None


def test_scopes_decide(database, clock, desk, accounts, visiting):
    """Without a scope of any event there is nothing to send; one that was taken away since is not told of any more."""
    ada = visiting()
    page = f"{LIST}/{desk.integration('forms.readonly')}/data-webhook"
    assert "Its scopes allow none." in Page(ada.get(page).text).text
    assert not re.search(f'action="{page}"', ada.get(page).text)
    crm = desk.integration("contacts.readonly")
    page = f"{LIST}/{crm}/data-webhook"
    ada.post(page, url=URL)
    with database.write() as write:
        change = IntegrationEdit(scopes=["forms.readonly"])
        integrations.edit.step(write, crm, change, desk.rules, actor=Actor("test"))
    assert "It is told of nothing" in Page(ada.get(page).text).text
    agency = visiting(accounts.agency)
    of_agency = desk.integration("locations.readonly", account=accounts.agency)
    assert "LocationCreate" in agency.get(f"{LIST}/{of_agency}/data-webhook").text
