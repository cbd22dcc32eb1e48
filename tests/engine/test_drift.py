"""What people do outside the code: seen by refresh, mended by the next `up`, never guessed from a failing answer."""

import pulumi
import pytest
from pulumi import automation as auto

from integrations import contacts, declare
from private_integrations.contract import (
    IntegrationEdit,
    IntegrationRequest,
    KeyRequest,
    RotationPolicy,
    digest_of,
    instant_text,
    new_management_key,
)


@pytest.fixture
def environment(service, client):
    """The stacks' key may only deploy, into this account."""
    key = new_management_key()
    request = KeyRequest(role="deployer", accounts=[service.account], digest=digest_of(key).hex())
    client.make_key(f"ci-{key[4:12]}", request)
    return {**service.environment, "PRIVATE_INTEGRATIONS_KEY": key}


def test_refresh_shows_drift_and_keeps_the_token(stack, client):
    """An edit made elsewhere is shown by name after a refresh, and the next `up` undoes it; the token stays."""
    stack.up(declare())
    token, integration_id = stack.output("token"), stack.output("id")
    client.edit(integration_id, IntegrationEdit(name="By hand", description="?", scopes=["contacts.write"]))
    stack.refresh()
    assert stack.output("token") == token
    preview = stack.preview(diff=True)
    assert preview.changes == {"PrivateIntegration crm": "update"}
    assert '~ name       : "By hand" => "CRM sync"' in preview.text
    stack.up()
    assert client.integration(integration_id).scopes == ["contacts.readonly"]
    assert stack.output("token") == token


def test_the_next_preview_says_what_a_person_changed(stack, client):
    """Who, when and what, without a refresh, by a deployer's key; the `up` puts it back, and then there is peace."""
    stack.up(declare())
    token, integration_id = stack.output("token"), stack.output("id")
    policy = RotationPolicy(every_seconds=90 * 86_400, overlap_seconds=86_400)
    client.edit(integration_id, IntegrationEdit(scopes=["contacts.readonly", "contacts.write"], rotation=policy))
    told = client.audit(integration=integration_id, action="edit").entries[0]
    since = instant_text(told.instant)
    preview = stack.preview(diff=True)
    assert preview.changes == {"PrivateIntegration crm": "update"}
    assert (
        f'+ changed_elsewhere: "scopes: key/admin added contacts.write at {since}; '
        f'rotation: key/admin changed it to every 90d, overlap 1d at {since}"'
    ) in preview.text
    assert stack.up().changes == {"PrivateIntegration crm": "update"}
    put_back = client.integration(integration_id)
    assert (put_back.scopes, put_back.rotation) == (["contacts.readonly"], None)
    [ours] = client.audit(integration=integration_id, actor="deployment", action="edit").entries
    assert ours.actor.startswith("key/ci-")
    assert ours.agent.endswith(f" ({stack.project})")
    for command in (stack.preview, stack.refresh, stack.up):
        command(expect_no_changes=True)
    assert stack.output("token") == token


def test_a_declaration_that_follows_a_person_plans_nothing(stack, client):
    """Who writes into the program what a person did has nothing to deploy; what both leave alone is left alone."""
    stack.up(declare())
    integration_id = stack.output("id")
    both = ["contacts.readonly", "contacts.write"]
    client.edit(integration_id, IntegrationEdit(scopes=both, description="By hand"))
    version = client.integration(integration_id).version
    stack.program = declare(scopes=both, description="By hand")
    stack.preview(expect_no_changes=True)
    stack.up(expect_no_changes=True)
    client.edit(integration_id, IntegrationEdit(name="By hand"))
    stack.program = declare(scopes=both, opts=pulumi.ResourceOptions(ignore_changes=["name", "description"]))
    stack.preview(expect_no_changes=True)
    stack.up(declare(opts=pulumi.ResourceOptions(ignore_changes=["name", "description"])))
    edited = client.integration(integration_id)
    assert (edited.name, edited.description, edited.scopes) == ("By hand", "By hand", ["contacts.readonly"])
    assert edited.version == version + 2


def test_a_refresh_without_drift_is_clean(stack):
    """Refresh is green when nothing changed, also right after a rotation and its first use."""
    stack.up(declare())
    stack.refresh(expect_no_changes=True)


def test_deleted_out_of_band(stack, client, service):
    """A vanished integration fails the preview with advice; refresh drops it; the next `up` makes it anew."""
    stack.up(declare())
    gone = stack.output("id")
    client.delete(gone)
    with pytest.raises(auto.CommandError, match=f"{gone} is not in the service any more; run pulumi refresh"):
        stack.preview()
    stack.refresh()
    assert stack.up().changes == {
        "PrivateIntegration crm": "create",
        "Token crm": "create",
        "Consumer consumer": "update",
    }
    assert contacts(service, stack.output("token")) == 200


def test_rotated_elsewhere(stack, client, service):
    """A rotation by somebody else is named in the preview, and a token that the state knows comes back."""
    stack.up(declare())
    integration_id, ours = stack.output("id"), stack.output("token")
    assert contacts(service, ours) == 200
    theirs = client.issue(integration_id, 2, issuer="cli/anna", holding=None, overlap_seconds=3600, reason="")
    assert contacts(service, theirs.token) == 200
    assert "state has generation 1, service has 2: rotated elsewhere" in stack.preview(diff=True).text
    stack.up()
    assert stack.output("generation") == 3
    for token in (ours, theirs.token, stack.output("token")):
        assert contacts(service, token) == 200


def test_revoked_elsewhere_is_repaired_in_place(stack, client, service):
    """A current token that was expired by hand previews as an update of the same resource, with when it happened."""
    stack.up(declare())
    integration_id = stack.output("id")
    client.expire(integration_id, [1])
    assert contacts(service, stack.output("token")) == 401
    preview = stack.preview(diff=True)
    assert preview.changes == {"Token crm": "update", "Consumer consumer": "update"}
    assert '"created" => "revoked in the service at 20' in preview.text
    stack.up()
    assert stack.output("id") == integration_id
    assert contacts(service, stack.output("token")) == 200


def test_a_delete_with_an_old_owner_nonce_harms_nothing(stack, client, service):
    """Destroying a stack whose integration another one has adopted leaves it, and its token, alone."""
    stack.up(declare())
    integration_id, token = stack.output("id"), stack.output("token")
    client.declare(
        "organization/other/prod/crm",
        IntegrationRequest(
            account=service.account,
            name="CRM sync",
            scopes=["contacts.readonly"],
            owner_nonce="the-other-owners-mark",
            adopts=integration_id,
        ),
    )
    taken = f"{integration_id} was taken over by organization/other/prod/crm; remove it from this stack"
    with pytest.raises(auto.CommandError, match=taken):
        stack.preview()
    with pytest.raises(auto.CommandError, match=f"{integration_id} was taken over by organization/other/prod/crm"):
        stack.up(declare(scopes=["contacts.write"]))
    assert client.integration(integration_id).scopes == ["contacts.readonly"]
    stack.destroy()
    assert contacts(service, token) == 200
    client.delete(integration_id)
