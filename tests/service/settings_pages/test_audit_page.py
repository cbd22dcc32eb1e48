"""The audit log as a page: what a person sees of it, and what they take away."""

import re

import pytest

from management import Management
from private_integrations.contract.audit_chain import Whole, examine
from visitors import new_visitor


@pytest.fixture(scope="module")
def ada(service):
    """An admin of the demo account."""
    return new_visitor(service.url, service.key, service.account)


@pytest.fixture(scope="module")
def page(service):
    """The address of the page of the demo account."""
    return f"/settings/accounts/{service.account}/audit"


@pytest.fixture(scope="module")
def edited(service):
    """An integration with a hostile name that was created and edited."""
    management = Management(service.url, service.key, service.account)
    made = management.integration(name="<script>alert(1)</script>")["id"]
    headers = {"User-Agent": "<script>alert(2)</script>"}
    assert management.ask("PATCH", f"/integrations/{made}", {"name": "x"}, headers=headers).ok
    return made


def actions(answer):
    """What the page lists, the newest first."""
    return re.findall(r"<td[^>]*><strong>([^<]*)</strong>", answer.text)


def test_a_page_says_who_what_and_from_where(ada, page, edited):
    """Every row of an integration, with nothing in it that a browser would take for more than text."""
    shown = ada.get(f"{page}?integration={edited}")
    assert shown.status_code == 200
    assert actions(shown) == ["edit", "create"]
    assert "key/admin" in shown.text
    assert '127.0.0.1 <small class="quiet">&lt;script&gt;alert(2)&lt;/script&gt;</small>' in shown.text
    assert "<script>alert" not in shown.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("who=key", ["edit", "create"]),
        ("who=key/admin&action=edit", ["edit"]),
        ("who=person", []),
        ("until=2026-01-01", []),
        ("since=2026-01-01&until=9000-01-01", ["edit", "create"]),
    ],
)
def test_the_page_is_filtered(ada, page, edited, query, expected):
    """By who, what and when; nothing found is said in words."""
    shown = ada.get(f"{page}?integration={edited}&{query}")
    assert shown.status_code == 200
    assert actions(shown) == expected
    assert ("Nothing of this kind" in shown.text) == (not expected)


@pytest.mark.parametrize("query", ["since=soon", "until=9999-12-31", "since=2026-02-30"])
def test_what_is_no_day_is_told(ada, page, query):
    """The form comes back with what was typed and what to write instead."""
    shown = ada.get(f"{page}?{query}")
    assert shown.status_code == 422
    assert "a day is written like 2026-11-21" in shown.text
    assert query.partition("=")[2] in shown.text


def test_older_rows_are_a_page_further(service, ada, page):
    """A page holds a hundred rows and leads on; every row is on exactly one page, the filter stays."""
    management = Management(service.url, service.key, service.account)
    made = management.integration()["id"]
    for number in range(100):
        assert management.ask("PATCH", f"/integrations/{made}", {"name": f"n{number}"}).ok
    first = ada.get(f"{page}?integration={made}")
    [older] = re.findall(r'<a class="button" href="([^"]*)" rel="next">', first.text)
    second = ada.get(older.replace("&amp;", "&"))
    assert (len(actions(first)), actions(second)) == (100, ["create"])
    assert 'rel="next"' not in second.text


def test_the_download_is_the_whole_log(service, ada, page, edited):
    """Lines of JSON that are verified, and end with the head that the page shows."""
    answer = ada.get(f"{page}/export")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="audit-{service.account}.jsonl"'
    told = examine(answer.content.splitlines())
    assert isinstance(told, Whole)
    assert list(told.heads) == [service.account]
    assert f"{service.account}:{told.heads[service.account]}" in ada.get(page).text


def test_strangers_find_no_log(service, ada, page, edited):
    """For an admin of another account there is no such page; a plain user of this one hears who decides."""
    management = Management(service.url, service.key, service.account)
    other = next(a["id"] for a in management.ask("GET", "/accounts").json()["accounts"] if a["id"] != service.account)
    plain = new_visitor(service.url, service.key, service.account, role="user")
    for path in (page, f"{page}/export"):
        refused = plain.get(path)
        assert refused.status_code == 403
        assert edited not in refused.text
        missing = path.replace(service.account, "nobody")
        assert ada.get(missing).status_code == 404
        assert ada.get(path.replace(service.account, other)).text == ada.get(missing).text
