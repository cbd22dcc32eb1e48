"""What an admin does on the settings pages, from an empty account to a deleted integration, without JavaScript."""

import pytest
import requests

from pages import Page
from private_integrations.contract import TOKEN_PATTERN
from visitors import new_account, new_visitor

LIST = "/settings/private-integrations"


@pytest.fixture
def account(service):
    """A sub-account of its own."""
    return new_account(service.url, service.key)


@pytest.fixture
def ada(service, account):
    """An admin of it."""
    return new_visitor(service.url, service.key, account)


def use(service, token, account):
    """Use a token as a program does; answers the status."""
    headers = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
    return requests.get(service.url + f"/contacts/?locationId={account}", headers=headers, timeout=10).status_code


def test_the_whole_way(service, account, ada):
    """List, create, use, rotate later, cancel, rotate now, delete."""
    answer = ada.get(LIST)
    assert "Nothing has access yet" in Page(answer.text).text
    answer = ada.get(Page(answer.text).link("Create New Integration"))
    answer = ada.press(answer, "Next: scopes", name="CRM sync", description="Nightly.")
    answer = ada.press(answer, "Contacts into a warehouse, reading only")
    assert "Your choice: 3 scopes" in Page(answer.text).headings
    answer = ada.press(ada.press(answer, "Next: token"), "Generate Access Token")
    first = Page(answer.text).ids["token"]
    assert TOKEN_PATTERN.fullmatch(first)
    assert answer.headers["Cache-Control"] == "no-store"
    assert use(service, first, account) == 200
    one = Page(answer.text).link("I will do it later").removesuffix("/rotated?because=created")
    assert "CRM sync" in Page(ada.get(one).text).headings

    answer = ada.press(ada.get(one + "/rotate"), "Rotate and expire later")
    second = Page(answer.text).ids["token"]
    assert (use(service, first, account), use(service, second, account)) == (200, 200)
    assert "The old token still works" in Page(ada.get(one).text).headings
    answer = ada.press(ada.get(one + "/cancel"), "Cancel rotation")
    assert answer.url.endswith(one + "?notice=cancelled")
    assert (use(service, first, account), use(service, second, account)) == (200, 401)

    answer = ada.press(ada.get(one + "/rotate"), "Rotate and expire now")
    third = Page(answer.text).ids["token"]
    assert (use(service, first, account), use(service, third, account)) == (401, 200)
    assert ada.press(ada.get(one + "/delete"), "Delete", name="CRM").status_code == 422
    answer = ada.press(ada.get(one + "/delete"), "Delete", name="CRM sync")
    assert answer.url.endswith(LIST + "?notice=deleted")
    assert use(service, third, account) == 401
    assert ada.get(one).status_code == 404
