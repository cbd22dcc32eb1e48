"""The settings pages over HTTP: sessions, forms, and what is never there."""

import pytest

from visitors import PASSWORD, Visitor, new_visitor

LIST = "/settings/private-integrations"


@pytest.fixture(scope="module")
def ada(service):
    """An admin of the demo account."""
    return new_visitor(service.url, service.key, service.account, email="ada.pages@example.com")


def test_whoever_is_not_signed_in_is_asked_to_and_comes_back(service, ada):
    """A page leads to the sign-in and from there to itself."""
    somebody = Visitor(service.url)
    asked = somebody.get(LIST + "?account=x")
    assert asked.url.endswith("/settings/sign-in?to=%2Fsettings%2Fprivate-integrations%3Faccount%3Dx")
    there = somebody.post("/settings/sign-in", email="Ada.Pages@example.com", password=PASSWORD, to=LIST + "?account=x")
    assert there.url == service.url + LIST + "?account=x"


def test_a_wrong_password_is_refused_without_saying_which_half(service, ada):
    """The answer is the same for an address that is unknown."""
    texts = set()
    for email in ("ada.pages@example.com", "nobody@example.com"):
        answer = Visitor(service.url).post("/settings/sign-in", email=email, password="wrong", to="")
        assert answer.status_code == 401
        texts.add(answer.text.replace(email, "…"))
    assert len(texts) == 1


def test_a_form_of_another_site_or_session_changes_nothing(service, ada):
    """Neither a foreign origin nor a missing form key is accepted."""
    ada.get(LIST)
    assert ada.post("/settings/sign-out", form_key="").status_code == 403
    assert ada.get(LIST).url.endswith(LIST)


def test_signing_out_ends_the_session(service):
    """The cookie is worth nothing afterwards."""
    somebody = new_visitor(service.url, service.key, service.account)
    somebody.get(LIST)
    assert somebody.post("/settings/sign-out").url.endswith("/settings/sign-in?notice=signed-out")
    assert "/settings/sign-in" in somebody.get(LIST).url
