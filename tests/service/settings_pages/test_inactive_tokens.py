"""The account's rule for inactive tokens, on its page below Labs."""

import pytest

from management import Management
from pages import Page
from visitors import new_account, new_agency, new_visitor

DAY = 86_400


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


@pytest.fixture
def page(account):
    """The page's path."""
    return f"/settings/accounts/{account}/labs/inactive-tokens"


def rule(management):
    """The account's rule as the management API has it."""
    answered = management.ask("GET", f"/accounts/{management.account}/inactivity").json()
    return answered["rule"], answered["after_seconds"]


def test_as_the_service_is_set_after_a_time_or_never(service, management, ada, page, account):
    """Each choice is what the management API then says; the page says what it comes to, and the log who chose it."""
    answer = ada.get(Page(ada.get(f"/settings/accounts/{account}/labs").text).link("Inactive tokens"))
    shown = Page(answer.text)
    assert "Ended after 90 days without use" in shown.headings
    assert "at present after 90 days" in shown.text
    assert "15, 7 and 1 days before" in shown.text
    assert shown.form(page).fields["rule"] == ["service"]
    for entered, expected, heading in (
        ({"rule": "after", "after": "30"}, ("after", 30 * DAY), "Ended after 30 days without use"),
        ({"rule": "off", "after": "nonsense"}, ("off", None), "Never ended"),
        ({"rule": "after", "after": " 2w "}, ("after", 14 * DAY), "Ended after 14 days without use"),
        ({"rule": "service"}, ("service", 90 * DAY), "Ended after 90 days without use"),
    ):
        answer = ada.press(answer, "Save", **entered)
        assert answer.url.endswith(f"{page}?notice=inactivity-saved")
        assert rule(management) == expected
        assert heading in Page(answer.text).headings
        assert Page(answer.text).form(page).fields["rule"] == [entered["rule"]]
    log = Page(ada.get(f"/settings/accounts/{account}/audit").text)
    assert len([row for row in log.rows if any("set inactivity" in cell for cell in row)]) == 4


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ("1", '"1" leaves no day to warn of it: give 2 days or more.'),
        ("47h", '"47h" leaves no day to warn of it'),
        ("soon", '"soon" is not a duration'),
        ("", '"" is not a duration'),
        ("9999999", "is longer than 100 years."),
        ("9" * 101, "This form can't be read"),
    ],
)
def test_a_fault_is_said_and_nothing_entered_is_lost(management, ada, page, after, said):
    """At its field; nothing is saved."""
    answer = ada.press(ada.get(page), "Save", rule="after", after=after)
    assert answer.status_code == 422
    shown = Page(answer.text)
    assert said in shown.ids["after-fault"]
    assert shown.form(page).fields == {**shown.form(page).fields, "rule": ["after"], "after": [after]}
    assert rule(management) == ("service", 90 * DAY)


def test_with_labs_off_it_is_neither_shown_nor_set(management, ada, page, account):
    """It holds meanwhile as it was set."""
    ada.press(ada.get(page), "Save", rule="off")
    ada.press(ada.get(f"/settings/accounts/{account}/labs"), "Switch off")
    shown = Page(ada.get(page).text)
    assert "switched off in Labs" in shown.text
    assert ada.post(page, rule="service").status_code == 404
    assert rule(management) == ("off", None)


def test_who_manages_integrations_but_decides_nothing_does_not_see_it(service, management, page, account):
    """A user with the permission of the account."""
    email = f"{account}@example.com"
    worker = new_visitor(service.url, service.key, account, role="user", email=email)
    assert management.ask("PUT", f"/users/{email}/memberships/{account}", {"own": "given"}).ok
    assert worker.get(f"/settings/private-integrations?account={account}").status_code == 200
    assert worker.get(page).status_code == 403
    assert worker.post(page, rule="off").status_code == 403
    assert rule(management) == ("service", 90 * DAY)


def test_an_admin_without_every_permission_only_reads_it(service):
    """An agency's from whom the permission for sub-accounts was taken."""
    agency = new_agency(service.url, service.key)
    management, email = Management(service.url, service.key, agency), f"{agency}@example.com"
    half = new_visitor(service.url, service.key, agency, email=email)
    assert management.ask("PUT", f"/users/{email}/memberships/{agency}", {"sub_accounts": "taken"}).ok
    page = f"/settings/accounts/{agency}/labs/inactive-tokens"
    shown = Page(half.get(page).text)
    assert "Only an admin with every permission of the account changes this." in shown.text
    assert not [form for form in shown.forms if form.action == page]
    assert half.post(page, rule="off").status_code == 403
    assert rule(management) == ("service", 90 * DAY)
