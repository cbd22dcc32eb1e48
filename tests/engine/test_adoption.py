"""Taking over an integration that exists already, without rotating it."""

import pytest
from pulumi import automation as auto

import private_integrations as pi
from integrations import contacts, declare


def test_adopting_with_the_token_rotates_nothing(stack, by_hand, service, client):
    """With `adopt_token` the first `up` already knows the token, and dropping both inputs later shows nothing."""
    integration_id, token = by_hand
    stack.program = declare(adopt=integration_id, adopt_token=token)
    assert '"adopted"' in stack.preview(diff=True).text
    stack.up()
    assert (stack.output("id"), stack.output("token"), stack.output("generation")) == (integration_id, token, 1)
    assert client.integration(integration_id).name == "CRM sync"
    stack.up(expect_no_changes=True)
    stack.program = declare()
    assert stack.preview().changes == {}
    stack.up()
    stack.refresh()
    assert stack.output("token") == token
    assert token not in stack.everything_written()
    assert contacts(service, token) == 200


def test_adopting_without_the_token(stack, by_hand, service):
    """Without `adopt_token` the old token works on and `token` is empty, until a trigger brings a known one."""
    integration_id, token = by_hand
    stack.up(declare(adopt=integration_id))
    assert stack.output("token") is None
    assert contacts(service, token) == 200
    stack.up(declare(adopt=integration_id, rotation=pi.Rotation(trigger="once")))
    assert stack.output("generation") == 2
    assert contacts(service, stack.output("token")) == 200
    assert contacts(service, token) == 200


def test_a_wrong_adopt_token_is_refused_in_the_preview(stack, by_hand):
    """A token that isn't the integration's is refused before anything is done, and is not repeated."""
    integration_id, _ = by_hand
    wrong = "pit-" + "00000000-0000-0000-0000-000000000000"
    stack.program = declare(adopt=integration_id, adopt_token=wrong)
    with pytest.raises(auto.CommandError, match=f"adopt_token does not belong to {integration_id}") as caught:
        stack.preview()
    assert wrong not in str(caught.value)
