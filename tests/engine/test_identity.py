"""No two resources own one integration, and parent and child agree on the owner, under every name."""

import re
import shlex

import pulumi
import pytest
from pulumi import automation as auto

import private_integrations as pi
from integrations import contacts, declare
from private_integrations.contract import IntegrationRequest


class Sales(pulumi.ComponentResource):
    """A component that needs an integration."""

    def __init__(self, name, **inputs):
        super().__init__("app:index:Sales", name)
        self.crm = pi.PrivateIntegration("crm", scopes=["contacts.readonly"], opts=below(self), **inputs)


class Support(pulumi.ComponentResource):
    """Another component that needs one of the same name, and has a component of its own that does."""

    def __init__(self, name):
        super().__init__("app:index:Support", name)
        self.crm = pi.PrivateIntegration("crm", scopes=["contacts.readonly"], opts=below(self))
        self.inner = pulumi.ComponentResource("app:index:Sales", f"{name}-inner", {}, below(self))
        self.inner_crm = pi.PrivateIntegration("crm", scopes=["contacts.readonly"], opts=below(self.inner))


def below(parent):
    """The option of a resource inside a component."""
    return pulumi.ResourceOptions(parent=parent)


def plain(name="crm", **inputs):
    """An integration of this logical name, exported under it."""
    crm = pi.PrivateIntegration(name, name="CRM", scopes=["contacts.readonly"], **inputs)
    pulumi.export(name, {"id": crm.id, "token": crm.token, "external_id": crm.external_id})


def refused(stack, command="preview", **options):
    """Run a command that must fail, and give what was printed in one line."""
    with pytest.raises(auto.CommandError) as caught:
        getattr(stack, command)(**options)
    text = " ".join(str(caught.value).split())
    assert "Traceback" not in text
    return text


def urns(stack):
    """Which integration and token are in the state under which URN."""
    entries = stack.stack.export_stack().deployment["resources"]
    return {entry["urn"]: entry["id"] for entry in entries if "private_integrations" in entry["type"]}


def test_components_that_use_one_name_have_an_integration_each(stack, service, client):
    """Three integrations named alike below different types, and one without a parent: four owners, four lives."""

    def program(*, with_support=True):
        plain()
        made = {"sales": Sales("sales").crm}
        if with_support:
            support = Support("support")
            made |= {"support": support.crm, "inner": support.inner_crm}
        pulumi.export("made", {name: {"id": crm.id, "token": crm.token} for name, crm in made.items()})

    stack.up(program)
    made = {**stack.output("made"), "plain": stack.output("crm")}
    tokens = {name: each["token"] for name, each in made.items()}
    assert len({each["id"] for each in made.values()}) == len(set(tokens.values())) == 4
    path = f"organization/{stack.project}/dev"
    assert {client.integration(each["id"]).external_id for each in made.values()} == {
        f"{path}/crm",
        f"{path}/app:index:Sales::crm",
        f"{path}/app:index:Support::crm",
        f"{path}/app:index:Support$app:index:Sales::crm",
    }
    stack.preview(expect_no_changes=True)
    stack.up(lambda: program(with_support=False))
    assert {name: contacts(service, token) for name, token in tokens.items()} == {
        "plain": 200,
        "sales": 200,
        "support": 401,
        "inner": 401,
    }


@pytest.mark.parametrize("new_first", [True, False])
def test_a_new_resource_does_not_get_the_identity_of_one_that_was_renamed(stack, service, new_first):
    """The old name is still the renamed resource's identity: one of the two is refused, and told what to do."""
    stack.up(plain)
    before = stack.output("crm")

    def renamed():
        plain("sync", opts=pulumi.ResourceOptions(aliases=[pulumi.Alias(name="crm")]))

    def program():
        for each in (plain, renamed) if new_first else (renamed, plain):
            each()

    stack.up(renamed, expect_no_changes=True)
    for command in ("preview", "up"):
        said = refused_program(stack, program, command)
        seen_first = f"{before['external_id']} is {before['id']} since" in said
        assert seen_first or "crm of the same program claims it, too: give that one another logical name" in said
        assert not seen_first or re.search("give this (resource|one) another logical name", said)
    stack.up(renamed)
    assert stack.output("sync") == before
    assert contacts(service, before["token"]) == 200


def refused_program(stack, program, command):
    """The same with another program from now on."""
    stack.program = program
    return refused(stack, command)


@pytest.mark.parametrize("adopting_first", [True, False])
def test_no_resource_adopts_what_another_one_of_the_program_has(stack, service, adopting_first):
    """Two owners of one integration are refused in the preview; after it the first is whole, and may be replaced."""
    stack.up(plain)
    first = stack.output("crm")

    def adopting():
        plain("second", adopt=first["id"], adopt_token=first["token"])

    def program():
        for each in (adopting, plain) if adopting_first else (plain, adopting):
            each()

    for command in ("preview", "up"):
        said = refused_program(stack, program, command)
        assert (
            "the integration to adopt belongs to crm of the same program; no two resources can own it" in said
            or "and second of the same program claims it, too" in said
        )
    stack.up(plain, expect_no_changes=True)
    assert contacts(service, first["token"]) == 200
    stack.up(adopting)
    second = stack.output("second")
    assert (second["id"], second["token"]) == (first["id"], first["token"])
    assert contacts(service, first["token"]) == 200
    stack.preview(expect_no_changes=True)


def test_two_new_resources_do_not_adopt_one_integration(stack, by_hand, client):
    """Of two that declare the same adoption one is refused in the preview, and nothing is adopted."""
    integration_id, _ = by_hand
    owner = client.integration(integration_id).external_id
    stack.program = lambda: [plain(name, adopt=integration_id) for name in ("one", "two")]
    assert "the integration to adopt belongs to" in refused(stack)
    assert client.integration(integration_id).external_id == owner


def test_a_replacement_in_the_same_account_is_refused_before_anything_is_done(stack, service):
    """Without `delete_before_replace` the preview names it; with it, preview and `up` make another integration."""
    stack.up(plain)
    before = stack.output("crm")
    urn = stack.resource("PrivateIntegration")["urn"]
    for command in ("preview", "up"):
        said = refused(stack, command, replace=[urn])
        assert f"is {before['id']} since" in said
        assert "give it ResourceOptions(delete_before_replace=True)" in said
    assert contacts(service, before["token"]) == 200
    stack.program = lambda: plain(opts=pulumi.ResourceOptions(delete_before_replace=True))
    stack.preview(expect_no_changes=True)
    assert set(stack.preview(replace=[urn]).changes) == {"PrivateIntegration crm", "Token crm"}
    stack.up(replace=[urn])
    after = stack.output("crm")
    assert (after["id"] == before["id"], after["external_id"]) == (False, before["external_id"])
    assert contacts(service, before["token"]) == 401
    stack.preview(expect_no_changes=True)


def test_renaming_the_integration_alone_in_the_state_names_the_second_command(stack, service):
    """The preview refuses to replace the Token that was left behind; the command that it prints heals everything."""
    stack.up(plain)
    before = stack.output("crm")
    stack.rename_in_state(stack.resource("PrivateIntegration")["urn"], "sync")
    for command in ("preview", "up", "up", "preview"):
        said = refused_program(stack, lambda: plain("sync"), command)
        assert "was taken over" not in said
        assert "crm was renamed to sync in the state, but its Token was not" in said
    told = re.search(r"run: pulumi (state rename '[^']+' \S+) \(or", said)
    stack.command(*shlex.split(told[1]), "--yes")
    stack.preview(expect_no_changes=True)
    stack.up()
    assert stack.output("sync") == before
    assert contacts(service, before["token"]) == 200


def test_the_second_command_knows_the_components(stack):
    """Below components the printed URN is the one that the Token has in the state."""

    def program(name="crm"):
        parent = pulumi.ComponentResource("app:index:Sales", "sales")
        pi.PrivateIntegration(name, scopes=["contacts.readonly"], opts=below(parent))

    stack.up(program)
    integration, token = stack.resource("PrivateIntegration")["urn"], stack.resource("Token")["urn"]
    stack.rename_in_state(integration, "the sync")
    stack.program = lambda: program("the sync")
    assert f"run: pulumi state rename '{token}' 'the sync' " in refused(stack)


def test_a_token_can_be_replaced_after_a_rename(stack, service):
    """After a rename by an alias, which is removed later, a forced replacement of the Token alone is no rename."""
    stack.up(plain)
    before = stack.output("crm")
    stack.up(lambda: plain("sync", opts=pulumi.ResourceOptions(aliases=[pulumi.Alias(name="crm")])))
    stack.refresh(expect_no_changes=True)
    stack.program = lambda: plain("sync")
    stack.preview(expect_no_changes=True)
    stack.up()
    stack.refresh()
    token = stack.resource("Token")["urn"]
    assert set(stack.preview(replace=[token]).changes) == {"Token sync"}
    stack.up(replace=[token])
    assert stack.output("sync")["id"] == before["id"]
    assert contacts(service, stack.output("sync")["token"]) == 200
    assert contacts(service, before["token"]) == 200


def test_another_backend_that_adopted_is_named(stack, service, client):
    """Of two backends with stacks of one name, the one that lost an integration says to whom, and rotates nothing."""
    stack.up(declare(rotation=pi.Rotation(trigger="one")))
    integration_id, token = stack.output("id"), stack.output("token")
    mine = client.integration(integration_id)
    # The other backend follows the advice to adopt; its `up` makes this request.
    client.declare(
        mine.external_id,
        IntegrationRequest(
            account=service.account,
            name="CRM sync",
            scopes=["contacts.readonly"],
            owner_nonce="the-other-backends-mark",
            adopts=integration_id,
        ),
    )
    theirs = client.issue(integration_id, 2, issuer=mine.external_id, holding=1, overlap_seconds=3600, reason="")
    for command in ("preview", "up", "refresh"):
        said = refused(stack, command)
        assert f"{integration_id} was adopted under the same name, {mine.external_id}, by key/admin at 20" in said
        assert "another backend has a stack of the same project and name, and owns it now" in said
    assert client.integration(integration_id).last_generation == 2
    stack.destroy()
    assert contacts(service, theirs.token) == 200
    assert contacts(service, token) == 200


def test_the_advice_to_adopt_warns_of_another_backend(stack, client, service):
    """A taken external id may be owned by a state elsewhere: the refusal says so before it is taken over."""
    client.declare(
        f"organization/{stack.project}/dev/crm",
        IntegrationRequest(account=service.account, name="CRM", scopes=["contacts.readonly"], owner_nonce="elsewhere"),
    )
    [there] = client.integrations(under=f"organization/{stack.project}/dev")
    client.issue(there.id, 1, issuer=there.external_id, holding=None, overlap_seconds=0, reason="")
    stack.program = plain
    for command in ("preview", "up"):
        said = refused(stack, command)
        assert f'declare adopt="{there.id}", unless another backend has a stack of the same project and name' in said


def test_remains_of_a_creation_are_replaced_only_where_no_other_resource_has_them(stack, client, service):
    """An integration without a token that the state has is not taken for the remains of an interrupted `up`."""
    stack.up(plain)
    stack.up(lambda: plain("sync", opts=pulumi.ResourceOptions(aliases=[pulumi.Alias(name="crm")])))
    place = client.integration(stack.output("sync")["id"])
    client.delete(place.id)
    request = IntegrationRequest(
        account=service.account, name="CRM", scopes=["contacts.readonly"], owner_nonce="the-states-own"
    )
    replaced = client.declare(place.external_id, request)

    def as_if_interrupted(resources):
        for entry in [entry for entry in resources if entry["type"].endswith(":Token")]:
            resources.remove(entry)
        for entry in resources:
            if entry["type"].endswith(":PrivateIntegration"):
                entry["id"] = replaced.id
                entry["outputs"]["claim"] = replaced.owner_nonce

    stack.edit_state(as_if_interrupted)

    def program():
        plain("sync")
        plain()

    for command in ("preview", "up"):
        said = refused_program(stack, program, command)
        assert "belongs to sync of the same stack" in said or "crm of the same program claims it, too" in said
    assert client.integration(replaced.id) == replaced


@pytest.mark.parametrize("name", ["a::b", "::", "/x/", "crm" * 60])
def test_odd_names_have_external_ids_too(stack, service, name):
    """Colons, slashes and length change nothing of the life of an integration; very long types are shortened."""

    def program():
        parent = pulumi.ComponentResource(f"app:index:{'Very' * 60}Long", "parent")
        inner = pulumi.ComponentResource(f"app:index:{'Very' * 60}Long", "inner", {}, below(parent))
        plain(name)
        pi.PrivateIntegration(name, name="CRM", scopes=["contacts.readonly"], opts=below(inner))

    stack.up(program)
    stack.preview(expect_no_changes=True)
    assert contacts(service, stack.output(name)["token"]) == 200
    integrations = [each for each in urns(stack).values() if "/" not in each]
    assert len(set(integrations)) == 2
    stack.destroy()


def test_an_integration_below_another_resource(stack, service):
    """A parent that is no component counts as one: its type is in the external id, and nothing waits for itself."""

    def program():
        from consumer import Consumer

        parent = pi.PrivateIntegration("crm", scopes=["contacts.readonly"])
        child = pi.PrivateIntegration("crm", scopes=["contacts.readonly"], opts=below(parent._token))
        Consumer("consumer", child.token, opts=below(child))
        pulumi.export("token", child.token)

    stack.up(program)
    stack.preview(expect_no_changes=True)
    assert contacts(service, stack.output("token")) == 200


def test_a_replacement_does_not_delete_what_it_would_adopt(stack, by_hand, client):
    """An adopted integration whose `adopt` is still declared is not deleted before it would be adopted again."""
    integration_id, token = by_hand
    inputs = {"adopt": integration_id, "adopt_token": token}
    stack.up(lambda: plain(**inputs))
    urn = next(urn for urn in urns(stack) if urn.endswith("PrivateIntegration::crm"))
    first = pulumi.ResourceOptions(delete_before_replace=True)
    stack.program = lambda: plain(**inputs, opts=first)
    stack.preview(expect_no_changes=True)
    for command in ("preview", "up"):
        said = refused(stack, command, replace=[urn])
        assert "delete_before_replace would delete what adopt names; leave out one of the two" in said
    assert client.integration(integration_id).name == "CRM"
    stack.program = lambda: plain(opts=first)
    assert set(stack.up(replace=[urn]).changes) == {"PrivateIntegration crm", "Token crm"}
    assert integration_id not in urns(stack).values()
