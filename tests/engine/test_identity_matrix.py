"""Every way to rename, move and replace, for new, older and adopted integrations: previewed, done, and then at peace.

One stack has an integration of one kind for each change, so that a command of the engine runs all of them at once. What
is refused has stacks of its own.
"""

import uuid

import pulumi
import pytest
from pulumi import automation as auto

import private_integrations as pi
from integrations import contacts
from private_integrations.contract import IntegrationRequest

SCOPES = ["locations.readonly"]  # accounts of both classes have it
KINDS = ("new", "existing", "adopted")
CHANGES = ("same", "state", "alias", "component", "account", "first", "retain", "protect")
"""List the changes of an integration while its stack has one name: none, a rename in the state, one by an alias, a
move into a component, another account, a forced replacement that deletes first, another account with the old
integration retained, and protection."""
REPLACED = ("account", "first", "retain")


class World:
    """The integrations of one stack, all of one kind, by their first names, and how each is declared now."""

    def __init__(self, stack, client, service, accounts, kind):
        self.stack, self.client, self.service, self.accounts = stack, client, service, accounts
        self.kind = kind
        self.declared = {f"{kind}-{change}": {"name": f"{kind}-{change}"} for change in CHANGES}
        if kind == "adopted":
            for how in self.declared.values():
                how["inputs"] = self.by_hand()

    def keys(self, *changes):
        """The integrations that are changed so."""
        return {f"{self.kind}-{change}" for change in changes}

    def by_hand(self):
        """An integration that a person made, as inputs of its adoption."""
        request = IntegrationRequest(
            account=self.service.account, name="By hand", scopes=SCOPES, owner_nonce=uuid.uuid4().hex
        )
        made = self.client.declare(f"cli/{uuid.uuid4().hex}", request)
        token = self.client.issue(made.id, 1, issuer="cli/anna", holding=None, overlap_seconds=0, reason="").token
        return {"adopt": made.id, "adopt_token": token}

    def program(self):
        """Declare everything as it is to be now."""
        made = {}
        for key, how in self.declared.items():
            options = pulumi.ResourceOptions(**how.get("options", {}))
            if how.get("component"):
                parent = pulumi.ComponentResource("app:index:Part", key)
                options = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(parent=parent))
            crm = pi.PrivateIntegration(
                how["name"],
                name="CRM",
                scopes=SCOPES,
                account=how.get("account"),
                opts=options,
                **how.get("inputs", {}),
            )
            made[key] = {"id": crm.id, "token": crm.token}
        pulumi.export("made", made)

    def made(self):
        """The id and the token of each."""
        return self.stack.output("made")

    def lives(self, token):
        """Tell whether a token still works."""
        return self.client.introspect(token).active

    def step(self, replace=()):
        """Preview, do, and preview again: as previewed, and then no change. Gives what changed, by first name.

        Every token that was in use and died belongs to a Token that the preview named.
        """
        before = self.made()
        targets = [self.stack.resources("PrivateIntegration")[name]["urn"] for name in replace]
        self.stack.program = self.program
        previewed = kinds_of(self.stack.preview(replace=targets).changes)
        done = kinds_of(self.stack.up(replace=targets).changes)
        assert done == previewed
        self.stack.preview(expect_no_changes=True)
        after = self.made()
        names = {how["name"]: key for key, how in self.declared.items()}
        changed = {names[resource.partition(" ")[2]] for resource in done if resource.startswith("Token ")}
        died = {key for key, each in before.items() if not self.lives(each["token"])}
        assert died <= changed
        assert all(self.lives(each["token"]) for each in after.values())
        assert {key for key in after if after[key]["token"] != before[key]["token"]} == changed
        assert len({each["id"] for each in after.values()}) == len(after)
        return changed, before, after


def kinds_of(changes):
    """The operations by resource, the three parts of a replacement as one."""
    replacing = ("replace", "create-replacement", "delete-replaced")
    return {resource: "replace" if op in replacing else op for resource, op in changes.items()}


def as_an_older_release(resources):
    """Take from the state what this release added to it, for the resources whose names begin with `existing`."""
    for entry in resources:
        if entry["type"].endswith(":Token") and entry["urn"].rsplit("::", 1)[1].startswith("existing"):
            del entry["outputs"]["account"]


@pytest.fixture
def environment(service):
    """One account by default."""
    return dict(service.environment)


@pytest.fixture(params=KINDS)
def world(request, stack, client, service, accounts):
    """One integration for each change, made and used."""
    world = World(stack, client, service, accounts, request.param)
    stack.up(world.program)
    for each in world.made().values():
        assert contacts(service, each["token"]) == 401  # used, though it opens no contacts
    stack.edit_state(as_an_older_release)
    for how in world.declared.values():
        how.pop("inputs", None)  # an adoption that is done needs no inputs any more
    stack.preview(expect_no_changes=True)
    return world


def test_renamed_moved_and_replaced(world):
    """Renames and moves change nothing; then the stack is renamed, and everything is replaced under its new names."""
    keys = world.keys
    for key in keys("state"):
        name = world.declared[key]["name"]
        for kind in ("PrivateIntegration", "Token"):
            world.stack.rename_in_state(world.stack.resources(kind)[name]["urn"], f"{key}-renamed")
        world.declared[key]["name"] = f"{key}-renamed"
    for key in keys("alias"):
        world.declared[key] |= {"name": f"{key}-renamed", "options": {"aliases": [pulumi.Alias(name=key)]}}
    for key in keys("component"):
        world.declared[key] |= {
            "component": True,
            "options": {"aliases": [pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]},
        }
    for key in keys("account", "retain"):
        world.declared[key]["account"] = world.accounts["agency"]
    for key in keys("retain"):
        world.declared[key]["options"] = {"retain_on_delete": True}
    for key in keys("first"):
        world.declared[key]["options"] = {"delete_before_replace": True}
    for key in keys("protect"):
        world.declared[key]["options"] = {"protect": True}
    retained = world.made()[f"{world.kind}-retain"]
    # The engine notes these options when it sees them first, and goes by them from then on.
    options_only = {key: dict(how) for key, how in world.declared.items()}
    for key in keys("account", "retain"):
        world.declared[key].pop("account")
    assert world.stack.up(world.program).changes == {f"Part {key}": "create" for key in keys("component")}
    world.declared = options_only

    changed, before, after = world.step(replace=sorted(keys("first")))
    assert changed == keys(*REPLACED)
    assert {key for key in after if after[key]["id"] != before[key]["id"]} == changed
    assert {key for key in before if not world.lives(before[key]["token"])} == keys("account", "first")
    assert world.client.integration(retained["id"]).id == retained["id"]

    world.stack.rename("prod")
    changed, *_ = world.step()
    assert changed == set()

    # Nothing is under the new stack's name yet, so that a successor can be made before the old one goes.
    unprotected = [how["name"] for key, how in world.declared.items() if key not in keys("protect", "retain")]
    changed, before, after = world.step(replace=sorted(unprotected))
    assert changed == set(world.declared) - keys("protect", "retain")
    path = f"organization/{world.stack.project}/prod/"
    for key in changed:
        assert world.client.integration(after[key]["id"]).external_id.startswith(path)

    for key in set(world.declared) - keys("protect"):
        world.declared[key]["account"] = (
            world.service.account if key in keys("account", "retain") else world.accounts["agency"]
        )
    changed, *_ = world.step()
    assert changed == set(world.declared) - keys("protect")


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_done_is_refused_before_anything_is(stack, client, service, accounts, kind):
    """A replacement that could only fail halfway fails in the preview, and in an `up` without one, harming nothing."""
    world = World(stack, client, service, accounts, kind)
    world.declared = {"crm": {"name": f"{kind}-crm", "inputs": world.by_hand() if kind == "adopted" else {}}}
    stack.up(world.program)
    stack.edit_state(as_an_older_release)
    before, urn = world.made()["crm"], stack.resource("PrivateIntegration")["urn"]
    if kind == "adopted":
        world.declared["crm"]["account"] = accounts["agency"]
        refuse(stack, "the integration to adopt is in another account than the one declared")
        del world.declared["crm"]["account"]
        del world.declared["crm"]["inputs"]
    refuse(stack, r"give it ResourceOptions\(delete_before_replace=True\)", replace=[urn])
    for options, reason in (
        ({"delete_before_replace": True, "retain_on_delete": True}, "because of retain_on_delete"),
        ({"delete_before_replace": True, "protect": True}, "protect"),
    ):
        world.declared["crm"]["options"] = options
        stack.up(expect_no_changes=True)
        refuse(stack, reason, replace=[urn])
    assert world.made()["crm"] == before
    assert world.lives(before["token"])
    stack.preview(expect_no_changes=True)


def refuse(stack, reason, **options):
    """Assert that preview and `up` both fail for this reason."""
    for command in (stack.preview, stack.up):
        with pytest.raises(auto.CommandError, match=reason):
            command(**options)
