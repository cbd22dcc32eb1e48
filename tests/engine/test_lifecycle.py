"""The whole life of an integration on the real engine: what each preview shows, and what then happens."""

from datetime import timedelta

import pulumi
import pytest
from pulumi import automation as auto

import private_integrations as pi
from integrations import contacts, declare
from throwaway import age


def test_life_of_an_integration(stack, service):
    """Create, use, edit in place, rotate with overlap, destroy: each previewed as it then happens."""
    stack.program = declare()
    assert stack.preview().changes == {
        "PrivateIntegration crm": "create",
        "Token crm": "create",
        "Consumer consumer": "create",
    }
    stack.up()
    token = stack.output("token")
    assert contacts(service, token) == 200
    assert contacts(service, token, "POST") == 401
    stack.preview(expect_no_changes=True)

    stack.program = declare(scopes=["contacts.write", "contacts.readonly", "contacts.write"], description="Nightly")
    preview = stack.preview()
    assert preview.changes == {"PrivateIntegration crm": "update"}
    assert preview.operations["Consumer consumer"] == "same"
    assert "PrivateIntegration crm update [diff: +description~scopes]" in preview.text
    stack.up()
    assert stack.output("token") == token
    assert contacts(service, token, "POST") == 201

    stack.program = declare(scopes=["contacts.readonly"], rotation=pi.Rotation(trigger="incident-7", overlap="1h"))
    preview = stack.preview()
    assert preview.changes == {
        "PrivateIntegration crm": "update",
        "Token crm": "update",
        "Consumer consumer": "update",
    }
    assert "Token crm update [diff: +rotation~generation,rotation_reason]" in preview.text
    assert '"created" => "trigger changed"' in stack.preview(diff=True).text
    stack.up()
    rotated = stack.output("token")
    assert rotated != token
    assert (stack.output("previous_token"), stack.output("generation"), stack.output("status")) == (token, 2, "pending")
    assert contacts(service, token) == 200
    assert contacts(service, rotated) == 200
    stack.refresh()
    stack.up(expect_no_changes=True)
    assert stack.output("status") == "overlapping"
    assert (
        stack.resource("Token")["outputs"]["previous_token_expires_at"]
        > stack.resource("Token")["outputs"]["rotated_at"]
    )
    assert contacts(service, token) == 200

    assert stack.destroy().changes == {
        "Consumer consumer": "delete",
        "Token crm": "delete",
        "PrivateIntegration crm": "delete",
    }
    assert contacts(service, token) == 401
    assert contacts(service, rotated) == 401


def test_order_and_repetition_of_scopes_do_not_matter(stack):
    """The same scopes in another order, or twice, are no change."""
    stack.up(declare(scopes=["contacts.write", "contacts.readonly"]))
    stack.program = declare(scopes=["contacts.readonly", "contacts.write", "contacts.readonly"])
    stack.preview(expect_no_changes=True)


def test_a_schedule_is_kept(stack, service):
    """A period that has passed previews as a rotation with its reason, happens once, and not before."""
    every = pi.Rotation(every="4h", overlap="3h", early_window="0s")
    stack.up(declare(rotation=every))
    assert stack.output("next_rotation_at") is not None
    assert stack.preview().operations["Token crm"] == "same"
    age(service, stack.output("id"), timedelta(hours=4))
    preview = stack.preview(diff=True)
    assert "~ generation     : 1 => 2" in preview.text
    assert ', every 4h"' in preview.text
    stack.up()
    assert stack.output("generation") == 2
    # Just rotated: the next rotation is a whole period away.
    assert stack.preview().operations["Token crm"] == "same"


def test_a_compromised_token(stack, service):
    """A trigger without overlap ends the old token at once, and the preview warns of it."""
    stack.up(declare())
    leaked = stack.output("token")
    assert contacts(service, leaked) == 200
    stack.program = declare(rotation=pi.Rotation(trigger="leaked", overlap="0s"))
    assert '"trigger changed; overlap 0s: every older token ends at once"' in stack.preview(diff=True).text
    assert contacts(service, leaked) == 200
    stack.up()
    assert contacts(service, leaked) == 401
    assert contacts(service, stack.output("token")) == 200
    assert stack.output("previous_token") is None


def test_a_policy_edit_alone_rotates_nothing(stack):
    """Adding, changing and removing a schedule that isn't due updates the integration only."""
    stack.up(declare())
    for rotation in (pi.Rotation(every="90d"), pi.Rotation(every="30d", overlap="2d"), None):
        stack.program = declare(rotation=rotation)
        assert stack.preview().changes == {"PrivateIntegration crm": "update"}
        stack.up()
        assert stack.output("generation") == 1


def test_another_account_is_another_integration(stack, service, accounts):
    """Changing the account makes the new integration first, moves the consumer, and then ends the old one."""
    stack.up(declare(scopes=["locations.readonly"]))
    old, token = stack.output("id"), stack.output("token")
    stack.program = declare(scopes=["locations.readonly"], account=accounts["agency"])
    changes = stack.preview().changes
    assert changes["Consumer consumer"] == "update"
    assert {changes["PrivateIntegration crm"], changes["Token crm"]} <= {
        "replace",
        "delete-replaced",
        "create-replacement",
    }
    stack.up()
    assert stack.output("id") != old
    assert contacts(service, token) == 401


def test_forced_replacement(stack, service):
    """One that deletes first makes a new integration; without that the way out is named, and nothing is harmed."""
    options = pulumi.ResourceOptions(delete_before_replace=True)
    stack.up(declare(opts=options))
    old, token = stack.output("id"), stack.output("token")
    urn = stack.resource("PrivateIntegration")["urn"]
    stack.up(replace=[urn])
    assert stack.output("id") != old
    assert contacts(service, token) == 401
    replaced = stack.output("id")
    stack.program = declare()
    stack.up()
    with pytest.raises(
        auto.CommandError, match=rf"is {replaced} since .* give it ResourceOptions\(delete_before_replace=True\)"
    ):
        stack.preview(replace=[urn])
    assert contacts(service, stack.output("token")) == 200


def test_replacing_the_token_alone_rotates(stack, service):
    """A forced replacement of the Token issues the next generation; the end of the old one harms nothing."""
    stack.up(declare())
    token = stack.output("token")
    assert contacts(service, token) == 200
    stack.up(replace=[stack.resource("Token")["urn"]])
    assert stack.output("generation") == 2
    assert contacts(service, stack.output("token")) == 200
    assert contacts(service, token) == 200


def test_a_renamed_resource_keeps_its_token(stack):
    """An alias carries integration and token to the new name without a change."""
    stack.up(declare())
    token = stack.output("token")

    def renamed() -> None:
        from consumer import Consumer

        alias = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="crm")])
        crm = pi.PrivateIntegration("sync", name="CRM sync", scopes=["contacts.readonly"], opts=alias)
        Consumer("consumer", crm.token)
        pulumi.export("token", crm.token)

    assert stack.up(renamed).changes == {}
    assert stack.output("token") == token


def test_looking_up_an_integration_of_another_stack(stack, service, client):
    """`get` reads an integration by id and neither makes nor rotates a token."""
    stack.up(declare())
    integration_id = stack.output("id")

    def program() -> None:
        declare()()
        pulumi.export("found", pi.PrivateIntegration.get("other", integration_id).name)

    stack.up(program)
    assert stack.output("found") == "CRM sync"
    assert client.integration(integration_id).last_generation == 1


def test_a_frozen_generation_is_honoured(stack):
    """`ignore_changes` on the child's generation holds back schedule and trigger alike; the trigger counts as seen."""

    def frozen(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        freeze = pulumi.ResourceOptions(ignore_changes=["generation"] if args.type_.endswith(":Token") else [])
        return pulumi.ResourceTransformationResult(args.props, pulumi.ResourceOptions.merge(args.opts, freeze))

    stack.up(declare())
    stack.program = declare(rotation=pi.Rotation(trigger="now"), opts=pulumi.ResourceOptions(transformations=[frozen]))
    assert stack.up().operations["Token crm"] == "same"
    stack.program = declare(rotation=pi.Rotation(trigger="now"))
    assert stack.preview().changes == {}
    stack.program = declare(rotation=pi.Rotation(trigger="again"))
    assert stack.preview().changes["Token crm"] == "update"
