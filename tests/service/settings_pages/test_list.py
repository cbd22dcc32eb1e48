"""The list of private integrations: what needs attention first, filters, and that it stays small."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from guests import admitted, invited, pages_over
from management import Management, new_external_id
from pages import Page
from private_integrations.contract import GenerationRequest, IntegrationRequest
from private_integrations_service.access.actors import Actor
from private_integrations_service.operations import generations, integrations
from private_integrations_service.operations.integrations import Rules
from private_integrations_service.settings import Settings
from throwaway import age
from visitors import new_account, new_agency, new_visitor

LIST = "/settings/private-integrations"
EVERY = {"every_seconds": 30 * 86_400, "overlap_seconds": 7 * 86_400}


@pytest.fixture
def account(service):
    """A sub-account of its own."""
    return new_account(service.url, service.key)


@pytest.fixture
def management(service, account):
    """The management API, for it."""
    return Management(service.url, service.key, account)


@pytest.fixture
def ada(service, account):
    """An admin of it."""
    return new_visitor(service.url, service.key, account)


def names(page):
    """The names in the list, in their order."""
    return [row[0] for row in page.rows[1:]]


def made(management, name, *, used=True, **changes):
    """An integration with a token that was used, or not; answers its id."""
    integration = management.integration(name=name, external_id=new_external_id(), **changes)["id"]
    fingerprint = management.issue(integration, 1).json()["fingerprint"]
    if used:
        management.ask("POST", f"/integrations/{integration}/generations/1/ack", {"fingerprint": fingerprint})
    return integration


def test_an_empty_account_says_what_to_do(ada):
    """One sentence and the way to the first integration."""
    page = Page(ada.get(LIST).text)
    assert "Nothing has access yet" in page.text
    assert page.link("Create New Integration") == f"{LIST}/new"


def test_what_needs_attention_comes_first(service, management, ada):
    """Alarms, then what is due, then the rest by name; each with its status in words."""
    made(management, "A in order", rotation=EVERY)
    late = made(management, "Z overdue", rotation=EVERY)
    due = made(management, "Y due", rotation=EVERY)
    made(management, "B waiting", used=False)
    forgotten = made(management, "W waiting for long", used=False)
    management.integration(name="X without a token")
    age(service, late, timedelta(days=40))
    age(service, due, timedelta(days=30))
    age(service, forgotten, timedelta(days=3))
    page = Page(ada.get(LIST).text)
    attention = ["Z overdue", "X without a token", "W waiting for long"]
    assert names(page) == [*attention, "Y due", "B waiting", "A in order"]
    said = {row[0]: " ".join(row[1:]) for row in page.rows[1:]}
    assert "rotation overdue" in said["Z overdue"]
    assert "10 days ago" in said["Z overdue"]
    assert "no token" in said["X without a token"]
    assert "rotation due" in said["Y due"]
    assert "not used yet" in said["B waiting"]
    assert "never" in said["B waiting"]
    assert "in 30 days" in said["A in order"]
    assert "3 to look at" in page.text


def test_what_it_may_do_and_who_sees_to_it(management, ada):
    """The number of scopes, whether it can write, and the stack or the person that it belongs to."""
    management.declare("acme/crm/prod/sync", name="By a stack", scopes=["contacts.readonly", "contacts.write"])
    management.declare("cli/0123456789abcdef", name="By the command line", scopes=["contacts.readonly"])
    page = Page(ada.get(LIST).text)
    said = {row[0]: row for row in page.rows[1:]}
    assert {"2 can write", "Pulumi: crm/prod"} <= set(said["By a stack"])
    assert {"1", "command line"} <= set(said["By the command line"])


def test_filters(service, management, ada):
    """By who manages it, not used of late, rotation due; what finds nothing leads back to all."""
    late = made(management, "Late", rotation=EVERY)
    age(service, late, timedelta(days=31))
    management.declare("acme/crm/prod/sync", name="By a stack")
    assert names(Page(ada.get(LIST + "?managed_by=Pulumi%3A+crm%2Fprod").text)) == ["By a stack"]
    made(management, "In use")
    assert set(names(Page(ada.get(LIST + "?unused=yes").text))) == {"Late", "By a stack"}
    assert set(names(Page(ada.get(LIST + "?due=yes").text))) == {"Late", "By a stack"}
    nothing = Page(ada.get(LIST + "?managed_by=nobody").text)
    assert "No integration is like this" in nothing.text
    assert nothing.link("Show all") == LIST


def test_an_agency_admin_sees_all_accounts_with_their_totals(service):
    """The switcher counts each account's integrations, those with something to look at first."""
    agency = new_agency(service.url, service.key)
    quiet, busy = (new_account(service.url, service.key, name, agency=agency) for name in ("Quiet", "Busy"))
    made(Management(service.url, service.key, quiet), "In order")
    Management(service.url, service.key, busy).integration(name="Never had a token")
    eve = new_visitor(service.url, service.key, agency)
    answer = eve.get(LIST)
    assert names(Page(answer.text)) == ["Never had a token", "In order"]
    assert answer.text.index("Busy: 1, 1 to look at") < answer.text.index("Quiet: 1<")
    assert names(Page(eve.get(f"{LIST}?account={quiet}").text)) == ["In order"]


def test_another_account_is_not_there(service, ada):
    """Asked for by its id it is the same page as one that doesn't exist."""
    other = new_account(service.url, service.key)
    foreign, unknown = (ada.get(f"{LIST}?account={account}") for account in (other, "nowhere"))
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.text.replace(other, "…") == unknown.text.replace("nowhere", "…")


def test_hostile_names_are_text(management, ada):
    """Whatever an integration, its description or its owner is called, the page says it and does nothing else."""
    name = '<script>alert("1")</script>\' onload=x'
    management.declare("o/<b>/s/n", name=name, description="</td><img src=x onerror=y>")
    answer = ada.get(LIST)
    page = Page(answer.text)
    assert name in page.rows[1][0]
    assert "Pulumi: <b>/s" in page.rows[1]
    assert "<script>alert" not in answer.text
    assert "<img" not in answer.text


@pytest.mark.parametrize(
    "query", ["page=-1", "page=9999999999999999999", "page=%00", "account=%FF", "due=%F0", "unused"]
)
def test_no_query_breaks_the_list(management, ada, query):
    """Nonsense in the address is an answer all the same."""
    made(management, "One")
    assert ada.get(f"{LIST}?{query}").status_code in (200, 404)


def test_five_hundred_integrations(database, catalogue, accounts, clock):
    """Every one is on some page, no page has 100 KB, and the number of statements doesn't grow with them."""
    rules = Rules(catalogue, Settings())
    invited(database, clock(), "ada@example.com", **{accounts.location: "admin"})
    ada = admitted(pages_over(database, catalogue, Settings()), database, clock(), "ada@example.com")
    fill(database, rules, accounts.location, clock, range(5))
    few = statements(database, ada)
    fill(database, rules, accounts.location, clock, range(5, 500))
    assert statements(database, ada) == few
    found = []
    for page in range(1, 11):
        html = ada.get(f"{LIST}?page={page}").text
        assert len(html.encode()) < 100_000
        found += names(Page(html))
    assert len(found) == 500
    assert {name.split()[1] for name in found} == {str(number) for number in range(500)}


def fill(database, rules, account, clock, numbers):
    """Integrations with long names and descriptions, each with a token."""
    with database.write() as write:
        for number in numbers:
            request = IntegrationRequest(
                account=account,
                name=f"Integration {number} ".ljust(100, "&"),
                description="<" * 1000,
                scopes=["contacts.readonly", "contacts.write"],
                owner_nonce=f"owner_nonce{number}",
            )
            declared = integrations.declare.step(write, f"o/p/s/{number}", request, rules, actor=Actor("test"))
            asked = GenerationRequest(issuer="test", run="r", attempt=1, overlap_seconds=0)
            generations.issue_beside_others.step(write, declared.integration.id, 1, asked, 3, actor=Actor("test"))


def statements(database, visitor):
    """How many statements the list takes."""
    seen = []

    def note(connection, cursor, statement, *rest):
        seen.append(statement)

    event.listen(database._readers, "before_cursor_execute", note)
    assert "Integration 0" in visitor.get(LIST).text
    event.remove(database._readers, "before_cursor_execute", note)
    return len(seen)
