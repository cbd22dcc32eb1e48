"""Taking over an integration that exists already, without rotating it."""

import pulumi
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
    """Without `adopt_token` the old token works on and `token` is empty, until a trigger brings a known one.

    Until then no preview promises one.
    """
    integration_id, token = by_hand
    stack.up(declare(adopt=integration_id))
    assert stack.output("token") is None
    preview = stack.preview(expect_no_changes=True)
    assert "unknown" not in preview.text
    assert "token" not in preview.text
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
    with pytest.raises(auto.CommandError, match="adopt_token does not belong to the integration to adopt") as caught:
        stack.preview()
    assert wrong not in str(caught.value)
    assert integration_id not in str(caught.value)


def test_adopting_without_the_token_issues_one_at_once(stack, by_hand, service):
    """With `adopt_rotate` one `up` gives consumers a token, the old one works on, and the preview says so."""
    integration_id, token = by_hand
    assert contacts(service, token) == 200
    stack.program = declare(adopt=integration_id, adopt_rotate=True)
    planned = stack.preview(diff=True)
    assert "adopted without its token: a new one is issued" in planned.text
    assert planned.changes == {
        "PrivateIntegration crm": "create",
        "Token crm": "create",
        "Consumer consumer": "create",
    }
    stack.up()
    mine = stack.output("token")
    assert (stack.output("id"), stack.output("generation")) == (integration_id, 2)
    assert (contacts(service, mine), contacts(service, token)) == (200, 200)
    stack.up(expect_no_changes=True)
    stack.refresh(expect_no_changes=True)
    assert stack.output("token") == mine
    stack.program = declare()
    stack.preview(expect_no_changes=True)


def test_adopting_with_no_overlap_names_the_tokens_that_end(stack, by_hand, service):
    """`overlap="0s"` with `adopt_rotate` ends the token that others hold, and the preview says that it does."""
    integration_id, token = by_hand
    assert contacts(service, token) == 200
    stack.program = declare(adopt=integration_id, adopt_rotate=True, rotation=pi.Rotation(overlap="0s"))
    assert "overlap 0s: every older token ends at once" in stack.preview(diff=True).text
    stack.up()
    assert (contacts(service, stack.output("token")), contacts(service, token)) == (200, 401)


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"adopt_rotate": True}, "adopt_rotate goes with adopt: name the integration to take over"),
        ({"adopt": "int_1", "adopt_rotate": "yes"}, "adopt_rotate must be True or False"),
        ({"adopt": "int_1", "adopt_rotate": True, "adopt_token": "pit-1"}, "not both"),
        ({"opts": pulumi.ResourceOptions(import_="int_1")}, r'declare PrivateIntegration\(…, adopt="int_…"\)'),
    ],
)
def test_what_adoption_refuses_is_one_line(stack, inputs, reason):
    """A contradiction, and an import, end the program with a sentence and no traceback."""
    stack.program = declare(**inputs)
    with pytest.raises(auto.CommandError, match=reason) as refused:
        stack.preview()
    assert "Traceback" not in str(refused.value)
