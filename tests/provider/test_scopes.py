"""The names of the scopes."""

import json
from importlib.resources import files

import pytest

from private_integrations.scopes import ALL_SCOPES, nearest_scopes


def test_the_names_are_those_of_the_services_catalogue():
    """An editor completes exactly the scopes that the service knows."""
    catalogue = json.loads((files("private_integrations_service.catalogue") / "data" / "scopes.json").read_text())
    assert sorted(ALL_SCOPES) == sorted(scope["name"] for scope in catalogue["scopes"])


@pytest.mark.parametrize(
    ("written", "likeliest"),
    [
        ("contact.readonly", "contacts.readonly"),
        ("Contacts.ReadOnly", "contacts.readonly"),
        ("contacts.wirte", "contacts.write"),
        ("locations/customfields.write", "locations/customFields.write"),
    ],
)
def test_a_typing_mistake_finds_the_scope_that_was_meant(written, likeliest):
    """The likeliest name comes first, whatever the case."""
    assert nearest_scopes(written)[0] == likeliest


def test_what_looks_like_no_scope_has_no_suggestion():
    """A name unlike all others gets no suggestion, and never more than three are made."""
    assert nearest_scopes("zzzzzz") == []
    assert len(nearest_scopes("calendars.readonly")) == 3
