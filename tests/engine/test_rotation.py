"""Rotation on the real engine beyond the plain case: cancelled, due, paused, in another's hands, from an old state."""

import re
from datetime import timedelta

import pulumi
import pytest
from pulumi import automation as auto

import private_integrations as pi
from integrations import contacts, declare
from private_integrations.contract import KeyRequest, LeakReport, digest_of, new_management_key
from throwaway import age


def rotated(stack, service, **rotation):
    """A stack that has rotated once, both tokens used: the old token and the new one."""
    stack.up(declare())
    old = stack.output("token")
    assert contacts(service, old) == 200
    stack.up(declare(rotation=pi.Rotation(**{"trigger": "once", **rotation})))
    new = stack.output("token")
    assert contacts(service, new) == 200
    return old, new


def test_a_cancelled_rotation_is_followed(stack, service, client):
    """The next `up` puts the old token back into state and consumer, issues nothing, and keeps to the hold."""
    old, new = rotated(stack, service, every="1h", overlap="30m")
    client.cancel(stack.output("id"), 2, hold_seconds=3600 * 24)
    assert contacts(service, new) == 401
    stack.refresh()
    preview = stack.preview(diff=True)
    assert preview.changes == {"Token crm": "update", "Consumer consumer": "update"}
    assert "~ generation     : 2 => 1" in preview.text
    assert '=> "rotation to 2 was cancelled: back to generation 1; schedule held until ' in preview.text
    stack.up()
    assert (stack.output("token"), stack.output("generation")) == (old, 1)
    assert stack.output("previous_token") is None
    assert contacts(service, old) == 200
    assert client.integration(stack.output("id")).last_generation == 2
    held_until = stack.resource("Token")["outputs"]["held_until"]
    assert stack.output("next_rotation_at") == held_until
    stack.preview(expect_no_changes=True)

    stack.up(declare(rotation=pi.Rotation(every="1h", overlap="30m", trigger="twice")))
    assert (stack.output("generation"), stack.output("previous_token")) == (3, old)
    assert client.integration(stack.output("id")).held_until is None


def test_a_trigger_goes_forward_after_a_cancel(stack, service, client):
    """Who changes the trigger wants a new token, not the old one back; what works is kept as the previous one."""
    old, _ = rotated(stack, service, overlap="1h")
    client.cancel(stack.output("id"), 2)
    stack.program = declare(rotation=pi.Rotation(trigger="twice", overlap="1h"))
    preview = stack.preview(diff=True).text
    assert "~ generation     : 2 => 3" in preview
    assert '~ trigger: "once" => "twice"' in preview
    stack.up()
    assert (stack.output("generation"), stack.output("previous_token")) == (3, old)
    assert contacts(service, stack.output("token")) == 200
    assert contacts(service, old) == 200


def test_a_token_that_the_state_never_had_cannot_come_back(stack, service, client):
    """Where a cancel leads to a token that somebody else issued, the error names the way out."""
    stack.up(declare())
    integration_id = stack.output("id")
    assert contacts(service, stack.output("token")) == 200
    theirs = client.issue(integration_id, 2, issuer="cli/anna", holding=None, overlap_seconds=3600, reason="by hand")
    assert contacts(service, theirs.token) == 200
    stack.up()
    assert stack.output("generation") == 3
    assert contacts(service, stack.output("token")) == 200
    client.cancel(integration_id, 3)
    with pytest.raises(auto.CommandError) as failed:
        stack.preview()
    refusal = str(failed.value)
    assert "private-integrations: rotation to 3 was cancelled: back to generation 2" in refusal
    assert "this stack does not have the token of generation 2; change trigger to issue a new one" in refusal
    stack.up(declare(rotation=pi.Rotation(trigger="again")))
    assert stack.output("generation") == 4
    assert contacts(service, stack.output("token")) == 200


def test_a_preview_is_red_exactly_when_something_is_due(stack, service):
    """`--expect-no-changes` passes before the due instant and fails from it on; a pause keeps it green."""
    every = {"every": "6h", "overlap": "1h", "early_window": "0s"}
    stack.up(declare(rotation=pi.Rotation(**every)))
    stack.preview(expect_no_changes=True)
    age(service, stack.output("id"), timedelta(hours=6))
    with pytest.raises(auto.CommandError, match="changes were proposed"):
        stack.preview(expect_no_changes=True)
    stack.program = declare(rotation=pi.Rotation(**every, enabled=False))
    paused = stack.up()
    assert paused.changes == {"PrivateIntegration crm": "update"}
    stack.preview(expect_no_changes=True)
    stack.refresh()
    assert stack.output("next_rotation_at") is None
    stack.program = declare(rotation=pi.Rotation(**every))
    assert ', every 6h"' in stack.preview(diff=True).text


def test_an_old_state_finds_out(stack, service):
    """A state from before the last rotation plans the next one; nobody's token dies for it."""
    stack.up(declare())
    old_state = stack.stack.export_stack()
    old = stack.output("token")
    assert contacts(service, old) == 200
    stack.up(declare(rotation=pi.Rotation(trigger="once")))
    lost = stack.output("token")
    assert contacts(service, lost) == 200
    stack.stack.import_stack(old_state)
    stack.program = declare()
    assert '=> "state has generation 1, service has 2: rotated elsewhere"' in stack.preview(diff=True).text
    stack.up()
    assert (stack.output("generation"), stack.output("previous_token")) == (3, old)
    for token in (stack.output("token"), lost, old):
        assert contacts(service, token) == 200
    stack.preview(expect_no_changes=True)


def test_one_number_for_two_tokens(stack, service, client):
    """After a restore on either side the numbers may agree and the tokens differ: that is told, never passed over."""
    stack.up(declare())
    other = stack.stack.export_stack()
    integration_id = stack.output("id")
    assert contacts(service, stack.output("token")) == 200
    theirs = client.issue(integration_id, 2, issuer="cli/anna", holding=None, overlap_seconds=3600, reason="by hand")
    assert contacts(service, theirs.token) == 200
    for entry in other.deployment["resources"]:
        if entry["type"].endswith(":Token"):
            entry["inputs"]["generation"] = entry["outputs"]["generation"] = 2
    stack.stack.import_stack(other)
    with pytest.raises(auto.CommandError, match=f"generation 2 of {integration_id} is another token in the service"):
        stack.preview()
    stack.up(declare(rotation=pi.Rotation(trigger="again")))
    assert stack.output("generation") == 3
    assert contacts(service, stack.output("token")) == 200


def test_a_leaked_token_is_repaired_in_place(stack, service, client):
    """A token that somebody reported previews as a rotation that says so; id and integration stay."""
    stack.up(declare())
    integration_id = stack.output("id")
    client.report_leaked(LeakReport(tokens=[stack.output("token")]))
    preview = stack.preview(diff=True)
    assert preview.changes == {"Token crm": "update", "Consumer consumer": "update"}
    assert re.search(r'=> "ended in the service at [^"]+Z: reported as leaked"', preview.text)
    stack.up()
    assert (stack.output("id"), stack.output("generation")) == (integration_id, 2)
    assert contacts(service, stack.output("token")) == 200


def test_a_viewers_key_is_enough_for_a_preview(stack, viewer_key, client):
    """In a pull request a viewer's key previews a rotation with its reason, and can cause none."""
    stack.up(declare())
    as_admin = stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"]
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = viewer_key
    stack.program = declare(rotation=pi.Rotation(trigger="once"))
    assert '=> "trigger changed"' in stack.preview(diff=True).text
    with pytest.raises(auto.CommandError, match="is a viewer's and may only read"):
        stack.up()
    assert client.integration(stack.output("id")).last_generation == 1
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = as_admin


def test_a_deployers_key_deploys_in_its_account(stack, service, client, accounts):
    """Create, rotate and destroy need no admin; another account does not exist for the deployer."""
    key = new_management_key()
    request = KeyRequest(role="deployer", accounts=[service.account], digest=digest_of(key).hex())
    client.make_key(stack.project, request)
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = key
    stack.up(declare())
    stack.up(declare(rotation=pi.Rotation(trigger="once")))
    assert contacts(service, stack.output("token")) == 200
    stack.program = declare(account=accounts["agency"], scopes=["locations.readonly"])
    message = f"there is no account of this id that management key {stack.project} reaches: {service.account}"
    with pytest.raises(auto.CommandError, match=message):
        stack.up()
    stack.program = declare()
    assert "PrivateIntegration crm" in stack.destroy().changes


@pytest.mark.parametrize(
    ("rotation", "message"),
    [
        (
            {"schedule": "0 3 * * *", "timezone": "Europe/Berlin", "overlap": "7d"},
            'overlap 7d must be shorter than 23h, the shortest gap of "0 3 * * *" in Europe/Berlin; '
            "leave it out for 11h30m",
        ),
        ({"every": "90d", "schedule": "0 3 * * *"}, "give every or schedule, not both"),
    ],
)
def test_impossible_policies_fail_the_preview(stack, rotation, message):
    """Contradictions are refused before anything is done, with the arithmetic."""
    stack.program = declare(rotation=pi.Rotation(**rotation))
    with pytest.raises(auto.CommandError) as failed:
        stack.preview()
    assert message in str(failed.value)


def test_a_policy_that_is_known_later(stack):
    """A schedule that another resource decides previews as unknown, and is kept from the first `up` on."""
    from consumer import Consumer

    def program() -> None:
        source = Consumer("source", "0 3 * * MON#1")
        rotation = pi.Rotation(schedule=source.token, timezone="Europe/Berlin")
        crm = pi.PrivateIntegration("crm", scopes=["contacts.readonly"], rotation=rotation)
        pulumi.export("next_rotation_at", crm.next_rotation_at)

    stack.up(program)
    assert stack.output("next_rotation_at")
    stack.preview(expect_no_changes=True)
